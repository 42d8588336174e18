"""The page of one request in both editions, in a real browser: it opens, explains itself and runs nothing foreign."""

import re
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import expect

from shared.lab.tracing.result import ClientTimes
from shared.lab.tracing.result import TracePair
from shared.report.trace_page.page import page as trace_page
from shared.trace.recorder import STAGES
from tests.browser import PAYLOADS
from tests.browser import Watch
from tests.browser import check_fits
from tests.browser import check_legible
from tests.browser import check_policy_holds
from tests.browser import check_runs_nothing_foreign
from tests.browser import is_light
from tests.browser import opener
from tests.trace_documents import make_pair

OPENED = """() => [...document.querySelectorAll("details[open]")].map((stage) => stage.id)"""
Open = Callable[..., tuple[Page, Watch]]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the page of a pair from a file; keywords are those of a browser context."""
    with opener(browser, tmp_path / "trace.html") as open_text:
        yield lambda pair, **options: open_text(trace_page(pair), **options)


def planted() -> TracePair:
    """Return a pair with every payload wherever a value of a request can come to stand."""
    text = "".join(PAYLOADS)
    shown = {"size": 40, "text": "".join(PAYLOADS[:-1]), "kept": 40}
    facts = {
        "error": text,
        text: text,
        "statement": text,
        "bytes": shown,
        "value": {text: [text, {text: text}, [[text, text]]]},
        "wire": {"sent": [{"message": text, "bytes": 1}, {text: 1}]},
        "deep": [[[[[[text]]]]]],
    }
    pair = make_pair(target="/db?" + text, body=text.encode("utf-8", "replace"), more_facts=facts)
    for traced in (pair.wsgi, pair.asgi):
        traced.document["stages"][0]["worker"] = text
        traced.document["error"] = text
        traced.document["trace_id"] = text
    # What differs is told in words, too.
    pair.asgi.document["stages"][0]["facts"][text[:8]] = PAYLOADS[1][:16]
    return replace(pair, command=text, method=text)


def test_page_opens_without_errors_or_requests(open_page: Open) -> None:
    page, watch = open_page(make_pair())
    assert watch.troubles == []
    assert watch.requests == [page.url]
    expect(page.locator("h1")).to_have_text("GET /db in both editions")


def test_page_stage_opens_by_click(open_page: Open) -> None:
    page, _ = open_page(make_pair())
    assert page.evaluate(OPENED) == []
    page.locator("#wsgi-stage-1 > summary").click()
    expect(page.locator("#wsgi-stage-1-facts")).to_be_visible()
    expect(page.locator("#wsgi-stage-1-facts")).to_contain_text("GET /db HTTP/1.1\\r\\n")
    expect(page.locator("#wsgi-stage-1-facts")).to_contain_text("Authorization: *******")
    expect(page.locator("#wsgi-stage-1-facts")).to_contain_text("78 bytes")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_page_stage_opens_by_keyboard(open_page: Open, key: str) -> None:
    page, _ = open_page(make_pair())
    summary = page.locator("#asgi-stage-2 > summary")
    # Reached as by somebody without a mouse.
    for _ in range(200):
        page.keyboard.press("Tab")
        if summary.evaluate("(element) => element === document.activeElement"):
            break
    page.keyboard.press(key)
    assert page.evaluate(OPENED) == ["asgi-stage-2"]
    page.keyboard.press(key)
    assert page.evaluate(OPENED) == []


@pytest.mark.parametrize("how", ["click", "Enter", "Space"])
def test_page_bar_opens_its_stage(open_page: Open, how: str) -> None:
    pair = make_pair(target="/queries?queries=20", statements=20)
    page, watch = open_page(pair, viewport={"width": 390, "height": 800})
    # It would be less than a pixel wide.
    at = [stage["name"] for stage in pair.asgi.document["stages"]].index("checkout")
    bar = page.locator(f'a.opener[href="#asgi-stage-{at}-facts"]')
    if how == "click":
        bar.scroll_into_view_if_needed()
        box = bar.locator(".bar").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    else:
        bar.focus()
        page.keyboard.press(how)
    assert page.evaluate(OPENED) == [f"asgi-stage-{at}"]
    expect(page.locator(f"#asgi-stage-{at}-facts")).to_be_in_viewport()
    assert watch.troubles == []


def test_page_bars_are_to_scale_and_can_be_seen(open_page: Open) -> None:
    pair = make_pair()
    page, _ = open_page(pair, viewport={"width": 1280, "height": 900})
    for lane, traced in zip(page.locator(".lane").all(), (pair.wsgi, pair.asgi), strict=True):
        marks = [mark.bounding_box() for mark in lane.locator("line.mark").all()]
        assert marks[0] is not None
        assert marks[-1] is not None
        # From the client's first sent byte to its last read one.
        origin_ns, end_ns = traced.client.sent_start_ns, traced.client.last_byte_ns
        per_ns = (marks[-1]["x"] - marks[0]["x"]) / (end_ns - origin_ns)
        for at, stage in enumerate(traced.document["stages"]):
            box = lane.locator(f'a.opener[href="#{traced.edition}-stage-{at}-facts"] .bar').bounding_box()
            assert box is not None
            # A bar's edge is 1 pixel, or 3 around one that would not be seen.
            assert box["width"] >= 2.5
            assert box["width"] == pytest.approx(stage["duration_ns"] * per_ns, abs=4)
            assert box["x"] == pytest.approx(marks[0]["x"] + (stage["start_ns"] - origin_ns) * per_ns, abs=3)


def test_page_lanes_begin_at_the_clients_first_byte(open_page: Open) -> None:
    page, _ = open_page(make_pair())
    lefts = [[mark.get_attribute("x1") for mark in lane.locator(".mark").all()] for lane in page.locator(".lane").all()]
    assert [len(marks) for marks in lefts] == [4, 4]
    assert lefts[0][0] == lefts[1][0]
    assert lefts[0][3] != lefts[1][3]


@pytest.mark.parametrize("end_us", [(600, 600), (40_000, 900), (40_000, 14_000), (40_000, 26_000)])
@pytest.mark.parametrize("waits", [0.0, 0.1, 0.5, 0.9])
def test_page_marks_do_not_cover_each_other(open_page: Open, end_us: tuple[int, int], waits: float) -> None:
    """Whatever lies close together, labels stand apart and inside the page, also on a narrow screen."""
    pair = make_pair()
    wsgi, asgi = (
        replace(
            traced,
            client=ClientTimes(
                traced.client.sent_start_ns,
                traced.client.sent_start_ns + round(last_us * 1_000 * (1 - waits)),
                traced.client.sent_start_ns + round(last_us * 1_000 * waits),
                traced.client.sent_start_ns + last_us * 1_000,
            ),
        )
        for traced, last_us in zip((pair.wsgi, pair.asgi), end_us, strict=True)
    )
    page, _ = open_page(replace(pair, wsgi=wsgi, asgi=asgi), viewport={"width": 390, "height": 800})
    for lane in page.locator(".lane").all():
        boxes = [box for text in lane.locator(".mark-text").all() if (box := text.bounding_box()) is not None]
        spans = sorted((box["x"], box["x"] + box["width"]) for box in boxes)
        assert spans[0][0] >= 0
        assert spans[-1][1] <= 390
        assert all(left[1] <= right[0] for left, right in pairwise(spans))


def test_page_nested_stage_stands_below_its_parent(open_page: Open) -> None:
    pair = make_pair()
    page, _ = open_page(pair)
    stages = pair.wsgi.document["stages"]
    child = next(at for at, stage in enumerate(stages) if stage["parent"] is not None)
    inner, outer = (
        page.locator(f'a.opener[href="#wsgi-stage-{at}-facts"] .bar').bounding_box()
        for at in (child, stages[child]["parent"])
    )
    assert inner is not None
    assert outer is not None
    assert inner["y"] >= outer["y"] + outer["height"]
    assert outer["x"] - 1 <= inner["x"]
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1


def test_page_shows_every_stage_and_gap_of_both_editions(open_page: Open) -> None:
    pair = make_pair(target="/queries?queries=20", statements=20)
    page, _ = open_page(pair)
    for traced in (pair.wsgi, pair.asgi):
        document = traced.document
        assert page.locator(f'details[id^="{traced.edition}-stage-"]').count() == len(document["stages"])
        assert page.locator(f'details[id^="{traced.edition}-gap-"]').count() == len(document["gaps"])
    assert page.locator(".stages tbody:first-of-type tr").count() == len(pair.wsgi.document["stages"])


def test_page_table_marks_what_differs(open_page: Open) -> None:
    page, _ = open_page(make_pair())
    rows = {row.locator("th").inner_text().lstrip("≠ "): row for row in page.locator(".stages tbody tr").all()}
    assert "≠" in rows["dispatch"].inner_text()
    assert "order" in rows["dispatch"].inner_text()
    assert "interface: environ | scope" in rows["parse"].inner_text()
    assert "≠" not in rows["route"].inner_text()
    assert "statement" in rows["sql"].inner_text()
    assert rows["stages at the top"].locator("td").all_inner_texts()[1] == "565.0"
    assert rows["gaps"].locator("td").all_inner_texts()[1] == "23.5"
    assert rows["the whole"].locator("td").all_inner_texts()[1] == "588.5"


def test_page_runs_nothing_that_a_request_brought(open_page: Open) -> None:
    page, watch = open_page(planted())
    page.get_by_role("button", name="Open all").click()
    assert len(page.evaluate(OPENED)) > 20
    page.mouse.wheel(0, 5_000)
    for bar in page.locator("a.opener").all()[:3]:
        bar.focus()
        page.keyboard.press("Enter")
    check_runs_nothing_foreign(page, watch)
    assert "\\u2028\\u2029\\u202e\\x00\\x1b[31m\\ud800" in page.locator("body").inner_text()


def test_page_runs_no_script_or_style_but_its_own(open_page: Open) -> None:
    """The policy holds: what came to stand in the page in spite of all escaping would not run."""
    page, watch = open_page(make_pair())
    check_policy_holds(page, watch)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_legible(open_page: Open, scheme: str) -> None:
    page, _ = open_page(make_pair(), color_scheme=scheme)
    page.get_by_role("button", name="Open all").click()
    check_legible(page)
    assert is_light(page) == (scheme == "light")


def test_page_in_print_is_light_and_open(open_page: Open) -> None:
    page, _ = open_page(make_pair(), color_scheme="dark", viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    assert is_light(page)
    expect(page.locator("table.stages")).to_be_visible()
    expect(page.locator("#wsgi-stage-1-facts pre")).to_be_visible()
    expect(page.get_by_role("button", name="Open all")).to_be_hidden()
    check_legible(page)
    check_fits(page, 720)


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_the_screen(open_page: Open, width: int) -> None:
    page, _ = open_page(planted(), viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Open all").click()
    check_fits(page, width)


def test_page_works_without_javascript(open_page: Open) -> None:
    page, watch = open_page(make_pair(), java_script_enabled=False)
    expect(page.locator("table.stages")).to_contain_text("dispatch")
    for name in set(STAGES) - {"commit"}:
        assert page.locator(".lane").first.get_by_role("link", name=f"WSGI {name},").count() == 1
    expect(page.get_by_role("button", name="Open all")).to_be_hidden()
    page.locator("#wsgi-stage-1 > summary").click()
    expect(page.locator("#wsgi-stage-1-facts pre")).to_be_visible()
    # A bar is a link to its facts, and a browser opens what a link leads into.
    page.locator('a.opener[href="#wsgi-stage-2-facts"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#wsgi-stage-2-facts")).to_be_in_viewport()
    assert watch.troubles == []


def test_page_of_a_failed_request_says_so() -> None:
    pair = make_pair()
    pair.wsgi.document["outcome"] = "client left"
    pair.wsgi.document["status"] = None
    pair.wsgi.document["error"] = "PoolTimeout"
    del pair.wsgi.document["stages"][8:], pair.wsgi.document["gaps"][5:]
    text = trace_page(pair)
    assert "WSGI ended with &#34;client left&#34; after PoolTimeout" in text
    assert "only ASGI" in text


def test_page_of_a_request_without_stages_is_a_page() -> None:
    pair = make_pair()
    for traced in (pair.wsgi, pair.asgi):
        traced.document["stages"], traced.document["gaps"] = [], []
    assert re.search(r"<table class=\"stages\">.*the whole", trace_page(pair), re.DOTALL)
