"""How much each part of a validation runs, and how long that takes; nothing here reads a clock or starts anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace

from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.validity.result import PartName

# What the services do least for and what most requests are like: CPU alone, and one row of a database.
SCENARIOS = (Scenario("/plaintext", "/plaintext"), Scenario("/db", "/db"))
# More CPU per request, as shares.
PLANTED = (0.02, 0.05, 0.1, 0.2)

# As they were on one machine with two processors: a service's start, and what a slice takes beyond ramp and window.
START_S = 1.2
SLICE_GAP_S = 0.06
WRK_GAP_S = 0.2


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is run.

    Attributes:
        delay_rounds: Part a: rounds of slices without a stall.
        delay_window_s: Part a: length of such a slice, in seconds.
        stall_rounds: Part a: rounds of slices with a stall.
        same_starts: Part b: pairs of starts of each edition.
        same_timing: Part b: rounds and windows of each comparison.
        repetitions: Part c: how often each edition is started with all planted sizes, for each scenario in turn.
        planted_timing: Part c: rounds and windows; those of the default comparison.
        wrk_slice_s: Part d: length of a slice, whole seconds, as wrk takes no others.
        wrk_least_rounds: Part d: pairs of slices before the intervals are looked at.
        wrk_most_rounds: Part d: pairs of slices for each service after which it ends undecided; those that one does not
            need are left to the other. Time may end it before (`BUDGET_S`).
        wrk_pace_rounds: Part d: rounds of the measurement of the client's pace, three slices each; none if 0.
    """

    delay_rounds: int
    delay_window_s: float
    stall_rounds: int
    same_starts: int
    same_timing: Timing
    repetitions: tuple[int, ...]
    planted_timing: Timing
    wrk_slice_s: int
    wrk_least_rounds: int
    wrk_most_rounds: int
    wrk_pace_rounds: int


FULL = Sizes(
    # Nine, so that the interval of a median leaves one out at each end.
    delay_rounds=9,
    delay_window_s=0.2,
    stall_rounds=3,
    same_starts=10,
    same_timing=Timing(rounds=10, ramp_s=0.03, window_s=0.07, warm_up_slice_s=0.15, warm_up_slices=3),
    # Of /db one more: most requests are like it.
    repetitions=(1, 2),
    planted_timing=Timing(),
    wrk_slice_s=1,
    wrk_least_rounds=8,
    wrk_most_rounds=120,
    wrk_pace_rounds=8,
)
# Shows that every part works; too few starts and repetitions to say how often something holds.
QUICK = Sizes(
    delay_rounds=3,
    delay_window_s=0.2,
    stall_rounds=1,
    same_starts=2,
    same_timing=FULL.same_timing,
    repetitions=(1, 1),
    planted_timing=Timing(rounds=5, ramp_s=0.05, window_s=0.2),
    wrk_slice_s=1,
    wrk_least_rounds=6,
    wrk_most_rounds=8,
    wrk_pace_rounds=0,
)


# Part d takes what the parts before it leave of this, in seconds, as noise of a shared machine needs many slices: a
# whole validation takes less than ten minutes.
BUDGET_S = 585.0


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part before it is run.

    Attributes:
        part: Its letter.
        what: What it shows.
        amount: How much is run.
        seconds: How long that takes at most, in seconds.
    """

    part: PartName
    what: str
    amount: str
    seconds: float


def make_plan(sizes: Sizes, parts: tuple[PartName, ...]) -> tuple[PartPlan, ...]:
    """Return what would be run."""
    planned = [plan for plan in _all(sizes) if plan.part in parts]
    left_s = BUDGET_S - sum(plan.seconds for plan in planned if plan.part != "d")
    return tuple(
        replace(plan, seconds=left_s, amount=f"{plan.amount}, as time allows")
        if plan.part == "d" and plan.seconds > left_s
        else plan
        for plan in planned
    )


def _all(sizes: Sizes) -> tuple[PartPlan, ...]:
    cells = 2 * len(SCENARIOS)
    comparisons = cells * sizes.same_starts
    sets = 2 * sum(sizes.repetitions)
    seconds: Mapping[PartName, float] = {
        "a": START_S + 4 * sizes.delay_rounds * (sizes.delay_window_s + 0.15) + 2 * sizes.stall_rounds * 2.2,
        "b": 2 * sizes.same_starts * (2 * START_S + len(SCENARIOS) * _run_s(sizes.same_timing, 2)),
        "c": cells * (START_S + 2) + sets * (1 + len(PLANTED)) * (START_S + _run_s(sizes.planted_timing, 1)),
        "d": 2 * START_S + (4 * sizes.wrk_most_rounds + 3 * sizes.wrk_pace_rounds) * (sizes.wrk_slice_s + WRK_GAP_S),
    }
    return (
        PartPlan(
            "a",
            "known delays and a stall are measured as such",
            f"{4 * sizes.delay_rounds + 2 * sizes.stall_rounds} slices of load on a scripted server",
            seconds["a"],
        ),
        PartPlan(
            "b",
            "an edition against itself: no difference",
            f"{comparisons} comparisons, {2 * sizes.same_starts} pairs of starts",
            seconds["b"],
        ),
        PartPlan(
            "c",
            "planted differences are found",
            f"{sets * len(PLANTED)} comparisons, {sets * (1 + len(PLANTED))} starts",
            seconds["c"],
        ),
        PartPlan(
            "d",
            "the load client agrees with wrk",
            (f"{sizes.wrk_pace_rounds} rounds for the client's pace, " if sizes.wrk_pace_rounds else "")
            + f"at most {2 * sizes.wrk_most_rounds} pairs",
            seconds["d"],
        ),
    )


def _run_s(timing: Timing, subjects: int) -> float:
    """Return how long one comparison takes, every warm-up at its bound, in seconds."""
    rounds = timing.rounds * (timing.ramp_of(LOADS[0]) + timing.window_s + SLICE_GAP_S)
    return subjects * (rounds + timing.warm_up_slices * (timing.warm_up_slice_s + SLICE_GAP_S))
