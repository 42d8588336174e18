"""Whether the two views of a pool agree: its own account, and the database's."""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass

from shared.lab.watch.events import PoolEvent
from shared.lab.watch.events import open_at
from shared.lab.watch.sessions import Look

# A session is on the database's list before the driver has it, and leaves it only when the backend has seen the end of
# its socket.
SLACK_NS = 100_000_000


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
    seen_by: str


def disagreements(
    events: Sequence[PoolEvent], looks: Iterable[Look], *, slack_ns: int = SLACK_NS
) -> list[Disagreement]:
    """Return every session that one side knew of and the other did not.

    A session that was opened or closed within the slack of a look is not judged by that look.

    Args:
        events: The pool's account, in order of time; of all processes of the service.
        looks: The database's.
        slack_ns: How far a beginning or an end may lie apart on the two sides, in nanoseconds.
    """
    found = []
    for look in looks:
        first_ns, last_ns = look.asked_ns - slack_ns, look.answered_ns + slack_ns
        changing = {
            event.backend_pid
            for event in events
            if event.kind in ("connect", "close") and first_ns <= event.at_ns <= last_ns
        }
        own = open_at(events, look.asked_ns)
        found += [Disagreement(look.asked_ns, pid, "pool") for pid in sorted(own - look.pids - changing)]
        found += [Disagreement(look.asked_ns, pid, "database") for pid in sorted(look.pids - own - changing)]
    return found
