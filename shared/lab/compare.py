"""Compare running services: warm up, load them in interleaved rounds, keep everything, say what to doubt."""

import os
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from time import monotonic

from shared.errors import EnvironmentFailure
from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Timing
from shared.lab.planning.plan import Workload
from shared.lab.planning.plan import make_rounds
from shared.lab.planning.plan import make_workloads
from shared.lab.results import files as result_file
from shared.lab.results import summary
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import ForeignLoad
from shared.lab.results.record import Manifest
from shared.lab.results.record import ResultKind
from shared.lab.results.record import Slice
from shared.lab.services import usage
from shared.lab.services.process import HOST
from shared.lab.services.process import Service

Progress = Callable[[str], None]

# Two warm-up slices in a row whose rates differ by less are steady; below the scatter of slices on a noisy machine.
STEADY_CHANGE = 0.1


@dataclass(frozen=True, slots=True)
class RunningSubject:
    """A subject that answers: where, and which processes its CPU time is read from.

    Attributes:
        subject: Its name.
        port: Port on the numeric host.
        host: Numeric address.
        pids: Returns the server's processes; None if they are not ours to look at.
    """

    subject: Subject
    port: int
    host: str = HOST
    pids: Callable[[], list[int]] | None = None

    @classmethod
    def of_service(cls, service: Service) -> "RunningSubject":
        """Return the subject that a started service is."""
        return cls(Subject(service.spec.name), service.port, pids=service.pids)

    def read_cpu(self) -> dict[int, float] | None:
        """Return the CPU seconds of each of its processes, or None."""
        return None if self.pids is None else usage.cpu_by_process(self.pids())


@dataclass(slots=True)
class _Run:
    """One comparison under way."""

    subjects: Sequence[RunningSubject]
    timing: Timing
    seed: int
    client: LoadClient
    progress: Progress
    names_load: bool
    slices: list[Slice] = field(default_factory=list)
    cells: list[CellSummary] = field(default_factory=list)
    foreign: list[ForeignLoad] = field(default_factory=list)

    def workload(self, workload: Workload) -> list[CellSummary]:
        """Warm every subject up, run the rounds, and return the summaries."""
        warm = {running.subject: self.warm_up(running, workload) for running in self.subjects}
        running_of = {running.subject: running for running in self.subjects}
        before, began = self._read_machine(), monotonic()
        slices: dict[Subject, list[Slice]] = {subject: [] for subject in running_of}
        plan = make_rounds(workload, list(running_of), rounds=self.timing.rounds, seed=self.seed)
        for planned in plan:
            self.progress(f"{self._name(workload)}: round {planned.index + 1} of {len(plan)}")
            for position, cell in enumerate(planned.cells):
                piece = self.measure(running_of[cell.subject], workload, planned.index, position)
                slices[cell.subject].append(piece)
                self.slices.append(piece)
        cores = self._foreign_cores(before, monotonic() - began)
        self.foreign.append(ForeignLoad(workload.scenario.name, workload.load, cores))
        return [
            summary.cell_summary(pieces, steady=warm[subject][0], warm_up_slices=warm[subject][1])
            for subject, pieces in slices.items()
        ]

    def warm_up(self, running: RunningSubject, workload: Workload) -> tuple[bool, int]:
        """Load until two slices in a row have rates within 10 %, at most as often as the timing says.

        Returns:
            Whether that was reached, and after how many slices.

        Raises:
            EnvironmentFailure: If the service ended.
            NotComparable: If nothing it answered was a success; its speed at failing is of no interest.
        """
        self.progress(f"{self._name(workload)}: warming {running.subject.name} up")
        self.client.prepare(running.host, running.port, connections=workload.load.connections, fresh=True)
        last_rps = 0.0
        for number in range(1, self.timing.warm_up_slices + 1):
            piece = self._load(running, workload.scenario, ramp_s=0.0, window_s=self.timing.warm_up_slice_s)
            _check_useful(running, workload.scenario, piece)
            rps = len(piece.samples) / piece.elapsed_s
            if last_rps and abs(rps / last_rps - 1) < STEADY_CHANGE:
                return True, number
            last_rps = rps
        return False, self.timing.warm_up_slices

    def measure(self, running: RunningSubject, workload: Workload, round_index: int, position: int) -> Slice:
        """Run one slice and return its record."""
        # Connections are opened before the reading, so that accepting them is no part of the cost of a request.
        self.client.prepare(running.host, running.port, connections=workload.load.connections)
        before = running.read_cpu()
        ramp_s = self.timing.ramp_of(workload.load)
        piece = self._load(running, workload.scenario, ramp_s=ramp_s, window_s=self.timing.window_s)
        after = running.read_cpu()
        if after is not None and not after:
            raise _ended(running, workload.scenario, piece)
        return Slice(
            scenario=workload.scenario.name,
            load=workload.load,
            subject=running.subject.name,
            round=round_index,
            position=position,
            start_ns=piece.start_ns,
            window_start_ns=piece.window_start_ns,
            window_end_ns=piece.window_end_ns,
            samples=piece.samples,
            errors=piece.errors,
            reconnects=piece.reconnects,
            client_cpu_s=piece.client_cpu_s,
            elapsed_s=piece.elapsed_s,
            server_cpu_s=None if before is None or after is None else usage.cpu_between(before, after),
            server_peak_bytes=None if after is None else usage.peak_bytes(after),
        )

    def _name(self, workload: Workload) -> str:
        name = workload.scenario.name
        return f"{name} at {workload.load}" if self.names_load else name

    def _load(self, running: RunningSubject, scenario: Scenario, *, ramp_s: float, window_s: float) -> ClientSlice:
        return self.client.run(
            running.host,
            running.port,
            scenario.request_bytes(f"{running.host}:{running.port}"),
            ramp_s=ramp_s,
            window_s=window_s,
            timeout_s=self.timing.response_timeout_s,
        )

    def _read_machine(self) -> tuple[float, dict[int, float]]:
        """Return the busy seconds of the machine, and of every process that works for this comparison."""
        pids = [os.getpid(), self.client.pid, *usage.database_pids()]
        for running in self.subjects:
            pids += running.pids() if running.pids else []
        return usage.machine_busy_s(), usage.cpu_by_process(pids)

    def _foreign_cores(self, before: tuple[float, dict[int, float]], elapsed_s: float) -> float:
        busy_s, ours = self._read_machine()
        foreign_s = busy_s - before[0] - usage.cpu_between(before[1], ours)
        return max(0.0, foreign_s / elapsed_s)


