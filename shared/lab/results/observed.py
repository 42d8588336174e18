"""What a server used in a round, as the median over rounds, and what of it could not be looked at; pure functions."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from statistics import median_high
from typing import Literal
from typing import TypeVar

from shared.lab.results.record import Slice
from shared.lab.results.server import ServerFigures
from shared.lab.results.server import ServiceFigures
from shared.lab.results.server import bucket_quantile
from shared.lab.results.summary import is_success

T = TypeVar("T")
# What can be missing: the processes, the database, its statements, the service's own figures, its queue among them.
Part = Literal["processes", "database", "statements", "service", "queue"]


@dataclass(frozen=True, slots=True)
class Observed:
    """One subject's server under one scenario and one load: the median over rounds of what a round has.

    Each figure is None where no round has it. Per answer means per 2xx response of the slice, ramps included.

    Attributes:
        rounds: How many rounds there are.
        missing: What at least one round lacks.
        user_s: CPU seconds in user mode per answer.
        system_s: CPU seconds in the kernel per answer.
        voluntary_switches: Context switches to wait for something, per answer.
        involuntary_switches: Context switches forced by the kernel, per answer.
        peak_bytes: Peak memory of the process tree so far.
        resident_bytes: Its memory at the end of the slice.
        threads: Threads at the end of the slice.
        open_files: Open descriptors at the end of the slice, sockets included.
        sessions_held: Database sessions that ran something in the slice.
        sessions_busy: Sessions that ran a statement or a transaction when it was looked, mean over the slice.
        sessions_busy_most: The most of them at one moment.
        statements: SQL statements per answer.
        rows: Rows returned or changed per answer.
        pool_waits: Checkouts that had to wait for a connection, per answer.
        pool_wait_s: Seconds that one such wait took, mean over the slice; None where nothing waited.
        pool_timeouts: Waits that ended without a connection, in the slice.
        loop_lag_s: 99th percentile of the event loop's lateness, as an upper bound.
        busy_threads: Threads of a worker that handled a connection, mean over the slice.
    """

    rounds: int
    missing: frozenset[Part]
    user_s: float | None
    system_s: float | None
    voluntary_switches: float | None
    involuntary_switches: float | None
    peak_bytes: float | None
    resident_bytes: float | None
    threads: float | None
    open_files: float | None
    sessions_held: float | None
    sessions_busy: float | None
    sessions_busy_most: float | None
    statements: float | None
    rows: float | None
    pool_waits: float | None
    pool_wait_s: float | None
    pool_timeouts: float | None
    loop_lag_s: float | None
    busy_threads: float | None

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds per answer, in user mode and in the kernel together."""
        return None if self.user_s is None or self.system_s is None else self.user_s + self.system_s

    @property
    def switches(self) -> float | None:
        """Context switches of both kinds per answer."""
        if self.voluntary_switches is None or self.involuntary_switches is None:
            return None
        return self.voluntary_switches + self.involuntary_switches


def observed(slices: Sequence[Slice]) -> Observed:
    """Return what one subject's server used under one scenario and one load.

    Rounds count alike, whatever happened in them, as in every ratio; one that was disturbed does not move a median.

    Args:
        slices: Its slices, one per round; at least one.
    """
    counted = [(piece.server or ServerFigures(), int(is_success(piece).sum())) for piece in slices]
    processes = [(server.processes, good) for server, good in counted if server.processes is not None]
    database = [(server.database, good) for server, good in counted if server.database is not None]
    service = [(server.service, good) for server, good in counted if server.service is not None]
    return Observed(
        rounds=len(counted),
        missing=frozenset(part for server, _ in counted for part in _missing(server)),
        user_s=_per_answer(processes, lambda part: part.user_s),
        system_s=_per_answer(processes, lambda part: part.system_s),
        voluntary_switches=_per_answer(processes, lambda part: part.voluntary_switches),
        involuntary_switches=_per_answer(processes, lambda part: part.involuntary_switches),
        peak_bytes=_median(piece.server_peak_bytes for piece in slices),
        resident_bytes=_median(part.resident_bytes for part, _ in processes),
        threads=_median(part.threads for part, _ in processes),
        open_files=_median(part.open_files for part, _ in processes),
        sessions_held=_median(part.sessions_held for part, _ in database),
        sessions_busy=_median(part.sessions_in_use_mean for part, _ in database),
        sessions_busy_most=_median(part.sessions_in_use for part, _ in database),
        statements=_per_answer(database, lambda part: part.statements),
        rows=_per_answer(database, lambda part: part.rows),
        pool_waits=_per_answer(service, lambda part: part.pool_waits),
        pool_wait_s=_median(_wait_s(part) for part, _ in service),
        pool_timeouts=_median(part.pool_timeouts for part, _ in service),
        loop_lag_s=_lag_s(part for part, _ in service),
        busy_threads=_median(part.busy_threads for part, _ in service),
    )


def _missing(server: ServerFigures) -> Iterable[Part]:
    if server.processes is None:
        yield "processes"
    if server.database is None:
        yield "database"
    elif server.database.statements is None:
        yield "statements"
    if server.service is None:
        yield "service"
    elif server.service.loop_lag is None and server.service.busy_threads is None:
        yield "queue"


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(median(found)) if found else None


def _per_answer(parts: Sequence[tuple[T, int]], value: Callable[[T], float | None]) -> float | None:
    """Return the median of a sum per answer; a round without an answer has nothing to divide by."""
    sums = ((value(part), good) for part, good in parts if good)
    return _median(None if total is None else total / good for total, good in sums)


def _wait_s(service: ServiceFigures) -> float | None:
    return service.pool_wait_s / service.pool_waits if service.pool_waits and service.pool_wait_s is not None else None


def _lag_s(service: Iterable[ServiceFigures]) -> float | None:
    """Return the median of upper bounds; of two in the middle the higher one, since between them there is no bound."""
    bounds = [bucket_quantile(part.loop_lag, 0.99) for part in service if part.loop_lag]
    found = [bound for bound in bounds if bound is not None]
    return median_high(found) if found else None
