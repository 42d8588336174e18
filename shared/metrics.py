"""Counters in Prometheus' format, right with any number of workers.

With several processes prometheus-client keeps the values in files below PROMETHEUS_MULTIPROC_DIR, and whichever worker
is asked adds them up. The servers in this project set the directory; who starts a server otherwise with several
workers sets it, as for every service that uses prometheus-client.
"""

import os
from collections.abc import Callable
from collections.abc import Iterable
from functools import cached_property
from functools import lru_cache
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client import Counter
from prometheus_client import Histogram
from prometheus_client import Metric
from prometheus_client import generate_latest
from prometheus_client import multiprocess
from prometheus_client import values

from .stalls.frames import WaitsFor

DIRECTORY_KEY = "PROMETHEUS_MULTIPROC_DIR"
# Seconds, from a fraction of the fastest answer to beyond the request timeout.
DURATION_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OTHER = "(other)"
# Seconds between two samples of a worker's load: fifty a second, some ten microseconds each.
SAMPLE_EVERY_S = 0.02
# Seconds, from the shortest stall that is reported (shared.stalls) to the request timeout.
STALL_BOUNDS_S = (0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Instruments:
    """The metrics of one process; created when the service starts, because files may be created with them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # One metric for both: the number of requests is the histogram's count.
        self.durations = Histogram(
            "http_request_duration_seconds",
            "From the call of the application to its answer's head, by endpoint and status.",
            ["endpoint", "status"],
            buckets=DURATION_BOUNDS_S,
            registry=self.registry,
        )
        self.pool_connects = Counter("pool_connects_total", "Connections opened.", registry=self.registry)
        self.pool_waits = Counter(
            "pool_waits_total", "Checkouts that had to wait for a connection.", registry=self.registry
        )
        self.pool_timeouts = Counter(
            "pool_timeouts_total", "Waits for a connection that ended without one.", registry=self.registry
        )
        self.pool_wait_seconds = Counter(
            "pool_wait_seconds_total", "Seconds waited for connections.", registry=self.registry
        )

    @cached_property
    def loop_lag(self) -> Callable[[float], None]:
        """What books how late a callback of the event loop ran, in seconds; made where it is sampled."""
        return Histogram(
            "event_loop_lag_seconds",
            "How late the event loop ran a callback that was due, sampled.",
            buckets=DURATION_BOUNDS_S,
            registry=self.registry,
        ).observe

    def busy_threads(self, threads: int) -> Callable[[float], None]:
        """Return what books how many of a worker's threads are busy; made where it is sampled."""
        return Histogram(
            "server_threads_busy",
            "Threads of a worker that handle a connection, sampled.",
            buckets=sorted({0, threads // 4, threads // 2, threads - 1, threads}),
            registry=self.registry,
        ).observe

    @cached_property
    def stalls(self) -> Callable[[str, float, Iterable[str]], None]:
        """What books a stall: its kind, its length in seconds, what each thread waited for; made where it is watched.

        Both editions have the metrics of both kinds, so that whoever reads them finds the same names.
        """
        lengths = {
            "event loop blocked": Histogram(
                "event_loop_blocked_seconds",
                "How long the event loop was blocked, each time that it was for more than 50 ms.",
                buckets=STALL_BOUNDS_S,
                registry=self.registry,
            ),
            "all threads busy": Histogram(
                "server_threads_all_busy_seconds",
                "How long all threads of a worker were busy, each time that they were for more than 50 ms.",
                buckets=STALL_BOUNDS_S,
                registry=self.registry,
            ),
        }
        reasons = Counter(
            "server_threads_all_busy_waits_total",
            "Threads of a worker, by what they waited for when all had been busy for 50 ms.",
            ["waits_for"],
            registry=self.registry,
        )
        for waits_for in get_args(WaitsFor):
            reasons.labels(waits_for)

        def book(kind: str, duration_s: float, waits: Iterable[str]) -> None:
            lengths[kind].observe(duration_s)
            if kind == "all threads busy":
                for waits_for in waits:
                    reasons.labels(waits_for).inc()

        return book

    def meter(self, name: str) -> Callable[[int, float], None]:
        """Return a function that books one answer of an endpoint: (status, duration in seconds)."""
        observers: dict[int, Callable[[float], None]] = {}

        def book(status: int, duration_s: float) -> None:
            observe = observers.get(status)
            if observe is None:
                observe = observers[status] = self.durations.labels(name, str(status)).observe
            observe(duration_s)

        return book


@lru_cache(maxsize=1)
def instruments() -> Instruments:
    """Return this process's instruments."""
    return Instruments()


class _Workers(multiprocess.MultiProcessCollector):
    """The values of all workers, without the files that hold none yet.

    prometheus-client makes a worker's file first and gives it its size after that. Between the two, or for good when
    the worker was killed there, the file is empty, and the library's own collector fails over it (struct.error).
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped

    def collect(self) -> Iterable[Metric]:
        files = [path for path in Path(os.environ[DIRECTORY_KEY]).glob("*.db") if path.stat().st_size]
        return self.merge(map(str, files))  # type: ignore[no-untyped-call, no-any-return]  # as above


def exposition() -> str:
    """Return the metrics of all workers as Prometheus text."""
    if DIRECTORY_KEY not in os.environ:
        return generate_latest(instruments().registry).decode()
    registry = CollectorRegistry()
    _Workers(registry)
    return generate_latest(registry).decode()


def share(directory: str) -> None:
    """Keep values in files for several workers to add up; called before the first metric is made.

    A directory that the environment names already is kept.
    """
    os.environ.setdefault(DIRECTORY_KEY, directory)
    # prometheus-client looks for the directory when it is imported, and not again.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # the library leaves it untyped


def forget(pid: int) -> None:
    """Drop the live values of a worker that has ended; what it counted stays."""
    if DIRECTORY_KEY in os.environ and Path(os.environ[DIRECTORY_KEY]).is_dir():
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # as above
