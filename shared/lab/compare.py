"""Compare running services: warm up, load them in interleaved rounds, keep everything, say what to doubt."""

import math
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from shared.errors import UsageError
from shared.lab.load.driver import LoadClient
from shared.lab.observation import machine
from shared.lab.observation.machine import MachineReading
from shared.lab.observation.observer import Observer
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Timing
from shared.lab.planning.plan import Workload
from shared.lab.planning.plan import make_rounds
from shared.lab.planning.plan import make_workloads
from shared.lab.planning.stopping import MAX_ROUNDS
from shared.lab.planning.stopping import Until
from shared.lab.planning.stopping import share_s
from shared.lab.results import files as result_file
from shared.lab.results import summary
from shared.lab.results.client import ClientLimits
from shared.lab.results.conditions import StopReason
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import ForeignLoad
from shared.lab.results.record import Manifest
from shared.lab.results.record import ResultKind
from shared.lab.results.record import Slice
from shared.lab.results.record import Stop
from shared.lab.results.terms import Terms
from shared.lab.services import usage
from shared.lab.slices import RunningSubject
from shared.lab.slices import Slicer

Progress = Callable[[str], None]
Widest = Callable[[Sequence[CellSummary]], float | None]


@dataclass(slots=True)
class _Run:
    """One comparison under way."""

    subjects: Sequence[RunningSubject]
    slicer: Slicer
    progress: Progress
    names_load: bool
    widest: Widest
    until: Until | None = None
    # When all workloads must be done, by the monotonic clock.
    deadline: float = math.inf
    helpers: Sequence[int] = ()
    slices: list[Slice] = field(default_factory=list)
    cells: list[CellSummary] = field(default_factory=list)
    foreign: list[ForeignLoad] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)

    def workload(self, workload: Workload, *, left: int = 1) -> list[CellSummary]:
        """Warm every subject up, run the rounds, and return the summaries; `left` counts this workload, too."""
        end = monotonic() + share_s(self.deadline - monotonic(), left)
        warm = {running.subject: self._warm_up(running, workload) for running in self.subjects}
        running_of = {running.subject: running for running in self.subjects}
        before, began = self._read_machine(), monotonic()
        slices: dict[Subject, list[Slice]] = {subject: [] for subject in running_of}
        # The first rounds of many are those of few, so that more can be run after a look at the intervals.
        most = self.slicer.timing.rounds if self.until is None else MAX_ROUNDS
        for planned in make_rounds(workload, list(running_of), rounds=most, seed=self.slicer.seed):
            stop = self._stop(workload, slices, planned.index, is_late=monotonic() >= end)
            if stop is not None:
                break
            self.progress(f"{self._name(workload)}: round {planned.index + 1} of {self._how_many()}")
            for position, cell in enumerate(planned.cells):
                piece = self.slicer.measure(running_of[cell.subject], workload, planned.index, position)
                slices[cell.subject].append(piece)
                self.slices.append(piece)
        else:
            stop = self._stopped(workload, slices, "planned")
        self.stops.append(stop)
        self.foreign.append(self._foreign_load(workload, before, monotonic() - began))
        return [
            summary.cell_summary(pieces, steady=warm[subject][0], warm_up_slices=len(rates), warm_up_rps=rates)
            for subject, pieces in slices.items()
            for rates in (warm[subject][1],)
        ]

    def _warm_up(self, running: RunningSubject, workload: Workload) -> tuple[bool, list[float]]:
        self.progress(f"{self._name(workload)}: warming {running.subject.name} up")
        return self.slicer.warm_up(running, workload)

    def _how_many(self) -> str:
        return str(self.slicer.timing.rounds) if self.until is None else f"at least {self.slicer.timing.rounds}"

    def _stop(
        self, workload: Workload, slices: Mapping[Subject, Sequence[Slice]], done: int, *, is_late: bool
    ) -> Stop | None:
        """Return why no round is run after those that are done, or None to go on; only mirrored pairs are whole."""
        if self.until is None or done < self.slicer.timing.rounds or done % 2:
            return None
        stop = self._stopped(workload, slices, "time")
        if stop.half_width is not None and stop.half_width <= self.until.half_width:
            return replace(stop, reason="narrow")
        return stop if is_late else None

    def _stopped(self, workload: Workload, slices: Mapping[Subject, Sequence[Slice]], reason: StopReason) -> Stop:
        cells = [summary.cell_summary(pieces, steady=True, warm_up_slices=0) for pieces in slices.values()]
        widest = self.widest(cells)
        return Stop(workload.scenario.name, workload.load, len(cells[0].rounds), reason, widest)

    def _name(self, workload: Workload) -> str:
        name = workload.scenario.name
        return f"{name} at {workload.load}" if self.names_load else name

    def _read_machine(self) -> tuple[float, dict[int, float], MachineReading]:
        """Return the machine's busy seconds, those of every process of this comparison, and what was taken from it."""
        pids = [os.getpid(), *self.slicer.client.pids, *self.helpers, *usage.database_pids()]
        for running in self.subjects:
            pids += running.pids() if running.pids else []
        return usage.machine_busy_s(), usage.cpu_by_process(pids), machine.read()

    def _foreign_load(
        self, workload: Workload, before: tuple[float, dict[int, float], MachineReading], elapsed_s: float
    ) -> ForeignLoad:
        busy_s, ours, taken = self._read_machine()
        foreign_s = busy_s - before[0] - usage.cpu_between(before[1], ours)
        throttled_s = [reading.throttled_s for reading in (before[2], taken)]
        clocks_hz, self.slicer.clocks_hz = self.slicer.clocks_hz, []
        return ForeignLoad(
            workload.scenario.name,
            workload.load,
            cores=max(0.0, foreign_s / elapsed_s),
            stolen_cores=max(0.0, (taken.stolen_s - before[2].stolen_s) / elapsed_s),
            throttled=None
            if throttled_s[0] is None or throttled_s[1] is None
            else (throttled_s[1] - throttled_s[0]) / elapsed_s,
            clock_drop=1 - min(clocks_hz) / max(clocks_hz) if clocks_hz else None,
        )


