"""What a record says about its load: how requests fell due, what was given up, and which doubts that raises."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.lab.planning.plan import Behaviour
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Part
from shared.lab.planning.plan import Scenario
from shared.lab.results import arrivals
from shared.lab.results import files as result_file
from shared.lab.results import summary
from shared.lab.results.client import ClientLimits
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import ABORTED
from shared.lab.results.record import ERROR_KINDS
from shared.lab.results.record import SLOW
from shared.lab.results.record import WAITED
from shared.lab.results.record import Comparison
from shared.lab.results.record import Slice
from shared.report import table
from tests.lab_records import SECOND_NS
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

OPEN = Load(128, 1000.0, "poisson")
LIMITS = ClientLimits(1, 20_000.0, 0.98, 500.0, {"p50": 0.0001, "p99": 0.0004})
NOT_SENT = ERROR_KINDS.index("not_sent")


def open_slice(
    subject: str = "wsgi",
    *,
    rps: int = 1000,
    late_s: float = 0.0,
    waited_s: float = 0.0,
    waiting: int = 0,
    time_s: float = 0.01,
    errors: Sequence[int] = (),
    round_index: int = 0,
) -> Slice:
    """Return a slice of the open model; the last `waiting` requests waited for a connection for `waited_s`."""
    made = make_slice(subject, rps=rps, time_s=time_s, errors=errors, round_index=round_index)
    samples = made.samples
    flags = np.zeros(rps, dtype=np.uint32)
    sent_ns = samples.intended_ns + int(late_s * SECOND_NS)
    if waiting:
        flags[-waiting:] = WAITED
        sent_ns[-waiting:] = samples.intended_ns[-waiting:] + int(waited_s * SECOND_NS)
    return replace(made, load=OPEN, samples=replace(samples, sent_ns=sent_ns, flags=flags))


def compared(slices: Sequence[Slice], limits: ClientLimits | None = None) -> Comparison:
    comparison = replace(make_comparison(slices, subjects=["wsgi"]), limits=limits)
    return replace(comparison, doubts=find_doubts(comparison))


def codes(comparison: Comparison) -> set[str]:
    return {doubt.code for doubt in comparison.doubts}


def three(**options: float) -> list[Slice]:
    return [open_slice(round_index=i, **options) for i in range(3)]  # type: ignore[arg-type]  # by name above


# Arrivals


def test_timing_error_is_that_of_requests_with_an_idle_connection() -> None:
    made = arrivals.arrivals_of([open_slice(late_s=0.002, waiting=100, waited_s=0.5)])
    assert made.timing_error_s == pytest.approx({"p50": 0.002, "p99": 0.002})
    assert made.waited_share == pytest.approx(0.1, abs=0.002)


def test_backlog_is_counted_from_due_to_sent() -> None:
    """One request each millisecond, and the last hundred waited 20 ms: twenty waited at a time."""
    made = arrivals.arrivals_of([open_slice(waiting=100, waited_s=0.02, time_s=0.03)])
    assert made.backlog_max == pytest.approx(20, abs=1)
    # Answers take 30 ms, and the last comes at the end of the window: its request was sent 10 ms before.
    assert made.backlog_end == 0
    assert arrivals.backlog_max(open_slice()) == 0


def test_requests_never_sent_are_due_and_waiting() -> None:
    piece = open_slice(errors=(NOT_SENT,) * 50)
    late_ns = piece.window_end_ns + SECOND_NS
    piece = replace(piece, errors=replace(piece.errors, at_ns=np.full(50, late_ns)))
    made = arrivals.arrivals_of([piece, piece])
    assert made.due == 2 * (991 + 50)  # nine of a thousand were due before the window
    assert made.offered_rps == pytest.approx(1041)
    assert (made.backlog_max, made.backlog_end) == (50, 50)
    assert made.waited_share == pytest.approx(50 / 1041)
    # All fifty are counted as due at the window's start already, so none is a surplus; ten were answered meanwhile.
    assert made.surplus == 2 * -10


def test_closed_model_has_no_arrivals() -> None:
    comparison = make_comparison([make_slice("wsgi", rps=100, round_index=i) for i in range(3)], subjects=["wsgi"])
    assert comparison.cells[0].arrivals is None


def test_open_model_counts_completions_in_the_window() -> None:
    piece = open_slice(rps=100, time_s=0.5)
    assert summary.completed_in_window(piece) == 99  # the last is complete at the window's end
    assert summary.completed_in_window(replace(piece, load=Load(32))) < 99


# What was given up, and who read slowly


def test_requests_given_up_are_no_errors() -> None:
    slices = [make_slice("wsgi", rps=1000, round_index=i, errors=(ABORTED,) * 9 + (2,)) for i in range(3)]
    (cell,) = compared(slices).cells
    assert (cell.aborted, cell.errors, cell.error_count) == (27, {"timeout": 3}, 3)
    only = compared([make_slice("wsgi", rps=1000, round_index=i, errors=(ABORTED,)) for i in range(3)])
    assert codes(only) == set()


def test_slow_readers_are_throughput_and_no_response_times() -> None:
    made = make_slice("wsgi", rps=1000)
    flags = np.zeros(1000, dtype=np.uint32)
    flags[::2] = SLOW
    piece = replace(made, samples=replace(made.samples, flags=flags))
    assert len(summary.response_times_s(piece)) == pytest.approx(len(summary.response_times_s(made)) / 2, abs=1)
    assert summary.completed_in_window(piece) == summary.completed_in_window(made)


# Doubts


def test_punctual_client_below_its_limits_raises_no_doubt() -> None:
    assert codes(compared(three(late_s=0.0005), LIMITS)) == set()


def test_rate_near_the_clients_highest_is_its_bottleneck() -> None:
    near = replace(LIMITS, highest_rps=1200.0)
    assert "client_bottleneck" in codes(compared(three(), near))
    assert "client_bottleneck" not in codes(compared(three(), replace(LIMITS, highest_rps=1300.0)))
    assert "client_bottleneck" not in codes(compared(three()))


def test_busy_client_is_a_bottleneck_once() -> None:
    busy = [replace(piece, client_cpu_s=0.95) for piece in three()]
    found = [d for d in compared(busy, replace(LIMITS, highest_rps=1100.0)).doubts if d.code == "client_bottleneck"]
    assert [doubt.value for doubt in found] == [pytest.approx(0.95)]


def test_late_client_is_doubted_where_response_times_are_short() -> None:
    (doubt,) = compared(three(late_s=0.003)).doubts
    assert (doubt.code, doubt.load, doubt.subject) == ("late_client", OPEN, "wsgi")
    assert doubt.value == pytest.approx(0.3)
    assert "3.00 ms" in doubt.message
    assert codes(compared(three(late_s=0.003, time_s=0.1))) == set()


def test_queue_that_grew_throughout_is_doubted() -> None:
    pieces = []
    for piece in three(errors=(NOT_SENT,) * 200):  # type: ignore[arg-type]  # a sequence of kinds
        due_ns = np.linspace(piece.window_start_ns + 1, piece.window_end_ns - 1, 200).astype(np.int64)
        failed = replace(piece.errors, intended_ns=due_ns, at_ns=np.full(200, piece.window_end_ns + SECOND_NS))
        pieces.append(replace(piece, errors=failed))
    comparison = compared(pieces)
    found = next(doubt for doubt in comparison.doubts if doubt.code == "backlog")
    assert found.value == 3 * (200 - 10)
    assert "errors" in codes(comparison)
    assert "600 not_sent" in next(doubt.message for doubt in comparison.doubts if doubt.code == "errors")
    assert "backlog" not in codes(compared(three(waiting=100, waited_s=0.5, time_s=0.6)))


# Kept and shown


def full() -> Comparison:
    slices = [
        replace(open_slice(s, round_index=i, waiting=50, waited_s=0.004), load=load)
        for load in (Load(32), OPEN)
        for i in range(3)
        for s in ("wsgi", "asgi")
    ]
    comparison = make_comparison(slices)
    mix = Scenario(
        "db", "/db", parts=(Part("/db", 3), Part("/json", 1)), behaviour=Behaviour(abort_share=0.05, slow_share=0.1)
    )
    return replace(comparison, scenarios=(mix,), limits=LIMITS)


def test_load_comes_back_from_its_file(tmp_path: Path) -> None:
    comparison = full()
    path = tmp_path / "compare.json"
    result_file.write(comparison, path)
    loaded = result_file.load(path)
    assert (loaded.scenarios, loaded.loads, loaded.cells) == (
        comparison.scenarios,
        comparison.loads,
        comparison.cells,
    )
    assert loaded.limits == LIMITS
    for kept, original in zip(loaded.slices, comparison.slices, strict=True):
        assert np.array_equal(kept.samples.flags, original.samples.flags)
        assert np.array_equal(kept.errors.sent_ns, original.errors.sent_ns)


def test_table_says_what_the_load_was() -> None:
    stream = io.StringIO()
    table.draw(table.comparison_sheet(full()), stream)
    lines = stream.getvalue().splitlines()
    text = " ".join(stream.getvalue().split())
    assert lines[0] == "Closed-loop and open-model load on both editions"
    assert max(map(len, lines)) <= 100
    assert "open model, 1000/s, Poisson arrivals, at most 128 in flight" in text
    assert "response times count from the moment due" in text
    assert "waited for one, at most 4 at a time" in text
    assert "db: 75% /db, 25% /json" in text
    assert "5 % of the requests are given up" in text
    assert "up to 20,000 requests per second here at 98% of a core" in text
    assert "at 500/s it sent p50 0.10 ms, p99 0.40 ms late" in text


def test_title_names_the_model() -> None:
    slices = [open_slice(s, round_index=i) for i in range(3) for s in ("a", "b")]
    sheet = table.comparison_sheet(make_comparison(slices, subjects=["a", "b"]))
    assert sheet.title == "Open-model load on both editions"
