"""Climb the ladder: start the services, visit every rung in interleaved rounds, and start anew."""

import os
import secrets
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from types import TracebackType

from shared.config import Edition
from shared.lab.benchmarks.volleys import SETTLE_S
from shared.lab.benchmarks.volleys import Volleys
from shared.lab.ladder import steps
from shared.lab.ladder.check import check
from shared.lab.ladder.plan import Cell
from shared.lab.ladder.plan import LadderPlan
from shared.lab.ladder.record import Answered
from shared.lab.ladder.record import Climb
from shared.lab.ladder.record import Ladder
from shared.lab.ladder.rungs import RUNGS
from shared.lab.ladder.services import Backends
from shared.lab.ladder.services import backends
from shared.lab.ladder.services import ladder_spec
from shared.lab.results.record import Manifest
from shared.lab.services import usage
from shared.lab.services.process import Service
from shared.lab.services.process import choose_cores
from shared.lab.services.process import running

Progress = Callable[[str], None]


def run(plan: LadderPlan, *, url: str, manifest: Manifest, progress: Progress = lambda _: None) -> Ladder:
    """Check every rung, then measure all of them in services that are started anew again and again.

    Args:
        plan: How often and how long.
        url: The database, without a driver.
        manifest: Where and when.
        progress: Called with one line at each step.

    Raises:
        NotComparable: If a rung does not answer as it should, or differs between the editions.
        EnvironmentFailure: If a service does not start, ends, or answers other than 200 under load.
    """
    environ = {"DATABASE_URL": url, "TRACE": "0"}
    progress("checking that every rung answers alike")
    answers, why_not_counted = _checked(plan, environ, url)
    climbs: list[Climb] = []
    machine = Machine()
    for start in range(plan.starts):
        progress(f"start {start + 1} of {plan.starts}")
        climbs += _start(plan, start, environ, url, machine)
    names = [rung.name for rung in RUNGS]
    levels = steps.levels(climbs, plan.editions, names)
    gaps = steps.gaps(climbs, names) if {steps.LOWER, steps.UPPER} <= set(plan.editions) else ()
    return Ladder(
        manifest=manifest,
        editions=plan.editions,
        starts=plan.starts,
        seconds=plan.seconds,
        volley=plan.volley,
        rungs=RUNGS,
        answers=answers,
        why_not_counted=why_not_counted,
        climbs=tuple(climbs),
        levels=levels,
        gaps=gaps,
        foreign_cores=machine.foreign_cores,
        doubts=steps.doubts(levels, gaps, machine.foreign_cores),
    )


@dataclass(slots=True)
class Machine:
    """What other programs use of the machine while rounds run.

    Attributes:
        elapsed_s: How long rounds have run.
        foreign_s: CPU seconds of everybody else meanwhile, time stolen by the hypervisor included.
    """

    elapsed_s: float = 0.0
    foreign_s: float = 0.0

    @property
    def foreign_cores(self) -> float:
        """CPU seconds of others per second."""
        return max(0.0, self.foreign_s / self.elapsed_s) if self.elapsed_s else 0.0

    @contextmanager
    def watched(self, pids: Callable[[], list[int]]) -> Iterator[None]:
        """Watch while the block runs; `pids` are processes that belong to it."""
        began, busy_s, ours = time.monotonic(), usage.machine_busy_s(), usage.cpu_by_process(pids())
        yield
        used_s = usage.cpu_between(ours, usage.cpu_by_process(pids()))
        self.foreign_s += usage.machine_busy_s() - busy_s - used_s
        self.elapsed_s += time.monotonic() - began


@dataclass(slots=True)
class Tally:
    """The figures of one cell in one start, a value for each round."""

    cpu_s: list[float] = field(default_factory=list)
    database_cpu_s: list[float] = field(default_factory=list)


