"""A ratio against a level, such as an injected latency: where it crosses 1, what is compared changes places."""

import math
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import pairwise

from shared.report import format
from shared.report.page.charts import marks
from shared.report.page.charts import plot
from shared.report.page.charts import scale
from shared.report.page.charts.lines import Reading
from shared.report.page.charts.lines import named
from shared.report.page.charts.plot import Axes
from shared.report.page.charts.plot import Band
from shared.report.page.content import Svg

# Pieces of the curve between two levels: on a logarithmic axis it is no straight line.
PIECES = 24


def ratio_chart(
    readings: Sequence[Reading],
    *,
    title: str,
    across: str,
    below: str,
    above: str,
    series: tuple[int, int] = (0, 1),
    crossed: Band | None = None,
    x_unit: Callable[[float], str] = "{:g}".format,
) -> Svg:
    """Return ratios with their intervals over levels, on a logarithmic axis with 1 in its middle.

    A ratio whose interval holds 1 has a hollow mark and a thin line. Between two levels the logarithm of the ratio is
    interpolated over the level, as it is where a crossing is looked for.

    Args:
        readings: A ratio at each level; at least one.
        title: What is divided by what.
        across: What the levels are.
        below: What a ratio below 1 means.
        above: What a ratio above 1 means.
        series: Whose colour and mark a ratio below 1 has, and whose one above it.
        crossed: Where it crosses 1; None where that is not shown.
        x_unit: Makes the text of a level.
    """
    ordered = sorted(readings, key=lambda reading: reading.x)
    x_axis = scale.places([reading.x for reading in ordered])
    y_axis = scale.around([value for r in ordered for value in (r.y, r.low, r.high) if value])
    axes = Axes(x_axis, y_axis, x_unit, "{:g}".format)
    told = [f"{_text(r)} at {x_unit(r.x)}" for r in ordered]
    root = plot.frame(
        title,
        marks.joined((*told, crossed.text if crossed else "no crossing of 1 is shown")),
        axes,
        named(across, x_axis),
        sides=(below, above),
    )
    if crossed is not None:
        plot.band(root, axes, crossed)
    one = plot.down(y_axis.at(1.0))
    marks.element(root, "line", x1="0%", x2="100%", y1=one, y2=one, class_="reference")
    plot.line(root, [axes.place(x, y) for x, y in _curve(ordered)], "curve neutral")
    for r in ordered:
        holds = r.low is not None and r.high is not None and r.low <= 1.0 <= r.high
        own = series[r.y > 1.0]
        x = x_axis.at(r.x)
        if r.low is not None and r.high is not None:
            look = "equal" if holds else f"s{own % len(marks.PATTERNS)}"
            plot.whisker(root, look, x, plot.down(y_axis.at(r.low)), plot.down(y_axis.at(r.high)))
        extra = "equal" if holds else ""
        marks.mark(root, own, x, plot.down(y_axis.at(r.y)), f"{_text(r)} at {x_unit(r.x)}", extra=extra)
    plot.name_bands(root, axes, () if crossed is None else (crossed,))
    return marks.markup(root)


def _curve(readings: Sequence[Reading]) -> Iterator[tuple[float, float]]:
    """Yield points of the curve through the readings, the logarithm of the ratio being linear between two levels."""
    for left, right in pairwise(readings):
        for piece in range(PIECES):
            share = piece / PIECES
            log = math.log(left.y) + share * (math.log(right.y) - math.log(left.y))
            yield left.x + share * (right.x - left.x), math.exp(log)
    yield readings[-1].x, readings[-1].y


def _text(reading: Reading) -> str:
    if reading.low is None or reading.high is None:
        return f"{reading.y:.2f}"
    return format.ratio(reading.y, reading.low, reading.high)
