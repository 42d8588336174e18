"""A volley at a pool: as many requests as it may give connections to, some more that come late, and what its log tells.

Used by the claims about pools; the functions from `judged` on are pure.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic_ns
from time import sleep

from shared.errors import EnvironmentFailure
from shared.lab.claims.bench import Watched
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Lane
from shared.lab.claims.claim import Line
from shared.lab.claims.claim import Span
from shared.lab.claims.claim import Timeline
from shared.lab.claims.client import Ask
from shared.lab.claims.client import together
from shared.lab.watch.events import PoolEvent
from shared.lab.watch.events import occupancies
from shared.lab.watch.sessions import Look
from shared.lab.watch.sessions import Sessions

# If not all of the first ones have a connection when so much of their time has passed, the late ones are sent anyway.
LATEST_SHARE = 0.75
LOOK_EVERY_S = 0.005
WARM = "warm"
WARM_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What a volley is.

    Attributes:
        size: POOL_SIZE.
        overflow: POOL_MAX_OVERFLOW.
        late: Requests beyond what may have a connection at once.
        seconds: How long each holds its connection.
    """

    size: int
    overflow: int
    late: int
    seconds: float

    @property
    def limit(self) -> int:
        """How many may have a connection at once."""
        return self.size + self.overflow

    @property
    def settings(self) -> dict[str, str]:
        """The edition's settings: threads for everybody, and a ladder of waits that lets the last one have its turn."""
        # As long as everybody's turns take one after the other, and the same again; never less than the defaults.
        stretch = max(1.0, self.seconds * (1 + self.late / self.limit))
        ladder = {"POOL_TIMEOUT": 2, "STATEMENT_TIMEOUT": 5, "REQUEST_TIMEOUT": 10, "GRACEFUL_TIMEOUT": 15}
        return {
            "POOL_SIZE": str(self.size),
            "POOL_MAX_OVERFLOW": str(self.overflow),
            "WSGI_THREADS": str(self.limit + self.late + 5),
            **{key: f"{value * stretch:g}" for key, value in ladder.items()},
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """One volley by the pool's own account.

    Attributes:
        name: By which the names of its requests begin.
        pids: Sessions of the first ones, by name of request.
        first_waited_ns: Longest wait of the first ones.
        at_once: Most connections that were checked out at the same moment.
        late_waiters: Late ones that waited.
        waited_ns: How long the first late one that waited did so; 0 if none did.
        remaining_ns: From when it began to wait until the first of the others returned its connection.
        asked_ns: From when it began to wait until the first of the others was due to end, by the seconds asked for.
        is_early: Whether it was served before any other had returned a connection.
        is_reused: Whether every late one got a session that one of the others had had.
        events: The account of the pool's whole life until then.
        looks: The database's view.
        began_ns: When it began.
    """

    name: str
    pids: Mapping[str, int]
    first_waited_ns: int
    at_once: int
    late_waiters: int
    waited_ns: int
    remaining_ns: int
    asked_ns: int
    is_early: bool
    is_reused: bool
    events: tuple[PoolEvent, ...]
    looks: tuple[Look, ...]
    began_ns: int


def warm_up(watched: Watched, plan: Plan) -> None:
    """Fill the pool: what is measured is waiting for a connection, not making one.

    Raises:
        EnvironmentFailure: If a request fails.
    """
    _send(watched, Plan(plan.size, plan.overflow, 0, WARM_S), WARM, lambda: True)


def fire(watched: Watched, sessions: Sessions, plan: Plan, name: str) -> Trial:
    """Send one volley and return what the pool and the database tell of it.

    Raises:
        EnvironmentFailure: If a request fails, or the database does not tell.
    """
    began_ns = monotonic_ns()
    with sessions.sampled() as looks:
        _send(watched, plan, name, lambda: bool(looks) and looks[-1].busy >= plan.limit)
    return judged(watched.events(), tuple(looks), plan, name, began_ns)


def _send(watched: Watched, plan: Plan, name: str, are_all_busy: Callable[[], bool]) -> None:
    target = f"/sleep?seconds={plan.seconds:g}"
    asks = [Ask(target, f"{name}-{number + 1}") for number in range(plan.limit + plan.late)]
    latest_ns = monotonic_ns() + int(LATEST_SHARE * plan.seconds * 1e9)
    with ThreadPoolExecutor(1) as threads:
        others = threads.submit(together, watched.service, asks[: plan.limit])
        answers = []
        if plan.late:
            # Not after a fixed time: one that is opening its connection yet could be overtaken.
            while not are_all_busy() and monotonic_ns() < latest_ns:
                sleep(LOOK_EVERY_S)
            answers = together(watched.service, asks[plan.limit :])
        answers = [*others.result(), *answers]
    failed = [answer for answer in answers if answer.status != 200]
    if failed:
        raise EnvironmentFailure(
            f"{watched.service.spec.name} answered {len(failed)} of {len(answers)} requests to {target} with a failure",
            why=f"status {failed[0].status}: {failed[0].body[:200].decode('utf-8', 'replace')}",
            hint="--set seconds=0.5, or fewer requests",
        )


def judged(account: Sequence[PoolEvent], looks: Sequence[Look], plan: Plan, name: str, began_ns: int) -> Trial:
    """Return what a pool's account tells of one volley.

    Args:
        account: Of the pool's whole life until now.
        looks: The database's view during the volley.
        plan: What the volley was.
        name: By which the names of its requests begin.
        began_ns: When it began.
    """
    own = [event for event in account if event.request.startswith(f"{name}-")]
    taken = {event.request: event for event in own if event.kind == "checkout"}
    returned = {event.request: event.at_ns for event in own if event.kind == "checkin"}
    first = [request for request in taken if int(request.rpartition("-")[2]) <= plan.limit]
    late = [event for request, event in taken.items() if request not in first]
    waiters = sorted((event for event in late if event.waited_ns), key=lambda event: event.at_ns)
    pids = {request: taken[request].backend_pid for request in first}
    release_ns = min(returned[request] for request in first)
    due_ns = min(taken[request].at_ns for request in first) + int(plan.seconds * 1e9)
    waiter = waiters[0] if waiters else None
    waits_from_ns = waiter.at_ns - waiter.waited_ns if waiter else 0
    return Trial(
        name=name,
        pids=pids,
        first_waited_ns=max(taken[request].waited_ns for request in first),
        at_once=max((each.held for each in occupancies(account) if each.at_ns >= began_ns), default=0),
        late_waiters=len(waiters),
        waited_ns=waiter.waited_ns if waiter else 0,
        remaining_ns=release_ns - waits_from_ns if waiter else 0,
        asked_ns=due_ns - waits_from_ns if waiter else 0,
        is_early=waiter is not None and waiter.at_ns < release_ns,
        is_reused=all(event.backend_pid in pids.values() for event in late),
        events=tuple(account),
        looks=tuple(looks),
        began_ns=began_ns,
    )


def occupancy_diagram(title: str, trial: Trial) -> Diagram:
    """Return how the pool stood during a volley, and what the database saw."""
    began_ns = trial.began_ns
    stood = [each for each in occupancies(trial.events) if each.at_ns >= began_ns]
    lines = [
        Line("checked out", tuple(((each.at_ns - began_ns) / 1e9, float(each.held)) for each in stood), is_step=True),
        Line("waiting", tuple(((each.at_ns - began_ns) / 1e9, float(each.waiting)) for each in stood), is_step=True),
        Line(
            "sessions in the database",
            tuple(((look.asked_ns - began_ns) / 1e9, float(len(look.sessions))) for look in trial.looks),
            is_step=True,
        ),
    ]
    return Diagram(title, "time (s)", "connections, requests", tuple(lines))


def request_timeline(title: str, trial: Trial) -> Timeline:
    """Return a lane for each request of a volley: how long it waited for a connection, and how long it held one."""
    spans: dict[str, list[Span]] = {}
    held: dict[str, PoolEvent] = {}
    for event in trial.events:
        request = event.request
        if not request.startswith(f"{trial.name}-"):
            continue
        at_s = (event.at_ns - trial.began_ns) / 1e9
        lane = spans.setdefault(request, [])
        if event.kind == "checkout":
            held[request] = event
            if event.waited_ns:
                waited_s = event.waited_ns / 1e9
                lane.append(Span(at_s - waited_s, at_s, "waits", f"waited {waited_s:.3f} s for a connection"))
        elif event.kind == "checkin" and request in held:
            start_s = (held.pop(request).at_ns - trial.began_ns) / 1e9
            lane.append(Span(start_s, at_s, "holds", f"had session {event.backend_pid} for {at_s - start_s:.3f} s"))
    order = sorted(spans, key=lambda request: int(request.rpartition("-")[2]))
    return Timeline(title, tuple(Lane(f"request {name.rpartition('-')[2]}", tuple(spans[name])) for name in order))
