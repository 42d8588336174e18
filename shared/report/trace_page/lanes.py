"""Where stages, gaps and the client's marks stand on the page's time axis, in percent of its width."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.trace.document import TraceDocument
from shared.trace.recorder import StageName

# Room left and right of the first and the last time, as a part of the time between them.
MARGIN = 0.01
MOST_TICKS = 7
# Width of the lane on a wide and on a narrow screen in pixels, and of a label's character: a label that would not fit
# into its bar is left out.
WIDE, NARROW, CHARACTER = 1_200, 350, 6.8
# Bars narrower than this, in percent, are drawn wider than they are.
TINY = 0.4
# Room that a mark's label takes on a narrow screen, in percent.
FAR = 26
ROW, BAR, TOP = 34, 26, 30

FAMILIES: dict[StageName, str] = {
    "receive": "wire", "send": "wire",
    "parse": "interface", "respond": "interface", "encode": "interface",
    "dispatch": "waiting", "checkout": "waiting",
    "route": "application", "validate": "application", "serialize": "application",
    "session": "database", "sql": "database", "commit": "database", "release": "database",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axis:
    """Times after the client's first sent byte, in nanoseconds, over the width of the page.

    Attributes:
        low_ns: At its left end; may be negative.
        high_ns: At its right end.
    """

    low_ns: float
    high_ns: float

    def at(self, time_ns: float) -> float:
        """Return a time's place in percent."""
        return round((time_ns - self.low_ns) / (self.high_ns - self.low_ns) * 100, 4)

    def width(self, duration_ns: float) -> float:
        """Return a duration's width in percent."""
        return round(duration_ns / (self.high_ns - self.low_ns) * 100, 4)

    def ticks(self) -> list[int]:
        """Return round times on it."""
        span = self.high_ns - self.low_ns
        step = 10 ** math.floor(math.log10(span / MOST_TICKS))
        step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= MOST_TICKS)
        step = max(round(step), 1)
        return list(range(math.ceil(self.low_ns / step) * step, math.floor(self.high_ns) + 1, step))


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage or a gap in a lane.

    Attributes:
        x: Its left edge in percent.
        width: Its true width in percent.
        row: Row from the top, 0 for stages at the top and gaps.
        fits_wide: Whether its label fits into it on a wide screen.
        fits_narrow: Whether it does on a narrow one.
    """

    x: float
    width: float
    row: int
    fits_wide: bool
    fits_narrow: bool

    @property
    def is_tiny(self) -> bool:
        """Whether it is drawn wider than it is, to be seen."""
        return self.width < TINY

    @property
    def y(self) -> int:
        """Its upper edge in pixels."""
        return TOP + self.row * ROW


@dataclass(frozen=True, slots=True)
class Mark:
    """One of the client's own times.

    Attributes:
        x: Its place in percent.
        text: What happened; empty where the label of another mark so close says it.
        anchor: SVG's text-anchor.
    """

    x: float
    text: str
    anchor: str


def make_axis(pair: TracePair) -> Axis:
    """Return an axis that holds everything in both editions."""
    times = [0.0]
    for traced in (pair.wsgi, pair.asgi):
        origin_ns, document = traced.client.sent_start_ns, traced.document
        times += [document["started_ns"] - origin_ns, document["ended_ns"] - origin_ns]
        times += [traced.client.last_byte_ns - origin_ns]
        times += [
            time_ns - origin_ns for stage in document["stages"] for time_ns in (stage["start_ns"], stage["end_ns"])
        ]
    low, high = min(times), max(times)
    margin = max((high - low) * MARGIN, 1)
    return Axis(low - margin, high + margin)


def make_bar(axis: Axis, start_ns: int, duration_ns: int, *, label: str, row: int = 0) -> Bar:
    """Return the bar of a stage or gap.

    Args:
        axis: Of the page.
        start_ns: After the client's first sent byte.
        duration_ns: How long it took.
        label: What is to be written into it.
        row: Its row.
    """
    width = axis.width(duration_ns)
    room = len(label) * CHARACTER + 8
    return Bar(axis.at(start_ns), width, row, width / 100 * WIDE >= room, width / 100 * NARROW >= room)


def depths(document: TraceDocument) -> list[int]:
    """Return how many stages are around each stage."""
    parents = [stage["parent"] for stage in document["stages"]]
    found: list[int] = []
    for parent in parents:
        depth = 0
        # Bounded, should a document name a stage as its own ancestor.
        while parent is not None and depth < len(parents):
            depth, parent = depth + 1, parents[parent]
        found.append(depth)
    return found


def height(document: TraceDocument) -> int:
    """Return a lane's height in pixels."""
    return TOP + (max(depths(document), default=0) + 1) * ROW


def marks(traced: TracedRequest, axis: Axis) -> Iterator[Mark]:
    """Yield the client's times."""
    origin_ns = traced.client.sent_start_ns
    sent_ns, first_ns, last_ns = (
        time_ns - origin_ns
        for time_ns in (traced.client.sent_end_ns, traced.client.first_byte_ns, traced.client.last_byte_ns)
    )
    sent, first, last = (axis.at(time_ns) for time_ns in (sent_ns, first_ns, last_ns))
    begins, begins_text = axis.at(0), "client sends"
    first_text, last_text, last_anchor = "", "first, last byte", "end"
    if last < FAR:
        # All of it passes on a narrow piece of the axis: one label for all.
        begins_text, last_text, last_anchor = "", "client sends; first, last byte", "start"
    elif last - first > 2 * FAR:
        first_text, last_text = "first byte", "last byte"
        if first < FAR:
            begins_text, first_text = "", "client sends; first byte"
    elif last < 2 * FAR:
        last_anchor = "start"
    yield Mark(begins, begins_text, "start")
    is_free = begins_text and not first_text and 1.25 * FAR < sent < last - 1.25 * FAR
    yield Mark(sent, "sent" if is_free else "", "middle")
    yield Mark(first, first_text, "start")
    yield Mark(last, last_text, last_anchor)
