"""The bytes of both ends of a pipeline, readable, with what differs between the editions marked."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

from shared.lab.tracing.result import TracePair
from shared.report import format
from shared.report.pipeline.text import Glyphs
from shared.report.pipeline.text import cut
from shared.report.pipeline.text import escaped
from shared.trace.document import ShownBytes
from shared.trace.document import TraceDocument

End = Literal["receive", "send"]

# Lines of a body; those beyond are counted.
BODY_LINES = 4
# Fields that only a traced answer has; long, and told elsewhere.
TRACE_FIELDS = ("x-trace-id", "server-timing", "traceparent")


def byte_lines(pair: TracePair, name: End, width: int, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    """Yield the lines of what came in or went out, each with "" or the edition that alone has it.

    Args:
        pair: The traces.
        name: Which end.
        width: Of a line, in characters.
        glyphs: Characters of the drawing.
    """
    wsgi, asgi = (_lines(request.document, name, width, glyphs) for request in (pair.wsgi, pair.asgi))
    for kind, left, left_end, right, right_end in SequenceMatcher(None, wsgi, asgi, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (("", line) for line in wsgi[left:left_end])
            continue
        yield from (("wsgi", line) for line in wsgi[left:left_end])
        yield from (("asgi", line) for line in asgi[right:right_end])


def sizes(pair: TracePair, name: End) -> str:
    """Return how many bytes either edition read or wrote, and in how many stages."""
    texts = []
    for request in (pair.wsgi, pair.asgi):
        shown = _shown(request.document, name)
        size = sum(each["size"] for each in shown)
        texts.append(f"{format.count(size)} bytes in {len(shown)} stage{'' if len(shown) == 1 else 's'}")
    return texts[0] if texts[0] == texts[1] else f"wsgi {texts[0]}, asgi {texts[1]}"


def _shown(document: TraceDocument, name: str) -> list[ShownBytes]:
    found = [stage["facts"].get("bytes") for stage in document["stages"] if stage["name"] == name]
    return [each for each in found if each is not None]


def _lines(document: TraceDocument, name: str, width: int, glyphs: Glyphs) -> list[str]:
    shown = _shown(document, name)
    text = "".join(each["text"] for each in shown)
    size = sum(each["size"] for each in shown)
    if not text:
        return []
    head, separator, body = text.partition("\r\n\r\n")
    # Where a head ends is told by the empty line that ends it, as on the wire.
    fields = head.split("\r\n")
    if name == "send":
        kept = [line for line in fields if line.partition(":")[0].lower() not in TRACE_FIELDS]
        if len(kept) < len(fields):
            kept.append(f"({len(fields) - len(kept)} fields that only a traced answer has)")
        fields = kept
    lines = [escaped(line) + "\\r\\n" for line in fields] + (["\\r\\n"] if separator else [])
    found = [cut(line, width, glyphs, len(line)) for line in lines]
    pieces = body.splitlines(keepends=True)
    found += [cut(escaped(piece), width, glyphs, len(piece)) for piece in pieces[:BODY_LINES]]
    told = len(head) + len(separator) + sum(map(len, pieces[:BODY_LINES]))
    if size > told:
        found.append(f"{glyphs.cut} {format.count(size - told)} bytes more")
    return found
