"""What is to be looked at: the settings in force with what was given instead, and what the database takes."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from types import MappingProxyType

from sqlalchemy import text

from shared.config import Edition
from shared.config import Settings
from shared.engine import engine_options
from shared.engine import engine_url
from shared.errors import EnvironmentFailure
from shared.lab.databases import administration
from shared.lab.sizing.rules import LADDER
from shared.lab.sizing.rules import Limits
from shared.lab.sizing.rules import Load
from shared.lab.sizing.rules import Sizing

EDITIONS: tuple[Edition, ...] = ("wsgi", "asgi")
# The driver each edition takes unless the URL names another.
DRIVERS: Mapping[Edition, str] = MappingProxyType({"wsgi": "psycopg2", "asgi": "asyncpg"})

# reserved_connections came with PostgreSQL 16. A limit of -1 is none; superusers are held to none of their own.
_LIMITS = text(
    "SELECT current_setting('max_connections')::int, "
    "current_setting('superuser_reserved_connections')::int "
    "+ coalesce(current_setting('reserved_connections', true), '0')::int, "
    "(SELECT CASE WHEN rolsuper OR rolconnlimit < 0 THEN NULL ELSE rolconnlimit END "
    "FROM pg_roles WHERE rolname = current_user), "
    "(SELECT CASE WHEN datconnlimit < 0 OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN NULL "
    "ELSE datconnlimit END FROM pg_database WHERE datname = current_database()), "
    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
    "AND application_name NOT LIKE 'wsgi-vs-asgi %')"
)


@dataclass(frozen=True, slots=True)
class Given:
    """What is taken instead of the settings in force; None leaves them.

    Attributes:
        workers: Processes of one instance.
        threads: Threads of each WSGI process.
        pool: Connections that each process keeps.
        overflow: Connections beyond them.
        timeouts_s: Time-outs by their name in the ladder.
    """

    workers: int | None = None
    threads: int | None = None
    pool: int | None = None
    overflow: int | None = None
    timeouts_s: Mapping[str, float] = field(default_factory=dict)


def sizings(
    settings: Settings,
    editions: Sequence[Edition],
    given: Given,
    *,
    instances: int,
    in_flight: int | None,
    load: Load | None,
) -> tuple[Sizing, ...]:
    """Return each edition as it is to be run.

    Args:
        settings: The settings in force.
        editions: Which editions share the database.
        given: What is taken instead.
        instances: Copies of each service.
        in_flight: Most requests at once that each process is expected to have.
        load: What each edition is expected to serve.
    """
    own = {"pool_size": given.pool, "pool_max_overflow": given.overflow, "wsgi_threads": given.threads}
    changed = {name: value for name, value in {**own, **given.timeouts_s}.items() if value is not None}
    # Unchecked, because a combination that cannot be is what this is to find.
    chosen = settings.model_copy(update=changed)
    return tuple(
        Sizing(
            edition=edition,
            workers=chosen.workers(edition) if given.workers is None else given.workers,
            threads=chosen.wsgi_threads if edition == "wsgi" else None,
            pool=chosen.pool_size,
            overflow=chosen.pool_max_overflow,
            instances=instances,
            in_flight=in_flight,
            timeouts_s=timeouts(chosen, edition),
            load=load,
        )
        for edition in editions
    )


def timeouts(settings: Settings, edition: Edition) -> dict[str, float]:
    """Return the ladder's time-outs as the edition applies them, in seconds: a driver may round its own."""
    own = {name: float(getattr(settings, name)) for name in LADDER}
    arguments = engine_options(settings, edition, DRIVERS[edition])["connect_args"]
    own["connect_timeout"] = float(arguments["connect_timeout" if edition == "wsgi" else "timeout"])
    return own


def ask(url: str) -> Limits:
    """Ask a database how many connections it takes.

    Args:
        url: The database, without a driver.

    Raises:
        EnvironmentFailure: If it cannot be reached, or is no PostgreSQL.
    """
    if engine_url(url, "wsgi").get_backend_name() != "postgresql":
        raise EnvironmentFailure(
            "Only PostgreSQL is asked for its limits", why="DATABASE_URL names another", hint="give --max-connections"
        )
    with administration(url) as connection:
        most, reserved, role, database, others = connection.execute(_LIMITS).one()
    return Limits(int(most), int(reserved), role, database, int(others), "as the database says")


def given_limits(max_connections: int) -> Limits:
    """Return limits of which nothing else is known; PostgreSQL's own default is held back for superusers."""
    # superuser_reserved_connections: https://www.postgresql.org/docs/18/runtime-config-connection.html
    return Limits(max_connections, 3, None, None, None, "as given, with the default reserve")
