"""A real browser: the system's Chromium, and all that a page in it did."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field

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
