"""Both pipelines of one request side by side: a row per stage, bars on a common axis, bytes, facts and words."""

import shutil
import textwrap
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.text import Text

from shared.lab.tracing.repeat import typical
from shared.lab.tracing.result import Load
from shared.lab.tracing.result import Traced
from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.report import format
from shared.report.pipeline.facts import fact_lines
from shared.report.pipeline.facts import summary
from shared.report.pipeline.facts import wire_lines
from shared.report.pipeline.octets import End
from shared.report.pipeline.octets import byte_lines
from shared.report.pipeline.octets import sizes
from shared.report.pipeline.repeat import figure_lines
from shared.report.pipeline.rows import Cell
from shared.report.pipeline.rows import Row
from shared.report.pipeline.rows import axis_ns
from shared.report.pipeline.rows import rows
from shared.report.pipeline.text import PLAIN
from shared.report.pipeline.text import RICH
from shared.report.pipeline.text import Glyphs
from shared.report.pipeline.text import Scale
from shared.report.pipeline.text import cut
from shared.report.table import PLAIN_WIDTH

LEAST_WIDTH = 80
MOST_WIDTH = 160
NUMBER = 7
PLACE = 2
NAME = 11
WHO = 5
ENDS: tuple[tuple[End, str], ...] = (("receive", "bytes in"), ("send", "bytes out"))
STYLES = {"dispatch": "yellow", "checkout": "yellow", "sql": "magenta", "client": "dim", "service": "dim", "gap": "dim"}
EDITION_STYLES = {"wsgi": "blue", "asgi": "green"}


def print_trace(traced: Traced, stream: TextIO) -> None:
    """Print the drawing: with colours on a terminal, as plain ASCII elsewhere."""
    if not stream.isatty():
        stream.write("\n".join(line.plain.rstrip() for line in lines(traced, PLAIN_WIDTH, PLAIN)) + "\n")
        return
    width = max(LEAST_WIDTH, min(shutil.get_terminal_size().columns, MOST_WIDTH))
    glyphs = RICH if "utf" in (getattr(stream, "encoding", None) or "").lower() else PLAIN
    console = Console(file=stream, width=width, highlight=False)
    for line in lines(traced, width, glyphs):
        console.print(line, no_wrap=True, overflow="crop")


def lines(traced: Traced, width: int, glyphs: Glyphs) -> Iterator[Text]:
    """Yield the drawing's lines, none longer than the width in characters."""
    pair = typical(traced.pairs)
    scale = Scale(axis_ns(pair), glyphs)
    yield Text(cut(f"{pair.method} {pair.target}", width, glyphs), style="bold")
    for request in (pair.wsgi, pair.asgi):
        yield Text(cut(_head(request, scale), width, glyphs), style=EDITION_STYLES[request.edition])
    for load in traced.loads:
        yield Text(cut(_load(load), width, glyphs), style="yellow")
    if len(traced.pairs) > 1:
        yield Text()
        yield from figure_lines(traced.pairs, width, glyphs)
        yield Text()
        yield Text(f"The pair nearest to the medians, of {len(traced.pairs)}:", style="bold")
    yield Text()
    yield from _chart(rows(pair), scale, width)
    yield Text()
    yield from _facts(pair, scale, width)
    for name, title in ENDS:
        yield _three(title, "", sizes(pair, name), width, glyphs)
        for who, line in byte_lines(pair, name, width - NAME - WHO - 2, glyphs):
            yield _three("", who, line, width, glyphs, marks=bool(who))
    yield Text()
    for request in (pair.wsgi, pair.asgi):
        for line in textwrap.wrap(summary(request, scale), width, subsequent_indent="  "):
            yield Text(line, style="bold")
    for line in textwrap.wrap(_legend(pair, scale), width):
        yield Text(line, style="dim")


def _head(request: TracedRequest, scale: Scale) -> str:
    document, client = request.document, request.client
    error = f" {document['error']}" if document.get("error") else ""
    outcome = "" if document["outcome"] == "answered" else f", {document['outcome']}{error}"
    return (
        f"{request.edition}  {document['status'] or 'no status'}{outcome}, "
        f"{scale.text(document['duration_ns'])} in the service; client: first byte after "
        f"{scale.text(client.first_byte_ns - client.sent_start_ns)}, "
        f"all after {scale.text(client.last_byte_ns - client.sent_start_ns)}"
    )


def _load(load: Load) -> str:
    rate = format.rate(load.responses / load.duration_s) if load.duration_s else format.NOTHING
    return (
        f"{load.edition}  meanwhile {format.count(load.connections)} other connections got {rate} answers/s"
        f", {format.count(load.failures)} failures"
    )


