"""How many database sessions a service uses: pg_stat_activity, looked at now and then from a connection of its own."""

from dataclasses import dataclass
from threading import Event
from threading import Lock
from threading import Thread

from sqlalchemy import Connection
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared.engine import engine_url

# Five looks a second, of a fraction of a millisecond each: too few to be felt, enough to see a pool in use.
LOOK_EVERY_S = 0.2
# So that a slice of half a second is looked at more than once.
FIRST_LOOK_S = 0.1
# Both editions name their connections so; this lab's own has another name, and is never counted.
SERVICES = "wsgi-vs-asgi %"
OWN_NAME = "lab of wsgi-vs-asgi"

# "lab_calls" in its text keeps a statement out of what is counted of the services' (`statements`).
# Only one service is under load at a time, so sessions that did something since then are those of that service.
_LOOK = text(
    "SELECT count(*) FILTER (WHERE state <> 'idle' OR state_change >= :since) AS lab_calls, "
    "count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE :services AND backend_type = 'client backend'"
)
_NOW = text("SELECT clock_timestamp() AS lab_calls")


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the database showed.

    Attributes:
        held: Sessions that have run something since the slice began.
        in_use: Sessions that run a statement or a transaction at this moment.
    """

    held: int
    in_use: int


class SessionWatch:
    """A thread that looks at the sessions of one database while it is told to; use it as a context manager.

    Args:
        url: The services' database.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: If the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        engine = create_engine(
            engine_url(url, "wsgi"),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={"application_name": OWN_NAME} if _takes_name(url) else {},
        )
        self._connection: Connection = engine.connect()
        self._looks: list[Look] = []
        self._since: object = None
        self._active, self._ended, self._turn = Event(), Event(), Event()
        # Held while the connection is used, which one thread at a time may do.
        self._lock = Lock()
        self._failed = False
        self._thread = Thread(target=self._watch, name="session-watch", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Look from here on."""
        with self._lock:
            self._looks = []
            try:
                self._since = self._connection.scalar(_NOW)
            except SQLAlchemyError:
                self._failed = True
                return
        self._turn.clear()
        self._active.set()

    def end(self) -> list[Look] | None:
        """Look no more; return what was seen, or None if the database could not be asked."""
        self._active.clear()
        self._turn.set()
        with self._lock:
            return None if self._failed else self._looks

    def close(self) -> None:
        """Let the connection go."""
        self._ended.set()
        self._active.set()
        self._turn.set()
        self._thread.join()
        self._connection.close()

    def _watch(self) -> None:
        while True:
            self._active.wait()
            wait_s = FIRST_LOOK_S
            while not self._turn.wait(wait_s):
                with self._lock:
                    if self._active.is_set() and not self._look():
                        return
                wait_s = LOOK_EVERY_S
            if self._ended.is_set():
                return

    def _look(self) -> bool:
        try:
            row = self._connection.execute(_LOOK, {"since": self._since, "services": SERVICES}).one()
        except SQLAlchemyError:
            self._failed = True
            return False
        self._looks.append(Look(int(row[0]), int(row[1])))
        return True


def _takes_name(url: str) -> bool:
    """Tell whether the connection's name is ours to choose: a URL may hold one already."""
    return "application_name" not in make_url(url).query
