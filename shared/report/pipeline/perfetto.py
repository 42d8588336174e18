"""A pair of traces as Trace Event JSON, which https://ui.perfetto.dev and chrome://tracing open.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Both editions begin at 0,
when the client began to send, so that they lie above each other; the clock's own reading is in the arguments.
"""

import json
from collections.abc import Iterator
from typing import Any

from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.trace.document import StageDocument
from shared.trace.document import TraceDocument

Event = dict[str, Any]

# One process per edition; ids of their own, because the format wants no more of them than to be different.
PROCESSES = {"wsgi": 1, "asgi": 2}
CLIENT_ROW = 1
NS_PER_US = 1_000


def trace_events(pair: TracePair) -> str:
    """Return the JSON text."""
    events = [event for request in (pair.wsgi, pair.asgi) for event in _events(request)]
    document = {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"command": pair.command, "method": pair.method, "target": pair.target},
    }
    return json.dumps(document, ensure_ascii=True)


def _events(request: TracedRequest) -> Iterator[Event]:
    document, pid = request.document, PROCESSES[request.edition]
    origin_ns = min(request.client.sent_start_ns, document["started_ns"])
    yield _metadata("process_name", pid, 0, {"name": f"{request.edition} (pid {document['process_id']})"})
    yield _metadata("process_sort_index", pid, 0, {"sort_index": pid})
    rows: dict[str, int] = {"client": CLIENT_ROW}
    events = list(_client(request, pid, origin_ns))
    for row, stage in _placed(document):
        tid = rows.setdefault(row, len(rows) + 1)
        arguments = {
            **stage["facts"],
            "own_us": stage["own_ns"] / NS_PER_US,
            "recorder_us": stage["recorder_ns"] / NS_PER_US,
            "monotonic_ns": stage["start_ns"],
        }
        events.append(
            _complete(stage["name"], pid, tid, stage["start_ns"] - origin_ns, stage["duration_ns"], arguments)
        )
    for row, tid in rows.items():
        yield _metadata("thread_name", pid, tid, {"name": row})
        yield _metadata("thread_sort_index", pid, tid, {"sort_index": tid})
    yield from events


def _client(request: TracedRequest, pid: int, origin_ns: int) -> Iterator[Event]:
    times = request.client
    steps: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
        ("send request", times.sent_start_ns, times.sent_end_ns, {"bytes": len(request.sent)}),
        ("wait for first byte", times.sent_end_ns, times.first_byte_ns, {}),
        ("read the rest", times.first_byte_ns, times.last_byte_ns, {"bytes": len(request.received)}),
    )
    for name, start_ns, end_ns, arguments in steps:
        # A server that refuses a body may answer before all of it was sent.
        duration_ns = max(0, end_ns - start_ns)
        yield _complete(
            name, pid, CLIENT_ROW, start_ns - origin_ns, duration_ns, {**arguments, "monotonic_ns": start_ns}
        )


def _placed(document: TraceDocument) -> Iterator[tuple[str, StageDocument]]:
    """Yield every stage with its row: its thread or task, and a further one where stages overlap without nesting."""
    open_until: dict[str, list[int]] = {}
    # Where two begin together, the one that holds the other comes first.
    for stage in sorted(document["stages"], key=lambda each: (each["start_ns"], -each["end_ns"])):
        number = 1
        while True:
            row = stage["worker"] if number == 1 else f"{stage['worker']} ({number})"
            ends = open_until.setdefault(row, [])
            while ends and ends[-1] <= stage["start_ns"]:
                ends.pop()
            if not ends or stage["end_ns"] <= ends[-1]:
                ends.append(stage["end_ns"])
                break
            number += 1
        yield row, stage


def _complete(name: str, pid: int, tid: int, start_ns: int, duration_ns: int, arguments: dict[str, Any]) -> Event:
    return {
        "name": name,
        "cat": "client" if tid == CLIENT_ROW else "stage",
        "ph": "X",
        "ts": start_ns / NS_PER_US,
        "dur": duration_ns / NS_PER_US,
        "pid": pid,
        "tid": tid,
        "args": arguments,
    }


def _metadata(name: str, pid: int, tid: int, arguments: dict[str, Any]) -> Event:
    return {"name": name, "ph": "M", "ts": 0, "pid": pid, "tid": tid, "args": arguments}
