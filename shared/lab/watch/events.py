"""What a pool does, one event at a time; `shared.lab.controls.watched` writes them, and everybody else reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# connect: a database session exists. checkout: somebody has a connection. timeout: somebody waited in vain. checkin: it
# is back. invalidate: it will not be used again. close: the database session is given up.
Kind = Literal["connect", "checkout", "timeout", "checkin", "invalidate", "close"]
KINDS: tuple[Kind, ...] = ("connect", "checkout", "timeout", "checkin", "invalidate", "close")


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """One thing that a pool did.

    Attributes:
        kind: What.
        at_ns: When, by the monotonic clock.
        process: Pid of the service's process.
        worker: Thread or task that it was done for.
        request: Name that the request gave itself; empty for none.
        backend_pid: Pid of the database's process for this connection; 0 where there is no connection.
        waited_ns: How long was waited for it: of a checkout and of a timeout.
    """

    kind: Kind
    at_ns: int
    process: int
    worker: str
    request: str = ""
    backend_pid: int = 0
    waited_ns: int = 0

    def line(self) -> str:
        """Return the event as one line."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def read(path: Path) -> list[PoolEvent]:
    """Return the events of a file, in order of time; a last line that is not whole yet is left for later."""
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    events = [PoolEvent(**json.loads(line)) for line in whole.splitlines()]
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
