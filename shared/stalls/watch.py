"""The threads that watch: one over an event loop, one over the threads of a server.

A loop beats, that is, it runs a callback of ours again and again; where a beat is overdue, something blocks it, and
what it is stands in the stack of the loop's thread. Threads are looked at: where all are busy at every look, whoever
comes next waits.
"""

import sys
from collections import deque
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from threading import Event
from threading import Thread
from threading import enumerate as running_threads
from threading import get_ident
from time import monotonic_ns

from shared.metrics import instruments

from . import frames
from .frames import Stack
from .record import LIMIT_NS
from .record import Stall
from .record import Stalls

# Seconds between two beats of a loop, and between two looks.
BEAT_S = 0.01
LOOK_S = 0.01
_BEAT_NS = round(BEAT_S * 1e9)


class LoopWatch:
    """Notices while an event loop is blocked.

    A stall counts from when a beat was due, so it is told up to one beat shorter than it was.

    Args:
        stalls: Takes what is noticed.
        look_at_loop: Returns where the loop's thread stands.
        clock: The monotonic clock, in nanoseconds.
    """

    def __init__(
        self, stalls: Stalls, look_at_loop: Callable[[], Stack], *, clock: Callable[[], int] = monotonic_ns
    ) -> None:
        self._stalls = stalls
        self._look_at_loop = look_at_loop
        self._clock = clock
        self._due_ns = 0
        # Beats that came late: when they were due, and when they came.
        self._late: deque[tuple[int, int]] = deque()
        self._lasting: Stall | None = None

    def beat(self) -> None:
        """Beat; called by the loop every `BEAT_S`."""
        now_ns, due_ns = self._clock(), self._due_ns
        if due_ns and now_ns - due_ns > LIMIT_NS:
            self._late.append((due_ns, now_ns))
        self._due_ns = now_ns + _BEAT_NS

    def look(self) -> None:
        """Look once; called by the thread that watches."""
        while self._late:
            due_ns, came_ns = self._late.popleft()
            stall, self._lasting = self._lasting, None
            if stall is None or stall.start_ns != due_ns:
                # It was over before this thread had a turn: what blocks may hold the interpreter as well.
                stall = Stall("event loop blocked", due_ns)
                self._stalls.began(stall)
            self._stalls.ended(stall, came_ns)
        due_ns = self._due_ns
        if self._lasting is not None or not due_ns or self._clock() - due_ns <= LIMIT_NS:
            return
        stack = self._look_at_loop()
        # Where the loop has gone on meanwhile, what was read is about something else; the late beat tells of it.
        if self._due_ns == due_ns and not self._late:
            self._lasting = Stall("event loop blocked", due_ns, (("event loop", stack),))
            self._stalls.began(self._lasting)


class ThreadWatch:
    """Notices while all threads of a server are busy: at each of several looks in a row.

    Args:
        stalls: Takes what is noticed.
        busy: Identifiers of the threads that are busy now.
        threads: How many threads there are.
        look_at: Returns where threads stand, by name.
        clock: The monotonic clock, in nanoseconds.
    """

    def __init__(
        self,
        stalls: Stalls,
        busy: Collection[int],
        threads: int,
        look_at: Callable[[Iterable[int]], tuple[tuple[str, Stack], ...]],
        *,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._stalls = stalls
        self._busy = busy
        self._threads = threads
        self._look_at = look_at
        self._clock = clock
        self._since_ns = 0
        self._lasting: Stall | None = None

    def look(self) -> None:
        """Look once; called by the thread that watches."""
        now_ns = self._clock()
        # Copied at once, because threads come and go meanwhile.
        busy = tuple(self._busy)
        if len(busy) < self._threads:
            stall, self._lasting, self._since_ns = self._lasting, None, 0
            if stall is not None:
                self._stalls.ended(stall, now_ns)
            return
        self._since_ns = self._since_ns or now_ns
        if self._lasting is None and now_ns - self._since_ns > LIMIT_NS:
            self._lasting = Stall("all threads busy", self._since_ns, self._look_at(busy))
            self._stalls.began(self._lasting)


def watch_loop() -> tuple[Callable[[], None], Callable[[], None]]:
    """Begin to watch the event loop that runs in this thread.

    Returns:
        What the loop must call every `BEAT_S`, and what ends the watch.
    """
    loop_thread = get_ident()
    watch = LoopWatch(Stalls(_booked()), lambda: frames.read(sys._current_frames().get(loop_thread)))
    return watch.beat, _every_look(watch.look)


def watch_threads(busy: Collection[int], threads: int) -> Callable[[], None]:
    """Begin to watch the threads of a server; return what ends the watch, which else ends with the process.

    Args:
        busy: Identifiers of the threads that are busy now.
        threads: How many threads there are.
    """
    return _every_look(ThreadWatch(Stalls(_booked()), busy, threads, stacks_of).look)


def stacks_of(threads: Iterable[int]) -> tuple[tuple[str, Stack], ...]:
    """Return where threads stand, by name."""
    names = {thread.ident: thread.name for thread in running_threads()}
    found = sys._current_frames()
    return tuple((names.get(thread, str(thread)), frames.read(found.get(thread))) for thread in threads)


def _booked() -> Callable[[Stall, float], None]:
    """Return what books a stall in the metrics, which are made now."""
    book = instruments().stalls
    return lambda stall, duration_s: book(stall.kind, duration_s, (stack.waits_for for _, stack in stall.stacks))


def _every_look(look: Callable[[], None]) -> Callable[[], None]:
    is_over = Event()

    def run() -> None:
        while not is_over.wait(LOOK_S):
            look()

    Thread(target=run, name="stall-watch", daemon=True).start()
    return is_over.set
