"""Medians, and the ratio of two, with a 95 % interval from repetitions; pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.statistics import Ratio
from shared.lab.student_t import student_t_quantile

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A median with its 95 % interval, in the unit of the values.

    Attributes:
        median: Of the values.
        low: Lower end.
        high: Upper end.
    """

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float], *, seed: int) -> Interval:
    """Return the median with its interval.

    A bootstrap over the values (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13), with the
    percentiles widened for few values (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3).

    Args:
        values: One value a repetition.
        seed: The same seed gives the same interval.

    Raises:
        ValueError: If there are fewer than three values.
    """
    array = np.asarray(values, dtype=np.float64)
    medians = np.median(array[_resampled(array.size, seed)], axis=1)
    low, high = _ends(medians, array.size)
    return Interval(float(np.median(array)), low, high)


def median_ratio(numerator: Sequence[float], denominator: Sequence[float], *, seed: int) -> Ratio | None:
    """Return the ratio of two medians with its interval, from repetitions that alternated.

    Pairs are resampled together, as for `median_interval`, so that what both halves of a pair have in common, such as a
    busy machine, touches both medians.

    Args:
        numerator: One value a repetition.
        denominator: One value a repetition, in the same order and unit.
        seed: The same seed gives the same interval.

    Returns:
        None where a median is 0, so that their ratio says nothing.

    Raises:
        ValueError: If lengths differ, or there are fewer than three pairs.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if above.shape != below.shape:
        raise ValueError(f"both sequences must be of one length (got {above.size} and {below.size})")
    chosen = _resampled(above.size, seed)
    over, under = np.median(above[chosen], axis=1), np.median(below[chosen], axis=1)
    value = float(np.median(above)), float(np.median(below))
    if min(*value, float(over.min()), float(under.min())) <= 0:
        return None
    low, high = _ends(np.log(over) - np.log(under), above.size)
    return Ratio(value[0] / value[1], math.exp(low), math.exp(high), int(above.size))


def _resampled(count: int, seed: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """Return the places of the values of each resample."""
    if count < MINIMUM_ROUNDS:
        raise ValueError(f"at least {MINIMUM_ROUNDS} repetitions are needed (got {count})")
    return np.random.default_rng(seed).integers(0, count, size=(RESAMPLES, count))


def _ends(estimates: "np.ndarray[tuple[int], np.dtype[np.float64]]", count: int) -> tuple[float, float]:
    t = student_t_quantile(0.5 + CONFIDENCE / 2, count - 1)
    tail = NormalDist().cdf(-math.sqrt(count / (count - 1)) * t)
    low, high = np.quantile(estimates, [tail, 1.0 - tail], method="linear")
    return float(low), float(high)
