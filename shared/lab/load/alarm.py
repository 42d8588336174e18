"""An alarm clock for the load client's event loop that rings within microseconds instead of milliseconds.

The loop's own timers have a resolution of 1 ms, which is longer than many answers take. Polling the clock instead would
take a whole processor, on small machines the one that the database needs, and the client's CPU share would tell nothing
any more. A timerfd needs neither: the kernel's high-resolution timer makes a descriptor readable, the loop sleeps until
then, and what is left is the time the scheduler takes to wake a process (measured for every slice as the timing error).
Python has timerfd from 3.13 on; before, the C library's functions are called.
"""

import asyncio
import ctypes
import heapq
import os
from collections.abc import Callable
from time import perf_counter_ns

CLOCK_MONOTONIC = 1  # linux/time.h; the clock of perf_counter_ns
ABSOLUTE = 1  # sys/timerfd.h: TFD_TIMER_ABSTIME
SECOND_NS = 10**9


class _Spec(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2): interval, then first expiry, each in seconds and nanoseconds."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """Calls actions at moments of the monotonic clock; to be made and used inside a running loop.

    Raises:
        OSError: If the kernel gives no timer.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._library.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Spec()
        self._settime = self._library.timerfd_settime
        self._pending: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        asyncio.get_running_loop().add_reader(self._fd, self._ring)

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        """Call an action at a moment, or as soon as possible when it has passed, but never from within this call."""
        self._count += 1
        # The count keeps the order of equal moments, and spares a comparison of actions.
        entry = (when_ns, self._count, action)
        heapq.heappush(self._pending, entry)
        if self._pending[0] is entry:
            self._set()

    def clear(self) -> None:
        """Forget all that is pending."""
        self._pending.clear()
        self._set()

    def _ring(self) -> None:
        now_ns = perf_counter_ns()
        # What actions add for a moment that has passed waits for the next ring, so that answers are read in between.
        due: list[Callable[[], None]] = []
        while self._pending and self._pending[0][0] <= now_ns:
            due.append(heapq.heappop(self._pending)[2])
        # Setting the timer also takes back that its descriptor is readable: there is no need to read from it.
        self._set()
        for action in due:
            action()

    def _set(self) -> None:
        # All zeros disarm it; no moment that is asked for is 0.
        when_ns = self._pending[0][0] if self._pending else 0
        self._spec.value_s, self._spec.value_ns = divmod(when_ns, SECOND_NS)
        self._settime(self._fd, ABSOLUTE, ctypes.byref(self._spec), None)
