"""A recorded trace made into its document: stages nested and accounted for, gaps named, values masked.

Each stage stands in the innermost one that runs when it starts. Most end in there, too; where one outlasts the stage
around it, the time beyond counts as nobody's, so that no nanosecond is counted twice: the durations at the top and the
gaps between them are the whole, exactly.
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from shared.contract import Endpoint
from shared.stalls import record
from shared.stalls.record import Stall

from .document import SCHEMA_VERSION
from .document import Gap
from .document import ShownBytes
from .document import StageDocument
from .document import StallDocument
from .document import StalledThread
from .document import TraceDocument
from .document import TraceSummary
from .recorder import MOST_BYTES
from .recorder import Octets
from .recorder import Stage
from .recorder import Trace
from .redaction import Redactor
from .redaction import plain


def document(trace: Trace, endpoint: Endpoint | None) -> TraceDocument:
    """Return the document of a trace that has ended.

    Args:
        trace: What was recorded.
        endpoint: The contract's entry that answered; None where there is none. It says what may be shown.
    """
    # Of those that start together an instant comes first, then the one around the others.
    recorded = sorted(trace.stages, key=lambda stage: (stage.start_ns, stage.end_ns > stage.start_ns, -stage.end_ns))
    started_ns = min([trace.started_ns or trace.ended_ns, *(stage.start_ns for stage in recorded)])
    ended_ns = max([started_ns, trace.ended_ns, *(stage.end_ns for stage in recorded)])
    redactor = Redactor(trace.template, endpoint, reveals_values=trace.reveals_values)
    stages = _nested(recorded, _facts(recorded, redactor))
    gaps = _gaps(stages, started_ns, ended_ns)
    _charge(gaps, recorded)
    found: TraceDocument = {
        "schema_version": SCHEMA_VERSION,
        "trace_id": trace.trace_id,
        "span_id": trace.span_id,
        "parent_span_id": trace.parent.span_id if trace.parent else None,
        "edition": trace.edition,
        "method": plain(trace.method),
        "target": plain(redactor.target(trace.target)),
        "template": trace.template,
        "endpoint": trace.endpoint,
        "status": trace.status,
        # Whoever recorded it stopped without a word.
        "outcome": trace.outcome or "failed",
        "error": trace.error,
        "process_id": os.getpid(),
        "time_utc": trace.time_utc.isoformat(),
        "started_ns": started_ns,
        "ended_ns": ended_ns,
        "duration_ns": ended_ns - started_ns,
        "stages": stages,
        "gaps": gaps,
        "recorder_ns": sum(stage.cost_ns for stage in recorded),
        "left_out": trace.left_out,
        "reveals_values": trace.reveals_values,
    }
    stalls = [_stall(stall) for stall in record.during(started_ns, ended_ns)]
    return {**found, "stalls": stalls} if stalls else found


def _stall(stall: Stall) -> StallDocument:
    end_ns = stall.end_ns or monotonic_ns()
    return {
        "kind": stall.kind,
        "start_ns": stall.start_ns,
        "end_ns": end_ns,
        "duration_ns": end_ns - stall.start_ns,
        "threads": [
            StalledThread(
                name=plain(name),
                waits_for=stack.waits_for,
                place=None if stack.place is None else str(stack.place),
                called_by=[str(place) for place in stack.own[1:]],
                innermost=None if stack.innermost is None else str(stack.innermost),
            )
            for name, stack in stall.stacks
        ],
    }


def summary(found: TraceDocument) -> TraceSummary:
    """Return what the list says of a trace."""
    return {
        "trace_id": found["trace_id"],
        "span_id": found["span_id"],
        "edition": found["edition"],
        "method": found["method"],
        "target": found["target"],
        "endpoint": found["endpoint"],
        "status": found["status"],
        "outcome": found["outcome"],
        "time_utc": found["time_utc"],
        "duration_ns": found["duration_ns"],
    }


def _facts(recorded: Sequence[Stage], redactor: Redactor) -> list[dict[str, Any]]:
    """Return the facts of stages, in their order, as they may be shown."""
    found = [
        redactor.facts({key: value for key, value in stage.facts.items() if not _is_octets(value)})
        for stage in recorded
    ]
    for name, redact in (("receive", redactor.received), ("send", redactor.sent)):
        places = [
            place for place, stage in enumerate(recorded) if stage.name == name and _is_octets(stage.facts.get("bytes"))
        ]
        pieces = [_octets(recorded[place].facts["bytes"]) for place in places]
        for place, piece, text in zip(places, pieces, redact(pieces), strict=True):
            found[place]["bytes"] = ShownBytes(size=piece.size, text=text, kept=len(text))
    return found


def _is_octets(value: Any) -> bool:
    return isinstance(value, bytes | Octets)


def _octets(value: bytes | Octets) -> Octets:
    """Return bytes as they are kept."""
    size, data = value if isinstance(value, Octets) else (len(value), value)
    return Octets(size, data[:MOST_BYTES])


def _nested(recorded: Sequence[Stage], facts: Sequence[dict[str, Any]]) -> list[StageDocument]:
    """Return stages, sorted by start, with their parents and their own time."""
    found: list[StageDocument] = []
    # Index and end of the stages that run, each end at most that of the stage around it.
    running: list[tuple[int, int]] = []
    for place, stage in enumerate(recorded):
        end_ns = max(stage.start_ns, stage.end_ns)
        while running and running[-1][1] <= stage.start_ns:
            running.pop()
        parent = running[-1][0] if running else None
        within_ns = min(end_ns, running[-1][1]) if running else end_ns
        if parent is not None:
            found[parent]["own_ns"] -= within_ns - stage.start_ns
        running.append((place, within_ns))
        found.append(
            {
                "name": stage.name,
                "start_ns": stage.start_ns,
                "end_ns": end_ns,
                "duration_ns": end_ns - stage.start_ns,
                "own_ns": end_ns - stage.start_ns,
                "parent": parent,
                "worker": plain(stage.worker),
                "recorder_ns": stage.cost_ns,
                "facts": facts[place],
            }
        )
    return found


def _gaps(stages: Sequence[StageDocument], started_ns: int, ended_ns: int) -> list[Gap]:
    """Return what the stages at the top leave of the whole."""
    found: list[Gap] = []
    since_ns, after = started_ns, None
    for place, stage in enumerate(stages):
        if stage["parent"] is None:
            if stage["start_ns"] > since_ns:
                found.append(_gap(since_ns, stage["start_ns"], after, place))
            since_ns, after = stage["end_ns"], place
    if ended_ns > since_ns:
        found.append(_gap(since_ns, ended_ns, after, None))
    return found


def _gap(start_ns: int, end_ns: int, after: int | None, before: int | None) -> Gap:
    return {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "duration_ns": end_ns - start_ns,
        "recorder_ns": 0,
        "after": after,
        "before": before,
    }


def _charge(gaps: list[Gap], recorded: Sequence[Stage]) -> None:
    """Note in each gap how much of it the recorder spent, which works behind the end of each stage."""
    starts = [gap["start_ns"] for gap in gaps]
    for stage in recorded:
        end_ns, until_ns = stage.end_ns, stage.end_ns + stage.cost_ns
        for gap in gaps[max(0, bisect_right(starts, end_ns) - 1) :]:
            if gap["start_ns"] >= until_ns:
                break
            shared_ns = min(until_ns, gap["end_ns"]) - max(end_ns, gap["start_ns"])
            gap["recorder_ns"] = min(gap["duration_ns"], gap["recorder_ns"] + max(0, shared_ns))
