"""Lines: a figure against how much was sent, and response times against percentiles."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shared.report.page.charts import marks
from shared.report.page.charts import plot
from shared.report.page.charts import scale
from shared.report.page.charts.plot import Axes
from shared.report.page.charts.plot import Band
from shared.report.page.content import Svg

# Pixels between the marks of neighbouring series, so that their intervals do not cover each other.
SHIFT = 5.0
# Pieces of a curve that is no straight line on its axes.
PIECES = 48


@dataclass(frozen=True, slots=True)
class Reading:
    """One point of a line.

    Attributes:
        x: Its place; not negative.
        y: Its value.
        low: Lower end of its interval; None without one.
        high: Upper end of it.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One line."""

    name: str
    readings: tuple[Reading, ...]


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    across: str,
    unit: Callable[[float], str],
    is_log: bool = False,
    x_unit: Callable[[float], str] = "{:g}".format,
    bands: Sequence[Band] = (),
    reference: Callable[[float], float] | None = None,
) -> Svg:
    """Return lines with marks and intervals over an axis that is marked at the readings' own places.

    That axis is linear, or logarithmic where the places span a decade or more, and says which.

    Args:
        series: What is drawn.
        title: What goes up.
        across: What goes to the right.
        unit: Makes the text of a value.
        is_log: Whether the axis that goes up is logarithmic, too; it begins at 0 otherwise.
        x_unit: Makes the text of a place.
        bands: Where lines cross.
        reference: Value at a place of a dashed line to compare with; none if None.
    """
    readings = [reading for line in series for reading in line.readings]
    x_axis = scale.places([reading.x for reading in readings])
    reached = [value for r in readings for value in (r.y, r.low, r.high) if value]
    y_axis = scale.logarithmic(reached, most=6, pad=0) if is_log else scale.linear(reached, pad=0)
    axes = Axes(x_axis, y_axis, x_unit, unit)
    told = marks.joined(
        (*(f"{line.name}: " + ", ".join(_told(r, axes) for r in line.readings) for line in series),
         *(each.text for each in bands))
    )  # fmt: skip
    root = plot.frame(title if not is_log else f"{title} (logarithmic)", told, axes, named(across, x_axis))
    for each in bands:
        plot.band(root, axes, each)
    if reference is not None:
        _reference(root, axes, reference)
    for number, line in enumerate(series):
        _line(root, number, [axes.place(r.x, r.y) for r in line.readings])
    for number, line in enumerate(series):
        shift = SHIFT * (number - (len(series) - 1) / 2)
        for r in line.readings:
            x, y = x_axis.at(r.x), plot.down(y_axis.at(r.y))
            if r.low is not None and r.high is not None:
                look = f"s{number % len(marks.PATTERNS)}"
                plot.whisker(root, look, x, plot.down(y_axis.at(r.low)), plot.down(y_axis.at(r.high)), shift)
            marks.mark(root, number, x, y, f"{line.name}: {_told(r, axes)}", shift=shift)
    plot.name_bands(root, axes, bands)
    return marks.markup(root)


def spectrum_chart(series: Sequence[Series], *, title: str, unit: Callable[[float], str], across: str) -> Svg:
    """Return response times, up to the slowest, over percentiles that are drawn the wider the nearer they are to all.

    Args:
        series: What is drawn; the place of a reading is a quantile in [0, 1).
        title: What goes up.
        unit: Makes the text of a value.
        across: What goes to the right.
    """
    readings = [reading for line in series for reading in line.readings]
    slowest = max(1.0 / (1.0 - reading.x) for reading in readings)
    ticks = tuple(tick for tick in (2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6) if tick <= slowest * 1.0001)
    x_axis = scale.Scale(1.0, max(slowest, 10.0), True, ticks, 6.0, scale.LABELS)
    y_axis = scale.logarithmic([reading.y for reading in readings if reading.y > 0], most=8, pad=0)
    told = marks.joined(f"{line.name}: up to {unit(line.readings[-1].y)}" for line in series if line.readings)
    axes = Axes(x_axis, y_axis, _percentile, unit)
    root = plot.frame(title, told, axes, across)
    for number, line in enumerate(series):
        points = [axes.place(1.0 / (1.0 - r.x), r.y) for r in line.readings if r.y > 0]
        _line(root, number, points)
        if points:
            last = line.readings[-1]
            marks.mark(root, number, points[-1][0], plot.down(points[-1][1]), f"{line.name}: slowest {unit(last.y)}")
    return marks.markup(root)


def named(across: str, axis: scale.Scale) -> str:
    """Return what goes to the right, with how it is scaled where that is not linear."""
    if not axis.is_log:
        return across
    return f"{across} (logarithmic{f' above {axis.knee:g}' if axis.knee else ''})"


def _told(reading: Reading, axes: Axes) -> str:
    interval = ""
    if reading.low is not None and reading.high is not None:
        interval = f" [{axes.y_unit(reading.low)}, {axes.y_unit(reading.high)}]"
    return f"{axes.y_unit(reading.y)}{interval} at {axes.x_unit(reading.x)}"


def _percentile(odds: float) -> str:
    """Return one in so many as a percentile: one in 100 is 99 %."""
    return f"{100 - 100 / odds:.10g} %"


def _line(root: ET.Element, series: int, points: Sequence[tuple[float, float]]) -> None:
    plot.line(root, points, f"curve s{series % len(marks.PATTERNS)}", dashes=marks.DASHES[series % len(marks.DASHES)])


def _reference(root: ET.Element, axes: Axes, value: Callable[[float], float]) -> None:
    """Draw a line to compare with, as far as it stays within the plot."""
    low, high = axes.x.low, axes.x.high
    places = [low + (high - low) * (step / PIECES) ** 2 for step in range(PIECES + 1)]
    points = [axes.place(x, value(x)) for x in places if axes.y.low <= value(x) <= axes.y.high]
    if len(points) > 1:
        plot.line(root, points, "reference thin", dashes="4 3")
