"""Results of other commands as sections: what their documents hold stands on the page, and nothing else."""

from typing import Any

import pytest

from shared.report.page.content import Page
from shared.report.page.content import Section
from shared.report.page.page import render
from shared.report.page.sections import SECTIONS

LOAD = {"connections": 32, "rate": None, "arrivals": None}


def within(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high, "rounds": 10}


def ladder() -> dict[str, Any]:
    costs = {
        ("wsgi", "server"): 100e-6,
        ("wsgi", "routing"): 20e-6,
        ("asgi", "server"): 60e-6,
        ("asgi", "routing"): 90e-6,
    }
    levels = [
        {"edition": edition, "rung": rung, "cpu_s": within(cost, cost, cost), "step_s": within(cost, 0.9 * cost, cost)}
        for (edition, rung), cost in costs.items()
    ]
    gaps = [
        {"rung": "server", "cpu_s": within(-4e-5, -5e-5, -3e-5), "step_s": within(-4e-5, -5e-5, -3e-5)},
        {"rung": "routing", "cpu_s": within(3e-5, -1e-5, 7e-5), "step_s": within(7e-5, 6e-5, 8e-5)},
    ]
    doubt = {"code": "wide", "message": "seen", "next_step": "more", "scenario": "routing", "subject": "wsgi"}
    return {"editions": ["wsgi", "asgi"], "levels": levels, "gaps": gaps, "doubts": [doubt]}


def factors() -> dict[str, Any]:
    about = {"scenario": "/db", "load": LOAD, "label": "loop=asyncio"}
    side = {"edition": "asgi", "also": ["the loop is slower"]}
    shares = [
        {**about, "edition": "asgi", "measure": "rps", "ratio": within(0.8, 0.7, 0.9)},
        {**about, "edition": "asgi", "measure": "cpu", "ratio": None},
    ]
    gaps = [{**about, "label": "", "measure": "rps", "ratio": within(1.5, 1.4, 1.6)}]
    crossing = {
        **{"scenario": "/db", "load": LOAD, "measure": "rps", "levels": [0, 10, 100], "verdict": "cross", "at": 12.0},
        **{"low": 9.0, "high": 15.0, "probability": 0.99, "ahead": "asgi", "is_repeated": False},
    }
    variants = [{"label": "loop=asyncio", "level": None, "sides": [side]}]
    return {"variants": variants, "shares": shares, "gaps": gaps, "crossings": [crossing], "curve": "latency"}


DOCUMENTS = {"ladder": ladder, "factors": factors}


def shown(section: Section | None) -> str:
    assert section is not None
    return render(Page("title", "made", [section]))


def test_every_kind_has_a_document_here() -> None:
    # The validation has tests of its own.
    assert {*DOCUMENTS, "validate"} == set(SECTIONS)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_section_is_named_by_its_kind(kind: str) -> None:
    section = SECTIONS[kind](DOCUMENTS[kind]())
    assert section is not None
    assert section.id == kind


def test_ladder_shows_each_step_and_the_largest_difference() -> None:
    text = shown(SECTIONS["ladder"](ladder()))
    assert "The largest step between the editions is routing: +70.0 [+60.0, +80.0]" in text
    assert "<td>20.0 [18.0, 20.0]</td>" in text
    assert "wide (routing, wsgi):" in text
    unsure = ladder()
    unsure["gaps"][1]["step_s"] = within(7e-5, -1e-5, 15e-5)
    assert "not shown to differ from 0" in shown(SECTIONS["ladder"](unsure))


def test_factors_show_shares_gaps_and_crossings() -> None:
    text = shown(SECTIONS["factors"](factors()))
    assert "0.80 [0.70, 0.90]" in text
    assert "as they are, /db at 32" in text
    assert "the curves cross at 12 [9, 15]; below it asgi is ahead" in text
    assert "loop=asyncio: asgi: the loop is slower" in text
    assert "no ratio" in text


@pytest.mark.parametrize(("verdict", "text"), [("apart", "do not cross between 0 and 100"), ("not shown", "99% of")])
def test_curves_that_are_not_shown_to_cross_are_not_said_to(verdict: str, text: str) -> None:
    document = factors()
    document["crossings"][0] |= {"verdict": verdict}
    page = shown(SECTIONS["factors"](document))
    assert text in page
    assert "cross at" not in page


def test_document_without_a_finding_has_no_section() -> None:
    assert SECTIONS["ladder"]({**ladder(), "levels": []}) is None
    assert SECTIONS["factors"]({**factors(), "variants": []}) is None
