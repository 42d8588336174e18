"""Axes: from a value to its place in percent, and round values to mark; pure functions."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Left free at both ends, in percent, so that no mark is cut.
PAD = 2.0
# Left free where the texts of the other axis stand, in percent.
LABELS = 13.0
ROUND = (1.0, 2.0, 5.0)
# From this ratio of the largest to the smallest value on an axis is logarithmic.
DECADE = 10.0


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis.

    Attributes:
        low: Value at its beginning.
        high: Value at its end.
        is_log: Whether equal distances are equal ratios.
        ticks: Values to mark.
        pad: What is left free at its end, in percent.
        start: What is left free at its beginning.
        knee: On a logarithmic axis that begins at 0, up to where distances are nearly equal differences; 0 otherwise.
    """

    low: float
    high: float
    is_log: bool
    ticks: tuple[float, ...]
    pad: float = PAD
    start: float = PAD
    knee: float = 0.0

    def at(self, value: float) -> float:
        """Return the place of a value in percent from the beginning; values outside stand at the edge."""
        low, high, value = (self._scaled(v) for v in (self.low, self.high, max(value, self.low)))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.start + share * (100.0 - self.start - self.pad), 3)

    def _scaled(self, value: float) -> float:
        if not self.is_log:
            return value
        return math.log10(1.0 + value / self.knee) if self.knee else math.log10(value)


def linear(values: Iterable[float], *, ticks: int = 5, pad: float = PAD) -> Scale:
    """Return an axis from 0 that holds all values, marked at about so many round ones."""
    high = max([*values, 0.0]) or 1.0
    step = _round_step(high / ticks)
    marks = [step * number for number in range(math.floor(high / step + 1e-9) + 1)]
    return Scale(0.0, max(high, marks[-1]), False, tuple(marks), pad, pad)


def spread(values: Iterable[float], *, ticks: int = 5, pad: float = PAD, start: float = PAD) -> Scale:
    """Return a linear axis that holds 0 and all values, negative ones too, marked at about so many round ones.

    Whole values are marked at whole ones.
    """
    found = [*values, 0.0]
    low, high = min(found), max(found)
    if low == high:
        high = 1.0
    step = _round_step((high - low) / ticks)
    if all(float(value).is_integer() for value in found):
        step = max(step, 1.0)
    first, last = math.floor(low / step + 1e-9), math.floor(high / step + 1e-9)
    marks = tuple(round(step * number, 12) for number in range(first, last + 1))
    return Scale(min(low, marks[0]), high, False, marks, pad, start)


def log_from_0(values: Iterable[float], *, most: int = 7, pad: float = PAD, start: float = PAD) -> Scale:
    """Return a logarithmic axis that holds all values, 0 among them too: then it is the logarithm of 1 + v/knee.

    The knee is the smallest other value. Negative values stand where the axis begins.
    """
    found = list(values)
    positive = [value for value in found if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    if high / low < 1.05:
        low, high = low / 1.5, high * 1.5
    marks = _log_ticks(low, high, most)
    if min(found, default=low) > 0:
        return Scale(low, high, True, marks, pad, start)
    return Scale(0.0, high, True, (0.0, *marks), pad, start, low)


def logarithmic(values: Iterable[float], *, most: int = 7, pad: float = PAD) -> Scale:
    """Return an axis that holds all values, which must be positive, marked at round ones."""
    found = list(values)
    low, high = min(found), max(found)
    if high / low < 1.05:
        low, high = low / 1.5, high * 1.5
    return Scale(low, high, True, _log_ticks(low, high, most), pad, pad)


def places(values: Iterable[float]) -> Scale:
    """Return an axis that is marked at the values themselves, such as 1, 8, 32 and 128 connections.

    It is linear, or logarithmic where they span a decade or more. With 0 among them it is the logarithm of 1 + v/knee
    then, the knee being the smallest other value: 0 has its place, and beyond it equal ratios have equal distances.

    Args:
        values: At least one; none is negative.
    """
    found = sorted(set(values))
    low, high = (found[0], found[-1]) if len(found) > 1 else (found[0] / 2, found[0] * 2 or 1.0)
    least = next((value for value in found if value > 0), high)
    is_log = high / least >= DECADE
    knee = least if is_log and low == 0 else 0.0
    return Scale(low, high, is_log, tuple(found), 4.0, LABELS, knee)


def around(values: Iterable[float], *, centre: float = 1.0, least: float = 1.1, most: int = 7) -> Scale:
    """Return a logarithmic axis for ratios: as far to the left of the centre as to the right, at least by a factor."""
    reach = max([least, *(max(value / centre, centre / value) for value in values)]) * 1.03
    low, high = centre / reach, centre * reach
    if reach < 2.2:
        step = _round_step((high - low) / most)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        ticks = tuple(round(step * number, 10) for number in range(first, last + 1))
    else:
        ticks = _log_ticks(low, high, most)
    return Scale(low, high, True, ticks)


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below a value."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (*ROUND, 10.0) if step * power >= least * (1 - 1e-9))


def _log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return values of 1, 2 and 5 times powers of ten in a range; only powers, or every second, where too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps, stride in ((ROUND, 1), ((1.0,), 1), ((1.0,), 2), ((1.0,), 3)):
        found = [
            float(f"{step}e{power}")
            for power in range(first, last + 1)
            if not (stride > 1 and power % stride)
            for step in steps
        ]
        kept = tuple(value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9))
        if len(kept) <= most:
            break
    return kept
