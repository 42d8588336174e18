"""Connection pools that tell how long was waited, and that notice a dead connection without asking the server.

SQLAlchemy has no event for the start of a wait, so the time is taken around the pool's own get. Both editions use
SQLAlchemy's queue pools for their kind, with the same additions.
"""

import select
from bisect import bisect_left
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import field
from functools import partial
from threading import Lock
from time import perf_counter_ns
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolWaitTimeout
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool import Pool
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.pool import QueuePool
from sqlalchemy.util.queue import Empty

from . import schemas
from .config import Edition
from .metrics import Instruments
from .metrics import instruments
from .trace.recorder import current
from .trace.sql import WATCH
from .trace.sql import PoolCounts
from .trace.sql import check_out
from .trace.sql import checkout

# Upper bounds of the wait histogram, in seconds: from a queue's hand-over to the default POOL_TIMEOUT.
WAIT_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0)

_WAIT_BOUNDS_NS = [round(bound_s * 1e9) for bound_s in WAIT_BOUNDS_S]

# Linux tells that the peer has closed even when bytes are left to read; elsewhere anything to read on an idle
# connection counts.
CLOSED_BY_PEER = getattr(select, "POLLRDHUP", select.POLLIN)

# Which endpoint the running request belongs to; hold times are booked on it.
endpoint_name: ContextVar[str] = ContextVar("endpoint_name", default="(none)")
# Set while a caller would rather fail at once than wait for a connection.
may_not_wait: ContextVar[bool] = ContextVar("may_not_wait", default=False)


