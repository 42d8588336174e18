"""Horizontal bars from 0: several of a group below each other, each whole or stacked, with an interval."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shared.report.page.charts import marks
from shared.report.page.charts import scale
from shared.report.page.content import Svg

TOP = 6
HEAD = 22
BAR = 16
STEP = 38
AFTER = 8
BOTTOM = 26


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar.

    Attributes:
        series: Which colour and pattern it has.
        value: How long it is; a negative one counts, and is not drawn.
    """

    series: int
    value: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: Of what.
        parts: Its pieces from the left; one for a plain bar, none where nothing was measured.
        text: Its figures in words.
        low: Lower end of the interval of the whole; None without one.
        high: Upper end of it.
    """

    label: str
    parts: tuple[Part, ...]
    text: str
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float:
        """The whole."""
        return sum(part.value for part in self.parts)


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that belong together, below one heading."""

    label: str
    bars: tuple[Bar, ...]


def bar_chart(
    groups: Sequence[Group],
    *,
    title: str,
    unit: Callable[[float], str],
    names: Sequence[str],
    description: str = "",
    reach: float = 0.0,
) -> Svg:
    """Return bars from 0 on a linear axis.

    Args:
        groups: What is drawn, from above to below.
        title: What the bars are.
        unit: Makes the text of a value on the axis.
        names: Of the series, for what a piece says when pointed at.
        description: In words what is to be seen; the figures if empty.
        reach: A value that the axis holds, too, so that charts beside each other have the same.
    """
    bars = [bar for group in groups for bar in group.bars]
    axis = scale.linear([reach, *(value for bar in bars for value in (bar.value, bar.high or 0.0))], pad=0.5)
    bottom = TOP + sum((HEAD if group.label else 0) + STEP * len(group.bars) + AFTER for group in groups)
    told = description or marks.joined(f"{g.label} {bar.label}: {bar.text}".strip() for g in groups for bar in g.bars)
    root = marks.chart(title, told, bottom + BOTTOM)
    for tick in axis.ticks:
        marks.vertical(root, axis.at(tick), TOP, bottom, "grid")
        marks.label(root, unit(tick), axis.at(tick), bottom + 17)
    y = float(TOP)
    for group in groups:
        if group.label:
            marks.label(root, marks.short(group.label), 0, y + 15, anchor="start", name="row-text")
            y += HEAD
        for bar in group.bars:
            _draw(root, axis, bar, y, names, unit)
            y += STEP
        y += AFTER
    return marks.markup(root)


def _draw(
    root: ET.Element, axis: scale.Scale, bar: Bar, y: float, names: Sequence[str], unit: Callable[[float], str]
) -> None:
    marks.label(root, marks.short(bar.label), 0, y + 12, anchor="start", name="bar-label")
    marks.label(root, bar.text, 100, y + 12, anchor="end", name="value-text")
    begin = 0.0
    for part in bar.parts:
        end = begin + part.value
        left, right = axis.at(begin), axis.at(end)
        if right > left:
            piece = marks.element(
                root,
                "rect",
                x=f"{left}%",
                y=y + 17,
                width=f"{round(right - left, 3)}%",
                height=BAR,
                class_=f"piece s{part.series % len(marks.PATTERNS)}",
            )
            name = names[part.series] if part.series < len(names) else bar.label
            marks.element(piece, "title", f"{name}: {unit(part.value)}")
        begin = end
    if bar.low is not None and bar.high is not None:
        middle = y + 17 + BAR / 2
        low, high = axis.at(bar.low), axis.at(bar.high)
        marks.element(root, "line", x1=f"{low}%", x2=f"{high}%", y1=middle, y2=middle, class_="error")
        for end in (low, high):
            marks.vertical(root, end, middle - 4, middle + 4, "error")
