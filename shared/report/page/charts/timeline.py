"""Lanes over one time axis: what happened to each request, connection or thread, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from shared.report import format
from shared.report.page.charts import marks
from shared.report.page.charts import scale
from shared.report.page.content import Key
from shared.report.page.content import Svg

TOP = 4
HEAD = 17
ROW = 17
BAR = 14
AFTER = 6
BOTTOM = 40
# Spans that are told one by one.
TOLD = 60
# Colours with and without hatching: what waits is hatched, what holds is plain, whatever else differs.
HATCHED = tuple(number for number, angle in enumerate(marks.PATTERNS) if angle is not None)
PLAIN = tuple(number for number, angle in enumerate(marks.PATTERNS) if angle is None)
WAITING = ("wait", "queue")
# Those of moments; the first ones have the shapes that are least like each other.
MOMENTS = (2, 3, 5, 1, 4, 0, 6, 7)
# Pixels of a character of a text in a bar, and of a chart on a wide and on a narrow screen.
CHARACTER, WIDE, NARROW = 6.6, 900, 330


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in a lane; a moment if it ends where it begins.

    Attributes:
        start_s: Its begin.
        end_s: Its end.
        kind: What it is; stretches of a kind look alike.
        text: What is told of this one.
    """

    start_s: float
    end_s: float
    kind: str
    text: str = ""

    @property
    def is_moment(self) -> bool:
        """Whether it has no length."""
        return self.end_s <= self.start_s


@dataclass(frozen=True, slots=True)
class Track:
    """A lane with its name."""

    name: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """The unit of a time line.

    Attributes:
        per_s: How many of it are in a second.
        unit: Its name.
    """

    per_s: float
    unit: str

    def text(self, seconds: float) -> str:
        """Return a time without its unit."""
        return format.significant(seconds * self.per_s)


def clock(tracks: Sequence[Track]) -> Clock:
    """Return the unit that suits a time line: up to ten seconds are told in milliseconds."""
    extent = max((abs(edge) for each in _all(tracks) for edge in (each.start_s, each.end_s)), default=1.0)
    return Clock(1e6, "µs") if extent < 0.01 else Clock(1e3, "ms") if extent < 10 else Clock(1.0, "s")


def keys(tracks: Sequence[Track]) -> tuple[Key, ...]:
    """Return the legend: every kind in the order in which it appears, with its look."""
    found: dict[str, Key] = {}
    for each in _all(tracks):
        if each.kind in found:
            continue
        taken = [key.series for key in found.values()]
        if each.is_moment and all(other.is_moment for other in _all(tracks) if other.kind == each.kind):
            found[each.kind] = Key(each.kind, _first_free(MOMENTS, taken), "mark")
        else:
            waits = any(word in each.kind.lower() for word in WAITING)
            # Of what does not wait, the hatching that waiting has comes last.
            wanted = (*HATCHED, *PLAIN) if waits else (*PLAIN, *reversed(HATCHED))
            found[each.kind] = Key(each.kind, _first_free(wanted, taken), "bar")
    return tuple(found.values())


def timeline_chart(tracks: Sequence[Track], *, title: str) -> Svg:
    """Return lanes with their stretches; what overlaps in a lane stands in rows below each other.

    Args:
        tracks: What is drawn, from above to below.
        title: What it shows.
    """
    times = clock(tracks)
    looks = {key.text: key for key in keys(tracks)}
    # The axis is in the clock's unit, so that its marks are round.
    axis = scale.spread(
        [edge * times.per_s for each in _all(tracks) for edge in (each.start_s, each.end_s)], ticks=6, pad=1, start=1
    )
    rows = [_rows(track.stretches) for track in tracks]
    bottom = TOP + sum(HEAD + ROW * (max(own, default=0) + 1) + AFTER for own in rows)
    root = marks.chart(title, _told(tracks, times), bottom + BOTTOM)
    for tick in axis.ticks:
        marks.vertical(root, axis.at(tick), TOP, bottom, "grid")
        marks.label(root, format.significant(tick), axis.at(tick), bottom + 17)
    marks.label(root, f"{times.unit} from the beginning", 50, bottom + 35, name="side-text")
    y = float(TOP)
    for track, own in zip(tracks, rows, strict=True):
        marks.label(root, marks.short(track.name, 48), 0, y + 12, anchor="start", name="row-text halo")
        placed = sorted(zip(own, track.stretches, strict=True), key=lambda pair: pair[1].is_moment)
        for row, each in placed:
            _draw(root, axis, looks[each.kind], track, each, y + HEAD + ROW * row, times)
        y += HEAD + ROW * (max(own, default=0) + 1) + AFTER
    return marks.markup(root)


def _draw(root: ET.Element, axis: scale.Scale, look: Key, track: Track, each: Stretch, y: float, times: Clock) -> None:
    title = f"{track.name}: {_stretch(each, times)}"
    left, right = (axis.at(edge * times.per_s) for edge in (each.start_s, each.end_s))
    if each.is_moment:
        marks.mark(root, look.series, left, y + BAR / 2, title)
        return
    width = round(right - left, 3)
    name = f"piece s{look.series % len(marks.PATTERNS)}"
    bar = marks.element(root, "rect", x=f"{left}%", y=y, width=f"{width}%", height=BAR, class_=name)
    marks.element(bar, "title", title)
    room = len(each.text) * CHARACTER + 8
    if each.text and look.series in PLAIN and width / 100 * WIDE >= room:
        extra = "" if width / 100 * NARROW >= room else " wide-only"
        label = marks.element(root, "text", each.text, x=f"{left}%", y=y + 11, class_=f"inside-text{extra}")
        label.set("dx", "4")


def _rows(stretches: Sequence[Stretch]) -> list[int]:
    """Return the row of each stretch: the first in which nothing overlaps it; a moment is in the first."""
    ends: list[float] = []
    found = [0] * len(stretches)
    for at in sorted(range(len(stretches)), key=lambda at: (stretches[at].start_s, -stretches[at].end_s)):
        each = stretches[at]
        if each.is_moment:
            continue
        row = next((row for row, end in enumerate(ends) if end <= each.start_s), len(ends))
        ends[row:] = [each.end_s, *ends[row + 1 :]]
        found[at] = row
    return found


def _first_free(wanted: Sequence[int], taken: Sequence[int]) -> int:
    # With more kinds than looks they begin again.
    return next((number for number in wanted if number not in taken), wanted[len(taken) % len(wanted)])


def _all(tracks: Sequence[Track]) -> list[Stretch]:
    return [each for track in tracks for each in track.stretches]


def _stretch(each: Stretch, times: Clock) -> str:
    when = f"at {times.text(each.start_s)} {times.unit}"
    if not each.is_moment:
        when = f"{times.text(each.start_s)} to {times.text(each.end_s)} {times.unit}"
    return f"{each.kind} {when}{f', {each.text}' if each.text else ''}"


def _told(tracks: Sequence[Track], times: Clock) -> str:
    told = [f"{track.name}: {_stretch(each, times)}" for track in tracks for each in track.stretches]
    more = [f"and {len(told) - TOLD} more in the table"] if len(told) > TOLD else []
    return marks.joined([*told[:TOLD], *more])