def run(
    subjects: Sequence[RunningSubject],
    scenarios: Sequence[Scenario],
    *,
    client: LoadClient,
    manifest: Manifest,
    baseline: str,
    kind: ResultKind = "compare",
    loads: Sequence[Load] = LOADS,
    timing: Timing | None = None,
    until: Until | None = None,
    widest: Widest | None = None,
    observer: Observer | None = None,
    limits: ClientLimits | None = None,
    path: Path | None = None,
    progress: Progress = lambda _: None,
    terms: Terms | None = None,
    helpers: Sequence[int] = (),
) -> Comparison:
    """Compare subjects that run already and return everything that was measured.

    Args:
        subjects: What is loaded, in table order.
        scenarios: What is sent, in table order.
        client: The load client, started.
        manifest: Where and when; its seed fixes order and resampling.
        baseline: Name of the subject below the line of every ratio.
        kind: Which command asks.
        loads: Loads; each scenario is measured under each, as if it were a scenario of its own.
        timing: Rounds and windows.
        until: When to run no more rounds; the timing's are then the fewest. None runs those.
        widest: What is held against the until: the half width of the widest interval of one workload's cells, or None
            where one is missing; by default of all ratios of throughput to the baseline.
        observer: What looks at services and database; None looks at processes only.
        limits: What the load client can do here; None if it was not measured.
        path: Where the result is written, after each scenario and level; nowhere if None.
        progress: Called with one line at each step.
        terms: Who is compared if not the project's own services.
        helpers: Other processes that work for the subjects, and are no foreign load.

    Raises:
        UsageError: If the baseline is not among the subjects, or names or loads repeat.
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If a subject answers a scenario with nothing but failures.
    """
    names = tuple(running.subject.name for running in subjects)
    if baseline not in names or len(set(names)) != len(names):
        raise UsageError("cannot compare these", why=f"subjects {names!r}, baseline {baseline!r}")
    if len({scenario.name for scenario in scenarios}) != len(scenarios):
        raise UsageError("scenarios must have different names", why=f"got {[s.name for s in scenarios]!r}")
    if not loads or len(set(loads)) != len(loads):
        raise UsageError("loads must be named, each differently", why=f"got {list(map(str, loads))!r}")
    timing = timing or Timing()
    server_cores = tuple(int(core) for core in manifest.core_roles.get("server", "").split(",") if core.isdigit())
    run_state = _Run(
        subjects,
        Slicer(client, timing, manifest.seed, observer or Observer(None), server_cores),
        progress,
        names_load=len(loads) > 1,
        widest=widest or partial(summary.widest_interval, baseline=baseline, seed=manifest.seed),
        until=until,
        deadline=math.inf if until is None else monotonic() + until.max_s,
        helpers=helpers,
    )
    comparison = Comparison(
        kind=kind,
        manifest=manifest,
        timing=timing,
        subjects=names,
        baseline=baseline,
        scenarios=tuple(scenarios),
        loads=tuple(loads),
        slices=(),
        cells=(),
        ratios=(),
        foreign_load=(),
        doubts=(),
        until=None if until is None else until.half_width,
        limits=limits,
        terms=terms,
    )
    workloads = make_workloads(scenarios, loads)
    for number, workload in enumerate(workloads):
        cells = run_state.workload(workload, left=len(workloads) - number)
        run_state.cells += cells
        comparison = replace(
            comparison,
            slices=tuple(run_state.slices),
            cells=tuple(run_state.cells),
            ratios=tuple(
                summary.judged_together(
                    [*comparison.ratios, *summary.ratios(cells, baseline=baseline, seed=manifest.seed)]
                )
            ),
            foreign_load=tuple(run_state.foreign),
            stops=tuple(run_state.stops),
        )
        comparison = replace(comparison, doubts=find_doubts(comparison))
        if path is not None:
            result_file.write(comparison, path)
    return comparison
