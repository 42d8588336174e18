"""SQLAlchemy's dialects without what only one edition would do: a statement, or a wait for nothing."""

from time import perf_counter_ns
from typing import TYPE_CHECKING
from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.dialects.postgresql.psycopg import PGExecutionContext_psycopg
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2

if TYPE_CHECKING:
    from sqlalchemy.engine.default import DefaultDialect
    from sqlalchemy.engine.default import DefaultExecutionContext
else:
    DefaultDialect = DefaultExecutionContext = object


class AskingContext(DefaultExecutionContext):
    """Notes when a statement begins; before it does, so that the wait has no line of ours as its innermost."""

    dialect: "Asking"

    def pre_exec(self) -> None:
        """Be called before a statement is sent."""
        self.dialect.asked_ns[self.cursor.connection] = perf_counter_ns()


class Asking(DefaultDialect):
    """Notes when the wait for each answer begins, for drivers that do not bound it themselves (`shared.watchdog`).

    Attributes:
        asked_ns: For each open connection of the driver when it was last asked something, by the performance counter.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked_ns: dict[Any, int] = {}

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit."""
        self.asked_ns[dbapi_connection.dbapi_connection] = perf_counter_ns()
        dbapi_connection.commit()

    def do_close(self, dbapi_connection: Any) -> None:
        """Close a connection."""
        self.asked_ns.pop(dbapi_connection, None)
        dbapi_connection.close()


class Psycopg2Context(AskingContext, PGExecutionContext_psycopg2):
    """The context of a statement on psycopg2."""


class Psycopg2(Asking, PGDialect_psycopg2):
    """Leaves autocommit, and returns to it, without a round trip.

    psycopg2 remembers the isolation level of the last transaction, and when a connection leaves autocommit again it
    sends SET default_transaction_isolation TO DEFAULT, which is what the session has anyway. Asked to forget the level
    first, it sends nothing, as asyncpg does.
    """

    supports_statement_cache = True
    execution_ctx_cls = Psycopg2Context

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


class PsycopgContext(AskingContext, PGExecutionContext_psycopg):
    """The context of a statement on psycopg 3."""


class Psycopg(Asking, PGDialect_psycopg):
    """The dialect of psycopg 3, which both editions can use."""

    supports_statement_cache = True
    execution_ctx_cls = PsycopgContext

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> Any:
        """Return the dialect for tasks."""
        return AsyncPsycopg
