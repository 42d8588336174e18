"""What the stages know beside their time, in one short line each, and what it comes to in words."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from shared.lab.tracing.repeat import GAPS
from shared.lab.tracing.repeat import own_times
from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.report import format
from shared.report.pipeline.rows import normalised
from shared.report.pipeline.text import Glyphs
from shared.report.pipeline.text import Scale
from shared.report.pipeline.text import share
from shared.trace.document import StageDocument
from shared.trace.document import StallDocument
from shared.trace.document import TraceDocument

# Statements whose messages are told one by one.
STATEMENTS = 6
# The largest parts of the whole that the summary names.
NAMED = 3
WAITS = {"dispatch": "for a {}", "checkout": "for a connection"}


def fact_lines(pair: TracePair, scale: Scale) -> Iterator[tuple[str, str, str]]:
    """Yield stage, "both" or the edition, and what is known of it; the first of each name speaks for all."""
    for name in ("dispatch", "parse", "route", "validate", "checkout", "commit", "release", "serialize", "respond"):
        texts = [_told(request.document, name, scale) for request in (pair.wsgi, pair.asgi)]
        yield from _both_or_each(name, texts)
    for request in (pair.wsgi, pair.asgi):
        for stall in request.document.get("stalls", []):
            yield "stall", request.edition, _stall(stall, scale)


def _stall(stall: StallDocument, scale: Scale) -> str:
    alike = Counter((thread["waits_for"], thread["place"] or "") for thread in stall["threads"])
    causes = ", ".join(
        f"{f'{count} {scale.glyphs.times} ' if count > 1 else ''}waits for {waits_for}, at {place}"
        for (waits_for, place), count in alike.most_common()
    )
    return f"{stall['kind']} for {scale.text(stall['duration_ns'])}: {causes or 'nobody could look'}"


def wire_lines(pair: TracePair, glyphs: Glyphs) -> Iterator[tuple[str, str, str]]:
    """Yield the statements, each with the messages that either driver exchanged for it."""
    sides = [_statements(request.document) for request in (pair.wsgi, pair.asgi)]
    texts = list(dict.fromkeys(key for side in sides for key in side))
    for text in texts[:STATEMENTS]:
        yield "sql", "", text
        wires = [_wire(side.get(text, ()), glyphs) for side in sides]
        yield from _both_or_each("", wires)
    if texts[STATEMENTS:]:
        yield "sql", "", f"{format.count(len(texts) - STATEMENTS)} more statements"


def summary(request: TracedRequest, scale: Scale) -> str:
    """Return where an edition spent its time and what it waited for; measured figures only."""
    document = request.document
    whole = document["duration_ns"]
    spent = own_times(document)
    largest = sorted(spent, key=lambda name: -spent[name])[:NAMED]
    parts = ", ".join(_part(document, name, spent[name], scale) for name in largest if spent[name])
    waits: Counter[str] = Counter()
    for stage in document["stages"]:
        if stage["name"] in WAITS:
            waits[WAITS[stage["name"]].format(stage["facts"].get("queue", "turn"))] += waited_ns(stage)
    waited = f" Waited {' and '.join(f'{scale.text(ns)} {what}' for what, ns in waits.items())}." if waits else ""
    return f"{request.edition}: {scale.text(whole)} in the service, most in {parts}.{waited}"


def _part(document: TraceDocument, name: str, spent_ns: int, scale: Scale) -> str:
    text = f"{scale.text(spent_ns)} ({share(spent_ns, document['duration_ns'])}"
    if name != GAPS:
        return f"{name} {text})"
    recording = sum(gap["recorder_ns"] for gap in document["gaps"])
    return f"between stages {text}, {scale.text(recording)} of it recording)"


def waited_ns(stage: StageDocument) -> int:
    """Return how long a stage waited: a checkout may also connect."""
    waited = stage["facts"].get("waited_ns")
    return int(waited) if isinstance(waited, int | float) else stage["duration_ns"]


def _both_or_each(name: str, texts: list[str]) -> Iterator[tuple[str, str, str]]:
    if texts[0] == texts[1]:
        if texts[0]:
            yield name, "both", texts[0]
        return
    for edition, text in zip(("wsgi", "asgi"), texts, strict=True):
        yield name, edition, text or format.NOTHING
        name = ""


def _told(document: TraceDocument, name: str, scale: Scale) -> str:
    found = [stage for stage in document["stages"] if stage["name"] == name]
    if not found:
        return ""
    # Of several stages of one name the first that knows a fact tells it.
    facts = {key: value for stage in reversed(found) for key, value in stage["facts"].items()}
    tellers: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "dispatch": _dispatch,
        "parse": _parse,
        "route": lambda facts: f"{facts.get('template') or 'no path'} -> {facts.get('endpoint') or 'no endpoint'}",
        "validate": _validate,
        "checkout": lambda facts: _checkout(facts, waited_ns(found[0]), scale),
        "commit": lambda facts: ", ".join(filter(None, [_text(facts, "action"), _trips(facts.get("wire"))])),
        "release": lambda facts: _pool("pool after: ", facts.get("pool_after")),
        "serialize": lambda facts: f"{_bytes(facts)}, {facts.get('content_type')}",
        "respond": lambda facts: _respond(found, scale.glyphs.times),
    }
    text = tellers[name](facts)
    times = f" {scale.glyphs.times}{len(found)}" if len(found) > 1 and name != "respond" else ""
    error = f" error {facts['error']}" if facts.get("error") else ""
    return f"{text}{times}{error}".strip(" ,")


def _dispatch(facts: Mapping[str, Any]) -> str:
    queue, count = facts.get("queue", "?"), facts.get("workers")
    text = f"queues for a {queue}: {facts.get('waiting', '?')} waiting"
    if count is None:
        return text
    # Threads are there from the start, tasks while they run.
    return f"{text}, {count} {queue}{'' if count == 1 else 's'}{' running' if queue == 'task' else ''}"


def _parse(facts: Mapping[str, Any]) -> str:
    value = facts.get("value")
    entries = f" with {len(value)} entries" if isinstance(value, Mapping) else ""
    return f"bytes become the {facts.get('interface', '?')}{entries}"


def _validate(facts: Mapping[str, Any]) -> str:
    parameters = facts.get("parameters") or {}
    shown = ", ".join(f"{key}={value!r}" for key, value in parameters.items()) if isinstance(parameters, dict) else ""
    return f"{facts.get('model', '?')}({shown})"


def _checkout(facts: Mapping[str, Any], waited: int, scale: Scale) -> str:
    parts = [f"{facts.get('connection', 'a')} connection", f"waited {scale.text(waited)}"]
    if "waiters_ahead" in facts:
        parts.append(f"{facts['waiters_ahead']} ahead")
    parts.append(_pool("pool before: ", facts.get("pool_before")))
    return ", ".join(filter(None, parts))


def _pool(label: str, pool: object) -> str:
    if not isinstance(pool, Mapping):
        return ""
    waiting = f", {pool['waiting']} waiting" if pool.get("waiting") else ""
    return f"{label}{pool.get('checked_out', '?')} of {pool.get('size', '?')} in use{waiting}"


def _respond(stages: list[StageDocument], times: str) -> str:
    calls = Counter(str(stage["facts"].get("call", "?")) for stage in stages)
    return ", ".join(call if count == 1 else f"{call} {times}{count}" for call, count in calls.items())


def _bytes(facts: Mapping[str, Any]) -> str:
    size = facts.get("bytes")
    return f"{format.count(size)} bytes" if isinstance(size, int) else "bytes"


def _text(facts: Mapping[str, Any], key: str) -> str:
    return str(facts.get(key) or "")


def _statements(document: TraceDocument) -> dict[str, list[StageDocument]]:
    found: dict[str, list[StageDocument]] = {}
    for stage in document["stages"]:
        if stage["name"] == "sql":
            found.setdefault(normalised(str(stage["facts"].get("statement", ""))), []).append(stage)
    return found


def _wire(stages: "list[StageDocument] | tuple[()]", glyphs: Glyphs) -> str:
    """Return what a statement's first run exchanged, and how often it ran."""
    if not stages:
        return ""
    facts = stages[0]["facts"]
    wire = facts.get("wire")
    rows = facts.get("rows")
    parts = [_trips(wire), "" if rows is None else f"{rows} row{'' if rows == 1 else 's'}"]
    parts.append("values written into the text" if facts.get("interpolated") else "")
    parts.append(f"error {facts['error']}" if facts.get("error") else "")
    text = ", ".join(filter(None, parts))
    if isinstance(wire, Mapping):
        sent = " ".join(_message(each, glyphs) for each in wire.get("sent", ()))
        received = " ".join(_message(each, glyphs) for each in wire.get("received", ()))
        text += f": {sent} {wire.get('bytes_sent', '?')} B -> {received} {wire.get('bytes_received', '?')} B"
    return f"{glyphs.times}{len(stages)}, first: {text}" if len(stages) > 1 else text


def _message(each: Mapping[str, Any], glyphs: Glyphs) -> str:
    count = each.get("count", 1)
    return f"{each.get('message')}{f' {glyphs.times}{count}' if count != 1 else ''}"


def _trips(wire: object) -> str:
    if not isinstance(wire, Mapping) or "round_trips" not in wire:
        return ""
    count = wire["round_trips"]
    return f"{count} round trip{'' if count == 1 else 's'}"
