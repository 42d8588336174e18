"""The typical ratio of two clients over pairs of slices, and how many pairs would decide it: pure functions."""

import math

import numpy as np
import numpy.typing as npt

from shared.lab.statistics import Numbers
from shared.lab.statistics import Ratio

# With fewer pairs no interval of 95 % exists: even the outermost values hold the middle in 94 % only.
LEAST_PAIRS = 6
CONFIDENCE = 0.95

Floats = npt.NDArray[np.float64]


def typical_ratio(numerator: Numbers, denominator: Numbers) -> Ratio:
    """Return the typical ratio over pairs, with the 95 % interval of Wilcoxon's signed ranks.

    The estimate is the exponential of the median of all averages of two log ratios (J. L. Hodges and E. L. Lehmann
    1963, "Estimates of Location Based on Rank Tests"); the interval is between those averages that the signed-rank test
    does not reject (M. Hollander, D. A. Wolfe and E. Chicken 2014, "Nonparametric Statistical Methods", section 3.3).
    It supposes that what the machine does to a pair falls on either client alike, and no shape of noise.

    Why not the geometric mean, as elsewhere: a machine that takes half of one slice and none of the next says nothing
    about two clients, but rules a mean. Of 300 simulated comparisons of equal clients with slices that scatter by 5 %
    and of which one in seven loses a fifth to a half, 32 pairs showed agreement within 10 % in 75 %, by means in 30 %;
    96 pairs within 5 % in 83 %, by means in 8 %. With normal noise of 10 % the two are alike (55 and 61 %; both 99 %).

    Args:
        numerator: One positive value per pair.
        denominator: One positive value per pair, in the same order.

    Raises:
        ValueError: If lengths differ, pairs are fewer than six, or a value is not positive and finite.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if above.shape != below.shape or above.ndim != 1:
        raise ValueError(f"both sequences must be of one length (got {above.shape} and {below.shape})")
    if above.size < LEAST_PAIRS:
        raise ValueError(f"at least {LEAST_PAIRS} pairs are needed (got {above.size})")
    if not (np.isfinite(above).all() and np.isfinite(below).all() and (above > 0).all() and (below > 0).all()):
        raise ValueError("every value must be positive and finite, or its ratio has no meaning")
    logs = np.log(above) - np.log(below)
    one, other = np.triu_indices(logs.size)
    averages = np.sort((logs[one] + logs[other]) / 2)
    outside = averages_outside(logs.size)
    low, middle, high = averages[outside], np.median(averages), averages[-1 - outside]
    return Ratio(math.exp(middle), math.exp(low), math.exp(high), int(logs.size))


def averages_outside(pairs: int, confidence: float = CONFIDENCE) -> int:
    """Return how many averages of two lie outside the interval at each end.

    By the exact distribution of the signed-rank sum: each rank counts or does not, with a chance of one half.

    Raises:
        ValueError: If there are too few pairs for an interval of that confidence.
    """
    chances = np.ones(1)
    for rank in range(1, pairs + 1):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    below = int(np.searchsorted(np.cumsum(chances), (1 - confidence) / 2, side="right"))
    if not below:
        raise ValueError(f"{pairs} pairs are too few for an interval of {confidence:.0%}")
    return below - 1


def pairs_needed(ratio: Ratio, bound: float) -> int | None:
    """Return about how many pairs would show agreement within a bound; None where the estimate lies outside.

    An interval narrows with the root of the number of pairs; it must fit between the estimate and the nearer bound.
    """
    room = math.log1p(bound) - abs(math.log(ratio.value))
    if room <= 0:
        return None
    return math.ceil(ratio.rounds * (math.log(ratio.high / ratio.low) / 2 / room) ** 2)
