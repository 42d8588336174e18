"""The record of a validation: what the instrument was shown, what it said, and whether the two agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from shared.config import Edition
from shared.lab.planning.plan import Load
from shared.lab.results.record import Manifest
from shared.lab.statistics import Difference
from shared.lab.statistics import Ratio
from shared.lab.validity.verdict import Verdict
from shared.lab.validity.wrk_result import WrkPart

SCHEMA_VERSION = 5
# Fewer rounds have no interval of 95 % for their median, whatever their distribution.
LEAST_ROUNDS = 6

PartName = Literal["a", "b", "c", "d"]
PARTS: tuple[PartName, ...] = ("a", "b", "c", "d")


@dataclass(frozen=True, slots=True)
class Known:
    """One figure that is known beforehand, what the server did, and what was measured of it; over rounds.

    Attributes:
        what: What the server does.
        load: Under which load.
        figure: Such as p99.
        planned_s: What it should be, in seconds.
        served_s: What it was by the server's record, median over rounds, in seconds.
        measured_s: What was measured, median over rounds, in seconds.
        error: Measured less served, of each round: the median with its interval, in seconds.
        tolerance_s: By how much the two may differ, in seconds.
    """

    what: str
    load: Load
    figure: str
    planned_s: float
    served_s: float
    measured_s: float
    error: Difference
    tolerance_s: float

    @property
    def verdict(self) -> Verdict:
        """Holds if the whole interval lies within the tolerance, fails if all of it lies outside.

        So few rounds that they have no interval of 95 % do not show that it fails.
        """
        low, high = self.error.low, self.error.high
        if -self.tolerance_s <= low and high <= self.tolerance_s:
            return "holds"
        is_outside = low > self.tolerance_s or high < -self.tolerance_s
        return "fails" if is_outside and self.error.units >= LEAST_ROUNDS else "undecided"


@dataclass(frozen=True, slots=True)
class StallSeen:
    """How a stall shows in the response times of one load model, over all its rounds.

    Attributes:
        load: The load.
        stall_s: Its length, in seconds.
        rounds: How often there was one.
        samples: Responses.
        late: How many took more than half of the stall.
        expected_late: How many did by the server's record.
        p99_s: 99th percentile, median over rounds, in seconds.
    """

    load: Load
    stall_s: float
    rounds: int
    samples: int
    late: int
    expected_late: int
    p99_s: float


@dataclass(frozen=True, slots=True)
class DelaysPart:
    """Part a: a scripted server with known delays and a stall.

    Attributes:
        verdict: Whether the instrument measured what the server did.
        server_away: Share of the time for which the server's processor was away, by a witness.
        client_away: The same of the load client's.
        answers: Responses behind all figures.
        missing: Requests that only the client or only the server knows.
        impossible: Those of which the client says what cannot be, by the server's record or the schedule.
        misranked: Percentiles that an independent computation from the same times does not give.
        known: Every figure.
        stalls: The stall under each load.
        seconds: How long this part took.
    """

    verdict: Verdict
    server_away: float
    client_away: float
    answers: int
    missing: int
    impossible: int
    misranked: int
    known: tuple[Known, ...]
    stalls: tuple[StallSeen, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SameComparison:
    """One comparison of two processes of the same edition.

    Attributes:
        edition: Which.
        scenario: What was sent.
        start: Number of the pair of starts.
        rps: Requests per second of one process over the other's, with the interval from rounds.
        cpu: The same of CPU seconds per request.
        rps_logs: Logarithm of the ratio in each round.
        cpu_logs: The same of CPU seconds per request.
        foreign_cores: Processors that other programs used meanwhile.
    """

    edition: Edition
    scenario: str
    start: int
    rps: Ratio
    cpu: Ratio
    rps_logs: tuple[float, ...]
    cpu_logs: tuple[float, ...]
    foreign_cores: float


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the 95 % interval of the share behind it.

    Attributes:
        count: How many.
        of: Of how many.
        low: Lower end of the interval of the share.
        high: Its upper end.
    """

    count: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class StartEffect:
    """How much two starts of one program differ, beyond what rounds scatter.

    Attributes:
        sd: Standard deviation of one start, as a share: 0.02 is 2 %.
        low: Lower end of its 95 % interval.
        high: Its upper end.
        starts: Pairs of starts that it rests on.
    """

    sd: float
    low: float
    high: float
    starts: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often an interval held the true value, 1, for one measure.

    Attributes:
        measure: rps or cpu.
        verdict: Whether that was often enough for processes as they were started, rounds as units.
        rounds: The intervals that have rounds as units, one per comparison.
        start_effect: How much of a difference is one of starts; None where there are too few starts to tell.
        widened: The same intervals with that effect added, each with the effect that the other half of the starts
            showed; None where there are too few starts to tell.
    """

    measure: Literal["rps", "cpu"]
    verdict: Verdict
    rounds: Share
    start_effect: StartEffect | None
    widened: Share | None


@dataclass(frozen=True, slots=True)
class SamePart:
    """Part b: each edition against itself.

    Attributes:
        verdict: Whether the intervals of both measures hold 1 often enough.
        coverages: For requests per second and for CPU.
        foreign_cores: Processors that other programs used meanwhile, median of all comparisons.
        comparisons: Every comparison.
        seconds: How long this part took.
    """

    verdict: Verdict
    coverages: tuple[Coverage, ...]
    foreign_cores: float
    comparisons: tuple[SameComparison, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class PlantedComparison:
    """One default run against the same edition with more work planted into every request.

    Attributes:
        edition: Which.
        scenario: What was sent.
        repetition: Number of the starts.
        planted: How much more CPU per request was asked for: 0.05 is 5 %.
        extra_s: What was planted, in CPU seconds per request.
        base_s: CPU seconds per request of the edition without, in the same rounds.
        rps: Requests per second over those of the edition without.
        cpu: The same of CPU seconds per request.
        foreign_cores: Processors that other programs used meanwhile.
    """

    edition: Edition
    scenario: str
    repetition: int
    planted: float
    extra_s: float
    base_s: float
    rps: Ratio
    cpu: Ratio
    foreign_cores: float

    @property
    def share(self) -> float:
        """How much more CPU per request was planted, by what a request cost in these rounds."""
        return self.extra_s / self.base_s


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of one planted size.

    Attributes:
        planted: How much more CPU per request was asked for: 0.05 is 5 %.
        share: How much it was by what a request cost in the same rounds, the median.
        by_cpu: How often the interval of the CPU ratio lay above 1.
        by_rps: How often that of requests per second lay below 1.
        estimate: Median of the estimated CPU difference, as a share.
        worst_error: The largest distance of an estimate from what was planted, as a share.
    """

    planted: float
    share: float
    by_cpu: Share
    by_rps: Share
    estimate: float
    worst_error: float


