"""Every method on every path: 405 with Allow, OPTIONS, and methods nobody knows."""

from shared.contract import endpoints
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import json_request
from shared.lab.parity.message import Request

GROUP = "methods"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
# Registered with IANA, known to both parsers, served by nobody here.
RARE = ("PROPFIND", "MKCOL", "COPY", "LOCK", "REPORT", "PURGE", "SEARCH", "LINK")


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    by_path: dict[str, set[str]] = {}
    for endpoint in endpoints(lab=limits.lab, trace=limits.trace):
        by_path.setdefault(endpoint.path, set()).add(endpoint.method)
    for template, served in by_path.items():
        path = template.replace("{id}", "1")
        known = served | ({"HEAD"} if "GET" in served else set())
        wrong = [method for method in METHODS if method not in known]
        for method in wrong:
            found.add(f"{method} {path}", Request(method, path), expects=405, is_common=method == wrong[0])
        found.add(f"OPTIONS {path}", Request("OPTIONS", path), expects=204, is_common=True)
        found.add(f"OPTIONS {path} with a body", Request("OPTIONS", path, (), b"x"), expects=204)
        found.add(f"PUT {path} with JSON", json_request("PUT", path, b"{}"), expects=405)
        if path != "/plaintext":
            found.add(f"PROPFIND {path}", Request("PROPFIND", path), expects=405)
    for method in (*METHODS, "OPTIONS", *RARE):
        found.add(f"{method} on an unknown path", Request(method, "/nowhere"), expects=404, is_common=method == "GET")
        if method in RARE:
            found.add(f"{method} /plaintext", Request(method, "/plaintext"), expects=405)
    return found.cases
