"""The record of a comparison: every raw sample, every summary, every doubt; it measures and computes nothing.

Times are integers in nanoseconds of the monotonic clock, as taken, and float seconds everywhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.planning.plan import Workload
from shared.lab.planning.plan import make_workloads
from shared.lab.results.client import Arrivals
from shared.lab.results.client import ClientLimits
from shared.lab.results.conditions import ForeignLoad as ForeignLoad
from shared.lab.results.conditions import Stop as Stop
from shared.lab.results.server import ServerFigures
from shared.lab.results.server import ServerSummary
from shared.lab.results.terms import Terms
from shared.lab.statistics import Ratio

# 1: first version. 2: every slice, summary and doubt says at which level of concurrency. 3: a load instead, which may
# be a rate. 4: samples say which request of a mix they are and whether it waited; the load client's own limits.
# 5: what the servers used, warm-up rates, stolen time, why a workload ended, p-values.
SCHEMA_VERSION = 5

# Order is the code on the wire between the load client and its parent, and in the sample files.
ERROR_KINDS = ("refused", "reset", "timeout", "premature_close", "parse", "other", "not_sent", "aborted")
# The client's own doing, so no error of anybody.
ABORTED = ERROR_KINDS.index("aborted")
# Bits of the flags of a sample: the request found no idle connection; its connection reads slowly, by the plan.
WAITED = 1
SLOW = 2

ResultKind = Literal["compare", "bench-services", "factors"]
Measure = Literal["rps", "p50", "p99", "cpu"]

Int64Array = npt.NDArray[np.int64]
UInt32Array = npt.NDArray[np.uint32]


def _no_times() -> Int64Array:
    return np.zeros(0, dtype=np.int64)


def _no_numbers() -> UInt32Array:
    return np.zeros(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Every response of one slice, one array per column, in order of completion.

    Attributes:
        intended_ns: When the request was due; in the closed model, when the connection's last answer was complete.
        sent_ns: Just before its first byte was given to the socket.
        first_byte_ns: When the first bytes of the response were read.
        done_ns: When the response was complete.
        status: HTTP status code.
        size_bytes: Bytes of the response on the wire, head included.
        connection: Index of the connection that carried it.
        request: Which of a mix it was, as an index into the scenario's parts; 0 throughout if not given.
        flags: WAITED and SLOW; 0 throughout if not given.
    """

    intended_ns: Int64Array
    sent_ns: Int64Array
    first_byte_ns: Int64Array
    done_ns: Int64Array
    status: UInt32Array
    size_bytes: UInt32Array
    connection: UInt32Array
    request: UInt32Array = field(default_factory=_no_numbers)
    flags: UInt32Array = field(default_factory=_no_numbers)

    def __post_init__(self) -> None:
        """Give the columns that were left out their length."""
        for name in ("request", "flags"):
            if len(self) and not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self), dtype=np.uint32))

    def __len__(self) -> int:
        return len(self.done_ns)


