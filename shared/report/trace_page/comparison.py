"""Both editions' stages side by side, what differs between them, and the same in words."""

import json
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.report import format
from shared.report.trace_page.facts import visible
from shared.trace.document import StageDocument
from shared.trace.recorder import StageName

# Facts that are another with every request, or that only say how long something took.
VOLATILE = frozenset(
    {"reads", "value", "waiting", "workers", "waited_ns", "waiters_ahead", "backend_pid", "pool_before", "pool_after"}
    | {"left_in_buffer"}
)
# Values longer than this are told to differ without being repeated.
SHORT = 16
# A difference in time is pointed at from this part of the slower edition's whole.
NOTABLE = 0.05
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """One edition's times of a stage, as text in microseconds."""

    offset: str
    duration: str
    own: str


@dataclass(frozen=True, slots=True)
class Line:
    """One stage in both editions.

    Attributes:
        label: Its name, with a number where there are several of that name.
        wsgi: In the WSGI edition; None where it has none.
        asgi: In the ASGI edition; None where it has none.
        difference: How much longer the ASGI edition took, in microseconds; empty where one has none.
        is_slow: Whether the difference is a notable part of the whole.
        differs: What else differs, in words.
    """

    label: str
    wsgi: Cell | None
    asgi: Cell | None
    difference: str
    is_slow: bool
    differs: tuple[str, ...]


Key = tuple[StageName, int]


def labels(pair: TracePair) -> tuple[list[str], list[str]]:
    """Return a name for each stage of the WSGI and of the ASGI edition, with a number where one has several of it."""
    wsgi, asgi = (_keys(traced.document["stages"]) for traced in (pair.wsgi, pair.asgi))
    numbered = _numbered((*wsgi, *asgi))
    return [_label(key, numbered) for key in wsgi], [_label(key, numbered) for key in asgi]


def lines(pair: TracePair) -> list[Line]:
    """Return the stages of both editions side by side, in the order of the WSGI edition."""
    sides = [dict(zip(_keys(t.document["stages"]), t.document["stages"], strict=True)) for t in (pair.wsgi, pair.asgi)]
    wsgi, asgi = sides
    order = list(wsgi)
    place = 0
    for key in asgi:
        if key in wsgi:
            place = order.index(key) + 1
        else:
            order.insert(place, key)
            place += 1
    moved = _moved(wsgi, asgi)
    numbered = _numbered(order)
    notable_ns = NOTABLE * max(pair.wsgi.document["duration_ns"], pair.asgi.document["duration_ns"])
    found = []
    for key in order:
        left, right = wsgi.get(key), asgi.get(key)
        both = left is not None and right is not None
        longer_ns = right["duration_ns"] - left["duration_ns"] if left is not None and right is not None else 0
        found.append(
            Line(
                _label(key, numbered),
                _cell(left, pair.wsgi),
                _cell(right, pair.asgi),
                format.span_microseconds(longer_ns, signed=True) if both else "",
                abs(longer_ns) >= notable_ns > 0,
                _differs(left, right, is_moved=key in moved),
            )
        )
    return found


def summary(pair: TracePair) -> list[str]:
    """Return what the two traces say, in a few sentences."""
    sides = (("WSGI", pair.wsgi), ("ASGI", pair.asgi))
    said = [" ".join(_outcome(name, traced) for name, traced in sides)]
    own = [_own(traced) for _, traced in sides]
    longest = [
        f"in {name} {_shares(times, traced.document['duration_ns'])}"
        for (name, traced), times in zip(sides, own, strict=True)
        if times
    ]
    if longest:
        said.append(f"The longest stages, each without those inside it: {'; '.join(longest)}.")
    apart = sorted({*own[0], *own[1]}, key=lambda name: -abs(own[0][name] - own[1][name]))[:MOST_NAMED]
    if apart:
        told = [f"{name} ({format.span(own[0][name])} in WSGI, {format.span(own[1][name])} in ASGI)" for name in apart]
        said.append(f"They differ most in {_join(told)}.")
    gaps = [f"{_gaps(traced)} in {name}" for name, traced in sides]
    said.append(f"No stage accounts for {' and for '.join(gaps)}.")
    said += [
        f"{name} kept its first {format.count(len(t.document['stages']))} stages; "
        f"{format.count(t.document['left_out'])} more show as gaps."
        for name, t in sides
        if t.document["left_out"]
    ]
    said.append("This is one request of each: it shows where time goes, not which edition is faster.")
    return said


