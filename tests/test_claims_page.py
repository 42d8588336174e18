"""The page of claims in a real browser: verdicts first, every picture to scale and in words, nothing foreign run."""

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Locator
from playwright.sync_api import Page
from playwright.sync_api import expect

from shared.lab.claims.claim import Bar
from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Lane
from shared.lab.claims.claim import Line
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Span
from shared.lab.claims.claim import Timeline
from shared.lab.claims.result import Claims
from shared.report.claims_page.page import page as claims_page
from tests.browser import PAYLOADS
from tests.browser import Watch
from tests.browser import check_fits
from tests.browser import check_legible
from tests.browser import check_policy_holds
from tests.browser import check_runs_nothing_foreign
from tests.browser import is_light
from tests.browser import opener
from tests.claim_records import LEVELS
from tests.claim_records import STRATEGIES
from tests.claim_records import make_claims

Open = Callable[..., tuple[Page, Watch]]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the page of claims from a file; keywords are those of a browser context."""
    with opener(browser, tmp_path / "claims.html") as open_text:
        yield lambda found, **options: open_text(claims_page(found), **options)


def planted() -> Claims:
    """Return claims with every payload wherever words of somebody else can come to stand."""
    text = "".join(PAYLOADS)
    found = make_claims()
    finding = Finding(
        {"wsgi": Figures((Figure("n", text, text, text), Figure("m", text, 1.5, text, low=1.0, high=2.0)))},
        (
            Diagram(text, text, text, (Line(text, ((1, 1), (2, 2))), Line(f"{text}2", ((1, 1),)))),
            Timeline(text, (Lane(text, (Span(0, 1, text, text), Span(1, 1, f"{text}2", text))),)),
            Bars(text, text, (Bar(text, text, 1.0, 0.5, 1.5), Bar(text, f"{text}2", 2.0))),
        ),
        (text,),
    )
    claim = replace(
        found.outcomes[0].claim,
        statement=text,
        prediction=text,
        method=text,
        rule_words=text,
        options=(Option("trials", 3, text, 1, 100),),
        sources=(Source(text, text), Source("a script", "javascript:alert(6)"), Source("web", f"https://x/{text}")),
    )
    outcome = replace(
        found.outcomes[0],
        claim=claim,
        options={"trials": 5},
        finding=finding,
        rulings={"wsgi": Ruling("depends", text)},
        explanation=text,
    )
    manifest = replace(
        found.manifest,
        command=("wsgi-vs-asgi", text),
        packages={text: text},
        cpu_model=text,
        settings={text: {text: text}},
    )
    return Claims(manifest, (outcome, *found.outcomes[1:]), (replace(found.failures[0], why=text),))


def section(page: Page, name: str) -> Locator:
    return page.locator(f"section#{name}")


def test_page_opens_without_errors_or_requests(open_page: Open) -> None:
    page, watch = open_page(make_claims())
    assert watch.troubles == []
    assert watch.requests == [page.url]
    expect(page.locator("h1")).to_have_text("Claims, put to the test")
    # Every id is one, or a link would lead elsewhere.
    assert page.evaluate("() => {const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); "
                         "return ids.length - new Set(ids).size}") == 0  # fmt: skip


def test_page_begins_with_every_verdict_in_words(open_page: Open) -> None:
    page, _ = open_page(make_claims(), viewport={"width": 1280, "height": 900})
    expect(page.locator(".lead")).to_have_text("5 claims: 1 confirmed, 1 refuted, 1 depends, 1 undecided, 1 not done.")
    table = section(page, "verdicts").locator("table.numbers")
    expect(table).to_be_in_viewport()
    assert table.locator("thead th").all_inner_texts() == ["claim", "statement", "wsgi", "asgi", "shared", "verdict"]
    assert table.locator("tbody th").all_inner_texts() == ["C9", "C16", "C18", "C24", "C25"]
    row = table.locator("tbody tr", has_text="Many users")
    assert row.locator("td").all_inner_texts() == [
        "Many users, one engine.", "✓ confirmed", "✗ refuted", "-", "± depends",
    ]  # fmt: skip
    row.get_by_role("link", name="C24").click()
    expect(page.locator("#c24 h2")).to_be_in_viewport()


def test_page_tells_of_a_claim_everything_that_was_stated_and_found(open_page: Open) -> None:
    found = make_claims()
    page, _ = open_page(found)
    outcome = found.outcomes[1]
    text = section(page, "c16").inner_text()
    claim = outcome.claim
    words = (claim.statement, claim.prediction, claim.method, claim.rule_words, outcome.explanation, outcome.command)
    for each in (*words, *outcome.finding.notes, *(option.help for option in claim.options)):
        assert each in text
    assert "✓ wsgi: confirmed" in text
    rows = section(page, "c16").locator("table.numbers").first.locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == [
        "0.2475 [0.2461, 0.2494] s",
        "1.2475 [1.2461, 1.2494] s",
        "3",
    ]
    links = section(page, "c16").locator(".points a")
    assert [link.get_attribute("href") for link in links.all()] == [source.url for source in claim.sources]


def test_page_says_what_was_not_done_and_how_to_try_again(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    text = section(page, "c18").inner_text()
    assert "! not done" in text
    assert "The database does not speak TLS" in text
    assert "wsgi-vs-asgi claims C18 --set trials=5" in text


def test_page_says_which_verdict_is_the_machines(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    expect(page.get_by_text("This depends on the machine")).to_have_count(1)
    expect(section(page, "c25").get_by_text("This depends on the machine")).to_be_visible()


def test_timeline_shows_the_eleventh_waiting_to_scale(open_page: Open) -> None:
    page, _ = open_page(make_claims(), viewport={"width": 1280, "height": 900})
    figure = section(page, "c16").locator("figure").first
    assert [text.strip() for text in figure.locator(".legend li").all_inner_texts()] == [
        "waits for a connection", "holds a connection", "connects", "transaction", "returned",
    ]  # fmt: skip
    waits, holds = (
        {piece.locator("title").text_content(): piece for piece in figure.locator(f"svg.chart rect.{look}").all()}
        for look in ("s1", "s0")
    )
    eleventh = waits["request 11: waits for a connection 6 to 254 ms, for 247 ms"].bounding_box()
    first = holds["request 1: holds a connection 1 to 252 ms, backend 4201"].bounding_box()
    assert eleventh is not None
    assert first is not None
    grid = [box["x"] for line in figure.locator("line.grid").all() if (box := line.bounding_box()) is not None]
    # From 0 to 500 ms; an edge is a pixel.
    per_ms = (grid[-1] - grid[0]) / 500
    assert eleventh["x"] == pytest.approx(grid[0] + 6 * per_ms, abs=2)
    assert eleventh["width"] == pytest.approx(247.5 * per_ms, abs=2)
    assert first["width"] == pytest.approx(251 * per_ms, abs=2)
    assert eleventh["x"] + eleventh["width"] >= first["x"] + first["width"]
    assert figure.locator("svg.chart path.mark").count() == 3
    # Who cannot see it hears it.
    assert "request 11: waits for a connection" in (figure.locator("svg.chart > desc").text_content() or "")
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == 10 * 2 + 2 + 5


def test_waiting_is_hatched_and_holding_is_not(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    fills = section(page, "c16").locator("figure").first.locator(".legend rect").evaluate_all(
        "(all) => all.map((e) => document.querySelector(getComputedStyle(e).fill.match(/#p\\d/)[0])"
        ".querySelectorAll('.stripe').length)"
    )  # fmt: skip
    assert fills == [1, 0, 0]


def test_diagram_has_users_on_a_logarithmic_axis(open_page: Open) -> None:
    page, _ = open_page(make_claims(), viewport={"width": 1280, "height": 900})
    figure = section(page, "c24").locator("figure").first
    boxes = [mark.bounding_box() for mark in figure.locator("svg.chart path.mark.s0").all()]
    centres = [box["x"] + box["width"] / 2 for box in boxes if box is not None]
    # 1, 10, 100 and 1,000 users.
    decades = [centres[at + 2] - centres[at] for at in (0, 2, 4)]
    assert decades == pytest.approx([decades[0]] * 3, abs=2)
    texts = figure.locator("svg.chart text").all_text_contents()
    assert {"1", "10", "100", "1,000", "users (logarithmic)", "database sessions"} <= set(texts)
    figure.locator("summary").click()
    assert figure.locator("thead th").all_inner_texts() == ["users", "wsgi", "asgi", "an engine for each request"]
    assert figure.locator("tbody tr").nth(6).locator("th, td").all_inner_texts() == ["1000", "10", "10", "97"]


def test_diagram_of_a_count_goes_in_steps(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    curve = section(page, "c16").locator("figure").nth(1).locator("svg.chart polyline.curve")
    points = [tuple(map(float, pair.split(","))) for pair in (curve.get_attribute("points") or "").split()]
    assert len(points) == 2 * 1000
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))


def test_diagram_of_steps_names_them_and_counts_in_whole_numbers(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    figure = section(page, "c24").locator("figure").nth(2)
    assert figure.locator("svg.chart text").all_text_contents() == ["sessions", "0", "1", "2", "0", "1", "step"]
    expect(figure).to_contain_text("Step 0: engine made; 1: Session opened; 2: first query.")
    assert figure.locator("tbody th").all_text_contents() == ["0: engine made", "1: Session opened", "2: first query"]


def test_bars_stand_in_groups_with_their_intervals(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    figure = section(page, "c25").locator("figure")
    texts = figure.locator("svg.chart text").all_text_contents()
    assert [text for text in texts if text in STRATEGIES] == list(STRATEGIES)
    assert [text for text in texts if text in LEVELS] == list(LEVELS) * len(STRATEGIES)
    assert "612 [551, 673]" in texts
    # Two bars of 0 are drawn as nothing; each interval has a line and two ends.
    assert figure.locator("svg.chart rect.piece").count() == 13
    assert figure.locator("svg.chart line.error").count() == 13 * 3
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == 15


def test_page_runs_nothing_that_a_result_brought(open_page: Open) -> None:
    page, watch = open_page(planted())
    page.get_by_role("button", name="Open all details").click()
    check_runs_nothing_foreign(page, watch)
    assert page.locator("a[href^='javascript']").count() == 0
    assert "javascript:alert(6)" in page.locator("body").inner_text()


def test_page_runs_no_script_or_style_but_its_own(open_page: Open) -> None:
    """The policy holds: what came to stand in the page in spite of all escaping would not run."""
    page, watch = open_page(make_claims())
    check_policy_holds(page, watch)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_legible(open_page: Open, scheme: str) -> None:
    page, _ = open_page(make_claims(), color_scheme=scheme)
    page.get_by_role("button", name="Open all details").click()
    check_legible(page)
    assert is_light(page) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_in_bars_are_legible(open_page: Open, scheme: str) -> None:
    """They stand on the colour of their bar and not on the page's."""
    page, _ = open_page(make_claims(), color_scheme=scheme)
    low = page.evaluate(
        """() => {
          const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          return [...document.querySelectorAll(".inside-text")].map((text) => {
            const look = text.previousElementSibling.classList[1].slice(1);
            const ground = document.querySelector(`#p${look} .ground`);
            const [a, b] = [light(getComputedStyle(text).fill), light(getComputedStyle(ground).fill)];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          });
        }"""
    )
    assert len(low) == 11
    assert min(low) >= 4.5


