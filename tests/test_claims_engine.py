"""Claims about the engine: each rule fed with doctored figures, and each experiment run."""

import pytest

from shared.lab.claims import c11_lazy_engine
from shared.lab.claims.bench import Bench
from tests.claim_records import doctored
from tests.claim_records import made

LAZY = made(
    before_most=0, engine_most=0, session_most=0, first_query_least=1, first_query_most=1,
)  # fmt: skip


def test_lazy_engine_is_confirmed_by_no_session_before_the_first_query() -> None:
    assert c11_lazy_engine.rule(LAZY).verdict == "confirmed"


@pytest.mark.parametrize(
    "changed",
    [{"engine_most": 1}, {"session_most": 1}, {"before_most": 1}, {"first_query_most": 2}, {"first_query_least": 0}],
)
def test_lazy_engine_is_refuted_by_any_other_count(changed: dict[str, int]) -> None:
    assert c11_lazy_engine.rule(doctored(LAZY, **changed)).verdict == "refuted"


def test_lazy_engine_is_what_both_editions_have(bench: Bench) -> None:
    finding = c11_lazy_engine.measure(bench, {"trials": 1})
    for figures in finding.measured.values():
        assert c11_lazy_engine.rule(figures).verdict == "confirmed"
        assert figures.number("second_query_most") == figures.number("closed_session_most") == 1
        assert figures.number("disposed_most") == 0
    assert set(finding.measured) == {"wsgi", "asgi"}
