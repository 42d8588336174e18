"""What both engines are made with: the URL with the edition's driver, and the options.

The drivers are named here as text, for SQLAlchemy to load; nothing in the applications imports one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL
from sqlalchemy.engine import make_url

from .config import MARIADB_SCHEMES
from .config import Edition
from .config import Settings
from .errors import UsageError
from .pool import pool_class
from .trace import wire_asyncpg

# Loaded by name when an engine asks for the driver.
registry.register("postgresql.psycopg2", "shared.dialect", "Psycopg2")
registry.register("postgresql.psycopg", "shared.dialect", "Psycopg")
registry.register("mysql.pymysql", "shared.mariadb.dialect", "Pymysql")
registry.register("mysql.aiomysql", "shared.mariadb.dialect", "Aiomysql")

# Per edition: the default driver first, then others that its engine can use.
DRIVERS: dict[Edition, tuple[str, ...]] = {
    "wsgi": ("psycopg2", "psycopg"),
    "asgi": ("asyncpg", "psycopg"),
}
# The same protocol code in both, so that the pair differs in waiting alone.
MARIADB_DRIVERS: dict[Edition, tuple[str, ...]] = {
    "wsgi": ("pymysql",),
    "asgi": ("aiomysql",),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where the database is: its URL without a driver, and what keeps it there while it is used.

    Attributes:
        url: The database's URL.
        release: Called when the process does not use the database any more.
    """

    url: str
    release: Callable[[], None]


def locate(settings: Settings) -> Source:
    """Return the database to use: DATABASE_URL, or else the embedded PostgreSQL, started when it is not running.

    Raises:
        EnvironmentFailure: If the embedded PostgreSQL cannot be started.
    """
    if settings.database_url is not None:
        return Source(settings.database_url.get_secret_value(), lambda: None)
    # Imported here because a service on an external database needs none of it.
    from . import postgres

    lease = postgres.acquire(Path(settings.data_dir).resolve())
    return Source(lease.url, lease.release)


def engine_url(url: str, edition: Edition) -> URL:
    """Return a database's URL with the driver of an edition.

    A driver that the URL names is kept when the edition can use it.

    Raises:
        UsageError: If the URL names a driver that the edition cannot use, or that is not installed.
    """
    parsed = make_url(url)
    _, _, named = parsed.drivername.partition("+")
    dialect, usable = ("mysql", MARIADB_DRIVERS[edition]) if is_mariadb(url) else ("postgresql", DRIVERS[edition])
    if named and named not in usable:
        raise UsageError(
            f"DATABASE_URL names the driver {named}, which the {edition} edition cannot use",
            why=f"it can use {' or '.join(usable)}",
            hint=f"Leave the driver out ({dialect}://...): each edition then takes its own",
        )
    if named and find_spec(named) is None:
        raise UsageError(
            f"DATABASE_URL names the driver {named}, which is not installed",
            why="only the drivers of the lock file are",
            hint=f"Leave the driver out ({dialect}://...), or install it: .venv/bin/pip install {named}",
        )
    return parsed.set(drivername=f"{dialect}+{named or usable[0]}")


def is_mariadb(url: str) -> bool:
    """Tell whether a URL is of a MariaDB; every other one is of a PostgreSQL."""
    return make_url(url).drivername.partition("+")[0] in MARIADB_SCHEMES


def engine_options(settings: Settings, edition: Edition, driver: str) -> dict[str, Any]:
    """Return the keyword arguments of create_engine, equal in both editions but for the spelling of the driver.

    Connections are in autocommit from the start: a read is then one round trip in both drivers, where a transaction
    around it would be three. Requests that write switch their transaction on (`Database.begin`). There is no ping at
    checkout: `shared.pool` notices a dead connection without one.
    """
    return {
        "isolation_level": "AUTOCOMMIT",
        # Outside a transaction there is nothing to roll back, and SQLAlchemy would ask for it twice a session.
        "skip_autocommit_rollback": True,
        "poolclass": pool_class(edition, is_tracing=settings.is_tracing),
        "pool_size": settings.pool_size,
        "max_overflow": settings.pool_max_overflow,
        "pool_timeout": settings.pool_timeout,
        "connect_args": _connect_arguments(settings, edition, driver),
        # Parameters never reach a log or an error text.
        "hide_parameters": True,
    }


def _connect_arguments(settings: Settings, edition: Edition, driver: str) -> dict[str, Any]:
    name = f"wsgi-vs-asgi {edition}"
    if driver in MARIADB_DRIVERS[edition]:
        return _mariadb_arguments(settings, name)
    timeout_ms = str(round(settings.statement_timeout * 1_000))
    session = {
        "statement_timeout": timeout_ms,
        "lock_timeout": timeout_ms,
        # A service that was cut off in a transaction must not hold its locks for ever. Longer than a client of /stream
        # may pause, whose transaction is idle meanwhile.
        "idle_in_transaction_session_timeout": str(round(settings.graceful_timeout * 1_000)),
    }
    if driver == "asyncpg":
        # The driver's messages can be seen only by what stands at its transport from the start.
        tapping = {"async_creator_fn": wire_asyncpg.connect} if settings.is_tracing else {}
        return {
            **tapping,
            "timeout": settings.connect_timeout,
            # The driver's own bound lies behind the server's, for a server that does not answer at all.
            "command_timeout": settings.request_timeout,
            "server_settings": {"application_name": name, **session},
        }
    return {
        # libpq counts whole seconds.
        "connect_timeout": max(1, round(settings.connect_timeout)),
        "application_name": name,
        "options": " ".join(f"-c {key}={value}" for key, value in session.items()),
        # For a host that is gone, over TCP: unacknowledged data ends the connection. A server that is there and does
        # not answer is the watchdog's.
        "tcp_user_timeout": round(settings.request_timeout * 1_000),
        "keepalives_idle": max(1, round(settings.request_timeout)),
    }


def _mariadb_arguments(settings: Settings, name: str) -> dict[str, Any]:
    lock_timeout_s = max(1, ceil(settings.statement_timeout))
    session = {
        "max_statement_time": f"{settings.statement_timeout:g}",
        # Whole seconds; for rows, and for tables that are being changed.
        "innodb_lock_wait_timeout": str(lock_timeout_s),
        "lock_wait_timeout": str(lock_timeout_s),
        "idle_transaction_timeout": str(max(1, round(settings.graceful_timeout))),
        # What does not fit is refused, whatever the server's own mode is.
        "sql_mode": "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    }
    return {
        "autocommit": True,
        "charset": "utf8mb4",
        "connect_timeout": settings.connect_timeout,
        # Our dialects' for both drivers: the bound on an answer, which lies behind the server's as ever.
        "read_timeout": settings.request_timeout,
        "program_name": name,
        "init_command": "SET SESSION " + ", ".join(f"{key} = {value}" for key, value in session.items()),
    }
