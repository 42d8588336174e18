"""Times of several trials as figures: their mean with its interval, and the longest."""

from collections.abc import Sequence

from shared.lab.claims.claim import Figure
from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.statistics import paired_difference


def duration_figures(name: str, label: str, durations_s: Sequence[float]) -> list[Figure]:
    """Return the mean of some durations, with Student's 95 % interval from three trials on, and the longest of them.

    Args:
        name: The figures are called NAME_s and NAME_longest_s.
        label: What was timed, in words.
        durations_s: One for each trial, in seconds.

    Raises:
        ValueError: If there is none.
    """
    if not durations_s:
        raise ValueError("'durations_s' must hold at least one value (got none)")
    trials = len(durations_s)
    mean_s = sum(durations_s) / trials
    low: float | None = None
    high: float | None = None
    if trials >= MINIMUM_ROUNDS:
        # Against nothing: the interval of a mean is that of its difference from 0.
        found = paired_difference(durations_s, [0.0] * trials)
        low, high = found.low, found.high
    return [
        Figure(f"{name}_s", f"{label}, mean", mean_s, "s", trials, low, high),
        Figure(f"{name}_longest_s", f"{label}, longest", max(durations_s), "s", trials),
    ]
