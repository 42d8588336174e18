"""One slice observed from the server's side: everything is read before and after it, only sessions during it."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from shared.engine import is_mariadb
from shared.lab.observation import exposition
from shared.lab.observation import processes
from shared.lab.observation.processes import ProcessReading
from shared.lab.observation.sessions import Look
from shared.lab.observation.sessions import SessionWatch
from shared.lab.observation.statements import MISCOUNTED
from shared.lab.observation.statements import StatementCounter
from shared.lab.results.server import DatabaseFigures
from shared.lab.results.server import ProcessFigures
from shared.lab.results.server import ServerFigures
from shared.lab.results.server import ServiceFigures


@dataclass(slots=True)
class Before:
    """What was read before a slice."""

    host: str
    port: int
    service: exposition.ServiceReading | None = None
    processes: dict[int, ProcessReading] | None = None


class Observer:
    """Looks at the services of one database; use it as a context manager.

    What cannot be looked at is left out of the figures: a database that is no PostgreSQL or lacks pg_stat_statements, a
    service without /metrics, processes that are not ours.

    Args:
        url: The services' database, without a driver; None looks at processes only.
    """

    def __init__(self, url: str | None) -> None:
        self._sessions: SessionWatch | None = None
        self._statements: StatementCounter | None = None
        self._asks_services = url is not None
        if url is None or is_mariadb(url):
            return
        try:
            self._sessions = SessionWatch(url)
            self._statements = StatementCounter(url, str(make_url(url).database), MISCOUNTED)
        except SQLAlchemyError:
            # Sessions alone are worth having.
            self._statements = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in (self._statements, self._sessions):
            if watch is not None:
                watch.close()

    def open(self, host: str, port: int) -> Before:
        """Read what the service tells; before its connections are opened, since idle ones may hold its threads."""
        return Before(host, port, exposition.read(host, port) if self._asks_services else None)

    def begin(self, before: Before, pids: list[int] | None) -> None:
        """Read the rest just before load begins."""
        if self._statements is not None:
            try:
                self._statements.start()
            except SQLAlchemyError:
                self._statements = None
        before.processes = None if pids is None else processes.read(pids)
        if self._sessions is not None:
            self._sessions.begin()

    def end(self, before: Before, pids: list[int] | None) -> ServerFigures:
        """Read everything again after the last answer; return what the slice used."""
        looks = None if self._sessions is None else self._sessions.end()
        used: ProcessFigures | None = None
        if before.processes is not None and pids is not None:
            used = processes.between(before.processes, processes.read(pids))
        database = None if looks is None else self._of_database(looks)
        return ServerFigures(used, database, self._of_service(before))

    def _of_database(self, looks: list[Look]) -> DatabaseFigures | None:
        counts = None
        if self._statements is not None:
            try:
                counts = self._statements.take_counts()
            except SQLAlchemyError:
                self._statements = None
        in_use = [look.in_use for look in looks]
        return DatabaseFigures(
            sessions_held=max((look.held for look in looks), default=0),
            sessions_in_use=max(in_use, default=0),
            sessions_in_use_mean=sum(in_use) / len(in_use) if in_use else 0.0,
            samples=len(looks),
            statements=None if counts is None else counts.kinds.total(),
            rows=None if counts is None else counts.rows,
        )

    def _of_service(self, before: Before) -> ServiceFigures | None:
        if before.service is None:
            return None
        after = exposition.read(before.host, before.port)
        return None if after is None else exposition.between(before.service, after)
