"""What happens when something is wrong beside the request: no free connection, no time, no database."""

import json
import time
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import Connection
from sqlalchemy import text

from shared import errors
from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Pair
from shared.lab.parity.case import json_request
from shared.lab.parity.cases import bodies
from shared.lab.parity.cases.success import base_targets
from shared.lab.parity.cases.success import headers_of
from shared.lab.parity.judgement import Answer
from shared.lab.parity.message import Request
from shared.lab.parity.side import Side
from shared.lab.parity.transport import Exchange

# Little patience, so that every limit is reached soon; the order of the ladder is the settings' rule.
TIGHT_POOL_SIZE = 20
TIGHT = {
    "POOL_SIZE": str(TIGHT_POOL_SIZE),
    "POOL_MAX_OVERFLOW": "0",
    "CONNECT_TIMEOUT": "0.2",
    "POOL_TIMEOUT": "0.4",
    "STATEMENT_TIMEOUT": "1",
    "REQUEST_TIMEOUT": "3",
    "GRACEFUL_TIMEOUT": "5",
    # Enough for those who hold the pool and those who wait for it.
    "WSGI_THREADS": "60",
}
# The pool is held for longer than the others wait, and for less than a statement may take.
HOLD_S = 0.8
PREPARED_WITHIN_S = 5.0
POLL_S = 0.01
# After a failed preparation both editions answer from memory for half a second.
PREPARE_AGAIN_S = 0.6

EXPECTED = {"readyz": {"exhausted": 200}}


def request_for(endpoint: Endpoint) -> Request:
    """Return a request that an entry answers without fail when all is well; accounts are 1 and 2."""
    if endpoint.body == "json":
        body = bodies.document(endpoint, source_id="1", target_id="2") if endpoint.name == "create_transfer" else (
            bodies.document(endpoint)
        )  # fmt: skip
        return json_request(endpoint.method, endpoint.path.replace("{id}", "1"), body, *headers_of(endpoint))
    target = base_targets(endpoint)[0] if endpoint.method == "GET" else endpoint.path.replace("{id}", "1")
    return Request(endpoint.method, target, headers_of(endpoint))


def raising(error: type[errors.RequestError]) -> list[Endpoint]:
    """Return the entries that may answer with an error."""
    return [endpoint for endpoint in endpoints(lab=True) if error in endpoint.raises]


def exhausted() -> list[Case]:
    """Return a case for each entry that needs a connection, to be sent while none is free."""
    found = CaseList("pool exhausted")
    for endpoint in raising(errors.PoolTimeout):
        expects = EXPECTED.get(endpoint.name, {}).get("exhausted", 503)
        _add(found, endpoint, expects=expects, pair="tight")
    for name in ("livez", "plaintext"):
        endpoint = next(item for item in endpoints(lab=True) if item.name == name)
        _add(found, endpoint, expects=200, pair="tight")
    return found.cases


def locked() -> list[Case]:
    """Return a case for each entry whose statements wait for a lock, and end by STATEMENT_TIMEOUT."""
    found = CaseList("statement timeout")
    for endpoint in raising(errors.StatementTimeout):
        if endpoint.name != "sleep":
            _add(found, endpoint, expects=504, pair="tight")
    found.add("GET /sleep?seconds=30", Request("GET", "/sleep?seconds=30"), expects=504, pair="tight", counts_sql=False)
    return found.cases


def down() -> list[Case]:
    """Return cases for services whose database nobody answers at."""
    found = CaseList("database down")
    for endpoint in endpoints(lab=True):
        if endpoint.needs == "session" or errors.DatabaseUnavailable in endpoint.raises:
            _add(found, endpoint, expects=503, pair="down")
    for name in ("livez", "plaintext", "pool", "openapi"):
        _add(found, next(item for item in endpoints(lab=True) if item.name == name), expects=200, pair="down")
    for target in ("/accounts/x", "/nowhere", "/stream?rows=0"):
        found.add(f"GET {target}", Request("GET", target), pair="down", counts_sql=False)
    return found.cases


def killed() -> list[Case]:
    """Return cases whose connections are killed before or while they are answered."""
    found = CaseList("connections killed")
    for endpoint in raising(errors.DatabaseUnavailable):
        if endpoint.needs == "session" and endpoint.method == "GET":
            _add(found, endpoint, expects=200, pair="main", name="idle connection, ")
    found.add("in use, GET /sleep?seconds=4", Request("GET", "/sleep?seconds=4"), expects=503, counts_sql=False)
    found.add("in use, GET /stream?rows=4", Request("GET", "/stream?rows=4"), expects=200, counts_sql=False)
    return found.cases


def _add(found: CaseList, endpoint: Endpoint, *, expects: int, pair: Pair, name: str = "") -> None:
    request = request_for(endpoint)
    found.add(f"{name}{request.method} {request.target}", request, entry=endpoint, expects=expects, pair=pair,
              counts_sql=False)  # fmt: skip


def send_while_held(side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
    """Send cases while every connection of the pool is in use."""
    hold = Request("GET", f"/sleep?seconds={HOLD_S:g}")
    # Twice: the first round connects, the second holds all of them for as long as it takes to be sure.
    for _ in range(2):
        holders = [Exchange(side.address, hold) for _ in range(TIGHT_POOL_SIZE)]
        is_held = _await(lambda: _checked_out(side) == TIGHT_POOL_SIZE)
        if is_held and _ == 1:
            answers = side.answer_at_once(list(cases))
        for holder in holders:
            holder.responses()
    return answers if is_held else [[side.received(holders[0].responses(), None, {})] for _ in cases]


def send_while_locked(url: str) -> Callable[[Side, Sequence[Case]], list[list[Answer]]]:
    """Return a sender whose requests meet locked tables; `url` is a database template with {edition} for its name."""
    raise NotImplementedError(url)


def _checked_out(side: Side) -> int:
    response = Exchange(side.address, Request("GET", "/pool")).responses()[-1]
    return int(json.loads(response.body)["checked_out"]) if response.status == 200 else -1


def _await(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PREPARED_WITHIN_S
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(POLL_S)
    return False


__all__ = ["Connection", "ExitStack", "text"]