def _keys(stages: list[StageDocument]) -> list[Key]:
    seen = Counter[StageName]()
    keys: list[Key] = []
    for stage in stages:
        seen[stage["name"]] += 1
        keys.append((stage["name"], seen[stage["name"]]))
    return keys


def _numbered(keys: Iterable[Key]) -> set[StageName]:
    return {name for name, number in keys if number > 1}


def _label(key: Key, numbered: set[StageName]) -> str:
    return f"{key[0]} {key[1]}" if key[0] in numbered else key[0]


def _moved(wsgi: Mapping[Key, StageDocument], asgi: Mapping[Key, StageDocument]) -> set[Key]:
    """Return the stages that stand elsewhere in the other edition's order.

    Those that come in the same order in both are the longest such row of stages; the others have moved.
    """
    left, right = [key for key in wsgi if key in asgi], [key for key in asgi if key in wsgi]
    place = {key: at for at, key in enumerate(right)}
    # Longest increasing subsequence; a trace keeps no more than a thousand stages, and mostly a few dozen.
    best: list[list[Key]] = []
    for key in left:
        before = [row for row in best if place[row[-1]] < place[key]]
        best.append([*_longest(before), key])
    return set(left) - set(_longest(best))


def _longest(rows: list[list[Key]]) -> list[Key]:
    return max(rows, key=len) if rows else []


def _cell(stage: StageDocument | None, traced: TracedRequest) -> Cell | None:
    if stage is None:
        return None
    times = (stage["start_ns"] - traced.client.sent_start_ns, stage["duration_ns"], stage["own_ns"])
    return Cell(*map(format.span_microseconds, times))


def _differs(left: StageDocument | None, right: StageDocument | None, *, is_moved: bool) -> tuple[str, ...]:
    if left is None or right is None:
        return ("only ASGI" if left is None else "only WSGI",)
    found = ["order"] if is_moved else []
    ours, theirs = _comparable(left["facts"]), _comparable(right["facts"])
    for name in dict.fromkeys((*ours, *theirs)):
        a, b = ours.get(name), theirs.get(name)
        if a != b:
            label = visible(name).replace("_", " ")
            texts = ["none" if value is None else value for value in (a, b)]
            found.append(f"{label}: {' | '.join(texts)}" if all(len(text) <= SHORT for text in texts) else label)
    return tuple(found)


def _comparable(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return facts that should be equal for equal requests, as text."""
    found: dict[str, str] = {}
    for name, value in facts.items():
        if name in VOLATILE:
            continue
        if isinstance(value, Mapping) and "size" in value:
            found[name] = format.count(int(value["size"]))
        elif name == "wire" and isinstance(value, Mapping):
            found |= {
                part: str(value[part]) for part in ("round_trips", "bytes_sent", "bytes_received") if part in value
            }
        else:
            is_plain = isinstance(value, str | int | float)
            found[name] = visible(str(value)) if is_plain else json.dumps(value, sort_keys=True, default=repr)
    return found


def _own(traced: TracedRequest) -> Counter[StageName]:
    own = Counter[StageName]()
    for stage in traced.document["stages"]:
        own[stage["name"]] += stage["own_ns"]
    return own


def _outcome(name: str, traced: TracedRequest) -> str:
    document, client = traced.document, traced.client
    status = document["status"]
    end = f"answered {status}" if document["outcome"] == "answered" else f'ended with "{document["outcome"]}"'
    error = document.get("error")
    why = f" after {visible(error)}" if error else ""
    last = format.span(client.last_byte_ns - client.sent_start_ns)
    return f"{name} {end}{why} in {format.span(document['duration_ns'])}; its client had the last byte after {last}."


def _gaps(traced: TracedRequest) -> str:
    gaps = traced.document["gaps"]
    whole_ns, recorder_ns = sum(gap["duration_ns"] for gap in gaps), sum(gap["recorder_ns"] for gap in gaps)
    part = format.share(whole_ns, traced.document["duration_ns"])
    return f"{format.span(whole_ns)} ({part}, of which the recorder took {format.span(recorder_ns)})"


def _shares(times: Counter[StageName], whole_ns: int) -> str:
    return _join([f"{name} ({format.share(ns, whole_ns)})" for name, ns in times.most_common(MOST_NAMED)])


def _join(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)
