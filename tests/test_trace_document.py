"""A trace's document accounts for every nanosecond: stages nested, gaps between them, nothing counted twice."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract import CONTRACT
from shared.trace.build import document
from shared.trace.build import summary
from shared.trace.context import TraceParent
from shared.trace.document import TraceDocument
from shared.trace.document import adapter
from shared.trace.recorder import MOST_BYTES
from shared.trace.recorder import STAGES
from shared.trace.recorder import Octets
from shared.trace.recorder import Stage
from shared.trace.recorder import Trace
from tests.traced import assert_sound

ENTRY = {endpoint.name: endpoint for endpoint in CONTRACT}
PARENT = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def trace(*spans: tuple[int, int], ended_ns: int, started_ns: int = 1_000, costs: tuple[int, ...] = ()) -> Trace:
    """Return a trace with stages from and to, in the order of their recording."""
    found = Trace("wsgi", reveals_values=False, started_ns=started_ns)
    for place, (start_ns, end_ns) in enumerate(spans):
        cost_ns = costs[place] if place < len(costs) else 0
        found.stages.append(Stage(STAGES[place % len(STAGES)], start_ns, end_ns, "thread 1", {}, cost_ns))
    found.outcome, found.ended_ns = "answered", ended_ns
    return found


def times(found: TraceDocument) -> list[tuple[int, int, int | None, int]]:
    """Return start, end, parent and own time of each stage."""
    return [(stage["start_ns"], stage["end_ns"], stage["parent"], stage["own_ns"]) for stage in found["stages"]]


def gaps(found: TraceDocument) -> list[tuple[int, int, int, int | None, int | None]]:
    """Return start, end, recorder's share and neighbours of each gap."""
    return [(gap["start_ns"], gap["end_ns"], gap["recorder_ns"], gap["after"], gap["before"]) for gap in found["gaps"]]


def test_stages_are_in_order_of_their_start_whenever_they_were_recorded() -> None:
    found = document(trace((1_300, 1_400), (1_000, 1_100), (1_100, 1_300), ended_ns=1_400), None)
    assert times(found) == [(1_000, 1_100, None, 100), (1_100, 1_300, None, 200), (1_300, 1_400, None, 100)]
    assert found["gaps"] == []


def test_stage_stands_in_the_one_around_it() -> None:
    found = document(trace((1_200, 1_300), (1_150, 1_400), (1_100, 1_500), (1_450, 1_460), ended_ns=1_500), None)
    assert times(found) == [
        (1_100, 1_500, None, 140),
        (1_150, 1_400, 0, 150),
        (1_200, 1_300, 1, 100),
        (1_450, 1_460, 0, 10),
    ]


def test_time_without_a_stage_is_a_gap_with_its_neighbours() -> None:
    found = document(trace((1_100, 1_200), (1_250, 1_300), ended_ns=1_350), None)
    assert gaps(found) == [(1_000, 1_100, 0, None, 0), (1_200, 1_250, 0, 0, 1), (1_300, 1_350, 0, 1, None)]
    assert found["duration_ns"] == 350


def test_trace_without_a_stage_is_one_gap() -> None:
    found = document(trace(ended_ns=1_500), None)
    assert gaps(found) == [(1_000, 1_500, 0, None, None)]


def test_stage_that_outlasts_the_one_it_began_in_counts_once() -> None:
    """What is beyond the outer one belongs to nobody."""
    found = document(trace((1_000, 1_100), (1_050, 1_150), (1_120, 1_140), ended_ns=1_150), None)
    assert times(found) == [(1_000, 1_100, None, 50), (1_050, 1_150, 0, 100), (1_120, 1_140, None, 20)]
    assert gaps(found) == [(1_100, 1_120, 0, 0, 2), (1_140, 1_150, 0, 2, None)]
    assert_sound(found)


def test_stage_that_begins_where_another_ends_stands_beside_it() -> None:
    found = document(trace((1_000, 1_100), (1_100, 1_100), (1_100, 1_200), ended_ns=1_200), None)
    assert [stage["parent"] for stage in found["stages"]] == [None, None, None]
    assert found["gaps"] == []


def test_recorder_works_in_the_gap_behind_a_stage() -> None:
    costs = (30, 80, 7)
    found = document(trace((1_000, 1_100), (1_150, 1_200), (1_200, 1_300), ended_ns=1_310, costs=costs), None)
    # The second stage's bookkeeping fell into the third stage, where no gap is.
    assert gaps(found) == [(1_100, 1_150, 30, 0, 1), (1_300, 1_310, 7, 2, None)]
    assert [stage["recorder_ns"] for stage in found["stages"]] == list(costs)
    assert found["recorder_ns"] == 117