def _check_useful(running: RunningSubject, scenario: Scenario, piece: ClientSlice) -> None:
    statuses = piece.samples.status
    if ((statuses >= 200) & (statuses < 300)).any():
        return
    if running.pids is not None and not running.pids():
        raise _ended(running, scenario, piece)
    seen = sorted(set(statuses.tolist()))
    raise NotComparable(
        f"{running.subject.name} never answered {scenario.target} with success",
        why=f"{len(statuses)} responses with status {seen}, {len(piece.errors)} requests without one",
        hint=f"try it by hand: curl -i 'http://{running.host}:{running.port}{scenario.target}'",
    )


def _ended(running: RunningSubject, scenario: Scenario, piece: ClientSlice) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{running.subject.name} ended during {scenario.name}",
        why=f"none of its processes is left; {len(piece.errors)} requests got no response",
        hint="read its log",
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
    path: Path | None = None,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Compare subjects that run already, closed model, and return everything that was measured.

    Args:
        subjects: What is loaded, in table order.
        scenarios: What is sent, in table order.
        client: The load client, started.
        manifest: Where and when; its seed fixes order and resampling.
        baseline: Name of the subject below the line of every ratio.
        kind: Which command asks.
        loads: Loads; each scenario is measured under each, as if it were a scenario of its own.
        timing: Rounds and windows.
        path: Where the result is written, after each scenario and level; nowhere if None.
        progress: Called with one line at each step.

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
    run_state = _Run(subjects, timing, manifest.seed, client, progress, names_load=len(loads) > 1)
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
    )
    for workload in make_workloads(scenarios, loads):
        cells = run_state.workload(workload)
        run_state.cells += cells
        comparison = replace(
            comparison,
            slices=tuple(run_state.slices),
            cells=tuple(run_state.cells),
            ratios=(*comparison.ratios, *summary.ratios(cells, baseline=baseline, seed=manifest.seed)),
            foreign_load=tuple(run_state.foreign),
        )
        comparison = replace(comparison, doubts=find_doubts(comparison))
        if path is not None:
            result_file.write(comparison, path)
    return comparison