@dataclass(frozen=True, slots=True)
class PlantedPart:
    """Part c: planted differences.

    Attributes:
        verdict: Whether the largest one is found 9 times in 10, and estimates are right on average.
        detections: Each planted size.
        resolution_cpu: Smallest difference in CPU per request that is found 9 times in 10 by the CPU ratio; None above
            the largest planted one.
        resolution_rps: The same difference in CPU per request, found by requests per second.
        median_error: Median of estimate over planted less 1, over all comparisons, as a share.
        foreign_cores: Processors that other programs used meanwhile, median of all comparisons.
        comparisons: Every comparison.
        seconds: How long this part took.
    """

    verdict: Verdict
    detections: tuple[Detection, ...]
    resolution_cpu: float | None
    resolution_rps: float | None
    median_error: float
    foreign_cores: float
    comparisons: tuple[PlantedComparison, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything one validation found; a part that was neither asked for nor taken over is None.

    Attributes:
        manifest: Where, when and with what.
        is_quick: Whether it was the short form, which has too few repetitions for a resolution.
        delays: Part a.
        same: Part b.
        planted: Part c.
        wrk: Part d.
        earlier: When those parts were run that are taken over from an earlier validation of the same commit (UTC).
        kind: What this record is.
        schema_version: Version of this record.
    """

    manifest: Manifest
    is_quick: bool
    delays: DelaysPart | None = None
    same: SamePart | None = None
    planted: PlantedPart | None = None
    wrk: WrkPart | None = None
    earlier: Mapping[PartName, str] = field(default_factory=dict)
    kind: Literal["validate"] = "validate"
    schema_version: int = SCHEMA_VERSION

    @property
    def parts(self) -> dict[PartName, DelaysPart | SamePart | PlantedPart | WrkPart | None]:
        """Every part by its letter."""
        return {"a": self.delays, "b": self.same, "c": self.planted, "d": self.wrk}

    @property
    def verdicts(self) -> dict[PartName, Verdict]:
        """The verdict of every part."""
        return {name: "not run" if part is None else part.verdict for name, part in self.parts.items()}
