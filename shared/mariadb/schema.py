"""How the tables come to be on MariaDB, where each CREATE TABLE commits: rows first, the table that has none last.

A database is complete once all tables are there, as on PostgreSQL. The lock is the session's; its name holds the
database's, because a server has one set of such names.
"""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy import Table
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text

from ..errors import DatabaseUnavailable
from ..models import Base
from ..models import Transfer

# Seconds that another starter may take; the services' own limits bound a request's statements.
PATIENCE_S = 60
_PATIENT = text(
    f"SET @max_statement_time = @@max_statement_time, @lock_wait_timeout = @@lock_wait_timeout, "
    f"max_statement_time = {PATIENCE_S}, lock_wait_timeout = {PATIENCE_S}"
)
_AS_BEFORE = text("SET max_statement_time = @max_statement_time, lock_wait_timeout = @lock_wait_timeout")
_LOCK = text(f"SELECT GET_LOCK(MD5(CONCAT('wsgi-vs-asgi ', DATABASE())), {PATIENCE_S})")
_UNLOCK = text("SELECT RELEASE_LOCK(MD5(CONCAT('wsgi-vs-asgi ', DATABASE())))")
_BEGIN = text("START TRANSACTION")
# Its presence is what completes a database.
LAST = Transfer.__table__


def create(
    connection: Connection, is_complete: Callable[[Connection], bool], fill: Callable[[Connection], None]
) -> None:
    """Create and fill what is missing.

    Args:
        connection: Its transaction ends with the first table.
        is_complete: Tells whether all tables are there.
        fill: Adds the rows of all tables that have any.

    Raises:
        DatabaseUnavailable: If another starter takes too long.
    """
    with _alone(connection):
        if is_complete(connection):
            return
        tables = [table for table in Base.metadata.sorted_tables if table is not LAST]
        Base.metadata.create_all(connection, tables)
        connection.execute(_BEGIN)
        # A starter that was killed has left tables without rows, or with all of them.
        if not any(_has_rows(connection, table) for table in tables):
            fill(connection)
        Base.metadata.create_all(connection)


def drop(connection: Connection) -> None:
    """Drop the project's tables."""
    with _alone(connection):
        Base.metadata.drop_all(connection)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    connection.execute(_PATIENT)
    try:
        if not connection.execute(_LOCK).scalar_one():
            raise DatabaseUnavailable("Another process is still creating the tables")
        try:
            yield
        finally:
            connection.execute(_UNLOCK)
    finally:
        connection.execute(_AS_BEFORE)


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(func.count()).select_from(table)).scalar_one() > 0
