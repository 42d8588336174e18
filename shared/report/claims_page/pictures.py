"""Pictures of claims as figures of a page: drawn, with a legend, and with what they show as a table."""

import math
from collections.abc import Sequence

from shared.lab.claims.claim import Bar
from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Picture
from shared.lab.claims.claim import Timeline
from shared.report import format
from shared.report.page.charts import bars
from shared.report.page.charts import diagram
from shared.report.page.charts import timeline
from shared.report.page.content import Figure
from shared.report.page.content import Table

# Lines of a picture's table; everything is in result.json.
MOST_ROWS = 400


def figure(picture: Picture) -> Figure:
    """Return a picture as a figure."""
    match picture:
        case Diagram():
            return _diagram(picture)
        case Timeline():
            return _timeline(picture)
        case Bars():
            return _bars(picture)


def _diagram(picture: Diagram) -> Figure:
    curves = [diagram.Curve(line.name, line.points, line.is_step) for line in picture.lines]
    svg = diagram.diagram_chart(
        curves,
        title=picture.title,
        x=picture.x,
        y=picture.y,
        is_log_x=picture.is_log_x,
        is_log_y=picture.is_log_y,
    )
    told = [f"{way}: {name}." for way, name in (("Across", picture.x), ("Up", picture.y)) if len(name) > diagram.NAME]
    if picture.places:
        named = "; ".join(f"{number}: {name}" for number, name in enumerate(picture.places))
        told.append(f"{picture.x.capitalize()} {named}.")
    return Figure(
        caption=picture.title,
        svg=svg,
        numbers=_readings(picture),
        series=tuple(line.name for line in picture.lines) if len(picture.lines) > 1 else (),
        look="lines",
        note=" ".join(told),
    )


def _readings(picture: Diagram) -> Table:
    """Return the readings: lines beside each other where they have the same places, else below each other."""
    x, exact = picture.x, format.exact

    def place_name(place: float) -> str:
        has_name = place in range(len(picture.places))
        return f"{exact(place)}: {picture.places[int(place)]}" if has_name else exact(place)

    places = [tuple(place for place, _ in line.points) for line in picture.lines]
    if len(set(places)) == 1 and len(set(places[0])) == len(places[0]):
        by_line = [dict(line.points) for line in picture.lines]
        rows = [(place_name(place), *(exact(readings[place]) for readings in by_line)) for place in places[0]]
        return _table((x, *(f"{line.name}" for line in picture.lines)), rows, f"{picture.title}: {picture.y}", words=1)
    rows = [(line.name, place_name(place), exact(value)) for line in picture.lines for place, value in line.points]
    return _table(("line", x, picture.y), rows, picture.title, words=1)


def _timeline(picture: Timeline) -> Figure:
    tracks = [
        timeline.Track(
            lane.name,
            tuple(timeline.Stretch(span.start_s, span.end_s, span.kind, span.text) for span in lane.spans),
        )
        for lane in picture.lanes
    ]
    times = timeline.clock(tracks)
    rows = [
        (
            track.name,
            each.kind,
            each.text,
            times.text(each.start_s),
            format.NOTHING if each.is_moment else times.text(each.end_s),
            format.NOTHING if each.is_moment else times.text(each.end_s - each.start_s),
        )
        for track in tracks
        for each in track.stretches
    ]
    heads = ("lane", "what", "", f"from, {times.unit}", f"to, {times.unit}", f"for, {times.unit}")
    svg = timeline.timeline_chart(tracks, title=picture.title)
    return Figure(picture.title, svg, _table(heads, rows, picture.title, words=3), keys=timeline.keys(tracks))


def _bars(picture: Bars) -> Figure:
    names = tuple(dict.fromkeys(bar.name for bar in picture.bars))
    groups = tuple(dict.fromkeys(bar.group for bar in picture.bars))
    drawn = [
        bars.Group(group, tuple(_bar(bar, names.index(bar.name)) for bar in picture.bars if bar.group == group))
        for group in groups
    ]
    rows = [
        (bar.group, bar.name, format.exact(bar.value), *(_maybe(edge) for edge in (bar.low, bar.high)))
        for bar in picture.bars
    ]
    table = _table(("group", "bar", picture.x, "95 % from", "to"), rows, picture.title, words=2)
    svg = bars.bar_chart(drawn, title=f"{picture.title}: {picture.x}", unit=format.significant, names=names)
    return Figure(picture.title, svg, table, series=names if len(names) > 1 else (), note=f"Bars: {picture.x}.")


def _bar(bar: Bar, series: int) -> bars.Bar:
    if not math.isfinite(bar.value):
        return bars.Bar(bar.name, (), format.NOTHING)
    text = format.significant(bar.value)
    if bar.low is None or bar.high is None:
        return bars.Bar(bar.name, (bars.Part(series, bar.value),), text)
    text = format.interval(bar.value, bar.low, bar.high)
    return bars.Bar(bar.name, (bars.Part(series, bar.value),), text, bar.low, bar.high)


def _maybe(number: float | None) -> str:
    return format.NOTHING if number is None else format.exact(number)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], label: str, *, words: int) -> Table:
    shown = list(rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        shown.append((f"{len(rows) - MOST_ROWS} more in result.json", *("" for _ in heads[1:])))
    return Table(heads, tuple(shown), label, words=words)
