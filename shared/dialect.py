"""SQLAlchemy's psycopg2 dialect without a statement that only one edition would send."""

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2


class Psycopg2(PGDialect_psycopg2):
    """Leaves autocommit, and returns to it, without a round trip.

    psycopg2 remembers the isolation level of the last transaction, and when a connection leaves autocommit again it
    sends SET default_transaction_isolation TO DEFAULT, which is what the session has anyway. Asked to forget the level
    first, it sends nothing, as asyncpg does.
    """

    supports_statement_cache = True

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Set the isolation level of a connection."""
        if level == "AUTOCOMMIT":
            dbapi_connection.set_isolation_level(None)
        super().set_isolation_level(dbapi_connection, level)  # type: ignore[no-untyped-call]  # untyped upstream
