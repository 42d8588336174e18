"""What a pool does, one event at a time; `shared.lab.controls.watched` writes them, and everybody else reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# connect: a database session exists. checkout: somebody has a connection. timeout: somebody waited in vain. failure:
# somebody got none for another reason, as when the database refuses. checkin: it is back. invalidate: it will not be
# used again. close: the database session is given up.
Kind = Literal["connect", "checkout", "timeout", "failure", "checkin", "invalidate", "close"]
KINDS: tuple[Kind, ...] = ("connect", "checkout", "timeout", "failure", "checkin", "invalidate", "close")


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """One thing that a pool did.

    Attributes:
        kind: What.
        at_ns: When, by the monotonic clock: of a connect its end, of a close its begin.
        process: Pid of the service's process.
        worker: Thread or task that it was done for.
        request: Name that the request gave itself; empty for none.
        backend_pid: Pid of the database's process for this connection; 0 where there is no connection.
        waited_ns: How long was waited for a connection of the pool: of a checkout, a timeout and a failure.
        took_ns: How long the driver took: of a connect and a close.
    """

    kind: Kind
    at_ns: int
    process: int
    worker: str
    request: str = ""
    backend_pid: int = 0
    waited_ns: int = 0
    took_ns: int = 0

    def line(self) -> str:
        """Return the event as one line."""
        # A list, and not by dataclasses.asdict: the services write thousands of them under load.
        return (
            json.dumps(
                [
                    *(self.kind, self.at_ns, self.process, self.worker, self.request),
                    *(self.backend_pid, self.waited_ns, self.took_ns),
                ]
            )
            + "\n"
        )


def read(path: Path) -> list[PoolEvent]:
    """Return the events of a file, in order of time; a last line that is not whole yet is left for later."""
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    events = [PoolEvent(*json.loads(line)) for line in whole.splitlines()]
    return sorted(events, key=lambda event: event.at_ns)


def open_at(events: Sequence[PoolEvent], at_ns: int) -> set[int]:
    """Return the backend pids of the connections that a pool had open at a moment, by its own account."""
    found: set[int] = set()
    for event in events:
        if event.at_ns > at_ns:
            break
        if event.kind == "connect":
            found.add(event.backend_pid)
        elif event.kind == "close":
            found.discard(event.backend_pid)
    return found


def held_at(events: Sequence[PoolEvent], at_ns: int) -> set[int]:
    """Return the backend pids of the connections that were checked out at a moment."""
    found: set[int] = set()
    for event in events:
        if event.at_ns > at_ns:
            break
        if event.kind == "checkout":
            found.add(event.backend_pid)
        elif event.kind in ("checkin", "close"):
            found.discard(event.backend_pid)
    return found


def waiting_at(events: Sequence[PoolEvent], at_ns: int) -> int:
    """Return how many waited for a connection at a moment; needs the events that ended their waits."""
    return sum(event.at_ns - event.waited_ns <= at_ns < event.at_ns for event in events if event.waited_ns)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How a pool stood from one moment until the next.

    Attributes:
        at_ns: From when.
        open: Connections that it had.
        held: Those of them that were checked out.
        waiting: How many waited for one.
    """

    at_ns: int
    open: int
    held: int
    waiting: int


def occupancies(events: Sequence[PoolEvent]) -> list[Occupancy]:
    """Return how a pool stood, one entry for each moment at which something changed; one sweep over the events."""
    changes = sorted(
        [
            *((event.at_ns, event.kind, event.backend_pid, -1 if event.waited_ns else 0) for event in events),
            # Begins of waits, as far as their ends are known.
            *((event.at_ns - event.waited_ns, "wait", 0, 1) for event in events if event.waited_ns),
        ],
        key=lambda change: change[0],
    )
    found: list[Occupancy] = []
    is_open: set[int] = set()
    is_held: set[int] = set()
    waiting = 0
    for at_ns, kind, pid, more in changes:
        waiting += more
        if kind == "connect":
            is_open.add(pid)
        elif kind == "checkout":
            is_held.add(pid)
        elif kind in ("checkin", "close"):
            is_held.discard(pid)
            if kind == "close":
                is_open.discard(pid)
        if found and found[-1].at_ns == at_ns:
            found.pop()
        found.append(Occupancy(at_ns, len(is_open), len(is_held), waiting))
    return found
