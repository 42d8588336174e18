"""The page of a comparison in a real browser: it opens alone, is legible everywhere and runs nothing foreign."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import expect

from shared.lab.planning.plan import Scenario
from shared.lab.results.record import Comparison
from shared.report.comparison_page.companions import Companion
from shared.report.comparison_page.page import page as comparison_page
from tests.browser import PAYLOADS
from tests.browser import Watch
from tests.browser import check_fits
from tests.browser import check_legible
from tests.browser import check_policy_holds
from tests.browser import check_runs_nothing_foreign
from tests.browser import is_light
from tests.browser import opener
from tests.lab_records import MANIFEST
from tests.lab_records import make_comparison
from tests.lab_records import make_server_figures
from tests.lab_records import make_slice
from tests.studies import study_document

Open = Callable[..., tuple[Page, Watch]]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the page of a comparison from a file; keywords are those of a browser context."""
    study = {**study_document(), "manifest": asdict(MANIFEST)}
    companions = (
        Companion("ladder", "20261122T120000Z-ladder", None, "cut"),
        Companion("factors", "20261122T130000Z-factors", study),
    )
    with opener(browser, tmp_path / "report.html") as open_text:
        yield lambda comparison, **options: open_text(comparison_page(comparison, companions), **options)


def measured(
    scenarios: tuple[str, ...] = ("plaintext", "db", "sleep"), loads: tuple[int, ...] = (1, 8, 32)
) -> Comparison:
    """Return a comparison in which either edition has its part, with doubts."""
    return make_comparison(
        [
            make_slice(
                subject,
                rps=(200 + 10 * i) * (2 + at) if subject == "asgi" else 500 * (1 + connections // 32) + 10 * i,
                scenario=name,
                connections=connections,
                round_index=i,
                time_s=0.001 * (at + 1) * connections * (1.3 if subject == "asgi" else 1.0),
                errors=(2,) if at == 1 else (),
                server=make_server_figures(subject, answers=600, pool_waits=60),
            )
            for at, name in enumerate(scenarios)
            for connections in loads
            for subject in ("wsgi", "asgi")
            for i in range(4)
        ]
    )


def renamed(made: Comparison, names: Mapping[str, str]) -> Comparison:
    """Return a comparison in which scenarios and subjects have other names."""

    def other(name: str) -> str:
        return names.get(name, name)

    return replace(
        made,
        subjects=tuple(map(other, made.subjects)),
        scenarios=tuple(Scenario(other(each.name), each.target) for each in made.scenarios),
        cells=tuple(replace(each, scenario=other(each.scenario), subject=other(each.subject)) for each in made.cells),
        ratios=tuple(replace(each, scenario=other(each.scenario), numerator=other("asgi")) for each in made.ratios),
        slices=tuple(replace(each, scenario=other(each.scenario), subject=other(each.subject)) for each in made.slices),
        foreign_load=tuple(replace(each, scenario=other(each.scenario)) for each in made.foreign_load),
        doubts=tuple(replace(each, scenario=other(each.scenario or "")) for each in made.doubts),
    )


def planted() -> Comparison:
    """Return a comparison with every payload wherever words of somebody else can come to stand."""
    text = "".join(PAYLOADS)
    made = renamed(measured(("one", "two")), {"one": text, "two": f"{text}2", "asgi": text})
    manifest = replace(
        made.manifest,
        command=("wsgi-vs-asgi", text),
        packages={text: text},
        cpu_model=text,
        kernel=text,
        settings={text: {text: text}},
        database_version=text,
    )
    doubts = tuple(replace(doubt, code=text, message=text, next_step=text) for doubt in made.doubts)
    return replace(made, manifest=manifest, doubts=doubts)


def test_page_opens_without_errors_or_requests(open_page: Open) -> None:
    page, watch = open_page(measured())
    assert watch.troubles == []
    assert watch.requests == [page.url]
    expect(page.locator("h1")).to_have_text("WSGI against ASGI, measured")


def test_page_answers_before_it_shows_figures(open_page: Open) -> None:
    page, _ = open_page(measured(), viewport={"width": 1280, "height": 800})
    lead = page.locator(".lead")
    expect(lead).to_contain_text("answers more requests per second for")
    expect(lead).to_be_in_viewport()
    box, first = lead.bounding_box(), page.locator("svg.chart").first.bounding_box()
    assert box is not None
    assert first is not None
    assert box["y"] + box["height"] < first["y"]


def test_page_has_every_section_that_its_menu_names(open_page: Open) -> None:
    page, _ = open_page(measured())
    links = [link.get_attribute("href") for link in page.locator("nav a").all()]
    names = (
        "rates",
        "times",
        "load",
        "cost",
        "servers",
        "ladder",
        "factors",
        "every",
        "doubts",
        "method",
        "manifest",
        "commands",
    )
    assert links == [f"#{name}" for name in names]
    assert all(page.locator(f"section{link} h2").count() == 1 for link in links)


def test_page_opens_details_by_keyboard(open_page: Open) -> None:
    page, _ = open_page(measured())
    summary = page.locator("figure summary").first
    for _ in range(60):
        page.keyboard.press("Tab")
        if summary.evaluate("(element) => element === document.activeElement"):
            break
    inside = page.locator("figure details .inside").first
    expect(inside).to_be_hidden()
    page.keyboard.press("Enter")
    expect(inside).to_be_visible()
    page.keyboard.press("Space")
    expect(inside).to_be_hidden()


def test_page_shows_what_the_servers_used_of_both_editions(open_page: Open) -> None:
    page, _ = open_page(measured())
    section = page.locator("#servers")
    assert section.locator("details").count() == 9
    opened = section.locator("details[open] table")
    expect(opened).to_have_count(1)
    assert opened.locator("thead th").all_inner_texts() == ["median over rounds", "wsgi", "asgi"]
    row = opened.locator("tr", has_text="busy threads, mean")
    assert row.locator("td").all_inner_texts() == ["8.5", "-"]
    section.locator("summary").nth(1).press("Enter")
    expect(section.locator("table").nth(1)).to_be_visible()


def test_page_marks_where_lines_cross(open_page: Open) -> None:
    """The band stands between the marks of both loads, and its words are seen; the chart tells it in words, too."""
    page, _ = open_page(measured(), viewport={"width": 390, "height": 800})
    figure = page.locator("#load figure", has_text="sleep: requests per second against connections")
    words = "lines cross between 8 and 32"
    assert words in page.get_by_role("img", name="requests per second").nth(2).locator("desc").inner_html()
    expect(figure.locator(".cross-text")).to_have_text(words)
    band = figure.locator("rect.band").bounding_box()
    marks = [mark.bounding_box() for mark in figure.locator("path.mark").all()]
    assert band is not None
    # The legend has two marks of its own; each line has one at 1, 8 and 32.
    centres = [box["x"] + box["width"] / 2 for box in marks[-3:] if box is not None]
    assert centres[0] + 20 < band["x"] == pytest.approx(centres[1], abs=6)
    assert band["x"] + band["width"] == pytest.approx(centres[2], abs=6)


def test_page_shows_ratios_over_injected_latency_as_lines(open_page: Open) -> None:
    page, _ = open_page(measured(), viewport={"width": 390, "height": 800})
    figures = page.locator("#factors figure", has_text="against latency")
    expect(figures).to_have_count(2)
    expect(figures.first.locator(".cross-text")).to_have_text("cross at 12 [9, 15] ms")
    expect(figures.nth(1).locator(".cross-text")).to_have_count(0)
    summary = figures.first.locator("summary")
    summary.press("Enter")
    expect(figures.first.locator("td").first).to_be_visible()
    assert figures.first.locator("tbody th").all_inner_texts()[:2] == ["as they are", "latency=0"]


def test_page_runs_nothing_that_a_result_brought(open_page: Open) -> None:
    page, watch = open_page(planted())
    page.get_by_role("button", name="Open all details").click()
    assert page.locator("details:not([open])").count() == 0
    check_runs_nothing_foreign(page, watch)


def test_page_runs_no_script_or_style_but_its_own(open_page: Open) -> None:
    """The policy holds: what came to stand in the page in spite of all escaping would not run."""
    page, watch = open_page(measured())
    check_policy_holds(page, watch)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_is_legible(open_page: Open, scheme: str) -> None:
    page, _ = open_page(measured(), color_scheme=scheme)
    page.get_by_role("button", name="Open all details").click()
    check_legible(page)
    assert is_light(page) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_marks_stand_out_from_the_ground(open_page: Open, scheme: str) -> None:
    """Lines, marks and the edges of bars have the contrast of 3 that WCAG 2 asks of graphics."""
    page, _ = open_page(measured(), color_scheme=scheme)
    low = page.evaluate(
        """(least) => {
          const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const ground = light(getComputedStyle(document.body).backgroundColor);
          const found = {};
          for (const [selector, property] of [[".curve", "stroke"], [".whisker", "stroke"], [".piece", "stroke"],
            [".mark:not(.equal)", "fill"], [".mark.equal", "stroke"], [".reference", "stroke"],
            [".cross", "stroke"], [".band-edge", "stroke"]])
            for (const element of document.querySelectorAll(selector)) {
              const own = light(getComputedStyle(element)[property]);
              const ratio = (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
              found[selector] = Math.min(found[selector] ?? 99, ratio);
            }
          return found;
        }""",
        3,
    )
    assert len(low) == 8
    assert {name: ratio for name, ratio in low.items() if ratio < 3} == {}


def test_page_in_print_is_light_and_open(open_page: Open) -> None:
    page, _ = open_page(measured(), color_scheme="dark", viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    assert is_light(page)
    expect(page.locator("figure details .inside").first).to_be_visible()
    expect(page.locator("nav")).to_be_hidden()
    expect(page.get_by_role("button", name="Open all details")).to_be_hidden()
    check_legible(page)
    check_fits(page, 720)


def test_page_of_much_work_has_a_chart_for_each_load_and_prints_what_is_open(open_page: Open) -> None:
    page, _ = open_page(measured(tuple(f"/bytes?size={n}" for n in range(1, 10)), (1, 32)))
    titles = page.locator("#cost figcaption").all_inner_texts()
    assert [title for title in titles if title.startswith("Processor time per request, at")] == [
        "Processor time per request, at 1",
        "Processor time per request, at 32",
    ]
    folded = page.locator("#every > details:not([open])")
    page.emulate_media(media="print")
    expect(page.locator("#every > details[open] > .inside")).to_have_count(1)
    expect(folded).to_have_count(17)
    expect(folded.first.locator("summary").first).to_be_visible()
    expect(folded.first.locator(".inside").first).to_be_hidden()
    expect(page.locator("figure details .inside").first).to_be_visible()
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Open all details").click()
    page.emulate_media(media="print")
    expect(page.locator("#every > details > .inside").last).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("make", [measured, planted])
def test_page_fits_the_screen(open_page: Open, make: Callable[[], Comparison], width: int) -> None:
    page, _ = open_page(make(), viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Open all details").click()
    check_fits(page, width)


def test_page_words_of_a_chart_stay_inside_it_on_a_telephone(open_page: Open) -> None:
    page, _ = open_page(measured(), viewport={"width": 390, "height": 800})
    page.get_by_role("button", name="Open all details").click()
    boxes = page.evaluate(
        """() => [...document.querySelectorAll("svg.chart text")].map((text) => text.getBoundingClientRect())
          .map((box) => [box.left, box.right])"""
    )
    assert len(boxes) > 100
    assert min(left for left, _ in boxes) >= 0
    assert max(right for _, right in boxes) <= 390


def test_page_without_samples_or_with_a_name_that_is_long_opens(open_page: Open) -> None:
    made = measured(("db",), (32,))
    made = replace(renamed(made, {"db": "/queries?queries=" + "1" * 200}), slices=())
    page, watch = open_page(made, viewport={"width": 390, "height": 800})
    assert watch.troubles == []
    check_fits(page, 390)
    assert page.locator("#every polyline").count() == 0