@dataclass(frozen=True, slots=True, eq=False)
class RequestErrors:
    """Every request of one slice that got no response, kept apart from responses.

    Attributes:
        kind: Index into ERROR_KINDS.
        connection: Index of the connection; 2**32 - 1 where there was none.
        intended_ns: When the request was due.
        at_ns: When the error was seen.
        sent_ns: When it was sent; 0 if it never was, and throughout if not given.
        request: Which of a mix it was; 0 throughout if not given, and for what was never sent.
    """

    kind: UInt32Array
    connection: UInt32Array
    intended_ns: Int64Array
    at_ns: Int64Array
    sent_ns: Int64Array = field(default_factory=_no_times)
    request: UInt32Array = field(default_factory=_no_numbers)

    def __post_init__(self) -> None:
        """Give the columns that were left out their length."""
        if len(self) and not len(self.sent_ns):
            object.__setattr__(self, "sent_ns", np.zeros(len(self), dtype=np.int64))
        if len(self) and not len(self.request):
            object.__setattr__(self, "request", np.zeros(len(self), dtype=np.uint32))

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One uninterrupted stretch of load on one subject.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        subject: Name of the subject.
        round: Number of the round within the scenario under this load.
        position: Place within the round, from 0.
        start_ns: When load began.
        window_start_ns: Start of the measured window.
        window_end_ns: End of the measured window; nothing is due after it.
        samples: Responses, those outside the window included.
        errors: Requests without a response.
        reconnects: Connections opened again during the slice.
        client_cpu_s: CPU seconds of the load client over the slice; of its busiest process, if it is several.
        elapsed_s: Start of load until the last answer, in seconds.
        server_cpu_s: CPU seconds of the server's process tree over the slice; None if its processes are not ours.
        server_peak_bytes: Sum of the peak resident sizes of the server's processes so far, in bytes.
        server: What the server used besides; None if nothing could be looked at.
    """

    scenario: str
    load: Load
    subject: str
    round: int
    position: int
    start_ns: int
    window_start_ns: int
    window_end_ns: int
    samples: Samples
    errors: RequestErrors
    reconnects: int
    client_cpu_s: float
    elapsed_s: float
    server_cpu_s: float | None
    server_peak_bytes: int | None
    server: ServerFigures | None = None

    @property
    def window_s(self) -> float:
        """Length of the measured window in seconds."""
        return (self.window_end_ns - self.window_start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class RoundValues:
    """One subject's figures in one round; None where the round has no answer to make them from.

    Attributes:
        achieved_rps: Responses with a 2xx status per second of the window.
        p50_s: Median response time of requests due in the window, in seconds.
        p99_s: 99th percentile of the same, in seconds.
        server_cpu_s_per_request: CPU seconds of the server per 2xx response of the slice.
    """

    achieved_rps: float
    p50_s: float | None
    p99_s: float | None
    server_cpu_s_per_request: float | None


@dataclass(frozen=True, slots=True)
class CellSummary:
    """One subject under one scenario under one load, over all rounds.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        subject: Name of the subject.
        achieved_rps: Responses with a 2xx status per second, over all windows.
        samples: Responses with a 2xx status that were due in a window; the percentiles are theirs.
        percentiles_s: Response time in seconds by "p50", "p90", "p99", "p99.9" (from 10,000 samples) and "max".
        responses: Responses in all slices, ramps included.
        statuses: How many responses had which status.
        errors: How many requests got no response, by kind; those that the client gave up by plan are not among them.
        reconnects: Connections opened again under load.
        server_cpu_s_per_request: CPU seconds of the server per 2xx response.
        server_peak_bytes: Sum of peak resident sizes of the server's processes, in bytes; shared pages count in each.
        client_cpu_share: CPU of the load client, of its busiest process, as a share of one core, over its slices.
        steady: Whether the warm-up ended steady.
        warm_up_slices: How many slices the warm-up took.
        rounds: Figures per round.
        warm_up_rps: Responses per second of each warm-up slice.
        server: What the server used besides; None if nothing could be looked at.
        aborted: Requests that the client gave up by plan.
        arrivals: How requests fell due; None in the closed model.
    """

    scenario: str
    load: Load
    subject: str
    achieved_rps: float
    samples: int
    percentiles_s: Mapping[str, float]
    responses: int
    statuses: Mapping[int, int]
    errors: Mapping[str, int]
    reconnects: int
    server_cpu_s_per_request: float | None
    server_peak_bytes: int | None
    client_cpu_share: float
    steady: bool
    warm_up_slices: int
    rounds: tuple[RoundValues, ...]
    aborted: int = 0
    arrivals: Arrivals | None = None
    warm_up_rps: tuple[float, ...] = ()
    server: ServerSummary | None = None

    @property
    def error_count(self) -> int:
        """Requests without a response."""
        return sum(self.errors.values())

    @property
    def rejected_count(self) -> int:
        """Responses whose status is not 2xx."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)