class Climber:
    """One edition's service under volleys; use it as a context manager.

    Args:
        service: With all rungs.
        volley: Requests of one volley.
    """

    def __init__(self, service: Service, volley: int) -> None:
        self._volleys = Volleys(service, RUNGS[0].target, volley)
        self._pids = service.pids()
        # None where the database's processes cannot be seen.
        self.database_pids: list[int] | None = None

    def visit(self, rung: int) -> tuple[float, float]:
        """Send a rung's volleys; return the CPU seconds of the service and of its database's processes."""
        before = self._read()
        for _ in range(RUNGS[rung].volleys):
            self._volleys.send(RUNGS[rung].target)
        time.sleep(SETTLE_S)
        after = self._read()
        return after[0] - before[0], after[1] - before[1]

    def _read(self) -> tuple[float, float]:
        mine = sum(usage.process_cpu_s(pid) for pid in self._pids)
        return mine, sum(usage.process_cpu_s(pid) for pid in self.database_pids or ())

    def __enter__(self) -> "Climber":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._volleys.__exit__()


def _checked(plan: LadderPlan, environ: Mapping[str, str], url: str) -> tuple[tuple[Answered, ...], str]:
    # Services of its own: those that are timed look for no token in a request.
    token = secrets.token_hex(16)
    specs = [ladder_spec(edition, {**environ, "CHECK_TOKEN": token}) for edition in plan.editions]
    with running(specs) as services:
        urls = {edition: service.url for edition, service in zip(plan.editions, services, strict=True)}
        return check(urls, url, token)


def _start(plan: LadderPlan, start: int, environ: Mapping[str, str], url: str, machine: Machine) -> list[Climb]:
    """Measure all rungs in services started for it."""
    cores = choose_cores()
    own = os.sched_getaffinity(0)
    # The place in the order of starting moves the figures by some tenths of a per cent.
    editions = plan.editions if start % 2 == 0 else plan.editions[::-1]
    specs = [ladder_spec(edition, environ) for edition in editions]
    with backends(url) as found, running(specs, cores=cores.server) as services:
        try:
            if cores.client:
                os.sched_setaffinity(0, cores.client)
            return _rounds(plan, start, dict(zip(editions, services, strict=True)), found, machine)
        finally:
            os.sched_setaffinity(0, own)


def _rounds(
    plan: LadderPlan,
    start: int,
    services: Mapping[Edition, Service],
    found: Backends,
    machine: Machine,
) -> list[Climb]:
    tallies = {cell: Tally() for cell in plan.cells}
    with ExitStack() as stack:
        climbers = {
            edition: stack.enter_context(Climber(service, plan.volley)) for edition, service in services.items()
        }
        for cell in plan.cells:
            for _ in range(plan.warm_up_visits):
                climbers[cell.edition].visit(cell.rung)
        for edition, climber in climbers.items():
            climber.database_pids = found.of(edition)

        def ours() -> list[int]:
            pids = [pid for service in services.values() for pid in service.pids()]
            return [os.getpid(), *pids, *usage.database_pids()]

        with machine.watched(ours):
            end = time.monotonic() + plan.seconds
            for order in plan.orders(start):
                _round(order, climbers, tallies, plan.volley)
                if time.monotonic() >= end:
                    break
    return [
        Climb(
            edition=cell.edition,
            rung=RUNGS[cell.rung].name,
            start=start,
            cpu_s=tuple(tally.cpu_s),
            database_cpu_s=None if climbers[cell.edition].database_pids is None else tuple(tally.database_cpu_s),
            requests=_requests(cell, plan.volley),
        )
        for cell, tally in tallies.items()
    ]


def _round(
    order: tuple[Cell, ...],
    climbers: Mapping[Edition, Climber],
    tallies: Mapping[Cell, Tally],
    volley: int,
) -> None:
    """Visit each cell as often as the order names it, and book a request's CPU on it."""
    spent: dict[Cell, list[tuple[float, float]]] = {}
    for cell in order:
        spent.setdefault(cell, []).append(climbers[cell.edition].visit(cell.rung))
    for cell, visits in spent.items():
        tallies[cell].cpu_s.append(sum(mine for mine, _ in visits) / _requests(cell, volley))
        tallies[cell].database_cpu_s.append(sum(theirs for _, theirs in visits) / _requests(cell, volley))


def _requests(cell: Cell, volley: int) -> int:
    """Return how many requests a cell gets in a round, which visits it twice."""
    return 2 * RUNGS[cell.rung].volleys * volley
