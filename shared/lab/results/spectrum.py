"""Response times over percentiles up to the slowest, and one subject's figure with its own interval; pure functions."""

from collections.abc import Iterable

import numpy as np

from shared.lab import statistics
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Measure
from shared.lab.results.record import Slice
from shared.lab.results.summary import VALUE_OF
from shared.lab.results.summary import response_times_s
from shared.lab.statistics import Ratio

# Points from one power of ten of the odds to the next: 90 % to 99 %, 99 % to 99.9 %.
PER_DECADE = 12


def spectrum(slices: Iterable[Slice]) -> tuple[tuple[float, float], ...]:
    """Return quantiles and their response times in seconds, of all rounds together, from the fastest to the slowest.

    Quantiles are spaced by their odds, as in an HDR histogram's percentile plot (G. Tene, HdrHistogram), and end where
    the samples do: the last of n stands at 1 - 1/n and is the slowest response itself.

    Args:
        slices: Slices of one subject under one scenario under one load.
    """
    parts = [response_times_s(piece) for piece in slices]
    times_s = np.concatenate(parts) if parts else np.zeros(0)
    count = len(times_s)
    if not count:
        return ()
    steps = int(np.log10(count) * PER_DECADE)
    quantiles = [1 - 10 ** (-step / PER_DECADE) for step in range(steps + 1)]
    values = np.quantile(times_s, quantiles, method="linear")
    points = [(q, float(value)) for q, value in zip(quantiles, values, strict=True) if q < 1 - 1 / count]
    return (*points, (1 - 1 / count, float(times_s.max())))


def own_interval(cell: CellSummary, measure: Measure, *, seed: int) -> Ratio | None:
    """Return one subject's geometric mean over rounds with its 95 % interval, in the unit of the measure.

    The interval of `statistics.paired_ratio`, over 1 instead of another subject's rounds. It holds what rounds have in
    common, such as a busy machine, so it is wider than a ratio of two subjects needs.

    Args:
        cell: Its summary.
        measure: Which figure.
        seed: Fixes the resampling.

    Returns:
        None where a round has no figure, or rounds are too few.
    """
    value_of = VALUE_OF[measure]
    values = [value_of(values) for values in cell.rounds]
    usable = [value for value in values if value]
    if len(usable) < len(values) or len(usable) < statistics.MINIMUM_ROUNDS:
        return None
    return statistics.paired_ratio(usable, [1.0] * len(usable), seed=seed)
