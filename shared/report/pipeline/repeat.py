"""Medians per stage of many traces, with intervals, and the ratio of the editions."""

import textwrap
from collections.abc import Iterator
from collections.abc import Sequence

from rich.text import Text

from shared.lab.statistics import Ratio
from shared.lab.tracing.medians import Interval
from shared.lab.tracing.repeat import CLIENT
from shared.lab.tracing.repeat import GAPS
from shared.lab.tracing.repeat import WHOLE
from shared.lab.tracing.repeat import stage_figures
from shared.lab.tracing.result import TracePair
from shared.report import format
from shared.report.pipeline.text import PLAIN
from shared.report.pipeline.text import Glyphs
from shared.report.pipeline.text import Scale
from shared.report.table import NO_DIFFERENCE

LABELS = {GAPS: "gaps", WHOLE: "service", CLIENT: "client"}
# Wholes from here on are told in milliseconds, so that a line fits 80 columns.
MILLISECONDS_FROM_NS = 10_000_000


def figure_lines(pairs: Sequence[TracePair], width: int, glyphs: Glyphs) -> Iterator[Text]:
    """Yield a table: median and interval of every stage in both editions, and their ratio."""
    figures = stage_figures(pairs)
    longest = max(each.high for figure in figures for each in (figure.wsgi, figure.asgi) if each)
    in_ms = longest >= MILLISECONDS_FROM_NS
    unit = "ms" if in_ms else f"{glyphs.micro}s"
    grid = [("stage", f"wsgi {unit}", f"asgi {unit}", "asgi_over_wsgi")]
    for figure in figures:
        texts = (_interval(figure.wsgi, in_ms=in_ms), _interval(figure.asgi, in_ms=in_ms), _ratio(figure.ratio))
        grid.append((LABELS.get(figure.name, figure.name), *texts))
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    for number, cells in enumerate(grid):
        line = f"{cells[0]:{widths[0]}}  {cells[1]:>{widths[1]}}  {cells[2]:>{widths[2]}}  {cells[3]:>{widths[3]}}"
        yield Text(line.rstrip(), style="bold" if number == 0 else "")
    note = (
        f"Median [95 % interval] of {format.count(len(pairs))} requests per edition, sent in turn. Several stages of "
        "one name in a request are added up, without those inside them."
    )
    for line in textwrap.wrap(note, width):
        yield Text(line, style="dim")


def _interval(interval: Interval | None, *, in_ms: bool) -> str:
    if interval is None:
        return format.NOTHING
    median, low, high = (_number(ns, in_ms=in_ms) for ns in (interval.median, interval.low, interval.high))
    return f"{median} [{low}, {high}]"


def _number(ns: float, *, in_ms: bool) -> str:
    if in_ms:
        return format.milliseconds(ns / 1e9)
    return Scale(0, PLAIN).number(ns)


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return format.NOTHING
    return format.ratio(ratio.value, ratio.low, ratio.high) if ratio.difference_shown else NO_DIFFERENCE
