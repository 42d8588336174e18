"""A page of the lab as one HTML document."""

from shared.report.html.document import document
from shared.report.page.charts.marks import DASHES
from shared.report.page.charts.marks import PATTERNS
from shared.report.page.charts.marks import SHAPES
from shared.report.page.content import Page


def render(page: Page) -> str:
    """Return the page: one HTML document, to be written as UTF-8."""
    return document("shared.report.page", "page", page=page, patterns=PATTERNS, shapes=SHAPES, dashes=DASHES)
