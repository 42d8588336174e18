"""Requests that are sent while something is wrong beside them: no free connection, no time, no database."""

from shared import errors
from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Pair
from shared.lab.parity.case import json_request
from shared.lab.parity.cases import bodies
from shared.lab.parity.cases.framing import raw
from shared.lab.parity.cases.success import base_targets
from shared.lab.parity.cases.success import headers_of
from shared.lab.parity.known import KNOWN
from shared.lab.parity.message import Request

EXHAUSTED = "pool exhausted"
SLOW = "time limits"
DOWN = "database down"
KILLED = "connections killed"

# Accounts of the seed data; nothing changes them here, because every request fails.
ACCOUNTS = {"source_id": "1", "target_id": "2"}
# Busy is not broken: /readyz says so.
ANSWERS_WITHOUT = {"readyz": 200}


def request_for(endpoint: Endpoint) -> Request:
    """Return a request that an entry would answer if all were well."""
    path = endpoint.path.replace("{id}", "1")
    if endpoint.body == "json":
        changed = ACCOUNTS if endpoint.name == "create_transfer" else {}
        return json_request(endpoint.method, path, bodies.document(endpoint, **changed), *headers_of(endpoint))
    target = base_targets(endpoint)[0] if endpoint.method == "GET" else path
    return Request(endpoint.method, target, headers_of(endpoint))


def exhausted() -> list[Case]:
    """Return a case for each entry that needs a connection, and for some that must not need one."""
    found = CaseList(EXHAUSTED)
    for endpoint in raising(errors.PoolTimeout):
        _add(found, endpoint, expects=ANSWERS_WITHOUT.get(endpoint.name, 503), pair="tight")
    for endpoint in named("livez", "plaintext", "openapi"):
        _add(found, endpoint, expects=200, pair="tight")
    return found.cases


def slow() -> list[Case]:
    """Return a case for each entry whose statements may wait too long, and for clients that do."""
    found = CaseList(SLOW)
    for endpoint in raising(errors.StatementTimeout):
        if endpoint.name != "sleep":
            _add(found, endpoint, expects=504, pair="tight")
    found.add("GET /sleep?seconds=30", Request("GET", "/sleep?seconds=30"), expects=504, pair="tight", counts_sql=False)
    for path in ("/echo", "/upload", "/transfers"):
        length = (("Content-Length", "10"), ("Content-Type", "application/json"))
        found.add(
            f"POST {path}, a body that never comes",
            Request("POST", path, length),
            expects=408,
            pair="tight",
            counts_sql=False,
        )
    chunked = ("POST /echo HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked")
    for name, body in (("LF alone", b"3\nabc\n0\n\n"), ("huge size", b"F" * 17 + b"\r\nabc\r\n0\r\n\r\n")):
        found.add(
            f"chunked: {name}",
            raw(*chunked, body=body),
            known=KNOWN[f"chunked: {name}"],
            pair="tight",
            counts_sql=False,
        )
    return found.cases


def down() -> list[Case]:
    """Return a case for each entry that needs a database, and for some that must not."""
    found = CaseList(DOWN)
    for endpoint in raising(errors.DatabaseUnavailable):
        _add(found, endpoint, expects=503, pair="down")
    for endpoint in named("livez", "plaintext", "pool", "openapi", "docs"):
        _add(found, endpoint, expects=200, pair="down")
    for target, expects in (("/accounts/x", 422), ("/nowhere", 404), ("/stream?rows=0", 422), ("/db/x", 404)):
        found.add(f"GET {target}", Request("GET", target), expects=expects, pair="down", counts_sql=False)
    return found.cases


def killed_idle() -> list[Case]:
    """Return requests that come after the server has closed every idle connection: they must notice nothing."""
    found = CaseList(KILLED)
    for endpoint in raising(errors.DatabaseUnavailable):
        if endpoint.method == "GET":
            _add(found, endpoint, expects=200, pair="main", prefix="while idle, ")
    return found.cases


def killed_in_use() -> list[Case]:
    """Return a request whose connection is killed while its statement runs."""
    found = CaseList(KILLED)
    found.add("in use, GET /sleep?seconds=4.5", Request("GET", "/sleep?seconds=4.5"), expects=503, counts_sql=False)
    return found.cases


def raising(error: type[errors.RequestError]) -> list[Endpoint]:
    """Return the entries that the contract lets answer with an error."""
    return [endpoint for endpoint in endpoints(lab=True, trace=True) if error in endpoint.raises]


def named(*names: str) -> list[Endpoint]:
    """Return entries by name."""
    return [endpoint for endpoint in endpoints(lab=True, trace=True) if endpoint.name in names]


def _add(found: CaseList, endpoint: Endpoint, *, expects: int, pair: Pair, prefix: str = "") -> None:
    request = request_for(endpoint)
    found.add(
        f"{prefix}{request.method} {request.target}",
        request,
        entry=endpoint,
        expects=expects,
        pair=pair,
        counts_sql=False,
    )
