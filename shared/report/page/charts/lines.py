"""Lines: a figure against how much was sent, and response times against percentiles."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shared.report.page.charts import marks
from shared.report.page.charts import scale
from shared.report.page.content import Svg

TOP = 26
PLOT = 220
BOTTOM = 40
# Sides of the plot within itself: its axes are scaled to it.
INNER = 1000
# Pixels between the marks of neighbouring series, so that their intervals do not cover each other.
SHIFT = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One point of a line.

    Attributes:
        x: Its place; positive.
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
) -> Svg:
    """Return lines with marks and intervals over a logarithmic axis that is marked at the readings' own places.

    Args:
        series: What is drawn.
        title: What goes up.
        across: What goes to the right.
        unit: Makes the text of a value.
        is_log: Whether the axis that goes up is logarithmic, too; it begins at 0 otherwise.
        x_unit: Makes the text of a place.
    """
    readings = [reading for line in series for reading in line.readings]
    x_axis = scale.categories([reading.x for reading in readings])
    reached = [value for r in readings for value in (r.y, r.low, r.high) if value]
    y_axis = scale.logarithmic(reached, most=6, pad=0) if is_log else scale.linear(reached, pad=0)
    told = marks.joined(
        f"{line.name}: " + ", ".join(f"{unit(r.y)} at {x_unit(r.x)}" for r in line.readings) for line in series
    )
    root = _frame(title, told, x_axis, y_axis, across, unit, x_unit)
    for number, line in enumerate(series):
        _line(root, number, [(x_axis.at(r.x), y_axis.at(r.y)) for r in line.readings])
        shift = SHIFT * (number - (len(series) - 1) / 2)
        for r in line.readings:
            x, y = x_axis.at(r.x), _down(y_axis.at(r.y))
            if r.low is not None and r.high is not None:
                _whisker(root, number, x, _down(y_axis.at(r.low)), _down(y_axis.at(r.high)), shift)
            marks.mark(root, number, x, y, f"{line.name}: {unit(r.y)} at {x_unit(r.x)}", shift=shift)
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
    root = _frame(title, told, x_axis, y_axis, across, unit, _percentile)
    for number, line in enumerate(series):
        points = [(x_axis.at(1.0 / (1.0 - r.x)), y_axis.at(r.y)) for r in line.readings if r.y > 0]
        _line(root, number, points)
        if points:
            last = line.readings[-1]
            marks.mark(root, number, points[-1][0], _down(points[-1][1]), f"{line.name}: slowest {unit(last.y)}")
    return marks.markup(root)


def _percentile(odds: float) -> str:
    """Return one in so many as a percentile: one in 100 is 99 %."""
    return f"{100 - 100 / odds:.10g} %"


def _down(up: float) -> float:
    """Return the place in pixels of a height in percent."""
    return round(TOP + PLOT * (1 - up / 100), 2)


def _frame(
    title: str,
    told: str,
    x_axis: scale.Scale,
    y_axis: scale.Scale,
    across: str,
    unit: Callable[[float], str],
    x_unit: Callable[[float], str],
) -> ET.Element:
    root = marks.chart(title, told, TOP + PLOT + BOTTOM)
    marks.label(root, title, 0, 11, anchor="start", name="side-text")
    for tick in y_axis.ticks:
        y = _down(y_axis.at(tick))
        marks.element(root, "line", x1="0%", x2="100%", y1=y, y2=y, class_="axis" if tick == 0 else "grid")
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        marks.vertical(root, x, TOP + PLOT, TOP + PLOT + 5, "axis")
        marks.label(root, x_unit(tick), x, TOP + PLOT + 18)
    for tick in y_axis.ticks:
        marks.label(root, unit(tick), 0, _down(y_axis.at(tick)) - 4, anchor="start", name="tick-text halo")
    marks.label(root, across, 50, TOP + PLOT + 35, name="side-text")
    return root


def _line(root: ET.Element, series: int, points: Sequence[tuple[float, float]]) -> None:
    """Draw a line through places in percent, across and up."""
    holder = marks.element(
        root,
        "svg",
        x="0%",
        y=TOP,
        width="100%",
        height=PLOT,
        viewBox=f"0 0 {INNER} {INNER}",
        preserveAspectRatio="none",
        class_="over",
    )
    text = " ".join(f"{x * INNER / 100:.1f},{INNER - y * INNER / 100:.1f}" for x, y in points)
    marks.element(
        holder,
        "polyline",
        points=text,
        class_=f"curve s{series % len(marks.PATTERNS)}",
        stroke_dasharray=marks.DASHES[series % len(marks.DASHES)],
        vector_effect="non-scaling-stroke",
    )


def _whisker(root: ET.Element, series: int, x: float, bottom: float, top: float, shift: float) -> None:
    holder = marks.element(root, "svg", x=f"{x}%", y=0, class_="over")
    name = f"whisker s{series % len(marks.PATTERNS)}"
    marks.element(holder, "line", x1=shift, x2=shift, y1=top, y2=bottom, class_=name)
    for end in (top, bottom):
        marks.element(holder, "line", x1=shift - 4, x2=shift + 4, y1=end, y2=end, class_=name)
