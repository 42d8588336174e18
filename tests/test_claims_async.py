"""Claims about concurrency: each rule fed with doctored figures, and each experiment run in a short form."""

from dataclasses import replace
from typing import Any

import pytest

from shared.lab.claims import c01_many_at_once
from shared.lab.claims import c20_get_db
from shared.lab.claims import c23_blocking_handler
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from tests.claim_records import made


def ranges(**ends: tuple[float, float]) -> Figures:
    """Return figures with these intervals, and values in their middle."""
    return Figures(
        tuple(Figure(name, name, (low + high) / 2, low=low, high=high) for name, (low, high) in ends.items())
    )


class TestBlockingHandler:
    """C23."""

    @pytest.mark.parametrize(
        ("blocking", "wait", "verdict"),
        [
            ((-0.02, 0.1), (0.0, 0.05), "confirmed"),
            ((0.5, 1.0), (-0.05, 0.1), "depends"),
            ((0.9, 1.0), (0.6, 1.1), "refuted"),
            ((0.49, 1.0), (0.0, 0.05), "undecided"),
            ((0.0, 0.11), (0.0, 0.05), "undecided"),
            ((0.9, 1.0), (0.0, 0.11), "undecided"),
            # Without a block that shows, nothing that waits well can hold up others.
            ((0.0, 0.05), (0.6, 1.0), "undecided"),
        ],
    )
    def test_verdict_follows_from_how_long_others_wait(
        self, blocking: tuple[float, float], wait: tuple[float, float], verdict: str
    ) -> None:
        assert c23_blocking_handler.rule(ranges(blocking_share=blocking, wait_share=wait)).verdict == verdict

    def test_last_report_that_has_an_end_is_quoted_without_its_pid(self) -> None:
        log = (
            "[pid 1] Event loop blocked for 51 ms and still: a.py:1 in f\n"
            "[pid 1] Event loop blocked for 300 ms in the end: a.py:1 in f\n"
            "[pid 1] Event loop blocked for 61 ms and still: a.py:2 in g\n"
        )
        assert c23_blocking_handler.reported(log) == "Event loop blocked for 300 ms in the end: a.py:1 in f"
        assert c23_blocking_handler.reported("something in the end: else") == ""

    @pytest.mark.slow
    def test_blocking_handler_holds_up_everybody_in_the_async_edition_alone(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(c23_blocking_handler, "LEAD_S", 0.2)
        monkeypatch.setattr(c23_blocking_handler, "TAIL_S", 0.1)
        options = {**c23_blocking_handler.CLAIM.defaults, "trials": 3, "seconds": 0.3}
        finding = c23_blocking_handler.measure(bench, options)
        wsgi, asgi = finding.measured["wsgi"], finding.measured["asgi"]
        # Wide margins: half of the time in which everybody stands still is far from what a busy machine adds.
        assert asgi.number("blocking_during_ms") > 150 > asgi.number("wait_during_ms")
        assert wsgi.number("blocking_during_ms") < 150
        assert "shared/work.py" in asgi.text("report")
        assert "in blocking: work.block(" in asgi.text("report")
        (picture,) = finding.pictures
        assert isinstance(picture, Diagram)
        line = next(line for line in picture.lines if line.name == "asgi, /blocking")
        assert max(y for _, y in line.points) > 150
        assert "Event loop blocked" in c23_blocking_handler.explain(finding)


ORDER = made(
    whole_opens_first=True, streamed_opens_first=True, whole_closes_last=False, streamed_closes_last=True,
)  # fmt: skip


def stage(name: str, start_ns: int, end_ns: int, **facts: Any) -> dict[str, Any]:
    """Return a stage as a trace's document has it."""
    return {"name": name, "start_ns": start_ns, "end_ns": end_ns, "facts": facts}


class TestGetDb:
    """C20."""

    @pytest.mark.parametrize(
        ("changed", "verdict"),
        [
            ({}, "depends"),
            ({"whole_closes_last": True}, "confirmed"),
            ({"whole_closes_last": True, "streamed_closes_last": False}, "depends"),
            ({"streamed_closes_last": False}, "refuted"),
            ({"whole_opens_first": False}, "refuted"),
            ({"whole_closes_last": True, "streamed_opens_first": False}, "refuted"),
        ],
    )
    def test_verdict_follows_from_the_order_alone(self, changed: dict[str, bool], verdict: str) -> None:
        figures = Figures(
            tuple(replace(figure, value=changed.get(figure.name, figure.value)) for figure in ORDER.figures)
        )
        assert c20_get_db.rule(figures).verdict == verdict

    def test_order_is_that_of_the_moments_and_the_end_of_chunks_is_no_byte_of_the_body(self) -> None:
        trace = {
            "stages": [
                stage("session", 1_000, 2_000),
                stage("sql", 3_000, 4_000),
                stage("send", 5_000, 6_000, bytes={"size": 100}),
                stage("sql", 6_500, 6_600),
                stage("send", 7_000, 8_000, bytes={"size": 100}),
                stage("commit", 8_500, 9_000),
                stage("release", 9_500, 10_000),
                stage("send", 11_000, 12_000, bytes={"size": 5}),
            ]
        }
        assert c20_get_db.order(trace) == [
            ("session opened", 0.0),
            ("first statement", 1.0),
            ("first byte", 3.0),
            ("last statement", 4.6),
            ("last byte", 6.0),
            ("commit", 7.0),
            ("connection returned", 8.0),
        ]

    @pytest.mark.slow
    def test_editions_close_before_whole_answers_and_a_control_that_does_not_holds_connections(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(c20_get_db, "WINDOW_S", 0.3)
        finding = c20_get_db.measure(bench, {**c20_get_db.CLAIM.defaults, "trials": 3})
        assert set(finding.measured) == {"wsgi", "asgi"}
        for figures in finding.measured.values():
            assert c20_get_db.rule(figures).verdict == "depends"
            early = figures.text("before_whole_order").split(", ")
            late = figures.text("after_whole_order").split(", ")
            assert early[-4:] == ["commit", "connection returned", "first byte", "last byte"]
            assert late[-4:] == ["first byte", "last byte", "commit", "connection returned"]
            assert figures.is_true("told_before_commit")
        wsgi = finding.measured["wsgi"]
        assert wsgi.number("after_hold_ms") > 3 * wsgi.number("before_hold_ms")
        assert "0.118" in c20_get_db.explain(finding)


class TestManyAtOnce:
    """C1."""

    @pytest.mark.parametrize(
        ("wait", "sleep", "verdict"),
        [
            ((0.25, 0.9), (0.3, 0.4), "confirmed"),
            ((0.25, 0.9), (0.05, 0.125), "depends"),
            ((0.05, 0.1), (0.05, 0.1), "refuted"),
            ((0.2, 0.9), (0.05, 0.1), "undecided"),
            ((0.3, 0.9), (0.05, 0.13), "undecided"),
            ((0.05, 0.1), (0.3, 0.4), "undecided"),
        ],
    )
    def test_verdict_follows_from_how_many_are_in_flight(
        self, wait: tuple[float, float], sleep: tuple[float, float], verdict: str
    ) -> None:
        assert c01_many_at_once.rule(ranges(wait_share=wait, sleep_share=sleep)).verdict == verdict

    @pytest.mark.slow
    def test_tasks_wait_for_all_users_and_both_editions_share_a_pool_of_ten(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(c01_many_at_once, "FEW_USERS", ())
        monkeypatch.setattr(c01_many_at_once, "MOST_USERS", 80)
        monkeypatch.setattr(c01_many_at_once, "WINDOW_S", 0.5)
        finding = c01_many_at_once.measure(bench, {**c01_many_at_once.CLAIM.defaults, "users": 80})
        wsgi, asgi = finding.measured["wsgi"], finding.measured["asgi"]
        assert asgi.number("wait_per_s") > 1.5 * wsgi.number("wait_per_s")
        # Ten threads or ten connections, each for 30 ms: 333 answers each second, and as many more as begin together.
        for figures, name in ((wsgi, "wait_per_s"), (wsgi, "sleep_per_s"), (asgi, "sleep_per_s")):
            assert figures.number(name) < 450
        assert wsgi.number("many_threads") > 60 > wsgi.number("threads")
        assert asgi.number("threads") < 40
        assert [len(picture.lines) for picture in finding.pictures if isinstance(picture, Diagram)] == [3, 3, 3, 3]
        assert "ASGI gave" in c01_many_at_once.explain(finding)
