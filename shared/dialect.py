"""SQLAlchemy's dialects without what only one edition would do: a statement, or a wait for nothing."""

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
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


class AsyncPsycopg(PGDialectAsync_psycopg):
    """Does not wait for a rollback where there is no transaction, nor for the end of a connection that is given up.

    psycopg sends nothing then, but takes its lock, for which a session that is closed outside a greenlet cannot wait.
    """

    supports_statement_cache = True

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back what was begun."""
        if dbapi_connection.driver_connection.pgconn.transaction_status:
            super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]  # untyped upstream

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Close a connection that will not be used again, without waiting."""
        dbapi_connection.driver_connection.pgconn.finish()


class Psycopg(PGDialect_psycopg):
    """The dialect of psycopg 3, which both editions can use."""

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> Any:
        """Return the dialect for tasks."""
        return AsyncPsycopg
