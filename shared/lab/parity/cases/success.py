"""Requests that succeed: the contract's own load targets, and values written out where those are not enough."""

import json

from shared import schemas
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.parity.case import SEED
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import Step
from shared.lab.parity.case import json_request
from shared.lab.parity.case import seeded
from shared.lab.parity.case import trusted
from shared.lab.parity.message import HeaderFields
from shared.lab.parity.message import Request
from shared.schemas import In

GROUP = "success"
ENTRY = {endpoint.name: endpoint for endpoint in CONTRACT}

# Beside the contract's load targets; a required parameter has no default to start from.
MORE_TARGETS: dict[str, tuple[str, ...]] = {
    "queries": ("/queries", "/queries?queries=1", "/queries?queries=2", "/queries?queries=500"),
    "updates": ("/updates", "/updates?queries=1", "/updates?queries=20", "/updates?queries=500"),
    "sleep": ("/sleep?seconds=0", "/sleep?seconds=0.001"),
    "wait": ("/wait?seconds=0", "/wait?seconds=0.001"),
    "blocking": ("/blocking?seconds=0", "/blocking?seconds=0.001"),
    "cpu": ("/cpu?iterations=1", "/cpu?iterations=12345"),
    "list_accounts": ("/accounts", "/accounts?limit=1", "/accounts?limit=100", "/accounts?after=500&limit=3"),
    "read_account": ("/accounts/10000",),
    "stream": tuple(f"/stream?rows={rows}" for rows in (1, 2, 999, 1000, 1001, 10000, 10001, 25000)),
    "pattern": tuple(f"/bytes?size={size}" for size in (0, 1, 63, 64, 65535, 65536, 65537, 1048576, 5000000)),
}
SEEDS = (0, 1, 7, 999_999, 10**17)

TRACED = (("X-Trace", "1"),)

OWNER = "parity check"
NEW_ACCOUNT = json.dumps({"owner": OWNER, "balance": 10_000}).encode()


def open_account(name: str, body: bytes = NEW_ACCOUNT, seed: int = SEED) -> Step:
    """Return a step that opens an account and keeps its id."""
    return Step(json_request("POST", "/accounts", body, *seeded(seed)), expects=201, saves=name)


def transfer(source: str, target: str, amount: int, *headers: tuple[str, str], seed: int = SEED) -> Request:
    """Return a transfer between two accounts kept by name."""
    body = f'{{"source_id":"<<{source}>>","target_id":"<<{target}>>","amount":{amount}}}'.encode()
    return json_request("POST", "/transfers", body, *headers, *seeded(seed))


def base_targets(endpoint: Endpoint) -> tuple[str, ...]:
    """Return targets of an entry without a body that succeed."""
    own = endpoint.load or (() if has_required(endpoint) else (endpoint.path,))
    return tuple(dict.fromkeys((*own, *MORE_TARGETS.get(endpoint.name, ()))))


def has_required(endpoint: Endpoint) -> bool:
    """Whether a request must name parameters."""
    return issubclass(endpoint.parameters, schemas.Parameters) and any(
        field.is_required() for field in endpoint.parameters.model_fields.values()
    )


def takes_seed(endpoint: Endpoint) -> bool:
    """Whether an entry draws random numbers, or takes the clock."""
    return issubclass(endpoint.parameters, schemas.Parameters) and any(
        In.SEED in field.metadata for field in endpoint.parameters.model_fields.values()
    )


def headers_of(endpoint: Endpoint, seed: int = SEED) -> HeaderFields:
    """Return the fields that an entry needs, or that make its answer follow from the request."""
    if endpoint.is_trace_only:
        return trusted()
    return seeded(seed) if takes_seed(endpoint) else ()


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    for endpoint in endpoints(lab=limits.lab, trace=limits.trace):
        if endpoint.method == "GET":
            _reading(found, endpoint)
    _bytes(found, limits)
    _ledger(found)
    if limits.trace:
        _traces(found)
    return found.cases


def _reading(found: CaseList, endpoint: Endpoint) -> None:
    for place, target in enumerate(base_targets(endpoint)):
        seeds = (SEED, *SEEDS) if takes_seed(endpoint) and place == 0 else (SEED,)
        for seed in seeds:
            get = Request("GET", target, headers_of(endpoint, seed))
            if seed != SEED:
                found.add(f"GET {target} seed {seed}", get, entry=endpoint, expects=200)
                continue
            head = Step(Request("HEAD", target, get.headers), head_of_previous=True)
            found.add(
                f"GET and HEAD {target}", Step(get, expects=200), head, entry=endpoint, expects=200, is_common=place < 2
            )