@dataclass(frozen=True, slots=True)
class RatioSummary:
    """One measure of a subject over that of the baseline, from the same rounds.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        measure: What is divided.
        numerator: Subject above the line.
        denominator: Subject below the line, the baseline.
        ratio: Value and interval; None where a round had nothing to divide.
        survives_holm: For throughput, whether the difference is still shown when those of all workloads are judged
            together (Holm 1979, at 5 %); None for the other measures, and without a ratio.
    """

    scenario: str
    load: Load
    measure: Measure
    numerator: str
    denominator: str
    ratio: Ratio | None
    survives_holm: bool | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason not to trust a number.

    Attributes:
        code: Short name, stable over versions.
        message: What was seen, and why it matters.
        next_step: What to do about it.
        value: The number that raised it.
        scenario: Scenario it touches; None for all.
        load: Load of it that it touches; None for all.
        subject: Subject it touches; None for all.
    """

    code: str
    message: str
    next_step: str
    value: float
    scenario: str | None = None
    load: Load | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where, when and with what a result was made.

    Attributes:
        time_utc: Start, ISO 8601.
        command: Command line.
        seed: Seed of order and resampling.
        python: Version and implementation of Python.
        packages: Installed version of each package that can move a figure.
        cpu_model: As the kernel names it.
        cores: Processors this process may use.
        core_roles: Which processors were given to whom.
        governor: Frequency governor; None where it cannot be read.
        memory_bytes: Physical memory.
        kernel: Kernel name, release and machine.
        load_average: One, five and fifteen minutes, before anything was started.
        git_commit: Commit of the project; None without git.
        git_dirty: Whether tracked files differed from it; None without git.
        settings: Effective settings of each subject, secrets masked.
        database_version: Version of the database server; None if not asked.
    """

    time_utc: str
    command: tuple[str, ...]
    seed: int
    python: str
    packages: Mapping[str, str]
    cpu_model: str
    cores: int
    core_roles: Mapping[str, str]
    governor: str | None
    memory_bytes: int
    kernel: str
    load_average: tuple[float, float, float]
    git_commit: str | None
    git_dirty: bool | None
    settings: Mapping[str, Mapping[str, str]]
    database_version: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Everything one command measured.

    Attributes:
        kind: Which command made it.
        manifest: Where, when and with what.
        timing: Rounds and windows.
        subjects: Names in table order.
        baseline: The subject below the line of every ratio.
        scenarios: What was sent, in table order; those not yet measured have no cell.
        loads: How much of each scenario was sent, one load after the other, in table order.
        slices: Raw record of every slice.
        cells: Summary of each subject under each scenario under each load.
        ratios: Each other subject over the baseline.
        foreign_load: What other programs took meanwhile.
        doubts: Reasons not to trust a number.
        stops: Why each workload ended.
        until: Half width, as a share, at which rounds were to end; None where their number was fixed.
        limits: The load client's own; None if they were not measured.
        schema_version: Version of this record.
        terms: Who is compared if not the project's own services, and what was taken for equal; None if it is them.
    """

    kind: ResultKind
    manifest: Manifest
    timing: Timing
    subjects: tuple[str, ...]
    baseline: str
    scenarios: tuple[Scenario, ...]
    loads: tuple[Load, ...]
    slices: tuple[Slice, ...]
    cells: tuple[CellSummary, ...]
    ratios: tuple[RatioSummary, ...]
    foreign_load: tuple[ForeignLoad, ...]
    doubts: tuple[Doubt, ...]
    stops: tuple[Stop, ...] = ()
    until: float | None = None
    limits: ClientLimits | None = None
    schema_version: int = SCHEMA_VERSION
    terms: Terms | None = None

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Every scenario under every load, in table order."""
        return make_workloads(self.scenarios, self.loads)

    def cell(self, scenario: str, load: Load, subject: str) -> CellSummary | None:
        """Return the summary of a cell, or None if it was not measured."""
        wanted = (scenario, load, subject)
        return next((c for c in self.cells if (c.scenario, c.load, c.subject) == wanted), None)

    def ratio(self, scenario: str, load: Load, subject: str, measure: Measure) -> Ratio | None:
        """Return a subject's ratio to the baseline, or None if there is none."""
        wanted = (scenario, load, subject, measure)
        for summary in self.ratios:
            if (summary.scenario, summary.load, summary.numerator, summary.measure) == wanted:
                return summary.ratio
        return None
