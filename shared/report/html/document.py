"""HTML documents that need nothing else: no network, no fonts, not even their script.

Every value is escaped by the template; the document's own policy lets the browser run its script and its style, by
their hashes, and load nothing. Each kind of page brings a template, a style and a script, which follow those of all.
"""

import base64
import hashlib
from functools import lru_cache

from jinja2 import ChoiceLoader
from jinja2 import Environment
from jinja2 import PackageLoader
from jinja2 import StrictUndefined

from shared.report.format import visible

OWN = "shared.report.html"


def document(package: str, name: str, **values: object) -> str:
    """Return a document, to be written as UTF-8.

    Args:
        package: Where its kind's files are, in templates/.
        name: Of these files: name.html, which extends base.html, name.css and name.js.
        values: What the template shows; every text is escaped.
    """
    environment = _environment(package)
    # The files of the page itself, not values: nothing that was measured is ever part of a script or a style.
    style, script = (
        "".join(_source(environment, f"{each}.{kind}") for each in ("base", name)) for kind in ("css", "js")
    )
    return environment.get_template(f"{name}.html").render(
        **values, style=style, script=script, style_hash=_hash(style), script_hash=_hash(script)
    )


@lru_cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(OWN)]),
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