def _chart(found: list[Row], scale: Scale, width: int) -> Iterator[Text]:
    label = 20 if width >= 140 else 17 if width >= PLAIN_WIDTH else 14
    side = (width - label - 4) // 2
    bar = side - PLACE - 2 * NUMBER - 3
    head = Text(" " * (label + 2))
    axis = Text(f"{'':{label - 2}}    ")
    for edition in ("wsgi", "asgi"):
        head.append(f"{edition:<{side}}  ", style=EDITION_STYLES[edition] + " bold")
        longest = scale.text(scale.axis_ns)
        axis.append(f"{'#':>{PLACE}} {'from':>{NUMBER}} {'took':>{NUMBER}} 0{longest:>{bar - 1}}  ", style="dim")
    yield _stripped(head)
    yield _stripped(axis)
    for row in found:
        mark = scale.glyphs.differs if row.differs else " "
        line = Text(f"{mark} ", style="bold red" if row.differs else "")
        line.append(f"{cut('  ' * row.depth + _label(row, scale.glyphs), label, scale.glyphs):{label}}")
        for edition, cell in (("wsgi", row.wsgi), ("asgi", row.asgi)):
            line.append_text(_cell(row, cell, edition, scale, bar))
            line.append("  ")
        yield _stripped(line)


def _label(row: Row, glyphs: Glyphs) -> str:
    counts = [cell.count if cell else 0 for cell in (row.wsgi, row.asgi)]
    if max(counts) == 1 or (row.kind == "gap" and row.label == "gap"):
        return row.label
    return f"{row.label} {glyphs.times}{'/'.join(str(count) for count in dict.fromkeys(counts))}"


def _cell(row: Row, cell: Cell | None, edition: str, scale: Scale, bar: int) -> Text:
    if cell is None:
        return Text(f"{'':{PLACE}} {'':{NUMBER}} {format.NOTHING:>{NUMBER}} {'':{bar}}", style="dim")
    place = str(cell.place) if cell.place else ""
    text = Text(f"{place:>{PLACE}} ", style="bold red" if row.moved else "dim")
    text.append(f"{scale.number(cell.at_ns):>{NUMBER}} ", style="dim")
    text.append(f"{scale.number(cell.total_ns):>{NUMBER}} ", style="dim" if row.kind == "gap" else "")
    glyphs = scale.glyphs
    glyph = {"client": glyphs.client, "service": glyphs.service, "gap": glyphs.gap}.get(
        row.kind, glyphs.around if row.holds_others else glyphs.stage
    )
    style = STYLES.get(row.label.partition(" ")[0] if row.kind == "stage" else row.kind, EDITION_STYLES[edition])
    return text.append(_bar(cell, glyph, scale.axis_ns, bar), style=style)


def _bar(cell: Cell, glyph: str, axis: int, width: int) -> str:
    drawn = [" "] * width
    for start, end in cell.spans:
        first = min(width - 1, start * width // max(axis, 1))
        last = max(first + 1, min(width, -(-end * width // max(axis, 1))))
        drawn[first:last] = glyph * (last - first)
    return "".join(drawn)


def _facts(pair: TracePair, scale: Scale, width: int) -> Iterator[Text]:
    for name, who, text in (*fact_lines(pair, scale), *wire_lines(pair, scale.glyphs)):
        yield _three(name, who, text, width, scale.glyphs, marks=who in ("wsgi", "asgi"))


def _three(name: str, who: str, text: str, width: int, glyphs: Glyphs, *, marks: bool = False) -> Text:
    line = Text(f"{name:{NAME}} ", style="bold")
    line.append(f"{who:{WHO}}", style=EDITION_STYLES.get(who, "dim") if marks else "dim")
    return _stripped(line.append(cut(text, width - NAME - WHO - 1, glyphs)))


def _stripped(line: Text) -> Text:
    line.rstrip()
    return line


def _legend(pair: TracePair, scale: Scale) -> str:
    glyphs = scale.glyphs
    cost = " and ".join(scale.text(each.document["recorder_ns"]) for each in (pair.wsgi, pair.asgi))
    left_out = sum(each.document["left_out"] for each in (pair.wsgi, pair.asgi))
    masked = "" if pair.wsgi.document["reveals_values"] else " Asterisks: masked, see --values."
    return (
        f"Times in {scale.unit} since the client began to send; # is the order. {glyphs.stage} stage, {glyphs.around} "
        f"stage around others, {glyphs.gap} gap no stage accounts for, {glyphs.client} client and service. "
        f"{glyphs.differs} order, number or presence differs. Recording took {cost} beside the stages."
        + (f" {format.count(left_out)} stages were left out." if left_out else "")
        + masked
    )
