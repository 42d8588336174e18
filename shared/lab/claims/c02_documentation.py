"""C2: API documentation comes by itself at /docs."""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.parse import urlsplit

from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.claims import client
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.bench import run_program
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.claims.openapi31 import METHODS
from shared.lab.claims.openapi31 import errors_of
from shared.lab.controls import ladder
from shared.lab.services.process import Service

DOCUMENT, PAGE = "/openapi.json", "/docs"
# An edition with entries more in its contract, and nothing else that tells of them.
CONTROL = "shared.lab.controls.ladder"
# The public validator, of the developers' tools; not everybody has it, so that it is run as a program of its own.
VALIDATOR = "openapi_spec_validator"
VALIDATOR_TIMEOUT_S = 60.0
OWN_CHECK = "the lab's own reading of OpenAPI 3.1.0"
# A Starlette application with no routes of its own, asked for the two paths as its server would.
BARE = """
import asyncio, json
from starlette.applications import Starlette

async def status_of(path):
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": []}
    found = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        if message["type"] == "http.response.start":
            found.append(message["status"])
    await Starlette()(scope, receive, send)
    return found[0]

async def main():
    print(json.dumps({path: await status_of(path) for path in ("/docs", "/openapi.json")}))

asyncio.run(main())
"""
_SCRIPT_ELSEWHERE = re.compile(r"<script[^>]+src=|<link[^>]+href=\"(?!data:)")
_SPEC_URL = re.compile(r"SwaggerUIBundle\(\s*{\s*url: '([^']*)'")


def measure(bench: Bench, options: Options) -> Finding:
    """Fetch both editions' document and page, check them, and look whether new entries appear in it."""
    entries = endpoints(lab=True, trace=True)
    bare = run_program((sys.executable, "-c", BARE), {})
    has_validator = importlib.util.find_spec(VALIDATOR) is not None
    checks = [OWN_CHECK, *([f"{VALIDATOR}, run as a program"] if has_validator else [])]
    measured: dict[Subject, Figures] = {}
    for edition in EDITIONS:
        bench.progress(f"C2: {edition}, {DOCUMENT} and {PAGE}, then with entries more in the contract")
        with bench.service(edition, TRACE="1") as service:
            answer = client.ask(service, DOCUMENT)
            document: Any = json.loads(answer.body)
            page = _page(service, answer.body)
        # What it starts need not watch anything.
        with bench.watched(edition, control=CONTROL, TRACE="1") as extended:
            grown: Any = json.loads(client.ask(extended.service, DOCUMENT).body)
        new = ladder.entries()
        measured[edition] = Figures(
            (
                Figure("checked_by", "what the document was checked by", " and ".join(checks)),
                Figure("version", "the document's own version of OpenAPI", str(document.get("openapi"))),
                Figure("errors", "faults that were found in it", _faults(document, has_validator=has_validator)),
                Figure("entries", "entries of the contract", len(entries)),
                Figure("described", "of them described, by path, method and name", _described(document, entries)),
                Figure("others", "operations described that are no entry", _count(document) - len(entries)),
                *page,
                Figure("added", "entries added to the contract, without a word elsewhere", len(new)),
                Figure("added_before", "of them described before", _described(document, new), trials=len(new)),
                Figure("added_described", "of them described then", _described(grown, new), trials=len(new)),
                Figure("bare_docs", f"status of {PAGE} of Starlette alone, for comparison", int(bare[PAGE])),
                Figure("bare_document", f"status of {DOCUMENT} of Starlette alone", int(bare[DOCUMENT])),
            )
        )
    note = "" if has_validator else f"{VALIDATOR} is not installed here: the document was checked by {OWN_CHECK} alone."
    return Finding(measured, notes=(note,) if note else ())


def _page(service: Service, document: bytes) -> list[Figure]:
    """Return what the page is, as text; a test of the project looks at it in a browser."""
    page = client.ask(service, PAGE)
    text = page.body.decode("utf-8", "replace")
    found = _SPEC_URL.search(text)
    target = urlsplit(urljoin(f"{service.url}{PAGE}", found[1])) if found else urlsplit("")
    is_same = bool(found) and f"{target.scheme}://{target.netloc}" == service.url
    is_shown = is_same and client.ask(service, target.path).body == document
    return [
        Figure("page_status", f"status of {PAGE}", page.status),
        Figure("page_html", "it is HTML", page.headers.get("content-type", "").startswith("text/html")),
        Figure("page_reads", "its Swagger UI is told to show this very document", is_shown),
        Figure("page_elsewhere", "scripts and styles that it would load", len(_SCRIPT_ELSEWHERE.findall(text))),
        Figure("page_looked_at", "how the page was looked at", "its text; no browser"),
    ]


def _faults(document: Any, *, has_validator: bool) -> int:
    """Return how many faults are found in a document; those of the public validator count once."""
    return len(errors_of(document)) + (has_validator and not _is_valid(document))


