"""The documentation page of both running editions, in a real browser."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page
from playwright.sync_api import expect

from tests.browser import Watch


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("query", ["", "?url=//evil.example/openapi.json&configUrl=//evil.example/config.json"])
def test_docs_page_shows_every_operation(page: Page, client: httpx.Client, query: str) -> None:
    """It renders the document of its own service, whatever a link asks for, and talks to nobody else."""
    watch = Watch()
    watch.attach(page)
    page.goto(f"{client.base_url}/docs{query}")
    document = client.get("/openapi.json").json()
    operations = [(method, path) for path, methods in document["paths"].items() for method in methods]
    expect(page.locator(".opblock")).to_have_count(len(operations), timeout=20_000)
    shown = {
        (
            block.locator(".opblock-summary-method").inner_text().lower(),
            block.locator("[data-path]").get_attribute("data-path"),
        )
        for block in page.locator(".opblock").all()
    }
    assert shown == set(operations)
    expect(page.locator(".info .title")).to_contain_text(document["info"]["title"])
    assert watch.troubles == []
    asked = [url for url in watch.requests if not url.startswith("data:")]
    assert asked == [page.url, f"{client.base_url}/openapi.json"]
