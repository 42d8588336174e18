"""The plane that lines are drawn in: its frame with both axes, and what is laid into it."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shared.report.page.charts import marks
from shared.report.page.charts import scale

# Room for the title and, below it, for the text of a mark at the upper edge.
TOP = 36
PLOT = 220
BOTTOM = 40
# Sides of the plot within itself: its axes are scaled to it.
INNER = 1000
# What a character of a tick's text takes of the narrowest chart, in percent: 7 of 360 pixels.
CHARACTER = 2.0


@dataclass(frozen=True, slots=True)
class Band:
    """A range of places in which two lines cross.

    Attributes:
        low: Its beginning.
        high: Its end.
        text: What stands above it.
        at: Where exactly, if that is known.
    """

    low: float
    high: float
    text: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Axes:
    """Both axes of a plot, with what their values are called.

    Attributes:
        x: From left to right.
        y: From below upwards.
        x_unit: Makes the text of a place.
        y_unit: Makes the text of a value.
    """

    x: scale.Scale
    y: scale.Scale
    x_unit: Callable[[float], str]
    y_unit: Callable[[float], str]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return a point's places in percent, across and up."""
        return self.x.at(x), self.y.at(y)


def down(up: float) -> float:
    """Return the place in pixels of a height in percent."""
    return round(TOP + PLOT * (1 - up / 100), 2)


def frame(title: str, told: str, axes: Axes, across: str, *, sides: tuple[str, str] = ("", "")) -> ET.Element:
    """Return a plot with its axes and nothing in it.

    Args:
        title: What goes up.
        told: In words what is to be seen.
        axes: Its axes.
        across: What goes to the right.
        sides: What a place near the lower and near the upper edge means; nothing if empty.
    """
    root = marks.chart(title, told, TOP + PLOT + BOTTOM)
    marks.label(root, title, 0, 11, anchor="start", name="side-text")
    for tick in axes.y.ticks:
        y = down(axes.y.at(tick))
        marks.element(root, "line", x1="0%", x2="100%", y1=y, y2=y, class_="axis" if tick == 0 else "grid")
    for tick in axes.x.ticks:
        marks.vertical(root, axes.x.at(tick), TOP + PLOT, TOP + PLOT + 5, "axis")
    for tick in told_ticks(axes.x, axes.x_unit):
        marks.label(root, axes.x_unit(tick), axes.x.at(tick), TOP + PLOT + 18)
    for tick in axes.y.ticks:
        marks.label(root, axes.y_unit(tick), 0, down(axes.y.at(tick)) - 4, anchor="start", name="tick-text halo")
    lower, upper = sides
    if upper:
        marks.label(root, f"↑ {upper}", 100, 11, anchor="end", name="side-text")
    if lower:
        marks.label(root, f"↓ {lower}", 0, TOP + PLOT + 35, anchor="start", name="side-text")
    at, anchor = (100, "end") if lower else (50, "middle")
    marks.label(root, across, at, TOP + PLOT + 35, anchor=anchor, name="side-text")
    return root


def told_ticks(axis: scale.Scale, unit: Callable[[float], str]) -> Iterator[float]:
    """Yield the marks of an axis whose texts have room beside each other, also on a telephone; the last one always."""
    texts = {tick: len(unit(tick)) * CHARACTER for tick in axis.ticks}

    def has_room(left: float, right: float) -> bool:
        return axis.at(right) - axis.at(left) >= (texts[left] + texts[right]) / 2 + CHARACTER

    kept: list[float] = []
    for tick in axis.ticks:
        if not kept or has_room(kept[-1], tick):
            kept.append(tick)
    last = axis.ticks[-1] if axis.ticks else None
    if last is not None and kept[-1] != last:
        while len(kept) > 1 and not has_room(kept[-1], last):
            kept.pop()
        kept.append(last)
    yield from kept


def line(root: ET.Element, points: Sequence[tuple[float, float]], name: str, dashes: str = "none") -> None:
    """Draw a line through places in percent, across and up.

    Args:
        root: The plot.
        points: Its places.
        name: Its class.
        dashes: Its dashes and gaps.
    """
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
        holder, "polyline", points=text, class_=name, stroke_dasharray=dashes, vector_effect="non-scaling-stroke"
    )


def whisker(root: ET.Element, look: str, x: float, bottom: float, top: float, shift: float = 0) -> None:
    """Draw an interval from a height in pixels to another.

    Args:
        root: The plot.
        look: Class of whose it is.
        x: Its place in percent.
        bottom: Its lower end.
        top: Its upper end.
        shift: Pixels beside its place.
    """
    holder = marks.element(root, "svg", x=f"{x}%", y=0, class_="over")
    name = f"whisker {look}"
    marks.element(holder, "line", x1=shift, x2=shift, y1=top, y2=bottom, class_=name)
    for end in (top, bottom):
        marks.element(holder, "line", x1=shift - 4, x2=shift + 4, y1=end, y2=end, class_=name)


def band(root: ET.Element, axes: Axes, crossed: Band) -> None:
    """Draw the range in which lines cross behind them, and where exactly if that is known."""
    low, high = axes.x.at(crossed.low), axes.x.at(crossed.high)
    # Never too narrow to be seen.
    width = max(high - low, 0.6)
    shown = marks.element(root, "rect", x=f"{low}%", width=f"{round(width, 3)}%", y=TOP, height=PLOT, class_="band")
    marks.element(shown, "title", crossed.text)
    for end in (low, high):
        marks.vertical(root, end, TOP, TOP + PLOT, "band-edge")
    if crossed.at is not None:
        marks.vertical(root, axes.x.at(crossed.at), TOP, TOP + PLOT, "cross")


def name_bands(root: ET.Element, axes: Axes, crossed: Iterable[Band]) -> None:
    """Write what bands mean, above all that is drawn; each lower than the one before, so that none covers another."""
    for number, each in enumerate(crossed):
        middle = (axes.x.at(each.low) + axes.x.at(each.high)) / 2 if each.at is None else axes.x.at(each.at)
        # Texts of a third of the width on a telephone: near an edge they lean inwards.
        anchor = "start" if middle < 30 else "end" if middle > 70 else "middle"
        place = min(max(middle, 0.0), 100.0)
        text = marks.element(
            root,
            "text",
            each.text,
            x=f"{round(place, 3)}%",
            y=TOP + 14 + 16 * number,
            text_anchor=anchor,
            class_="cross-text halo",
        )
        text.set("dx", {"start": "6", "end": "-6", "middle": "0"}[anchor])