def test_recorder_never_spends_more_than_the_gap() -> None:
    found = document(trace((1_000, 1_100), (1_040, 1_100), ended_ns=1_120, costs=(500, 500)), None)
    assert gaps(found) == [(1_100, 1_120, 20, 0, None)]


def test_whole_reaches_from_the_first_to_the_last() -> None:
    found = document(trace((900, 950), (1_900, 2_500), ended_ns=2_000), None)
    assert (found["started_ns"], found["ended_ns"]) == (900, 2_500)


def test_document_says_what_was_recorded() -> None:
    recorded = trace((1_000, 1_100), ended_ns=1_100)
    recorded.parent, recorded.trace_id = PARENT, PARENT.trace_id
    recorded.method, recorded.target, recorded.status = "GET", "/accounts/4711?x=1", 200
    recorded.template, recorded.endpoint, recorded.left_out = "/accounts/{id}", "read_account", 3
    found = document(recorded, ENTRY["read_account"])
    assert found["parent_span_id"] == PARENT.span_id
    assert found["target"] == "/accounts/****?*=*"
    assert (found["left_out"], found["status"], found["outcome"]) == (3, 200, "answered")
    assert adapter.validate_json(json.dumps(found), strict=True) == found
    assert summary(found).items() <= found.items()


def test_bytes_are_cut_with_their_real_size() -> None:
    recorded = trace((1_000, 1_100), ended_ns=1_100)
    recorded.stages[0].name = "send"
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    recorded.stages[0].facts["bytes"] = head + b"x" * (2 * MOST_BYTES)
    (shown,) = (stage["facts"]["bytes"] for stage in document(recorded, ENTRY["pattern"])["stages"])
    assert (shown["size"], shown["kept"]) == (len(head) + 2 * MOST_BYTES, MOST_BYTES)
    assert shown["text"] == (head + b"x" * MOST_BYTES)[:MOST_BYTES].decode()


def test_bytes_of_both_directions_are_masked_each_as_one_message() -> None:
    recorded = trace(*((at, at + 5) for at in range(1_000, 1_040, 10)), ended_ns=1_040)
    parts: list[tuple[Any, Octets]] = [
        ("receive", Octets(27, b"GET /nowhere HTTP/1.1\r\nX-Tok")),
        ("receive", Octets(16, b"en: planted\r\n\r\n")),
        ("send", Octets(26, b"HTTP/1.1 404 Not Found\r\nSe")),
        ("send", Octets(22, b"rver: s\r\nX: planted\r\n\r\n")),
    ]
    for stage, (name, octets) in zip(recorded.stages, parts, strict=True):
        stage.name, stage.facts = name, {"bytes": Octets(len(octets.data), octets.data)}
    shown = [stage["facts"]["bytes"]["text"] for stage in document(recorded, None)["stages"]]
    assert shown == [
        "GET /******* HTTP/1.1\r\nX-Tok",
        "en: *******\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nSe",
        "rver: s\r\nX: *******\r\n\r\n",
    ]


@pytest.mark.parametrize("text", ["a\udcffb", "\ud800"])
def test_any_text_is_text_in_json(text: str) -> None:
    recorded = trace((1_000, 1_100), ended_ns=1_100)
    recorded.reveals_values = True
    recorded.target, recorded.stages[0].worker = text, text
    recorded.stages[0].facts = {"value": {text: text}, "interface": "environ", "parameters": {text: [text]}}
    adapter.validate_json(json.dumps(document(recorded, None)), strict=True)


SPANS = st.tuples(st.integers(1, 60), st.integers(0, 40), st.integers(0, 30))


@given(st.lists(SPANS, max_size=30), st.integers(1, 60), st.integers(0, 120))
def test_stages_at_the_top_and_gaps_are_the_whole(
    spans: list[tuple[int, int, int]], started_ns: int, ended_ns: int
) -> None:
    """Whatever overlaps whatever: nothing is negative, nothing counted twice, nothing lost."""
    recorded = trace(
        *((start, start + duration) for start, duration, _ in spans),
        started_ns=started_ns,
        ended_ns=ended_ns,
        costs=tuple(cost for _, _, cost in spans),
    )
    found = document(recorded, None)
    assert_sound(found)
    assert all(0 <= gap["recorder_ns"] <= gap["duration_ns"] for gap in found["gaps"])
    edges = sorted(
        [(stage["start_ns"], stage["end_ns"]) for stage in found["stages"] if stage["parent"] is None]
        + [(gap["start_ns"], gap["end_ns"]) for gap in found["gaps"]]
    )
    assert all(before[1] <= after[0] for before, after in pairwise(edges))
