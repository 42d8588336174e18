"""Ratios with their intervals, one below the other, against 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shared.report.page.charts import marks
from shared.report.page.charts import scale
from shared.report.page.content import Svg

ROW = 42
TOP = 30
BOTTOM = 26
# Below a row's words.
LINE = 25


@dataclass(frozen=True, slots=True)
class Interval:
    """One ratio.

    Attributes:
        label: Of what.
        value: The ratio; None where there is none.
        low: Lower end of its interval.
        high: Upper end of its interval.
        text: What stands at its right: the figures in words.
    """

    label: str
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


def interval_plot(
    rows: Sequence[Interval],
    *,
    title: str,
    below: str,
    above: str,
    reference: float = 1.0,
    series: tuple[int, int] = (0, 1),
    reach: Sequence[float] = (),
    description: str = "",
) -> Svg:
    """Return intervals of ratios on a logarithmic axis, as far to the left of 1 as to the right.

    A ratio whose interval holds the reference has a hollow mark and a thin line.

    Args:
        rows: What is drawn, from above to below.
        title: What is divided by what.
        below: What a place left of the reference means.
        above: What a place right of it means.
        reference: Where nothing differs.
        series: Whose colour and mark a ratio below the reference has, and whose one above it.
        reach: Ratios that the axis holds, too, so that charts beside each other have the same.
        description: In words what is to be seen; the readings if empty.
    """
    values = [value for row in rows for value in (row.value, row.low, row.high) if value]
    axis = scale.around([*values, *reach], centre=reference)
    bottom = TOP + ROW * len(rows)
    told = description or marks.joined(f"{row.label}: {row.text}" for row in rows)
    root = marks.chart(title, told, bottom + BOTTOM)
    for tick in axis.ticks:
        if tick != reference:
            marks.vertical(root, axis.at(tick), TOP - 6, bottom, "grid")
        marks.label(root, f"{tick:g}", axis.at(tick), bottom + 17)
    centre = axis.at(reference)
    marks.vertical(root, centre, TOP - 12, bottom, "reference")
    marks.label(root, f"← {below}", 0, 12, anchor="start", name="side-text")
    marks.label(root, f"{above} →", 100, 12, anchor="end", name="side-text")
    for number, row in enumerate(rows):
        top = TOP + ROW * number
        marks.label(root, marks.short(row.label), 0, top + 12, anchor="start", name="row-text")
        marks.label(root, row.text, 100, top + 12, anchor="end", name="value-text")
        if row.value and row.low and row.high:
            _draw(root, axis, row, top + LINE, reference, series[row.value > reference])
    return marks.markup(root)


def _draw(root: ET.Element, axis: scale.Scale, row: Interval, y: float, reference: float, series: int) -> None:
    assert row.value is not None
    assert row.low is not None
    assert row.high is not None
    holds = row.low <= reference <= row.high
    look = "equal" if holds else f"s{series}"
    low, high = axis.at(row.low), axis.at(row.high)
    marks.element(root, "line", x1=f"{low}%", x2=f"{high}%", y1=y, y2=y, class_=f"whisker {look}")
    for end in (low, high):
        marks.vertical(root, end, y - 4, y + 4, f"whisker {look}")
    extra = "equal" if holds else ""
    marks.mark(root, series, axis.at(row.value), y, f"{row.label}: {row.text}", extra=extra)
