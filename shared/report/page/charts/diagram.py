"""Lines over an axis of any values: straight or in steps, few readings or many, linear or logarithmic both ways."""

import math
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.report import format
from shared.report.page.charts import marks
from shared.report.page.charts import plot
from shared.report.page.charts import scale
from shared.report.page.charts.plot import Axes
from shared.report.page.content import Svg

# Readings of a line that have a mark, at most; all of them are in the line and in the table.
MARKED = 24
# Readings that are told one by one.
TOLD = 12
# Places that are marked on the axis themselves, instead of round ones.
OWN_PLACES = 10
# Pixels between the marks of neighbouring lines, so that equal ones do not cover each other.
SHIFT = 5.0
# Characters of an axis' name on a telephone.
NAME = 42

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line.

    Attributes:
        name: In the legend.
        points: Places and values, by place.
        is_step: Whether a value stays until the next.
    """

    name: str
    points: tuple[Point, ...]
    is_step: bool = False


def diagram_chart(
    curves: Sequence[Curve], *, title: str, x: str, y: str, is_log_x: bool = False, is_log_y: bool = False
) -> Svg:
    """Return lines with marks; each mark says what it stands for when pointed at.

    Args:
        curves: What is drawn; readings that are no finite numbers are left out.
        title: What it shows.
        x: What goes to the right, with its unit.
        y: What goes up, with its unit.
        is_log_x: Whether the axis that goes to the right is logarithmic.
        is_log_y: Whether the one that goes up is.
    """
    drawn = [(number, curve, finite(curve.points)) for number, curve in enumerate(curves)]
    places = [point[0] for _, _, points in drawn for point in points]
    values = [point[1] for _, _, points in drawn for point in points]
    y_axis = scale.log_from_0(values, most=6, pad=0, start=0) if is_log_y else scale.spread(values, pad=0, start=0)
    axes = Axes(_across(places, is_log=is_log_x), y_axis, format.significant, format.significant)
    told = marks.joined(f"{curve.name}: {_told(points)}" for _, curve, points in drawn)
    across = f"{marks.short(x, NAME)}{' (logarithmic)' if is_log_x else ''}"
    root = plot.frame(f"{marks.short(y, NAME)}{' (logarithmic)' if is_log_y else ''}", told, axes, across)
    # What stands above the axis is its name; what the picture is called is another thing.
    root[0].text = format.visible(title)
    for number, curve, points in drawn:
        path = [axes.place(*point) for point in (_steps(points) if curve.is_step else points)]
        if len(path) > 1:
            look = f"curve s{number % len(marks.PATTERNS)}"
            plot.line(root, path, look, dashes=marks.DASHES[number % len(marks.DASHES)])
    for number, curve, points in drawn:
        # Where readings are many, a mark beside its place would stand beside its line.
        shift = SHIFT * (number - (len(drawn) - 1) / 2) if len(set(places)) <= OWN_PLACES else 0.0
        for place, value in _thinned(points):
            at_x, up = axes.place(place, value)
            marks.mark(root, number, at_x, plot.down(up), f"{curve.name}: {_reading((place, value))}", shift=shift)
    return marks.markup(root)


def finite(points: Iterable[Point]) -> list[Point]:
    """Return the points that can be drawn."""
    return [point for point in points if all(map(math.isfinite, point))]


def _across(places: Sequence[float], *, is_log: bool) -> scale.Scale:
    pad, start = 4.0, scale.LABELS
    axis = scale.log_from_0(places, pad=pad, start=start) if is_log else scale.spread(places, pad=pad, start=start)
    own = tuple(sorted(set(places)))
    if not 0 < len(own) <= OWN_PLACES:
        return axis
    return scale.Scale(axis.low, axis.high, axis.is_log, own, axis.pad, axis.start, axis.knee)


def _steps(points: Sequence[Point]) -> Iterator[Point]:
    for (_, before), (place, value) in pairwise([*points[:1], *points]):
        yield place, before
        yield place, value


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return as many points as there is room for, the first and the last among them."""
    if len(points) <= MARKED:
        return points
    stride = (len(points) - 1) / (MARKED - 1)
    return [points[round(number * stride)] for number in range(MARKED)]


def _told(points: Sequence[Point]) -> str:
    if not points:
        return "nothing"
    if len(points) <= TOLD:
        return ", ".join(map(_reading, points))
    values = [value for _, value in points]
    return (
        f"{len(points)} readings, first {_reading(points[0])}, last {_reading(points[-1])}, "
        f"from {format.significant(min(values))} to {format.significant(max(values))}"
    )


def _reading(point: Point) -> str:
    return f"{format.significant(point[1])} at {format.significant(point[0])}"
