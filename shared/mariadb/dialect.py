"""SQLAlchemy's dialects of both drivers, with transactions and times as PostgreSQL's drivers have them.

A connection is in autocommit for its whole life, and a transaction begins with one statement of its own: nothing is
sent when a session takes its connection or gives it back. Loaded by name when an engine asks for the driver.
"""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import asynccontextmanager
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from typing import Any
from typing import ClassVar

from sqlalchemy import DateTime
from sqlalchemy import Engine
from sqlalchemy import event
from sqlalchemy.dialects.mysql.aiomysql import AsyncAdapt_aiomysql_connection
from sqlalchemy.dialects.mysql.aiomysql import AsyncAdapt_aiomysql_cursor
from sqlalchemy.dialects.mysql.aiomysql import MySQLDialect_aiomysql
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler
from sqlalchemy.dialects.mysql.base import MySQLTypeCompiler
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.util import await_only

from ..trace.sql import MARIADB_IN_TRANSACTION
from .statements import counterpart

# The client library's numbers for a server that cannot be reached, and for one that is gone.
CANNOT_CONNECT = 2003
LOST = 2013
# The server's number for a variable that it does not know, as MySQL does not know MariaDB's.
UNKNOWN_VARIABLE = 1193
# Compared byte by byte, trailing blanks included, as PostgreSQL compares for equality.
COLLATION = "utf8mb4_nopad_bin"


class UtcDateTime(DateTime):
    """Times to the microsecond in a type that knows no zone: UTC goes in, and comes out."""

    def bind_processor(self, dialect: Any) -> Callable[[datetime | None], datetime | None]:
        """Return what makes a parameter of a time."""
        return lambda value: None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[datetime | None], datetime | None]:
        """Return what makes a time of a column's value."""
        return lambda value: None if value is None else value.replace(tzinfo=UTC)


class _Types(MySQLTypeCompiler):
    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        """Return the type of a column for times; without a precision it would hold whole seconds."""
        return "DATETIME(6)"


class _Tables(MySQLDDLCompiler):
    def post_create_table(self, table: Any) -> str:
        """Return what follows the columns: the engine that has transactions, and how texts compare."""
        return f"{super().post_create_table(table)} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {COLLATION}"


class _MariaDB:
    """What both dialects have; it comes before SQLAlchemy's."""

    type_compiler_cls: Any = _Types
    ddl_compiler: Any = _Tables
    colspecs: ClassVar[Any] = {**MySQLDialect_pymysql.colspecs, DateTime: UtcDateTime}

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Have an engine execute MariaDB's statements where PostgreSQL's are asked for."""
        event.listen(engine, "before_execute", counterpart, retval=True)

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """Note the level of the transactions to come; AUTOCOMMIT: there will be none."""
        _driver_connection(dbapi_connection).transaction_level = level

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction, unless the connection is to commit each statement by itself."""
        level = getattr(_driver_connection(dbapi_connection), "transaction_level", None)
        if level == "AUTOCOMMIT":
            return
        cursor = dbapi_connection.cursor()
        try:
            # A level that is set so holds for the next transaction only; in a block with it, it costs no round trip.
            cursor.execute(
                "START TRANSACTION"
                if level is None
                else f"BEGIN NOT ATOMIC SET TRANSACTION ISOLATION LEVEL {level}; START TRANSACTION; END"
            )
        finally:
            cursor.close()

    def detect_autocommit_setting(self, dbapi_connection: Any) -> bool:
        """Tell whether there is nothing to roll back, by the status of the server's last answer."""
        return not is_in_transaction(_driver_connection(dbapi_connection))


class Pymysql(_MariaDB, MySQLDialect_pymysql):
    """The dialect of pymysql."""

    supports_statement_cache = True

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Return a new connection; the limit on connecting holds for the log-in, too."""
        answer_timeout_s = options.pop("read_timeout", None)
        limit_s = options.get("connect_timeout")
        if "ssl" not in options:
            # It would try TLS unasked, and read the system's certificates for each connection.
            options["ssl_disabled"] = True
        with _of_mariadb(self.loaded_dbapi):
            connection: Any = super().connect(*arguments, read_timeout=limit_s, write_timeout=limit_s, **options)
        # Both alike, so that the driver does not switch the socket's time-out at each turn.
        connection._read_timeout = connection._write_timeout = answer_timeout_s
        return connection


class _BoundCursor(AsyncAdapt_aiomysql_cursor):
    """A cursor that waits for an answer no longer than its connection allows."""

    __slots__ = ()

    async def _execute_async(self, operation: Any, parameters: Any) -> Any:
        async with _answered(self._adapt_connection):
            return await super()._execute_async(operation, parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> Any:
        async with _answered(self._adapt_connection):
            return await super()._executemany_async(operation, seq_of_parameters)


class _BoundConnection(AsyncAdapt_aiomysql_connection):
    """A connection of aiomysql, which has no limit on the wait for an answer, with one."""

    __slots__ = ()

    _cursor_cls = _BoundCursor

    def commit(self) -> None:
        """Commit."""
        await_only(self._end("commit"))

    def rollback(self) -> None:
        """Roll back."""
        await_only(self._end("rollback"))

    async def _end(self, name: str) -> None:
        async with _answered(self):
            await getattr(self._connection, name)()


class Aiomysql(_MariaDB, MySQLDialect_aiomysql):
    """The dialect of aiomysql."""

    supports_statement_cache = True

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Return a new connection; the limit on connecting holds for the log-in, too."""
        answer_timeout_s = options.pop("read_timeout", None)
        module: Any = self.dbapi

        async def connected() -> Any:
            try:
                async with asyncio.timeout(options.get("connect_timeout")):
                    with _of_mariadb(module):
                        found = await module.aiomysql.connect(*arguments, **options)
            except TimeoutError as error:
                raise module.OperationalError(CANNOT_CONNECT, "The server does not answer") from error
            found.answer_timeout_s = answer_timeout_s
            return found

        return await_only(_BoundConnection.create(module, connected()))

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Close a connection that will not be used again, without waiting."""
        dbapi_connection.driver_connection.close()


@contextmanager
def _of_mariadb(module: Any) -> Iterator[None]:
    """Say of a server that is no MariaDB, or too old a one, that it cannot be used; MySQL is one."""
    try:
        yield
    except module.OperationalError as error:
        if error.args[0] != UNKNOWN_VARIABLE:
            raise
        why = f"The server is no MariaDB of version 10.6 or newer: {error.args[1]}"
        raise module.OperationalError(CANNOT_CONNECT, why) from error


def is_in_transaction(driver_connection: Any) -> bool:
    """Tell whether a transaction was open after the server's last answer."""
    return bool(driver_connection.server_status & MARIADB_IN_TRANSACTION)


@asynccontextmanager
async def _answered(connection: Any) -> AsyncIterator[None]:
    """End a wait that is too long; the driver closes a connection whose wait is cancelled."""
    try:
        async with asyncio.timeout(connection.driver_connection.answer_timeout_s):
            yield
    except TimeoutError as error:
        raise connection.dbapi.OperationalError(LOST, "The server does not answer") from error


def _driver_connection(connection: Any) -> Any:
    """Return the driver's own connection; pymysql's is what SQLAlchemy has, too."""
    return getattr(connection, "driver_connection", connection)
