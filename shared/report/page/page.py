"""A page of the lab as one HTML document that needs nothing else: no network, no fonts, not even its script.

Every value is escaped by the template; the page's own policy lets the browser run its script and its style, by their
hashes, and load nothing.
"""

import base64
import hashlib
from functools import lru_cache

from jinja2 import Environment
from jinja2 import PackageLoader
from jinja2 import StrictUndefined

from shared.report.format import visible
from shared.report.page.charts.marks import DASHES
from shared.report.page.charts.marks import PATTERNS
from shared.report.page.charts.marks import SHAPES
from shared.report.page.content import Page


def render(page: Page) -> str:
    """Return the page: one HTML document, to be written as UTF-8."""
    environment = _environment()
    # The files of the page itself, not values: nothing of a result is ever part of a script or a style.
    style, script = (_source(environment, name) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        page=page,
        patterns=PATTERNS,
        shapes=SHAPES,
        dashes=DASHES,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("shared.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
