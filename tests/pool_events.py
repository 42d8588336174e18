"""A pool's account, made up: events of one process in milliseconds."""

from shared.lab.watch.events import Kind
from shared.lab.watch.events import PoolEvent
from shared.lab.watch.sessions import Look
from shared.lab.watch.sessions import Session

MS = 1_000_000


def happened(
    kind: Kind, at_ms: int, pid: int = 0, *, waited_ms: int = 0, took_ms: int = 0, name: str = ""
) -> PoolEvent:
    """Return an event."""
    return PoolEvent(kind, at_ms * MS, 1, "thread", name, pid, waited_ms * MS, took_ms * MS)


def looked(at_ms: int, *pids: int, took_ms: int = 0) -> Look:
    """Return what the database told at a moment."""
    sessions = tuple(Session(pid, "idle", "", "") for pid in pids)
    return Look(at_ms * MS, (at_ms + took_ms) * MS, sessions)
