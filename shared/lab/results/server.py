"""What the servers used: figures of one slice, and of a cell over all its slices; pure, nothing is read here."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """What a server's process tree used in one slice; threads, files and memory are those at its end.

    Attributes:
        user_s: CPU seconds in user mode; the kernel counts hundredths of a second.
        system_s: CPU seconds in the kernel, counted as coarsely.
        voluntary_switches: How often a thread gave its processor up, to wait for something.
        involuntary_switches: How often a thread was made to give it up.
        threads: Threads of all processes.
        open_files: Open descriptors of all processes, sockets included.
        resident_bytes: Memory of all processes; pages that they share count in each.
    """

    user_s: float
    system_s: float
    voluntary_switches: int
    involuntary_switches: int
    threads: int
    open_files: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """What the database saw of one slice.

    Attributes:
        sessions_held: Most sessions that had run something since the slice began, in any sample.
        sessions_in_use: Most sessions that ran a statement or a transaction at the same moment, in any sample.
        sessions_in_use_mean: The same number's mean over the samples.
        samples: How often it was looked.
        statements: Statements run, from pg_stat_statements; None where that cannot be read.
        rows: Rows that they returned or changed.
    """

    sessions_held: int
    sessions_in_use: int
    sessions_in_use_mean: float
    samples: int
    statements: int | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """What the service itself told before and after one slice, on /metrics; None where it has no such metric.

    Attributes:
        pool_waits: Checkouts that had to wait for a connection of the pool.
        pool_wait_s: Seconds they waited, all together.
        pool_timeouts: Waits that ended without a connection.
        loop_lag: How many samples of the event loop's lateness were at most so many seconds late, by that bound.
        busy_threads: Threads of a worker that handled a connection, mean over the samples of all workers.
    """

    pool_waits: int | None
    pool_wait_s: float | None
    pool_timeouts: int | None
    loop_lag: Mapping[str, int] | None
    busy_threads: float | None


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """What a server used in one slice; None for what could not be looked at.

    Attributes:
        processes: From the kernel; None if the processes are not ours.
        database: From the database; None without one that lets itself be looked at.
        service: From the service itself; None if it does not tell.
    """

    processes: ProcessFigures | None = None
    database: DatabaseFigures | None = None
    service: ServiceFigures | None = None


@dataclass(frozen=True, slots=True)
class ServerSummary:
    """What a server used under one scenario and one load, over all rounds; None for what could not be looked at.

    Attributes:
        user_s_per_request: CPU seconds in user mode per 2xx response.
        system_s_per_request: CPU seconds in the kernel per 2xx response.
        voluntary_switches_per_request: Context switches to wait for something, per 2xx response.
        involuntary_switches_per_request: Context switches forced by the kernel, per 2xx response.
        threads: Most threads at the end of a slice.
        open_files: Most descriptors at the end of a slice.
        resident_bytes: Memory at the end of each round's slice.
        sessions_held: Most database sessions that had run something in one slice.
        sessions_in_use: Most database sessions that were busy at the same moment, as far as samples show.
        sessions_in_use_mean: Mean of busy sessions over all samples.
        statements_per_request: SQL statements per 2xx response.
        rows_per_request: Rows returned or changed per 2xx response.
        pool_waits: Checkouts that had to wait.
        pool_waits_per_request: The same per 2xx response.
        pool_wait_s: Seconds they waited, all together.
        pool_timeouts: Waits that ended without a connection.
        loop_lag_p99_s: Upper bound of the bucket in which the 99th percentile of the event loop's lateness lies.
        busy_threads: Threads of a worker that handled a connection, mean over rounds.
    """

    user_s_per_request: float | None
    system_s_per_request: float | None
    voluntary_switches_per_request: float | None
    involuntary_switches_per_request: float | None
    threads: int | None
    open_files: int | None
    resident_bytes: tuple[int, ...]
    sessions_held: int | None
    sessions_in_use: int | None
    sessions_in_use_mean: float | None
    statements_per_request: float | None
    rows_per_request: float | None
    pool_waits: int | None
    pool_waits_per_request: float | None
    pool_wait_s: float | None
    pool_timeouts: int | None
    loop_lag_p99_s: float | None
    busy_threads: float | None


def summarise(figures: Sequence[ServerFigures | None], good: int) -> ServerSummary | None:
    """Return a cell's figures, or None if no slice has any.

    A sum is None where a slice lacks its part: leaving that slice out would divide by its requests nevertheless.

    Args:
        figures: Those of each slice, in order of rounds.
        good: 2xx responses of all these slices.
    """
    if all(each is None for each in figures):
        return None
    processes = [None if each is None else each.processes for each in figures]
    database = [None if each is None else each.database for each in figures]
    service = [None if each is None else each.service for each in figures]
    of_processes = [each for each in processes if each is not None]
    of_database = [each for each in database if each is not None]
    looks = sum(each.samples for each in of_database)
    waits = _total(_each(service, lambda part: part.pool_waits))

    def per_request(values: Sequence[float | None]) -> float | None:
        total = _total(values)
        return total / good if good and total is not None else None

    return ServerSummary(
        user_s_per_request=per_request(_each(processes, lambda part: part.user_s)),
        system_s_per_request=per_request(_each(processes, lambda part: part.system_s)),
        voluntary_switches_per_request=per_request(_each(processes, lambda part: part.voluntary_switches)),
        involuntary_switches_per_request=per_request(_each(processes, lambda part: part.involuntary_switches)),
        threads=max((each.threads for each in of_processes), default=None),
        open_files=max((each.open_files for each in of_processes), default=None),
        resident_bytes=tuple(each.resident_bytes for each in of_processes),
        sessions_held=max((each.sessions_held for each in of_database), default=None),
        sessions_in_use=max((each.sessions_in_use for each in of_database), default=None),
        sessions_in_use_mean=sum(each.sessions_in_use_mean * each.samples for each in of_database) / looks
        if looks
        else None,
        statements_per_request=per_request(_each(database, lambda part: part.statements)),
        rows_per_request=per_request(_each(database, lambda part: part.rows)),
        pool_waits=None if waits is None else round(waits),
        pool_waits_per_request=waits / good if good and waits is not None else None,
        pool_wait_s=_total(_each(service, lambda part: part.pool_wait_s)),
        pool_timeouts=_whole(_total(_each(service, lambda part: part.pool_timeouts))),
        loop_lag_p99_s=_lag_p99([each.loop_lag for each in service if each is not None and each.loop_lag]),
        busy_threads=_mean(_each(service, lambda part: part.busy_threads)),
    )


def bucket_quantile(counts: Mapping[str, int], q: float) -> float | None:
    """Return the upper bound of the bucket that holds a quantile, in the histogram's unit.

    No interpolation within the bucket: the true value lies at or below the bound, and above the next lower one.

    Args:
        counts: How many samples were at most so large, by that bound, as Prometheus tells them; "+Inf" among them.
        q: Quantile in (0, 1].

    Returns:
        None without samples; the last finite bound if the quantile lies beyond it.
    """
    ordered = sorted((float(bound), count) for bound, count in counts.items())
    if len(ordered) < 2 or not ordered[-1][1]:
        return None
    found = next(place for place, (_, count) in enumerate(ordered) if count >= q * ordered[-1][1])
    return ordered[min(found, len(ordered) - 2)][0]


def _lag_p99(histograms: Sequence[Mapping[str, int]]) -> float | None:
    if not histograms:
        return None
    return bucket_quantile({bound: sum(each[bound] for each in histograms) for bound in histograms[0]}, 0.99)


def _each(parts: Sequence[T | None], value: Callable[[T], float | None]) -> list[float | None]:
    return [None if part is None else value(part) for part in parts]


def _total(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return sum(present) if len(present) == len(values) else None


def _mean(values: Sequence[float | None]) -> float | None:
    total = _total(values)
    return None if total is None else total / len(values)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
