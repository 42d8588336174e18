"""Databases of a command's own: created, seeded, and dropped whatever happens."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress

import psutil
from sqlalchemy import Connection
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared import seed
from shared.engine import engine_url
from shared.engine import is_mariadb
from shared.errors import EnvironmentFailure
from shared.errors import UsageError

# By what a name begins with whoever comes later knows a database that was left behind.
PREFIXES = ("parity", "claims")
_FORGET = text("SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = :name")
_OURS = re.compile(rf"(?:{'|'.join(PREFIXES)})_(\d+)_[0-9a-f]+_(?:wsgi|asgi)")


def new_pair(url: str, prefix: str) -> tuple[str, str]:
    """Return the URLs of two databases that do not exist yet, named after one of the prefixes."""
    stem = f"{prefix}_{os.getpid()}_{secrets.token_hex(4)}"
    wsgi, asgi = (
        make_url(url).set(database=f"{stem}_{edition}").render_as_string(hide_password=False)
        for edition in ("wsgi", "asgi")
    )
    return wsgi, asgi


def require_right(url: str, who: str, otherwise: str = "") -> None:
    """Check that the user in a URL may create databases.

    Args:
        url: A database of the server.
        who: Who needs that, such as "The parity check".
        otherwise: What else could be done; ends the hint.

    Raises:
        EnvironmentFailure: If the server cannot be reached.
        UsageError: If it may not.
    """
    if is_mariadb(url):
        _require_right_on_mariadb(url, who, otherwise)
        return
    with administration(url) as connection:
        may_create = connection.execute(
            text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
        ).scalar_one()
        if not may_create:
            raise UsageError(
                f"{who} needs databases of its own",
                why="the role in DATABASE_URL may not create databases",
                hint=f"Give it CREATEDB, unset DATABASE_URL to use the embedded PostgreSQL{otherwise}",
            )


def _require_right_on_mariadb(url: str, who: str, otherwise: str) -> None:
    """Do the same on a MariaDB, where rights are by name and only an attempt tells."""
    name = make_url(new_pair(url, PREFIXES[0])[0]).database
    with administration(url) as connection:
        try:
            connection.execute(text(f"CREATE DATABASE `{name}`"))
        except SQLAlchemyError as error:
            user = connection.execute(text("SELECT current_user()")).scalar_one().replace("@", "'@'")
            grants = " ".join(f"GRANT ALL ON `{prefix}\\_%`.* TO '{user}';" for prefix in PREFIXES)
            raise UsageError(
                f"{who} needs databases of its own",
                why=f"the user in DATABASE_URL may not create them: {getattr(error, 'orig', error)}",
                hint=f"{grants} or unset DATABASE_URL to use the embedded PostgreSQL{otherwise}",
            ) from error
        connection.execute(text(f"DROP DATABASE `{name}`"))


@contextmanager
def created(url: str, urls: tuple[str, str]) -> Iterator[None]:
    """Create two equal, seeded databases on a server, and drop them at the end.

    Args:
        url: A database of that server.
        urls: The new databases.

    Raises:
        EnvironmentFailure: If the server cannot be reached.
    """
    names = [make_url(each).database for each in urls]
    if is_mariadb(url):
        with _created_on_mariadb(url, urls):
            yield
        return
    try:
        with administration(url) as connection:
            _drop_leftovers(connection)
            connection.execute(text(f'CREATE DATABASE "{names[0]}"'))
            _fill(urls[0])
            # A copy, so that rows, sequences and statistics are the same.
            connection.execute(text(f'CREATE DATABASE "{names[1]}" TEMPLATE "{names[0]}"'))
        yield
    finally:
        # Over a connection of its own: Ctrl-C in the middle of a statement ends the one that it was sent over.
        with administration(url) as connection:
            for name in names:
                _forget(connection, str(name))
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@contextmanager
def administration(url: str) -> Iterator[Connection]:
    """Yield a connection in autocommit.

    Raises:
        EnvironmentFailure: If the server cannot be reached.
    """
    engine = create_engine(engine_url(url, "wsgi"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise EnvironmentFailure(
            "The database cannot be reached",
            why=str(getattr(error, "orig", error)).strip(),
            hint="Check DATABASE_URL (make config shows it), or unset it to use the embedded PostgreSQL",
        ) from error
    with connection:
        yield connection


@contextmanager
def _created_on_mariadb(url: str, urls: tuple[str, str]) -> Iterator[None]:
    """Do the same on a MariaDB, which knows no templates: both are filled alike, which is as good."""
    names = [str(make_url(each).database) for each in urls]
    with administration(url) as connection:
        left = connection.execute(text("SELECT schema_name FROM information_schema.schemata"))
        for name in list(left.scalars()):
            found = _OURS.fullmatch(name)
            if found and not psutil.pid_exists(int(found[1])):
                connection.execute(text(f"DROP DATABASE IF EXISTS `{name}`"))
        try:
            for name, each in zip(names, urls, strict=True):
                connection.execute(text(f"CREATE DATABASE `{name}`"))
                _fill(each)
            yield
        finally:
            for name in names:
                connection.execute(text(f"DROP DATABASE IF EXISTS `{name}`"))


def _fill(url: str) -> None:
    engine = create_engine(engine_url(url, "wsgi"), poolclass=NullPool)
    with engine.begin() as connection:
        seed.create(connection)


def _forget(connection: Connection, name: str) -> None:
    """Remove a database's statements from pg_stat_statements, which keeps them after the database is gone."""
    # Where the extension or the right is missing there is nothing to remove, or nobody who may.
    with suppress(SQLAlchemyError):
        connection.execute(_FORGET, {"name": name})


def _drop_leftovers(connection: Connection) -> None:
    """Drop the databases of a check that was killed: its process is gone and nobody is connected."""
    idle = connection.execute(
        text(
            "SELECT datname FROM pg_database WHERE datname ~ :prefix AND NOT EXISTS "
            "(SELECT FROM pg_stat_activity WHERE pg_stat_activity.datname = pg_database.datname) "
            "AND pg_has_role(datdba, 'USAGE')"
        ),
        {"prefix": f"^({'|'.join(PREFIXES)})_"},
    )
    for name in list(idle.scalars()):
        found = _OURS.fullmatch(name)
        if found and not psutil.pid_exists(int(found[1])):
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}"'))
