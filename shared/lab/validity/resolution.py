"""The smallest difference that a run finds: pure functions over runs against planted differences."""

import math
from collections.abc import Sequence
from statistics import median

from shared.lab.validity.coverage import share
from shared.lab.validity.result import Detection
from shared.lab.validity.result import PlantedComparison
from shared.lab.validity.verdict import Verdict

# What "found" means: 9 times in 10.
POWER = 0.9
# With fewer runs the ninth of ten is a matter of one or two of them.
LEAST_RUNS = 24
# Half a dozen starts that differ by 1 to 4 % each leave so much in the mean.
LARGEST_BIAS = 0.03


def detections(comparisons: Sequence[PlantedComparison]) -> tuple[Detection, ...]:
    """Return for each planted size how often it was found, and how far off the estimate was."""
    return tuple(
        _detection(planted, [each for each in comparisons if each.planted == planted])
        for planted in sorted({each.planted for each in comparisons})
    )


def _detection(planted: float, runs: Sequence[PlantedComparison]) -> Detection:
    return Detection(
        planted=planted,
        share=median(each.share for each in runs),
        by_cpu=share(sum(each.cpu.low > 1 for each in runs), len(runs)),
        by_rps=share(sum(each.rps.high < 1 for each in runs), len(runs)),
        estimate=median(each.cpu.value - 1 for each in runs),
        worst_error=max((error(each) for each in runs), key=abs),
    )


def error(run: PlantedComparison) -> float:
    """Return by how much the estimated CPU ratio is off, as a share."""
    return run.cpu.value / (1 + run.share) - 1


def needed_by_cpu(run: PlantedComparison) -> float:
    """Return which planted difference this run would just have found by CPU, as a logarithm.

    Estimate and interval move with what is planted, on a logarithmic scale, and neither the run's error nor the width
    of its interval depends on it. So a run whose interval begins this far above 1 would have begun at 1 for a
    difference smaller by as much.
    """
    return math.log1p(run.share) - math.log(run.cpu.low)


def rps_slope(runs: Sequence[PlantedComparison]) -> float:
    """Return how much throughput falls for each unit of CPU planted, both as logarithms; through the origin."""
    planted = [math.log1p(run.share) for run in runs]
    fallen = [-math.log(run.rps.value) for run in runs]
    return sum(x * y for x, y in zip(planted, fallen, strict=True)) / sum(x * x for x in planted)


def needed_by_rps(run: PlantedComparison, slope: float) -> float:
    """Return which planted CPU difference this run would just have found by throughput, as a logarithm."""
    return math.log1p(run.share) + math.log(run.rps.high) / slope


def nine_in_ten(needed: Sequence[float], largest: float) -> float | None:
    """Return the difference that 9 runs in 10 would have found, as a share; None above the largest that was tried.

    The order statistic of rank ceil(0.9 n): all runs of all sizes say each which difference it needed.

    Args:
        needed: What each run needed, as logarithms.
        largest: The largest planted difference, as a share: beyond it nothing was tried.
    """
    rank = math.ceil(POWER * len(needed) - 1e-9)
    value = math.expm1(max(sorted(needed)[rank - 1], 0.0))
    return value if value <= largest else None


def resolutions(runs: Sequence[PlantedComparison]) -> tuple[float | None, float | None]:
    """Return the resolution by CPU and by throughput, both as differences in CPU per request."""
    largest = max(run.planted for run in runs)
    slope = rps_slope(runs)
    by_rps = nine_in_ten([needed_by_rps(run, slope) for run in runs], largest) if slope > 0 else None
    return nine_in_ten([needed_by_cpu(run) for run in runs], largest), by_rps


def judge(runs: Sequence[PlantedComparison], resolution_cpu: float | None) -> Verdict:
    """Return whether planted differences are found, and estimated without bias."""
    if len(runs) < LEAST_RUNS:
        return "undecided"
    is_right = abs(median(error(run) for run in runs)) <= LARGEST_BIAS
    return "holds" if is_right and resolution_cpu is not None else "fails"