@dataclass(slots=True)
class PoolStatistics:
    """What one process's pool did; counts since start, durations in nanoseconds.

    Attributes:
        wait_histogram: The waits among the checkouts, by their length.
    """

    waiting: int = 0
    connects: int = 0
    checkouts: int = 0
    timeouts: int = 0
    wait_ns: int = 0
    wait_histogram: list[int] = field(default_factory=lambda: [0] * (len(WAIT_BOUNDS_S) + 1))
    hold_ns: dict[str, int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    instruments: Instruments = field(default_factory=instruments)

    def connected(self) -> None:
        """Book a new connection."""
        with self.lock:
            self.connects += 1
        self.instruments.pool_connects.inc()

    def checked_out(self) -> None:
        """Book a checkout that did not wait."""
        with self.lock:
            self.checkouts += 1

    def waited(self, duration_ns: int) -> None:
        """Book a checkout that waited for `duration_ns`."""
        with self.lock:
            self.checkouts += 1
            self.wait_histogram[bisect_left(_WAIT_BOUNDS_NS, duration_ns)] += 1
            self.wait_ns += duration_ns
        self.instruments.pool_waits.inc()
        self.instruments.pool_wait_seconds.inc(duration_ns / 1e9)

    def timed_out(self) -> None:
        """Book a wait that ended without a connection."""
        with self.lock:
            self.timeouts += 1
        self.instruments.pool_timeouts.inc()

    def held(self, name: str, duration_ns: int) -> None:
        """Book how long an endpoint kept a connection."""
        with self.lock:
            self.hold_ns[name] = self.hold_ns.get(name, 0) + duration_ns

    def totals(self) -> schemas.PoolTotals:
        """Return the counts as the /pool endpoint answers them; the histogram is cumulative, as Prometheus' are."""
        with self.lock:
            # The first of them holds the checkouts that did not wait, too.
            cumulative, histogram = self.checkouts - sum(self.wait_histogram), {}
            for bound, count in zip(
                [*(f"{bound:g}" for bound in WAIT_BOUNDS_S), "+Inf"], self.wait_histogram, strict=True
            ):
                cumulative += count
                histogram[bound] = cumulative
            return schemas.PoolTotals(
                connects=self.connects,
                checkouts=self.checkouts,
                timeouts=self.timeouts,
                wait_s_sum=self.wait_ns / 1e9,
                wait_s_histogram=histogram,
                hold_s_by_endpoint={name: spent / 1e9 for name, spent in sorted(self.hold_ns.items())},
            )


class _Measured(QueuePool):
    """Adds waiting times and the dead-connection check to a queue pool.

    Done in the pool's own get and return, which costs a third of what listeners to its events cost.
    """

    statistics: PoolStatistics

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            record: ConnectionPoolEntry | None = self._pool.get(block=False)
        except Empty:
            record = None
        if record is not None:
            self.statistics.checked_out()
        elif self._overflow < self._max_overflow:
            record = super()._do_get()
            self.statistics.checked_out()
        else:
            record = self._wait()
        info = record.info
        if record.dbapi_connection is not None and info["is_dead"]():
            # The caller then connects anew, and the request notices nothing.
            record.invalidate()
        info["since_ns"] = perf_counter_ns()
        return record

    def _wait(self) -> ConnectionPoolEntry:
        if may_not_wait.get():
            raise PoolWaitTimeout("every connection of the pool is in use")
        statistics = self.statistics
        traced = checkout.get()
        with statistics.lock:
            waiters_ahead = statistics.waiting
            statistics.waiting += 1
        started_ns = perf_counter_ns()
        try:
            record = super()._do_get()
        except PoolWaitTimeout:
            statistics.timed_out()
            raise
        finally:
            waited_ns = perf_counter_ns() - started_ns
            with statistics.lock:
                statistics.waiting -= 1
            if traced is not None:
                traced["waited_ns"] = waited_ns
                traced["waiters_ahead"] = waiters_ahead
        statistics.waited(waited_ns)
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        since_ns = record.info.pop("since_ns", None)
        if since_ns is not None:
            self.statistics.held(endpoint_name.get(), perf_counter_ns() - since_ns)
        super()._do_return_conn(record)

    def recreate(self) -> "_Measured":
        pool = super().recreate()
        assert isinstance(pool, _Measured)
        pool.statistics = self.statistics
        return pool


class _Watched(_Measured):
    """Has a traced request's connection watched, from the wait for it until it is returned."""

    def connect(self) -> PoolProxiedConnection:
        """Return a connection."""
        trace = current.get()
        if trace is None:
            return super().connect()
        return check_out(trace, super().connect, partial(counts, self, self.statistics))

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        watch = record.info.pop(WATCH, None)
        if watch is None:
            super()._do_return_conn(record)
        else:
            give_back = partial(super()._do_return_conn, record)
            is_lost = record.dbapi_connection is None
            watch.returned(give_back, partial(counts, self, self.statistics), is_lost=is_lost)


class MeasuredPool(_Measured):
    """The queue pool for threads."""


class WatchedPool(_Watched):
    """The queue pool for threads of a service whose requests may be traced."""


class AsyncMeasuredPool(_Measured, AsyncAdaptedQueuePool):
    """The queue pool for tasks."""


class AsyncWatchedPool(_Watched, AsyncAdaptedQueuePool):
    """The queue pool for tasks of a service whose requests may be traced."""


def pool_class(edition: Edition, *, is_tracing: bool) -> type[QueuePool]:
    """Return an edition's pool; a service without tracing has one without its hooks."""
    if edition == "wsgi":
        return WatchedPool if is_tracing else MeasuredPool
    return AsyncWatchedPool if is_tracing else AsyncMeasuredPool


def measure(pool: Pool, statistics: PoolStatistics) -> None:
    """Attach the statistics to an engine's pool."""
    assert isinstance(pool, _Measured)
    pool.statistics = statistics

    def connected(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        statistics.connected()
        record.info["is_dead"] = _death_check(record.driver_connection)
        # A record that connects anew is in use already, and has forgotten since when.
        record.info["since_ns"] = perf_counter_ns()
        traced = checkout.get()
        if traced is not None:
            traced["is_new"] = True

    event.listen(pool, "connect", connected)


def held_since_ns(record: ConnectionPoolEntry) -> int:
    """Return since when a connection is in use, by the performance counter; 0 when nobody uses it."""
    since_ns: int = record.info.get("since_ns", 0)
    return since_ns


def snapshot(pool: Pool, statistics: PoolStatistics) -> schemas.Pool:
    """Return the pool's state now."""
    assert isinstance(pool, _Measured)
    return schemas.Pool(**counts(pool, statistics), totals=statistics.totals())


def counts(pool: _Measured, statistics: PoolStatistics) -> PoolCounts:
    """Return how many connections are where now."""
    return PoolCounts(
        size=pool.size(),
        checked_out=pool.checkedout(),
        idle=pool.checkedin(),
        overflow=max(pool.overflow(), 0),
        waiting=statistics.waiting,
    )


def _death_check(driver_connection: Any) -> Callable[[], object]:
    """Return a function whose result is true when the server has closed a connection.

    It asks the operating system about the socket: a system call of about a microsecond instead of a ping's round trip.
    """
    poller = select.poll()
    if hasattr(driver_connection, "fileno"):  # psycopg2
        poller.register(driver_connection.fileno(), CLOSED_BY_PEER)
        return partial(poller.poll, 0)
    if hasattr(driver_connection, "_sock"):  # pymysql
        poller.register(driver_connection._sock.fileno(), CLOSED_BY_PEER)
        return lambda: driver_connection._sock is None or poller.poll(0)
    if hasattr(driver_connection, "_writer"):  # aiomysql
        transport = driver_connection._writer.transport
        poller.register(transport.get_extra_info("socket").fileno(), CLOSED_BY_PEER)
        return lambda: driver_connection.closed or transport.is_closing() or poller.poll(0)
    # asyncpg keeps the socket in its transport. The event loop may have read the end of the stream already and closed
    # the descriptor, whose number may by now be another socket's: the driver is asked first.
    poller.register(driver_connection._transport.get_extra_info("socket").fileno(), CLOSED_BY_PEER)
    return lambda: driver_connection.is_closed() or poller.poll(0)
