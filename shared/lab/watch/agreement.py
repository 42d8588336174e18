"""Whether the two views of a pool agree: its own account, and the database's."""

import heapq
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from shared.lab.watch.events import PoolEvent
from shared.lab.watch.sessions import Look

# A session is on the database's list a moment before its driver asks for it to be noted down, and leaves it only when
# its backend has seen the end of its socket and has had a processor to end on.
SLACK_NS = 250_000_000


@dataclass(frozen=True, slots=True)
class Life:
    """One database session by a pool's own account; nanoseconds of the monotonic clock.

    Attributes:
        backend_pid: The session.
        begun_ns: When the driver began to connect; the database may know the session from here on.
        open_ns: When it was connected; the database must know it from here on.
        given_up_ns: When the driver began to close it; the database must know it until here. Infinite if it is open.
        gone_ns: When the driver was done with that.
    """

    backend_pid: int
    begun_ns: float
    open_ns: float
    given_up_ns: float = inf
    gone_ns: float = inf


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A session that only one side knew of.

    Attributes:
        at_ns: When the database was asked.
        backend_pid: The session.
        seen_by: pool or database.
    """

    at_ns: int
    backend_pid: int
    seen_by: Literal["pool", "database"]


def lives(events: Iterable[PoolEvent]) -> list[Life]:
    """Return every session that a pool had, by the begin of its life.

    Args:
        events: The pool's account, in order of time; of all processes of the service.
    """
    found: list[Life] = []
    is_open: dict[int, Life] = {}
    for event in events:
        if event.kind == "connect":
            # A pid that comes again is another session's: the process that had the first one was killed.
            _end(found, is_open, event.backend_pid, event.at_ns - event.took_ns, event.at_ns - event.took_ns)
            is_open[event.backend_pid] = Life(event.backend_pid, event.at_ns - event.took_ns, event.at_ns)
        elif event.kind == "close":
            _end(found, is_open, event.backend_pid, event.at_ns, event.at_ns + event.took_ns)
    return sorted([*found, *is_open.values()], key=lambda life: life.begun_ns)


def _end(found: list[Life], is_open: dict[int, Life], pid: int, given_up_ns: int, gone_ns: int) -> None:
    life = is_open.pop(pid, None)
    if life is not None:
        found.append(Life(pid, life.begun_ns, life.open_ns, given_up_ns, gone_ns))


def disagreements(
    events: Sequence[PoolEvent], looks: Iterable[Look], *, slack_ns: int = SLACK_NS
) -> list[Disagreement]:
    """Return every session that one side knew of and the other did not.

    A session that the pool had from before a look was asked for until after it was answered must be in it. One that is
    in it must be one that the pool had, was opening or was closing meanwhile, give or take the slack. The database may
    end a session by itself; until the pool notices that, they disagree.

    One sweep over both: its cost grows with the number of events, and with sessions that are open at once times looks.

    Args:
        events: The pool's account, in order of time; of all processes of the service.
        looks: The database's.
        slack_ns: How much earlier or later than by the pool's account the database may know a session, in nanoseconds.
    """
    found = []
    coming = lives(events)
    at = 0
    # By when even the database must have forgotten them; the place in the list only breaks ties.
    current: list[tuple[float, int, Life]] = []
    for look in sorted(looks, key=lambda each: each.asked_ns):
        while at < len(coming) and coming[at].begun_ns - slack_ns <= look.answered_ns:
            heapq.heappush(current, (coming[at].gone_ns + slack_ns, at, coming[at]))
            at += 1
        while current and current[0][0] < look.asked_ns:
            heapq.heappop(current)
        possible = {life.backend_pid for _, _, life in current}
        sure = {
            life.backend_pid
            for _, _, life in current
            if life.open_ns <= look.asked_ns and look.answered_ns <= life.given_up_ns
        }
        found += [Disagreement(look.asked_ns, pid, "pool") for pid in sorted(sure - look.pids)]
        found += [Disagreement(look.asked_ns, pid, "database") for pid in sorted(look.pids - possible)]
    return found
