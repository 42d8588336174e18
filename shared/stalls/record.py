"""The stalls of this process: told in the log at a bounded rate, booked in the metrics, kept for traces."""

import logging
import os
from collections import Counter
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import Literal

from .frames import UNSEEN
from .frames import Stack

Kind = Literal["event loop blocked", "all threads busy"]

# What is shorter is no stall.
LIMIT_NS = 50_000_000
# Most stalls that are logged in a time; those beyond are counted.
MOST_LOGGED = 10
LOG_SPAN_NS = 10_000_000_000
# Stalls that are kept for the traces of the requests during which they happened.
MOST_KEPT = 200

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stall:
    """One time during which everybody had to wait.

    Attributes:
        kind: Of which kind.
        start_ns: Its start on the monotonic clock, at the latest.
        stacks: What each thread was doing when it was noticed, by the thread's name; empty where nobody could look.
        end_ns: Its end; 0 while it lasts.
    """

    kind: Kind
    start_ns: int
    stacks: tuple[tuple[str, Stack], ...] = ()
    end_ns: int = 0

    def lasted_ns(self, now_ns: int) -> int:
        """Return how long it has lasted, or did."""
        return (self.end_ns or now_ns) - self.start_ns

    @property
    def causes(self) -> str:
        """What the threads were doing, in words."""
        if not self.stacks:
            return "nobody could look: the interpreter was held by what blocks it"
        if len(self.stacks) == 1:
            return _told(self.stacks[0][1])
        alike = Counter(f"{stack.waits_for} ({_where(stack)})" for _, stack in self.stacks)
        return "they wait for: " + ", ".join(f"{count} x {words}" for words, count in alike.most_common())


class Stalls:
    """Takes the stalls of one kind.

    Args:
        book: Takes the length of each that is over, in seconds.
        keep: Where they are kept; by default where this process's traces look.
        say: Takes a line of the log.
        clock: The monotonic clock, in nanoseconds.
    """

    def __init__(
        self,
        book: Callable[[Stall, float], None],
        *,
        keep: "deque[Stall] | None" = None,
        say: Callable[[str], None] = _log.warning,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._book = book
        self._kept = _recent if keep is None else keep
        self._say = say
        self._clock = clock
        self._logged_ns: deque[int] = deque(maxlen=MOST_LOGGED)
        self._untold = 0
        self._told: Stall | None = None

    def began(self, stall: Stall) -> None:
        """Take a stall that lasts."""
        self._kept.append(stall)
        now_ns = self._clock()
        if len(self._logged_ns) == MOST_LOGGED and now_ns - self._logged_ns[0] < LOG_SPAN_NS:
            self._untold += 1
            return
        self._logged_ns.append(now_ns)
        self._told = stall
        more = f" ({self._untold} others since the last that was told)" if self._untold else ""
        self._untold = 0
        self._tell(f"{_subject(stall)} for {stall.lasted_ns(now_ns) / 1e6:.0f} ms and still{more}: {stall.causes}")

    def ended(self, stall: Stall, end_ns: int) -> None:
        """Take the end of a stall."""
        stall.end_ns = end_ns
        lasted_ns = stall.lasted_ns(end_ns)
        self._book(stall, lasted_ns / 1e9)
        if stall is self._told:
            self._told = None
            self._tell(f"{_subject(stall)} for {lasted_ns / 1e6:.0f} ms in the end: {stall.causes}")

    def _tell(self, line: str) -> None:
        self._say(f"[pid {os.getpid()}] {line}")


_recent: deque[Stall] = deque(maxlen=MOST_KEPT)


def during(start_ns: int, end_ns: int, kept: Sequence[Stall] | None = None) -> list[Stall]:
    """Return the stalls of this process that happened, at least in part, between two moments."""
    found = list(_recent) if kept is None else kept
    return [stall for stall in found if stall.start_ns < end_ns and not 0 < stall.end_ns <= start_ns]


def _subject(stall: Stall) -> str:
    return "Event loop blocked" if stall.kind == "event loop blocked" else f"All {len(stall.stacks)} threads busy"


def _told(stack: Stack) -> str:
    if stack is UNSEEN or stack.innermost is None:
        return "nobody could look"
    caller = f", from {stack.own[-1]}" if len(stack.own) > 1 else ""
    inside = "" if stack.innermost == stack.place else f" (innermost: {stack.innermost})"
    return f"{stack.place}{caller}{inside}"


def _where(stack: Stack) -> str:
    place = stack.own[-1] if stack.own else stack.innermost
    return "nobody could look" if place is None else f"{place.file}:{place.line} in {place.function}"
