"""The services of a ladder: how they are started, and which of the database's processes work for them."""

import sys
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from shared.config import Edition
from shared.engine import engine_url
from shared.lab.services import usage
from shared.lab.services.process import HOST
from shared.lab.services.process import ServiceSpec

_BACKENDS = text(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name ORDER BY pid"
)


def ladder_spec(edition: Edition, environ: Mapping[str, str]) -> ServiceSpec:
    """Return how to start an edition with all rungs, as one process: another one would not know the added rungs."""
    fixed = {"HOST": HOST, f"{edition.upper()}_PORT": "{port}", f"{edition.upper()}_WORKERS": "1"}
    command = (sys.executable, "-m", "shared.lab.controls.ladder", edition)
    return ServiceSpec(f"{edition} ladder", command, {**environ, **fixed})


class Backends:
    """Finds the database's processes that an edition's service talks to.

    Args:
        connection: To the services' database, while none of them runs yet: what is connected then is somebody else's.
        is_local: Whether the database's processes run on this machine.
    """

    def __init__(self, connection: Connection, *, is_local: bool) -> None:
        self._connection = connection
        self._is_local = is_local
        editions: tuple[Edition, ...] = ("wsgi", "asgi")
        self._others = {edition: self._connected(edition) for edition in editions}

    def of(self, edition: Edition) -> list[int] | None:
        """Return their process ids, or None where they cannot be seen from here, as on another machine."""
        found = self._connected(edition) - self._others[edition]
        if not self._is_local or not found or not found <= set(usage.database_pids()):
            return None
        return sorted(found)

    def _connected(self, edition: Edition) -> set[int]:
        return set(self._connection.execute(_BACKENDS, {"name": f"wsgi-vs-asgi {edition}"}).scalars())


@contextmanager
def backends(url: str) -> Iterator[Backends]:
    """Hold a connection by which the database's processes are found.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: If the database cannot be asked.
    """
    made = create_engine(engine_url(url, "wsgi"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    parsed = make_url(url)
    host = parsed.host or str(parsed.query.get("host", ""))
    is_local = not host or host.startswith("/") or host in ("localhost", HOST, "::1")
    with made.connect() as connection:
        yield Backends(connection, is_local=is_local)
