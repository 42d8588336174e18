"""One request in both editions as one HTML document; geometry stands in SVG attributes."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.config import Edition
from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.report import format
from shared.report.html.document import document as html_document
from shared.report.trace_page import comparison
from shared.report.trace_page import facts
from shared.report.trace_page import lanes
from shared.report.trace_page.facts import Shown
from shared.report.trace_page.lanes import Axis
from shared.report.trace_page.lanes import Bar
from shared.trace.document import Gap
from shared.trace.document import StageDocument

TITLES: dict[Edition, tuple[str, str]] = {
    "wsgi": ("WSGI", "gunicorn, a thread for each request"),
    "asgi": ("ASGI", "uvicorn, a task for each request"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A stage or a gap, as the page shows it.

    Attributes:
        id: Of its element; its facts' is the same with "-facts".
        label: Its name.
        family: Which colour it has.
        depth: How many stages are around it.
        bar: Where it stands on the time axis.
        duration: How long it took, with the unit.
        details: Its times, and who ran it, by label.
        facts: What is known of it, by label.
    """

    id: str
    label: str
    family: str
    depth: int
    bar: Bar
    duration: str
    details: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, Shown], ...]

    @property
    def is_gap(self) -> bool:
        """Whether no stage accounts for it."""
        return self.family == "gap"


@dataclass(frozen=True, slots=True)
class Side:
    """One edition's part of the page."""

    edition: Edition
    title: str
    server: str
    entries: tuple[Entry, ...]
    marks: tuple[lanes.Mark, ...]
    height: int
    whole: str
    outcome: str
    times: tuple[tuple[str, str, str], ...]
    identity: tuple[tuple[str, str], ...]
    stalls: tuple[tuple[str, Shown], ...]
    sent: Shown
    received: Shown


def page(pair: TracePair) -> str:
    """Return the page: one HTML document, to be written as UTF-8."""
    axis = lanes.make_axis(pair)
    return html_document(
        "shared.report.trace_page",
        "trace",
        request=facts.visible(f"{pair.method} {pair.target}"),
        command=facts.visible(pair.command),
        reveals=pair.wsgi.document["reveals_values"] or pair.asgi.document["reveals_values"],
        summary=comparison.summary(pair),
        lines=comparison.lines(pair),
        sides=[
            _side(traced, axis, labels)
            for traced, labels in zip((pair.wsgi, pair.asgi), comparison.labels(pair), strict=True)
        ],
        ticks=[(axis.at(tick), _tick(tick)) for tick in axis.ticks()],
        geometry=lanes,
    )


def _tick(time_ns: int) -> str:
    return "0" if time_ns == 0 else format.round_span(time_ns)


def _side(traced: TracedRequest, axis: Axis, labels: list[str]) -> Side:
    document, client = traced.document, traced.client
    title, server = TITLES[traced.edition]
    error = document.get("error")
    origin_ns, whole_ns = client.sent_start_ns, document["duration_ns"]
    at_top_ns = sum(stage["duration_ns"] for stage in document["stages"] if stage["parent"] is None)
    gaps_ns = sum(gap["duration_ns"] for gap in document["gaps"])
    points = (
        ("service began", document["started_ns"]),
        ("service ended", document["ended_ns"]),
        ("client: last byte sent", client.sent_end_ns),
        ("client: first byte", client.first_byte_ns),
        ("client: last byte", client.last_byte_ns),
    )
    sums = (("stages at the top", at_top_ns), ("gaps", gaps_ns), ("the whole", whole_ns))
    return Side(
        edition=traced.edition,
        title=title,
        server=server,
        entries=tuple(_entries(traced, axis, labels)),
        marks=tuple(lanes.marks(traced, axis)),
        height=lanes.height(document),
        whole=format.span(whole_ns),
        outcome=f"{document['outcome']}{f' ({facts.visible(error)})' if error else ''}",
        times=(
            *((label, "at", format.span_microseconds(time_ns - origin_ns)) for label, time_ns in points),
            *((label, "for", format.span_microseconds(time_ns)) for label, time_ns in sums),
            ("recording it all", "for", format.span_microseconds(document["recorder_ns"])),
        ),
        identity=(
            ("trace", facts.visible(document["trace_id"])),
            ("status", str(document["status"] or "none sent")),
            ("began", facts.visible(document["time_utc"])),
            ("process", str(document["process_id"])),
        ),
        stalls=tuple(entry for stall in document.get("stalls", []) for entry in facts.facts(dict(stall), origin_ns)),
        sent=facts.raw(traced.sent),
        received=facts.raw(traced.received),
    )


def _entries(traced: TracedRequest, axis: Axis, labels: list[str]) -> Iterator[Entry]:
    """Yield stages and the gaps between them in order of their start."""
    document, origin_ns = traced.document, traced.client.sent_start_ns
    stages, gaps = document["stages"], document["gaps"]
    depths = lanes.depths(document)
    made = [
        (stage["start_ns"], _stage(f"{traced.edition}-stage-{at}", label, depth, stage, origin_ns, axis))
        for at, (stage, label, depth) in enumerate(zip(stages, labels, depths, strict=True))
    ]
    made += [
        (gap["start_ns"], _gap(f"{traced.edition}-gap-{at}", gap, labels, origin_ns, axis))
        for at, gap in enumerate(gaps)
    ]
    yield from (entry for _, entry in sorted(made, key=lambda pair: pair[0]))


def _stage(id_: str, label: str, depth: int, stage: StageDocument, origin_ns: int, axis: Axis) -> Entry:
    offset_ns = stage["start_ns"] - origin_ns
    details = (
        ("began at", format.span(offset_ns)),
        ("took", format.span(stage["duration_ns"])),
        ("own", format.span(stage["own_ns"])),
        ("ran in", facts.visible(stage["worker"])),
        ("recording it", format.span(stage["recorder_ns"])),
    )
    return Entry(
        id=id_,
        label=label,
        family=lanes.FAMILIES[stage["name"]],
        depth=depth,
        bar=lanes.make_bar(axis, offset_ns, stage["duration_ns"], label=label, row=depth),
        duration=format.span(stage["duration_ns"]),
        details=details,
        facts=tuple(facts.facts(stage["facts"], origin_ns)),
    )


def _gap(id_: str, gap: Gap, labels: list[str], origin_ns: int, axis: Axis) -> Entry:
    offset_ns, duration = gap["start_ns"] - origin_ns, format.span(gap["duration_ns"])
    after, before = gap["after"], gap["before"]
    details = (
        ("began at", format.span(offset_ns)),
        ("took", duration),
        ("the recorder's part", format.span(gap["recorder_ns"])),
        ("after", "the beginning" if after is None else labels[after]),
        ("before", "the end" if before is None else labels[before]),
    )
    return Entry(
        id=id_,
        label="gap",
        family="gap",
        depth=0,
        bar=lanes.make_bar(axis, offset_ns, gap["duration_ns"], label=duration),
        duration=duration,
        details=details,
        facts=(),
    )