def _is_valid(document: Any) -> bool:
    """Tell whether the public validator finds a document valid."""
    with tempfile.TemporaryDirectory(prefix="openapi-") as directory:
        path = Path(directory) / "openapi.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        command = (sys.executable, "-m", VALIDATOR, "--schema", "3.1", str(path))
        done = subprocess.run(command, capture_output=True, timeout=VALIDATOR_TIMEOUT_S, check=False)
    return done.returncode == 0


def _described(document: Any, entries: Sequence[Endpoint]) -> int:
    return sum(_name_of(document, entry.path, entry.method) == entry.name for entry in entries)


def _name_of(document: Any, path: str, method: str) -> str:
    return str(document["paths"].get(path, {}).get(method.lower(), {}).get("operationId", ""))


def _count(document: Any) -> int:
    return sum(method in METHODS for item in document["paths"].values() for method in item)


def rule(figures: Figures) -> Ruling:
    """Confirmed by a valid and whole document, a page that shows it, and new entries in it; refuted otherwise."""
    number = figures.number
    wrong = [
        said
        for said, is_wrong in (
            (f"{number('errors'):g} faults in the document", number("errors") > 0),
            (f"{figures.text('version')} is not 3.1", not figures.text("version").startswith("3.1.")),
            (
                f"{number('described'):g} of {number('entries'):g} entries described",
                number("described") != number("entries"),
            ),
            (f"{number('others'):g} operations that are no entry", number("others") != 0),
            ("/docs does not show the document", not _shows(figures)),
            (
                f"{number('added_described'):g} of {number('added'):g} added entries described",
                number("added_described") != number("added"),
            ),
        )
        if is_wrong
    ]
    if wrong:
        return Ruling("refuted", "; ".join(wrong))
    if not number("added") or number("added_before") or not number("entries"):
        return Ruling("undecided", "there was nothing new to be described")
    return Ruling(
        "confirmed",
        f"a valid document of all {number('entries'):g} entries, shown at /docs; {number('added'):g} more appear by "
        "being in the contract",
    )


def _shows(figures: Figures) -> bool:
    is_page = figures.number("page_status") == 200 and figures.is_true("page_html")
    return is_page and figures.is_true("page_reads") and figures.number("page_elsewhere") == 0


def explain(finding: Finding) -> str:
    """Return what was measured, and in which sense it comes by itself."""
    parts = [
        f"{edition}: a document of OpenAPI {figures.text('version')}, {figures.number('errors'):g} faults by "
        f"{figures.text('checked_by')}; {figures.number('described'):g} of {figures.number('entries'):g} entries "
        f"described and {figures.number('others'):g} operations beside them; /docs answers "
        f"{figures.number('page_status'):g}, its Swagger UI reads "
        f"{'this document' if figures.is_true('page_reads') else 'another'} and loads "
        f"{figures.number('page_elsewhere'):g} things from elsewhere; of {figures.number('added'):g} entries added to "
        f"the contract {figures.number('added_described'):g} were described."
        for edition, figures in finding.measured.items()
    ]
    first = next(iter(finding.measured.values()))
    return (
        f"{' '.join(parts)} By itself means: from the contract, whose models also validate; somebody has written the "
        "part that makes the document, and put /docs into the contract. FastAPI brings both along, as its "
        "documentation says; Starlette, which this project uses, does not: alone it answers "
        f"{first.number('bare_docs'):g} at /docs and {first.number('bare_document'):g} at /openapi.json. Whether a "
        "browser draws every operation is not seen here."
    )


CLAIM = Claim(
    number=2,
    statement="API documentation comes by itself at /docs.",
    prediction=(
        "Both services answer a document that is valid OpenAPI 3.1 and describes every entry of the contract, an entry "
        "that is added appears without more, and /docs shows it."
    ),
    method=(
        "The document at /openapi.json is checked by the lab's own reading of the specification (objects, required "
        "members, references, path parameters, schemas), and by openapi-spec-validator where that is installed; its "
        "operations are compared with the contract's entries. /docs is read as text: its Swagger UI must read that "
        "document and load nothing else. Then an edition with more entries in its contract is started, and one "
        "Starlette application with nothing in it."
    ),
    rule_words=(
        "Confirmed if the document is without a fault and of version 3.1, describes every entry and nothing else, "
        "describes every added entry, and /docs is HTML that shows it and loads nothing from elsewhere; refuted "
        "otherwise; undecided without entries, or if those added were described before."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=15,
    sources=(
        Source("OpenAPI Specification 3.1.0", "https://spec.openapis.org/oas/v3.1.0.html"),
        Source("FastAPI: First Steps, interactive API docs", "https://fastapi.tiangolo.com/tutorial/first-steps/"),
    ),
)
