"""Where two curves over the same levels cross, with an interval from rounds; pure functions."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from shared.lab.factors.result import Verdict
from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.student_t import student_t_quantile

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where the curves cross, if they do.

    Attributes:
        verdict: Whether they cross between the first and the last level.
        at: The level, in the levels' unit; None where the curves of all rounds do not cross.
        low: Lower end of its interval; None without a level.
        high: Upper end.
        probability: Share of the resamples that cross.
        is_above: Whether the first curve is above the second at the lowest level.
        is_repeated: Whether the curves of all rounds cross more than once.
    """

    verdict: Verdict
    at: float | None
    low: float | None
    high: float | None
    probability: float
    is_above: bool
    is_repeated: bool


def find(first: Floats, second: Floats, levels: Floats, *, seed: int) -> Place:
    """Return where two curves cross, first of all from below.

    What is interpolated is the logarithm of first over second, a straight line between neighbouring levels: the curves
    cross where it is 0. Its value at a level is the mean over rounds, as in `statistics.paired_ratio`. The interval is
    a bootstrap over whole rounds (Efron and Tibshirani 1993, chapter 13): one draw of rounds gives a value at each
    level, hence a curve, and a place of its own; the interval is that of the places of the curves that cross, with
    percentiles expanded for few rounds (Hesterberg 2015, section 5.3). Crossing, or not crossing, is shown where at
    least 95 % of the drawn curves do, or do not.

    Args:
        first: Positive values, one row per round, one column per level.
        second: The same of the other curve, in the same rounds.
        levels: The levels, ascending.
        seed: Seed of the resampling.

    Raises:
        ValueError: If shapes differ, rounds or levels are too few, or a value is not positive and finite.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != levels.size:
        raise ValueError(f"both must have a row per round and a column per level (got {first.shape}, {second.shape})")
    rounds = first.shape[0]
    if rounds < MINIMUM_ROUNDS or levels.size < 2 or not (np.diff(levels) > 0).all():
        raise ValueError(f"at least three rounds and two ascending levels are needed (got {rounds}, {levels.tolist()})")
    for values in (first, second):
        if not (np.isfinite(values) & (values > 0)).all():
            raise ValueError("every value must be positive and finite")
    logs = np.log(first) - np.log(second)
    mean = logs.mean(axis=0)
    generator = np.random.default_rng(seed)
    drawn = logs[generator.integers(0, rounds, size=(RESAMPLES, rounds))].mean(axis=1)
    places = _first_places(drawn, levels)
    crossing = places[~np.isnan(places)]
    probability = crossing.size / RESAMPLES
    at = float(_first_places(mean[np.newaxis, :], levels)[0])
    changes = int(_changes(mean[np.newaxis, :]).sum())
    low = high = None
    if changes and crossing.size:
        tail = NormalDist().cdf(
            -math.sqrt(rounds / (rounds - 1)) * student_t_quantile(0.5 + CONFIDENCE / 2, rounds - 1)
        )
        low, high = (float(end) for end in np.quantile(crossing, [tail, 1.0 - tail]))
    verdict: Verdict = "not shown"
    if probability >= CONFIDENCE and changes:
        verdict = "cross"
    elif probability <= 1 - CONFIDENCE and not changes:
        verdict = "apart"
    return Place(
        verdict=verdict,
        at=at if changes else None,
        low=low,
        high=high,
        probability=probability,
        is_above=bool(mean[0] > 0),
        is_repeated=changes > 1,
    )


def _changes(curves: Floats) -> npt.NDArray[np.bool_]:
    """Return, for each curve, between which neighbouring levels its sign changes."""
    above = curves > 0
    changed: npt.NDArray[np.bool_] = above[:, 1:] != above[:, :-1]
    return changed


def _first_places(curves: Floats, levels: Floats) -> Floats:
    """Return the first level at which each curve is 0; NaN for one whose sign does not change."""
    changed = _changes(curves)
    left = changed.argmax(axis=1)
    rows = np.arange(len(curves))
    before, after = curves[rows, left], curves[rows, left + 1]
    span = before - after
    share = np.divide(before, span, out=np.zeros_like(before), where=span != 0)
    places = levels[left] + share * (levels[left + 1] - levels[left])
    result: Floats = np.where(changed.any(axis=1), places, np.nan)
    return result
