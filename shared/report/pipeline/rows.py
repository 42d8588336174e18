"""Two pipelines as rows of one table: the same stage of both editions stands in the same row."""

import re
from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.trace.document import StageDocument
from shared.trace.document import TraceDocument

# Stages of one name beyond these share a row, as do different statements.
SEPARATE = 3
SEPARATE_STATEMENTS = 6
# A gap below this part of both wholes is shown in the sum of such gaps only.
SMALL_GAP = 0.05
# How the two drivers write a parameter.
_CAST = r"::\w+(?: (?:PRECISION|VARYING|WITH TIME ZONE|WITHOUT TIME ZONE))?(?:\[\])?"
_PARAMETER = re.compile(rf"(?:%\(\w+\)s|%s|\$\d+)(?:{_CAST})*")

RowKind = Literal["client", "service", "stage", "gap"]
# A stage's name, and which of that name or the statement's text; 0 or "" where they share a row.
Key = tuple[str, int | str]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cell:
    """One edition's part of a row.

    Attributes:
        place: Its number in the order of starting, from 1; 0 for what is no stage.
        spans: Start and end, in nanoseconds since the client began to send.
        count: How many stages it stands for.
    """

    place: int
    spans: tuple[Span, ...]
    count: int

    @property
    def at_ns(self) -> int:
        """When the first began."""
        return self.spans[0][0]

    @property
    def total_ns(self) -> int:
        """How long all took together."""
        return sum(end - start for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        kind: What it shows.
        label: Its name.
        depth: How many stages are around it.
        wsgi: None where this edition has no such stage.
        asgi: None where this edition has no such stage.
        moved: Whether it stands elsewhere in the other edition's order.
        holds_others: Whether stages are inside it.
    """

    kind: RowKind
    label: str
    depth: int
    wsgi: Cell | None
    asgi: Cell | None
    moved: bool = False
    holds_others: bool = False

    @property
    def differs(self) -> bool:
        """Whether the editions differ in more than time: in order, in number, or only one has it."""
        if self.kind != "stage":
            return False
        return self.moved or self.wsgi is None or self.asgi is None or self.wsgi.count != self.asgi.count


def origin_ns(request: TracedRequest) -> int:
    """Return where an edition's time line begins, in nanoseconds of the monotonic clock."""
    return min(request.client.sent_start_ns, request.document["started_ns"])


def axis_ns(pair: TracePair) -> int:
    """Return the length of the axis that both editions share."""
    return max(
        max(request.client.last_byte_ns, request.document["ended_ns"]) - origin_ns(request)
        for request in (pair.wsgi, pair.asgi)
    )


def normalised(statement: str) -> str:
    """Return a statement without what only the driver's spelling of it decides."""
    return " ".join(_PARAMETER.sub("?", statement).replace("%%", "%").split())


def keys(document: TraceDocument, other: TraceDocument) -> list[Key]:
    """Return the row of each stage of a document; the other decides which stages share one, too."""
    most: Counter[str] = Counter()
    for each in (document, other):
        most |= Counter(stage["name"] for stage in each["stages"])
    texts = max(len({_statement(s) for s in each["stages"] if s["name"] == "sql"}) for each in (document, other))
    labels = _statement_labels(document, other)
    seen: Counter[str] = Counter()
    found: list[Key] = []
    for stage in document["stages"]:
        name = stage["name"]
        seen[name] += 1
        if name == "sql":
            found.append((name, "" if texts > SEPARATE_STATEMENTS else labels[_statement(stage)]))
        else:
            found.append((name, seen[name] if most[name] <= SEPARATE else 0))
    return found


def rows(pair: TracePair) -> list[Row]:
    """Return the rows from the top: the client, the service, then stages and gaps in the ASGI edition's order."""
    sides = (_Side(pair.wsgi, pair.asgi.document), _Side(pair.asgi, pair.wsgi.document))
    wsgi, asgi = sides
    moved = _moved(list(wsgi.cells), list(asgi.cells))
    found = [
        Row("client", "client", 0, wsgi.client(), asgi.client()),
        Row("service", "service", 0, wsgi.whole(), asgi.whole()),
    ]
    small = [side.gaps.keys() - _large(sides) for side in sides]
    found += _gap_row(wsgi, asgi, ("", 0), small)
    merged = _merged(list(asgi.cells), list(wsgi.cells))
    several = sum(name == "sql" for name, _ in merged) > 1
    for key in merged:
        depth = max(side.depths.get(key, 0) for side in sides)
        holds = any(key in side.parents for side in sides)
        found.append(
            Row(
                "stage",
                _label(key, names_statements=several),
                depth,
                wsgi.cells.get(key),
                asgi.cells.get(key),
                key in moved,
                holds_others=holds,
            )
        )
        found += _gap_row(wsgi, asgi, key, small)
    rest = [side.rest(names) for side, names in zip(sides, small, strict=True)]
    if any(rest):
        found.append(Row("gap", "small gaps", 0, rest[0], rest[1]))
    return found


class _Side:
    """One edition's stages and gaps by row."""

    def __init__(self, request: TracedRequest, other: TraceDocument) -> None:
        self._request = request
        document = request.document
        self._origin_ns = origin_ns(request)
        found = keys(document, other)
        spans: dict[Key, list[Span]] = {}
        self.depths: dict[Key, int] = {}
        self.parents: set[Key] = set()
        for key, stage in zip(found, document["stages"], strict=True):
            spans.setdefault(key, []).append(self._span(stage["start_ns"], stage["end_ns"]))
            self.depths.setdefault(key, _depth(document, stage))
            if stage["parent"] is not None:
                self.parents.add(found[stage["parent"]])
        self.cells = {
            key: Cell(place, tuple(each), len(each)) for place, (key, each) in enumerate(spans.items(), start=1)
        }
        self.gaps: dict[Key, list[Span]] = {}
        for gap in document["gaps"]:
            after = ("", 0) if gap["after"] is None else found[gap["after"]]
            self.gaps.setdefault(after, []).append(self._span(gap["start_ns"], gap["end_ns"]))
        self.duration_ns = document["duration_ns"]

    def _span(self, start_ns: int, end_ns: int) -> Span:
        return start_ns - self._origin_ns, end_ns - self._origin_ns

    def client(self) -> Cell:
        client = self._request.client
        return Cell(0, (self._span(client.sent_start_ns, client.last_byte_ns),), 1)

    def whole(self) -> Cell:
        document = self._request.document
        return Cell(0, (self._span(document["started_ns"], document["ended_ns"]),), 1)

    def gap(self, after: Key) -> Cell | None:
        spans = self.gaps.get(after)
        return Cell(0, tuple(spans), len(spans)) if spans else None

    def rest(self, after: Iterable[Key]) -> Cell | None:
        spans = sorted(span for key in after for span in self.gaps[key])
        return Cell(0, tuple(spans), len(spans)) if spans else None


def _large(sides: Sequence[_Side]) -> set[Key]:
    """Return the gaps that are worth a row of their own in at least one edition."""
    return {
        key
        for side in sides
        for key, spans in side.gaps.items()
        if sum(end - start for start, end in spans) >= SMALL_GAP * side.duration_ns
    }


def _gap_row(wsgi: _Side, asgi: _Side, after: Key, small: Sequence[set[Key]]) -> list[Row]:
    cells = [None if after in names else side.gap(after) for side, names in zip((wsgi, asgi), small, strict=True)]
    return [Row("gap", "gap", 0, cells[0], cells[1])] if any(cells) else []


def _merged(base: list[Key], other: list[Key]) -> list[Key]:
    """Return all keys: those of one list in its order, the rest behind what they follow in the other."""
    merged = list(base)
    for place, key in enumerate(other):
        if key not in merged:
            merged.insert(merged.index(other[place - 1]) + 1 if place else 0, key)
    return merged


def _moved(left: list[Key], right: list[Key]) -> set[Key]:
    """Return the fewest keys of both lists without which their order is the same."""
    common = [key for key in left if key in right]
    places = [right.index(key) for key in common]
    # The longest increasing subsequence; a few dozen rows at most.
    chains: list[list[int]] = []
    for at, place in enumerate(places):
        before: list[int] = []
        for chain in chains:
            if places[chain[-1]] < place and len(chain) > len(before):
                before = chain
        chains.append([*before, at])
    kept: set[int] = set()
    for chain in chains:
        if len(chain) > len(kept):
            kept = set(chain)
    return {key for at, key in enumerate(common) if at not in kept}


def _depth(document: TraceDocument, stage: StageDocument) -> int:
    depth = 0
    while stage["parent"] is not None:
        stage = document["stages"][stage["parent"]]
        depth += 1
    return depth


def _label(key: Key, *, names_statements: bool) -> str:
    name, which = key
    if isinstance(which, int):
        return f"{name} {which}" if which > 1 else name
    if which.startswith("#"):
        return f"{name} {int(which[1:]) + 1}"
    # A statement's first word tells which it is.
    return f"{name} {which.partition(' ')[0]}" if names_statements else name


def _statement_labels(document: TraceDocument, other: TraceDocument) -> dict[str, str]:
    """Return what stands for each statement: itself, or its number among those that the other document has not."""
    own, theirs = (
        list(dict.fromkeys(_statement(stage) for stage in each["stages"] if stage["name"] == "sql"))
        for each in (document, other)
    )
    alone = [text for text in own if text not in theirs]
    # Two spellings of one statement come at the same place in their order.
    return {text: f"#{alone.index(text)}" if text in alone else text for text in own}


def _statement(stage: StageDocument) -> str:
    return normalised(str(stage["facts"].get("statement", "")))
