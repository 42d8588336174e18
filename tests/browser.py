"""A real browser: the system's Chromium, all that a page in it did, and what every page of a report must keep to."""

import os
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import ConsoleMessage
from playwright.sync_api import Dialog
from playwright.sync_api import Page
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ABSENT = (
    "browser tests left out: no Chromium was found (looked for chromium, chromium-browser, google-chrome); "
    "install one, as in: apt-get install chromium"
)
# Whatever a page shows, it must come out as text.
PAYLOADS = (
    '<img src="x" onerror="alert(1)">',
    "<script>alert(2)</script>",
    "</script><script>alert(3)</script>",
    "</style></title></pre></svg><svg onload=alert(4)>",
    "\" onclick='alert(5)' x=\"",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029\u202e\x00\x1b[31m\ud800",
)
# Contrast of every text against the first ground behind it, as WCAG 2 defines it, with what falls below a limit.
CONTRAST = """
(least) => {
  const rgb = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return { light: [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0), seen: a !== 0 };
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const bar = at.matches("a.opener") && element !== at && at.querySelector(".bar:not(.gap)");
      const found = rgb(getComputedStyle(bar || at)[bar ? "fill" : "backgroundColor"]);
      if (found.seen) return found.light;
    }
    throw new Error("no ground");
  };
  const low = [];
  let checked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const [a, b] = [rgb(element.closest("svg") ? style.fill : style.color).light, ground(element)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    checked += 1;
    if (ratio < least) low.push(`${walker.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [checked, low];
}
"""
# Every kind of element that holds words.
WORDS = "td, th, dd, dt, pre, p, li, text, summary, summary span, code"
WHITE = "rgb(255, 255, 255)"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser; where there is none, leave the test out, or let it fail where CI=true asks for all of them."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(ABSENT)
        pytest.skip(ABSENT)
    # Chromium refuses to run its sandbox as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True)
class Watch:
    """What a page did beside showing itself.

    Attributes:
        requests: URL of each of its requests.
        troubles: Errors, warnings and dialogs; a violation of the page's policy is an error.
    """

    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        """Watch a page that has not been opened yet."""

        def heard(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self.troubles.append(message.text)

        def asked(dialog: Dialog) -> None:
            self.troubles.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("console", heard)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", asked)
        page.on("request", lambda request: self.requests.append(request.url))


OpenText = Callable[..., tuple[Page, Watch]]


@contextmanager
def opener(browser: Browser, path: Path) -> Iterator[OpenText]:
    """Yield a function that opens HTML from a file, watched; its keywords are those of a browser context.

    Args:
        browser: Opens it, each time in a context of its own.
        path: The file.
    """
    contexts = []

    def open_(text: str, **options: Any) -> tuple[Page, Watch]:
        path.write_text(text, "utf-8")
        context = browser.new_context(**options)
        contexts.append(context)
        page, watch = context.new_page(), Watch()
        watch.attach(page)
        page.goto(path.as_uri())
        return page, watch

    yield open_
    for context in contexts:
        context.close()


def check_runs_nothing_foreign(page: Page, watch: Watch) -> None:
    """Check that a page that shows PAYLOADS shows them as text, and did nothing else."""
    assert watch.troubles == []
    assert watch.requests == [page.url]
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert page.locator("[onerror], [onload], [onclick]").count() == 0
    text = page.locator("body").inner_text()
    for payload in PAYLOADS[:-1]:
        assert payload in text


def check_policy_holds(page: Page, watch: Watch) -> None:
    """Check that what came to stand in a page in spite of all escaping loads nothing, runs not and has no style."""
    arrived: list[str] = []
    page.on("requestfinished", lambda request: arrived.append(request.url))
    page.evaluate(
        """() => {
          document.body.insertAdjacentHTML("beforeend", "<img src='https://example.com/' onerror='alert(1)'>");
          const script = document.createElement("script");
          script.textContent = "alert(2)";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<p id='styled' style='color: red'>text</p>");
        }"""
    )
    page.wait_for_timeout(100)
    assert [trouble for trouble in watch.troubles if "Content Security Policy" not in trouble] == []
    assert len(watch.troubles) >= 3
    assert arrived == []
    assert page.locator("#styled").evaluate("(e) => getComputedStyle(e).color") != "rgb(255, 0, 0)"


def check_legible(page: Page) -> None:
    """Check the contrast of every text that is shown, of which there must be many: 4.5, as WCAG 2 asks."""
    checked, low = page.evaluate(CONTRAST, 4.5)
    assert low == []
    assert checked > 300


def check_fits(page: Page, width: int) -> None:
    """Check that a page is as wide as its screen and that no letters are smaller than 11 pixels."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        "(words) => [...document.querySelectorAll(words)].map((e) => parseFloat(getComputedStyle(e).fontSize))", WORDS
    )
    assert min(sizes) >= (8 * 96 / 72 if page.evaluate("matchMedia('print').matches") else 11)


def is_light(page: Page) -> bool:
    """Return whether a page's ground is white."""
    return bool(page.evaluate("getComputedStyle(document.body).backgroundColor") == WHITE)
