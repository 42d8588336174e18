"""Connection pools that tell how long was waited, and that notice a dead connection without asking the server.

SQLAlchemy has no event for the start of a wait, so the time is taken around the pool's own get. Both editions use
SQLAlchemy's queue pools for their kind, with the same additions.
"""

import select
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import field
from threading import Lock
from time import perf_counter_ns
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolWaitTimeout
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool import Pool
from sqlalchemy.pool import QueuePool

from . import schemas
from .metrics import Instruments
from .metrics import instruments

# Upper bounds of the wait histogram, in seconds: from a queue's hand-over to the default POOL_TIMEOUT.
WAIT_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0)

# Linux tells that the peer has closed even when bytes are left to read; elsewhere anything to read on an idle
# connection counts.
CLOSED_BY_PEER = getattr(select, "POLLRDHUP", select.POLLIN)

# Which endpoint the running request belongs to; hold times are booked on it.
endpoint_name: ContextVar[str] = ContextVar("endpoint_name", default="(none)")
# Set while a caller would rather fail at once than wait for a connection.
may_not_wait: ContextVar[bool] = ContextVar("may_not_wait", default=False)


@dataclass(slots=True)
class PoolStatistics:
    """What one process's pool did; counts since start, durations in nanoseconds."""

    waiting: int = 0
    connects: int = 0
    checkouts: int = 0
    timeouts: int = 0
    wait_ns: int = 0
    wait_histogram: list[int] = field(default_factory=lambda: [0] * (len(WAIT_BOUNDS_S) + 1))
    hold_ns: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)
    instruments: Instruments = field(default_factory=instruments)

    def waited(self, duration_ns: int) -> None:
        """Book a checkout that took `duration_ns`."""
        bucket = 0
        for bound_s in WAIT_BOUNDS_S:
            if duration_ns <= bound_s * 1e9:
                break
            bucket += 1
        with self.lock:
            self.checkouts += 1
            self.wait_ns += duration_ns
            self.wait_histogram[bucket] += 1
        if duration_ns:
            self.instruments.pool_wait_seconds.inc(duration_ns / 1e9)

    def held(self, name: str, duration_ns: int) -> None:
        """Book how long an endpoint kept a connection."""
        with self.lock:
            self.hold_ns[name] += duration_ns

    def totals(self) -> schemas.PoolTotals:
        """Return the counts as the /pool endpoint answers them; the histogram is cumulative, as Prometheus' are."""
        with self.lock:
            cumulative, histogram = 0, {}
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
    """Adds waiting times to a queue pool; `statistics` is shared with the pool that replaces it after a dispose."""

    statistics: PoolStatistics

    def _do_get(self) -> ConnectionPoolEntry:
        statistics = self.statistics
        is_full = self._overflow >= self._max_overflow and self._pool.qsize() == 0
        if is_full:
            if may_not_wait.get():
                raise PoolWaitTimeout("every connection of the pool is in use")
            with statistics.lock:
                statistics.waiting += 1
        started_ns = perf_counter_ns()
        try:
            record = super()._do_get()
        except PoolWaitTimeout:
            with statistics.lock:
                statistics.timeouts += 1
            statistics.instruments.pool_timeouts.inc()
            raise
        finally:
            if is_full:
                with statistics.lock:
                    statistics.waiting -= 1
        statistics.waited(perf_counter_ns() - started_ns if is_full else 0)
        return record

    def recreate(self) -> "_Measured":
        pool = super().recreate()
        assert isinstance(pool, _Measured)
        pool.statistics = self.statistics
        return pool


class MeasuredPool(_Measured):
    """The queue pool for threads."""


class AsyncMeasuredPool(_Measured, AsyncAdaptedQueuePool):
    """The queue pool for tasks."""


def measure(pool: Pool, statistics: PoolStatistics) -> None:
    """Attach the statistics and the dead-connection check to an engine's pool."""
    assert isinstance(pool, _Measured)
    pool.statistics = statistics

    def connected(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        with statistics.lock:
            statistics.connects += 1
        statistics.instruments.pool_connects.inc()
        record.info["is_dead"] = _death_check(record.driver_connection)

    def checked_out(dbapi_connection: Any, record: ConnectionPoolEntry, proxy: Any) -> None:
        # SQLAlchemy then connects anew, and the request notices nothing.
        if record.info["is_dead"]():
            raise DisconnectionError("the server closed this connection while it was idle")
        record.info["since_ns"] = perf_counter_ns()
        statistics.instruments.pool_checked_out.inc()

    def checked_in(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        since_ns = record.info.pop("since_ns", None)
        if since_ns is not None:
            statistics.instruments.pool_checked_out.dec()
            statistics.held(endpoint_name.get(), perf_counter_ns() - since_ns)

    event.listen(pool, "connect", connected)
    event.listen(pool, "checkout", checked_out)
    event.listen(pool, "checkin", checked_in)


def snapshot(pool: Pool, statistics: PoolStatistics) -> schemas.Pool:
    """Return the pool's state now."""
    assert isinstance(pool, _Measured)
    return schemas.Pool(
        size=pool.size(),
        checked_out=pool.checkedout(),
        idle=pool.checkedin(),
        overflow=max(pool.overflow(), 0),
        waiting=statistics.waiting,
        totals=statistics.totals(),
    )


def _death_check(driver_connection: Any) -> Callable[[], bool]:
    """Return a function that tells whether the server has closed a connection.

    It asks the operating system about the socket: a system call of about a microsecond instead of a ping's round trip.
    """
    poller = select.poll()
    if hasattr(driver_connection, "fileno"):  # psycopg2
        poller.register(driver_connection.fileno(), CLOSED_BY_PEER)
        return lambda: bool(poller.poll(0))
    # asyncpg keeps the socket in its transport. The event loop may have read the end of the stream already and closed
    # the descriptor, whose number may by now be another socket's: the driver is asked first.
    poller.register(driver_connection._transport.get_extra_info("socket").fileno(), CLOSED_BY_PEER)
    return lambda: bool(driver_connection.is_closed() or poller.poll(0))
