"""The database's own view of a service's sessions: pg_stat_activity by application name, now or again and again."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from threading import Lock
from threading import Thread
from time import monotonic_ns
from time import sleep
from types import TracebackType
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared.engine import engine_url
from shared.errors import EnvironmentFailure

# Both editions name their connections so; this view's own has another name.
SERVICES = "wsgi-vs-asgi %"
SAMPLE_EVERY_S = 0.01
# What a closed connection's backend may take to end.
SETTLE_TIMEOUT_S = 2.0

_LOOK = text(
    "SELECT pid, state, coalesce(wait_event_type, ''), query FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE :services AND backend_type = 'client backend' "
    "ORDER BY pid"
)
# Sessions ever established; a session is counted when its backend first reports, at the latest when it ends.
_EVER = text("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")


@dataclass(frozen=True, slots=True)
class Session:
    """One database session.

    Attributes:
        pid: Of its backend.
        state: idle, active, idle in transaction, ...
        wait: Type of event it waits for; empty for none.
        query: Last statement.
    """

    pid: int
    state: str
    wait: str
    query: str


@dataclass(frozen=True, slots=True)
class Look:
    """All sessions at one moment.

    Attributes:
        asked_ns: When the question was sent, by the monotonic clock.
        answered_ns: When the answer was there; what it tells was so at some moment between.
        sessions: The sessions.
    """

    asked_ns: int
    answered_ns: int
    sessions: tuple[Session, ...]

    @property
    def pids(self) -> frozenset[int]:
        """The sessions' backend pids."""
        return frozenset(session.pid for session in self.sessions)

    @property
    def busy(self) -> int:
        """How many of them carry out a statement."""
        return sum(session.state == "active" for session in self.sessions)


class Sessions:
    """Looks at the sessions of the services on one database, from a connection of its own; any thread may ask.

    Args:
        url: The database, without a driver.

    Raises:
        EnvironmentFailure: If it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        engine = create_engine(engine_url(url, "wsgi"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        try:
            self._connection = engine.connect()
        except SQLAlchemyError as error:
            raise EnvironmentFailure(
                "The database cannot be reached",
                why=str(getattr(error, "orig", error)).strip(),
                hint="Check DATABASE_URL (make config shows it), or unset it to use the embedded PostgreSQL",
            ) from error
        # A connection of SQLAlchemy is for one thread at a time, and a sampler has one of its own.
        self._lock = Lock()

    def look(self) -> Look:
        """Return the sessions now.

        Raises:
            EnvironmentFailure: If the database does not answer.
        """
        with self._lock:
            asked_ns = monotonic_ns()
            rows = self._ask(_LOOK, {"services": SERVICES})
            answered_ns = monotonic_ns()
        sessions = tuple(Session(int(pid), str(state), str(wait), str(query)) for pid, state, wait, query in rows)
        return Look(asked_ns, answered_ns, sessions)

    def count(self) -> int:
        """Return how many there are now.

        Raises:
            EnvironmentFailure: If the database does not answer.
        """
        return len(self.look().sessions)

    def ever(self) -> int:
        """Return how many sessions the database has ever had, whoever's, as far as their backends have reported.

        Raises:
            EnvironmentFailure: If the database does not answer.
        """
        with self._lock:
            return int(self._ask(_EVER, {})[0][0])

    def _ask(self, question: TextClause, parameters: Mapping[str, str]) -> Sequence[Any]:
        try:
            return self._connection.execute(question, parameters).all()
        except SQLAlchemyError as error:
            raise EnvironmentFailure(
                "The database does not tell about its sessions", why=str(getattr(error, "orig", error)).strip()
            ) from error

    def settled_count(self, expected: int, *, timeout_s: float = SETTLE_TIMEOUT_S) -> int:
        """Return how many there are as soon as there are as many as expected, or else when the time is up.

        A backend leaves the list a moment after its client has closed the connection.

        Args:
            expected: What is waited for.
            timeout_s: For how long, in seconds.

        Raises:
            EnvironmentFailure: If the database does not answer.
        """
        deadline_ns = monotonic_ns() + int(timeout_s * 1e9)
        while (found := self.count()) != expected and monotonic_ns() < deadline_ns:
            sleep(SAMPLE_EVERY_S)
        return found

    @contextmanager
    def sampled(self, every_s: float = SAMPLE_EVERY_S) -> Iterator[list[Look]]:
        """Look again and again in a thread of its own; the list grows until the block ends.

        Args:
            every_s: Seconds between two looks.

        Raises:
            EnvironmentFailure: At the end, if the database has stopped answering meanwhile.
        """
        looks: list[Look] = []
        failures: list[EnvironmentFailure] = []
        is_over = Event()

        def run() -> None:
            try:
                while not is_over.wait(every_s):
                    looks.append(self.look())
            except EnvironmentFailure as failure:
                failures.append(failure)

        thread = Thread(target=run, name="session-sampler", daemon=True)
        thread.start()
        try:
            yield looks
        finally:
            is_over.set()
            thread.join()
        # Not in place of what ended the block; few looks are no proof of anything.
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def most(looks: Iterable[Look]) -> int:
    """Return the largest number of sessions that was seen at once; 0 without a look."""
    return max((len(look.sessions) for look in looks), default=0)