def _bytes(found: CaseList, limits: Limits) -> None:
    echo, upload = ENTRY["echo"], ENTRY["upload"]
    sizes = (0, 1, 2, 8_191, 8_192, 65_535, 65_536, 65_537, limits.max_body_bytes - 1, limits.max_body_bytes)
    for size in sizes:
        body = b"x" * size
        for endpoint in (echo, upload):
            is_common = size == 8_191
            found.add(
                f"POST {endpoint.path} {size} bytes", Request("POST", endpoint.path, (), body),
                entry=endpoint, expects=200, is_common=is_common,
            )  # fmt: skip
            chunks = tuple(body[at : at + 10_000] for at in range(0, size, 10_000))
            found.add(
                f"POST {endpoint.path} {size} bytes chunked", Request("POST", endpoint.path, (), chunks=chunks),
                entry=endpoint, expects=200, is_common=is_common,
            )  # fmt: skip
    every_byte = bytes(range(256))
    for endpoint in (echo, upload):
        request = Request("POST", endpoint.path, (("Content-Type", "text/plain"),), every_byte)
        found.add(f"POST {endpoint.path} every byte value", request, entry=endpoint, expects=200)
        request = Request("POST", endpoint.path, (), chunks=tuple(bytes([n]) for n in every_byte))
        found.add(f"POST {endpoint.path} 256 chunks of one byte", request, entry=endpoint, expects=200)


def _ledger(found: CaseList) -> None:
    found.add("POST /accounts", open_account("account"), entry=ENTRY["create_account"], is_common=True)
    for name, owner, balance in (
        ("emoji and NFD", "Zoe\u0308 \U0001f600", 1),
        ("one character, nothing", "x", 0),
        ("200 characters, the most", "\u00e9" * 200, 10**12),
        ("markup", "<script>alert('1')</script> & \"", 5),
        ("controls", "\x01\x1f\x7f\u2028\ufeff", 5),
    ):
        body = json.dumps({"owner": owner, "balance": balance}, ensure_ascii=False).encode()
        steps = (open_account("account", body), Step(Request("GET", "/accounts/<<account>>"), expects=200))
        found.add(f"POST /accounts {name}", *steps, entry=ENTRY["create_account"])
    change = json_request("PATCH", "/accounts/<<account>>", b'{"owner":"renamed","version":1}')
    found.add(
        "PATCH /accounts/{id}",
        open_account("account"),
        change,
        entry=ENTRY["change_account"],
        expects=200,
        is_common=True,
    )
    delete = Request("DELETE", "/accounts/<<account>>")
    gone = Step(Request("GET", "/accounts/<<account>>"), expects=404)
    found.add(
        "DELETE /accounts/{id}",
        open_account("account"),
        Step(delete, expects=204),
        gone,
        entry=ENTRY["delete_account"],
        is_common=True,
    )
    for strategy in ("naive", "atomic", "locked", "versioned", "serializable"):
        body = f'{{"amount":5,"strategy":"{strategy}"}}'.encode()
        add_5 = json_request("POST", "/accounts/<<account>>/deposits", body)
        found.add(
            f"POST /accounts/{{id}}/deposits {strategy}", open_account("account"), Step(add_5, expects=200), add_5,
            entry=ENTRY["deposit"], expects=200, is_common=True,
        )  # fmt: skip
    two = (open_account("source"), open_account("target"))
    plain = Step(transfer("source", "target", 100), expects=201, saves="transfer")
    after = Step(Request("GET", "/accounts/<<source>>"), expects=200)
    found.add("POST /transfers", *two, plain, after, entry=ENTRY["create_transfer"], is_common=True)
    whole = Step(transfer("source", "target", 10_000), expects=201, saves="transfer")
    found.add("POST /transfers everything", *two, whole, after, entry=ENTRY["create_transfer"])


def _traces(found: CaseList) -> None:
    """Add requests that are traced, and what is read of them; the client's traceparent makes the id known."""
    entry = ENTRY["read_trace"]
    for place, target in enumerate(("/plaintext", "/accounts/1", "/nowhere")):
        id = f"{place + 1:032x}"
        traced = Request("GET", target, (*TRACED, ("traceparent", f"00-{id}-00f067aa0ba902b7-01"), *trusted()))
        get = Request("GET", f"/traces/{id}", trusted())
        head = Step(Request("HEAD", get.target, get.headers), head_of_previous=True)
        found.add(
            f"GET and HEAD /traces/{{trace_id}} of {target}", traced, Step(get, expects=200), head,
            entry=entry, expects=200, is_common=place == 0,
        )  # fmt: skip
    unknown = Request("GET", f"/traces/{'f' * 32}", trusted())
    found.add("GET /traces/{trace_id} of no trace", unknown, entry=entry, expects=404)
    for name, target in (("list_traces", "/traces"), ("read_trace", unknown.target)):
        wrong = Request("GET", target, ((trusted()[0][0], "wrong"),))
        for label, request in (("no token", Request("GET", target)), ("a wrong token", wrong)):
            found.add(
                f"GET {target} with {label}", request,
                entry=ENTRY[name], expects=403, needs_own="needs services whose TRACE_TOKEN is known",
            )  # fmt: skip
