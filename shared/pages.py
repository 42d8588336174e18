"""The two HTML pages: the fortunes table, and the documentation."""

from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

from jinja2 import Environment
from jinja2 import PackageLoader

if TYPE_CHECKING:
    from .schemas import Fortune

# Everything the page runs is in the page itself; nothing may be loaded from, or sent to, anywhere else.
DOCS_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


@lru_cache(maxsize=1)
def _fortunes_page() -> "Callable[[list[Fortune]], str]":
    """Return the template's macro, which renders the whole page."""
    environment = Environment(loader=PackageLoader("shared"), autoescape=False, auto_reload=False)
    # Jinja's own returns a Markup, which takes longer to make than the escaping takes.
    environment.filters["escape"] = escape
    page: Callable[[list[Fortune]], str] = vars(environment.get_template("fortunes.html").module)["page"]
    return page


def fortunes(rows: "list[Fortune]") -> bytes:
    """Render the fortunes table; every message is escaped."""
    return _fortunes_page()(rows).encode()


@lru_cache(maxsize=1)
def documentation() -> str:
    """Return the Swagger UI page, with its script and style inside, reading the document from `openapi.json`."""
    # Imported here: it reads three megabytes of script, which a service that nobody asks for its docs can spare.
    from offapi import OpenAPITemplate

    page = OpenAPITemplate.SWAGGER.value.format(spec_url="openapi.json")
    # Swagger UI would show the document to a validator on the internet; the policy above forbids it, too.
    return page.replace("dom_id: '#swagger-ui',", "dom_id: '#swagger-ui',\n        validatorUrl: null,")
