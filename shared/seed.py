"""Schema and seed data: deterministic, created once whoever comes first.

Creation runs in one transaction under an advisory lock, so any number of workers of both services may start at once
on an empty database.
"""

from datetime import UTC
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import Table
from sqlalchemy import func
from sqlalchemy import insert
from sqlalchemy import inspect
from sqlalchemy import select
from sqlalchemy import text

from .models import ACCOUNT_ROWS
from .models import WORLD_ROWS
from .models import Account
from .models import Base
from .models import Fortune
from .models import World

# Any number that no other user of the database takes: the ASCII codes of "wvsa".
ADVISORY_LOCK = 0x77767361

OPENED_AT = datetime(2026, 1, 1, tzinfo=UTC)
OPENING_BALANCE = 10_000

# The twelve rows of the TechEmpower benchmark.
FORTUNES = (
    "fortune: No such file or directory",
    "A computer scientist is someone who fixes things that aren't broken.",
    "After enough decimal places, nobody gives a damn.",
    "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1",
    "A computer program does what you tell it to do, not what you want it to do.",
    "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen",
    "Any program that runs right is obsolete.",
    "A list is only as strong as its weakest link. — Donald Knuth",
    "Feature: A bug with seniority.",
    "Computers make very fast, very accurate mistakes.",
    '<script>alert("This should not be displayed in a browser alert box.");</script>',
    "フレームワークのベンチマーク",
)


def random_number(world_id: int) -> int:
    """Return the seeded number of a world row, 1 to 10,000.

    A multiplicative permutation: 7,919 is a prime that does not divide 10,000, so every number occurs once.
    """
    return world_id * 7_919 % WORLD_ROWS + 1


def create(connection: Connection) -> None:
    """Create what is missing, inside the connection's transaction; does nothing on a database that is complete."""
    if _is_complete(connection):
        return
    if connection.dialect.name == "mysql":
        # Imported here because a service on PostgreSQL needs none of it.
        from .mariadb import schema

        schema.create(connection, _is_complete, _fill_all)
        return
    # The services' timeouts bound a request's statements; waiting for another starter to finish may take longer.
    connection.execute(text("SET LOCAL statement_timeout = '60s'"))
    connection.execute(text("SET LOCAL lock_timeout = '60s'"))
    connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    # Another starter may have finished meanwhile.
    if _is_complete(connection):
        return
    Base.metadata.create_all(connection)
    _fill_all(connection)
    # Explicit ids leave the sequence behind; the next account continues after the seeded ones.
    connection.execute(text("SELECT setval(pg_get_serial_sequence('accounts', 'id'), :last)"), {"last": ACCOUNT_ROWS})


def drop(connection: Connection) -> None:
    """Drop the project's tables, inside the connection's transaction."""
    if connection.dialect.name == "mysql":
        from .mariadb import schema

        schema.drop(connection)
        return
    connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    Base.metadata.drop_all(connection)


def _is_complete(connection: Connection) -> bool:
    # The catalogue tells: the tables and their rows appear together, when the creating transaction commits.
    return set(Base.metadata.tables) <= set(inspect(connection).get_table_names())


def _fill_all(connection: Connection) -> None:
    _fill(connection, World, [{"id": n, "randomnumber": random_number(n)} for n in range(1, WORLD_ROWS + 1)])
    _fill(connection, Fortune, [{"id": n, "message": message} for n, message in enumerate(FORTUNES, start=1)])
    accounts = [
        {
            "id": n,
            "owner": f"owner-{n:05}",
            "balance": OPENING_BALANCE,
            "version": 1,
            "created_at": OPENED_AT,
        }
        for n in range(1, ACCOUNT_ROWS + 1)
    ]
    _fill(connection, Account, accounts)


def _fill(connection: Connection, entity: type[Base], rows: list[dict[str, Any]]) -> None:
    table = entity.__table__
    assert isinstance(table, Table)
    connection.execute(insert(table), rows)
