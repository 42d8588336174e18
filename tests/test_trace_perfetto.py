"""Trace Event JSON: valid by the format's rules, and true to the traces it was made from."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.lab.tracing.result import TracePair
from shared.report.pipeline.perfetto import trace_events

from .trace_documents import make_pair
from .trace_events import faults


def events(pair: TracePair, phase: str = "X") -> list[dict[str, Any]]:
    return [event for event in json.loads(trace_events(pair))["traceEvents"] if event["ph"] == phase]


@pytest.mark.parametrize("statements", [1, 30])
def test_file_is_valid(statements: int) -> None:
    assert faults(trace_events(make_pair(statements=statements))) == []


def test_every_stage_is_an_event_with_its_time_and_facts_and_gaps_are_none() -> None:
    pair = make_pair(statements=2)
    for pid, request in enumerate((pair.wsgi, pair.asgi), start=1):
        found = [event for event in events(pair) if event["pid"] == pid and event["cat"] == "stage"]
        stages = request.document["stages"]
        assert sorted(event["name"] for event in found) == sorted(stage["name"] for stage in stages)
        for event in found:
            stage = next(each for each in stages if each["start_ns"] == event["args"]["monotonic_ns"])
            assert round(event["ts"] * 1_000) == stage["start_ns"] - request.client.sent_start_ns
            assert round(event["dur"] * 1_000) == stage["duration_ns"]
            assert stage["facts"].items() <= event["args"].items()


def test_client_has_its_row_on_the_same_time_line() -> None:
    pair = make_pair()
    rows = [event for event in events(pair) if event["cat"] == "client" and event["pid"] == 1]
    assert [event["name"] for event in rows] == ["send request", "wait for first byte", "read the rest"]
    assert rows[0]["ts"] == 0
    times = pair.wsgi.client
    assert round(1_000 * sum(event["dur"] for event in rows)) == times.last_byte_ns - times.sent_start_ns
    names = {event["args"]["name"] for event in events(pair, "M") if event["name"] == "thread_name"}
    assert names == {"client", "thread ThreadPoolExecutor-0_3", "task 41"}


def test_each_edition_is_a_process_with_its_name() -> None:
    found = [event for event in events(make_pair(), "M") if event["name"] == "process_name"]
    assert [event["args"]["name"].partition(" ")[0] for event in found] == ["wsgi", "asgi"]
    assert len({event["pid"] for event in found}) == 2


def test_stages_that_overlap_without_nesting_have_rows_of_their_own() -> None:
    pair = make_pair()
    stages = pair.asgi.document["stages"]
    sql = next(stage for stage in stages if stage["name"] == "sql")
    sql["start_ns"] -= 10_000
    sql["duration_ns"] += 10_000
    text = trace_events(pair)
    assert faults(text) == []
    rows = {event["tid"] for event in json.loads(text)["traceEvents"] if event["pid"] == 2 and event["ph"] == "X"}
    assert len(rows) == 3


def test_service_that_began_before_the_client_sent_has_no_negative_time() -> None:
    pair = make_pair()
    started_ns = pair.wsgi.document["started_ns"]
    late = replace(pair.wsgi.client, sent_start_ns=started_ns + 5_000, sent_end_ns=started_ns + 9_000)
    assert faults(trace_events(replace(pair, wsgi=replace(pair.wsgi, client=late)))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"ts": -1},
        {"dur": -0.5},
        {"dur": None},
        {"ph": "?"},
        {"pid": "1"},
        {"tid": 99},
        {"pid": 77},
        {"ts": 100.0, "dur": 400.0},
        {"args": []},
    ],
)
def test_validator_finds_what_is_wrong(change: dict[str, Any]) -> None:
    """The check can fail: each of these files is refused."""
    document = json.loads(trace_events(make_pair()))
    event = next(each for each in document["traceEvents"] if each["name"] == "parse")
    event.update(change)
    assert faults(json.dumps(document)) != []


@pytest.mark.parametrize("key", ["ph", "ts", "pid", "tid", "name"])
def test_validator_misses_no_missing_key(key: str) -> None:
    document = json.loads(trace_events(make_pair()))
    del document["traceEvents"][-1][key]
    assert faults(json.dumps(document)) != []