def test_page_in_print_is_light_and_open(open_page: Open) -> None:
    page, _ = open_page(make_claims(), color_scheme="dark", viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    assert is_light(page)
    expect(page.locator("figure details .inside").first).to_be_visible()
    expect(page.get_by_role("button", name="Open all details")).to_be_hidden()
    check_legible(page)
    check_fits(page, 720)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("make", [make_claims, planted])
def test_page_fits_the_screen(open_page: Open, make: Callable[[], Claims], width: int) -> None:
    page, _ = open_page(make(), viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Open all details").click()
    check_fits(page, width)


def test_page_on_a_telephone_shows_verdicts_without_scrolling_aside(open_page: Open) -> None:
    page, _ = open_page(make_claims(), viewport={"width": 390, "height": 800})
    boxes = [box for each in page.locator("#verdicts td .verdict").all() if (box := each.bounding_box()) is not None]
    assert len(boxes) == 12
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    # Laid out otherwise, it is a table still for those who hear it.
    assert page.locator("#verdicts [role=row]").count() == 6
    assert page.locator("#verdicts [role=cell]").count() == 25


def test_page_words_of_a_chart_stay_inside_it_on_a_telephone(open_page: Open) -> None:
    page, _ = open_page(make_claims(), viewport={"width": 390, "height": 800})
    boxes = page.evaluate(
        """() => [...document.querySelectorAll("svg.chart text")].map((text) => text.getBoundingClientRect())
          .filter((box) => box.width).map((box) => [box.left, box.right])"""
    )
    assert len(boxes) > 80
    assert min(left for left, _ in boxes) >= 0
    assert max(right for _, right in boxes) <= 390


def test_page_opens_the_numbers_by_keyboard(open_page: Open) -> None:
    page, _ = open_page(make_claims())
    summary = section(page, "c16").locator("figure summary").first
    for _ in range(80):
        page.keyboard.press("Tab")
        if summary.evaluate("(element) => element === document.activeElement"):
            break
    inside = section(page, "c16").locator("figure details .inside").first
    expect(inside).to_be_hidden()
    page.keyboard.press("Enter")
    expect(inside).to_be_visible()


def test_page_is_whole_without_javascript(open_page: Open) -> None:
    page, watch = open_page(make_claims(), java_script_enabled=False)
    expect(page.locator("#c24 figure")).to_have_count(3)
    expect(page.get_by_role("button", name="Open all details")).to_be_hidden()
    page.locator("#c24 figure summary").first.click()
    expect(page.locator("#c24 figure table").first).to_be_visible()
    assert watch.troubles == []


@pytest.mark.parametrize(
    "picture",
    [
        Diagram("t", "x", "y", ()),
        Diagram("t", "x", "y", (Line("none", ()), Line("one", ((5.0, 5.0),)))),
        Diagram("t", "x", "y", (Line("odd", ((-1.0, -2.0), (0.0, float("nan")), (3.0, float("inf")))),)),
        Diagram("t", "x" * 99, "y" * 99, (Line("zero", ((0.0, 0.0),)),), is_log_x=True, is_log_y=True),
        Timeline("t", ()),
        Timeline("t", (Lane("empty", ()), Lane("moment", (Span(0, 0, "now"),)))),
        Timeline("t", tuple(Lane(f"lane {n}", (Span(n, n + 0.001, f"kind {n}"),)) for n in range(20))),
        Bars("t", "x", ()),
        Bars("t", "x", (Bar("", "one", 0.0), Bar("", "lost", float("nan")), Bar("g", "less", -1.0, -2.0, 0.0))),
    ],
    ids=lambda picture: type(picture).__name__,
)
def test_picture_of_little_or_odd_is_drawn(open_page: Open, picture: Diagram | Timeline | Bars) -> None:
    found = make_claims()
    outcome = found.outcomes[1]
    changed = replace(outcome, finding=replace(outcome.finding, pictures=(picture,)))
    page, watch = open_page(replace(found, outcomes=(changed,)), viewport={"width": 390, "height": 800})
    assert watch.troubles == []
    assert "NaN" not in page.content()
    check_fits(page, 390)
    expect(page.get_by_role("img", name="t", exact=False)).to_have_count(1)
