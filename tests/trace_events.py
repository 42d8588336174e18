"""Tells what is wrong with Trace Event JSON, by the format's own rules.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

REQUIRED = ("name", "ph", "ts", "pid", "tid")
PHASES = set("BEXibnesfPNODMVvRcC")
NAMES = {"process_name", "process_labels", "process_sort_index", "thread_name", "thread_sort_index"}


def faults(text: str) -> list[str]:
    """Return every rule that a file breaks; an empty list for a valid one."""
    document = json.loads(text)
    events = document if isinstance(document, list) else document.get("traceEvents")
    if not isinstance(events, list) or not events:
        return ["no traceEvents"]
    found = [fault for event in events for fault in _event_faults(event)]
    return found or [*_nesting_faults(events), *_name_faults(events)]


def _event_faults(event: dict[str, Any]) -> Iterator[str]:
    for key in REQUIRED:
        if key not in event:
            yield f"{event} has no {key}"
            return
    if event["ph"] not in PHASES:
        yield f"{event['name']}: no phase {event['ph']}"
    for key in ("pid", "tid"):
        if not isinstance(event[key], int):
            yield f"{event['name']}: {key} is no integer"
    for key in ("ts", *(["dur"] if event["ph"] == "X" else [])):
        value = event.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            yield f"{event['name']}: {key} is {value}"
    if not isinstance(event.get("args", {}), dict):
        yield f"{event['name']}: args are no object"
    if event["ph"] == "M" and event["name"] not in NAMES:
        yield f"{event['name']}: no metadata"


def _nesting_faults(events: list[dict[str, Any]]) -> Iterator[str]:
    rows = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            # Whole nanoseconds again, so that sums are exact.
            start = round(event["ts"] * 1000)
            rows[event["pid"], event["tid"]].append((start, -(start + round(event["dur"] * 1000)), event["name"]))
    for row, spans in rows.items():
        around: list[int] = []
        for start, minus_end, name in sorted(spans):
            while around and around[-1] <= start:
                around.pop()
            if around and -minus_end > around[-1]:
                yield f"{name} in row {row} begins inside another event and ends after it"
            around.append(-minus_end)


def _name_faults(events: list[dict[str, Any]]) -> Iterator[str]:
    processes = {event["pid"] for event in events if event["name"] == "process_name"}
    threads = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    for event in events:
        if event["ph"] == "X" and event["pid"] not in processes:
            yield f"process {event['pid']} has no name"
        if event["ph"] == "X" and (event["pid"], event["tid"]) not in threads:
            yield f"row {event['pid']}, {event['tid']} has no name"
