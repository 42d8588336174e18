"""Request bodies: types, JSON that is none, every constraint of every member, sizes."""

import json
from collections.abc import Iterator
from typing import Any

from annotated_types import Ge
from annotated_types import Le
from pydantic import BaseModel
from pydantic import StringConstraints

from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.parity.case import SEED
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import json_request
from shared.lab.parity.case import seeded
from shared.lab.parity.cases.success import ENTRY
from shared.lab.parity.cases.success import headers_of
from shared.lab.parity.message import Request

GROUP = "bodies"

# A body that is right for each entry; accounts are those that the check opened for this group.
VALID: dict[str, dict[str, str]] = {
    "create_account": {"owner": '"parity check"', "balance": "1000"},
    "change_account": {"owner": '"parity check"', "version": "2147483647"},
    "deposit": {"amount": "1", "strategy": '"atomic"'},
    "create_transfer": {"source_id": '"<<first>>"', "target_id": '"<<second>>"', "amount": "1"},
}
# Tokens of JSON, or nearly so, that are tried as the value of every member.
TOKENS = (
    "null", "true", "false", "0", "-0", "-1", "1.0", "1.5", "1e2", "1E400", "-1e400", "NaN", "Infinity", "-Infinity",
    '"5"', '""', '" "', "[]", "{}", "[1]", '{"a":1}', "9" * 30, "-" + "9" * 30, "9" * 5_000, "0." + "1" * 400,
    str(2**31), str(2**63), str(2**64), "01", "0x10", "+1", "1_000", ".5", "5.", "'x'", "x", "True", "None", "",
    '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"a\\u0000b"', '"\\u0001"', '"\x01"', '"\n"',
    '"\u00e9"', '"e\u0301"', '"\U0001f600"', '"\u2028"', '"\ufeff"', '"\\x41"', '"\\/"', '"unterminated', '"naive"',
    '"ATOMIC"', '"atomic "',
)  # fmt: skip
TYPES = (
    "application/json; charset=utf-8", "application/json;charset=utf-16", "APPLICATION/JSON", "  application/json  ",
    "application/json;", "application/json ; x=y", "application/json, text/plain", "application/problem+json",
    "application/jsonx", "application", "text/plain", "text/json", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x", "*/*", "", ";", "application/json\xa0", "appl\xefcation/json",
    '"application/json"',
)  # fmt: skip


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    for endpoint in endpoints(lab=limits.lab, trace=limits.trace):
        if endpoint.body == "json":
            _types(found, endpoint)
            _documents(found, endpoint, limits)
            _members(found, endpoint)
    _keys(found)
    _raw_types(found)
    return found.cases


def target(endpoint: Endpoint) -> str:
    """Return an entry's path, with an account that the check opened."""
    return endpoint.path.replace("{id}", "<<first>>")


def document(endpoint: Endpoint, **changed: str) -> bytes:
    """Return a right body with some members' tokens changed; "absent" leaves one out."""
    members = {**VALID[endpoint.name], **changed}
    text = ",".join(f'"{name}":{token}' for name, token in members.items() if token != "absent")
    return ("{" + text + "}").encode("utf-8", "surrogatepass")


def _send(
    found: CaseList, endpoint: Endpoint, name: str, body: bytes, *, expects: int = 0, common: bool = False
) -> None:
    request = json_request(endpoint.method, target(endpoint), body, *headers_of(endpoint))
    found.add(f"{endpoint.name}: {name}", request, entry=endpoint, expects=expects, is_common=common)


def _types(found: CaseList, endpoint: Endpoint) -> None:
    body = document(endpoint)
    place, fixed = target(endpoint), headers_of(endpoint)
    for kind in TYPES:
        request = Request(endpoint.method, place, (("Content-Type", kind), *fixed), body)
        found.add(
            f"{endpoint.name}: Content-Type {kind!r}",
            request,
            entry=endpoint,
            is_common=kind == "text/plain",
            expects=415 if kind in ("text/plain", "", "*/*") else 0,
        )
    found.add(
        f"{endpoint.name}: no Content-Type", Request(endpoint.method, place, fixed, body), entry=endpoint, expects=415
    )
    for kinds in (("application/json", "text/plain"), ("text/plain", "application/json"), ("application/json",) * 2):
        fields = tuple(("Content-Type", kind) for kind in kinds)
        found.add(
            f"{endpoint.name}: Content-Type twice, {' and '.join(kinds)}",
            Request(endpoint.method, place, (*fields, *fixed), body),
            entry=endpoint,
        )
    chunked = Request(
        endpoint.method, place, (("Content-Type", "application/json"), *fixed), chunks=(body[:5], body[5:])
    )
    found.add(f"{endpoint.name}: chunked", chunked, entry=endpoint)
    for name, nothing in (("no body", None), ("empty body", b"")):
        request = Request(endpoint.method, place, (("Content-Type", "application/json"), *fixed), nothing)
        found.add(f"{endpoint.name}: {name}", request, entry=endpoint, expects=400, is_common=nothing == b"")
    request = Request(endpoint.method, place, (("Content-Type", "application/json"), *fixed), chunks=())
    found.add(f"{endpoint.name}: empty chunked body", request, entry=endpoint, expects=400)
    found.add(
        f"{endpoint.name}: neither type nor body", Request(endpoint.method, place, fixed), entry=endpoint, expects=415
    )


def _documents(found: CaseList, endpoint: Endpoint, limits: Limits) -> None:
    right = document(endpoint)
    for text in ("null", "true", "5", "1.5", '"x"', "[]", "{}", "[{}]"):
        _send(found, endpoint, f"document {text}", text.encode(), expects=422, common=text == "{}")
    _send(found, endpoint, "array of the right document", b"[" + right + b"]", expects=422)
    for name, body in {
        "truncated": right[:-1],
        "trailing comma": right[:-1] + b",}",
        "trailing garbage": right + b"x",
        "two documents": right + right,
        "comment": right + b"/* */",
        "single quotes": right.replace(b'"', b"'"),
        "NUL after": right + b"\x00",
        "UTF-16": right.decode().encode("utf-16"),
        "invalid UTF-8": right[:-1] + b',"x":"\xff"}',
        "overlong UTF-8": right[:-1] + b',"x":"\xc0\xaf"}',
        "surrogate in UTF-8": right[:-1] + b',"x":"\xed\xa0\x80"}',
        "only spaces": b"   \r\n\t",
        "nested 100,000 deep": b"[" * 100_000,
        "no JSON": b"owner=x&balance=1",
    }.items():
        _send(found, endpoint, name, body, expects=400, common=name == "truncated")
    for name, body in {
        "byte order mark": b"\xef\xbb\xbf" + right,
        "spaces around": b" \t\r\n" + right + b"\n\n",
        "nested 100 deep": right[:-1] + b',"x":' + b"[" * 100 + b"]" * 100 + b"}",
        "nested 1,000 deep": right[:-1] + b',"x":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        "extra member": right[:-1] + b',"extra":1}',
        "extra member without a name": right[:-1] + b',"":1}',
        "extra member with a lone surrogate": right[:-1] + b',"\\ud800":1}',
        "extra member, markup": right[:-1] + b',"<img src=x onerror=alert(1)>":1}',
        "a hundred extra members": right[:-1] + b"," + b",".join(b'"x%d":1' % n for n in range(100)) + b"}",
        "__proto__": right[:-1] + b',"__proto__":{"x":1},"__class__":1}',
        "seed in the body": right[:-1] + b',"seed":1}',
        "body in the body": b'{"body":' + right + b"}",
        "as large as allowed": right[:-1] + b" " * (limits.max_body_bytes - len(right)) + b"}",
    }.items():
        _send(found, endpoint, name, body)
    too_large = right + b" " * (limits.max_body_bytes + 1)
    _send(found, endpoint, "too large", too_large, expects=413)
    head_only = (("Content-Type", "application/json"), ("Content-Length", str(limits.max_body_bytes + 1)))
    found.add(
        f"{endpoint.name}: too large by its declaration",
        Request(endpoint.method, target(endpoint), head_only),
        entry=endpoint,
        expects=413,
        is_common=True,
    )


def _members(found: CaseList, endpoint: Endpoint) -> None:
    model = endpoint.parameters.model_fields["body"].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    for name, field in model.model_fields.items():
        _send(found, endpoint, f"{name} absent", document(endpoint, **{name: "absent"}), expects=422, common=True)
        _send(found, endpoint, f"{name} twice", document(endpoint)[:-1] + f',"{name}":null}}'.encode())
        capital = document(endpoint).replace(f'"{name}"'.encode(), f'"{name.upper()}"'.encode())
        _send(found, endpoint, f"{name} in capitals", capital, expects=422)
        for token in dict.fromkeys((*TOKENS, *_bounds(field.metadata))):
            _send(found, endpoint, f"{name} {_label(token)}", document(endpoint, **{name: token}))


def _bounds(marks: list[Any]) -> Iterator[str]:
    """Yield tokens on both sides of each bound that is not among the others already."""
    for mark in marks:
        if isinstance(mark, Ge | Le):
            bound: Any = mark.ge if isinstance(mark, Ge) else mark.le
            yield from (str(n) for n in (bound - 1, bound, bound + 1) if str(n) not in TOKENS)
            yield f"{bound}.0"
        if isinstance(mark, StringConstraints):
            for length in (1, mark.max_length or 1, (mark.max_length or 1) + 1):
                yield from (json.dumps(letter * length, ensure_ascii=False) for letter in "x\u00e9\U0001f600")


def _label(token: str) -> str:
    shown = ascii(token)[1:-1] if token else "(nothing)"
    if len(shown) <= 30:
        return shown
    return f"{shown[:12]}...({len(token)} characters)"


def _keys(found: CaseList) -> None:
    """Add the idempotency keys that are refused, or only just not."""
    entry = ENTRY["create_transfer"]
    # Refused by its amount, so that a key that is accepted makes nothing.
    body = document(entry, amount="10000000000")
    keys = ("", " ", "k", "a b", "a,b", "x" * 255, "x" * 256, "\xe9", "\x7f", "\t", '"quoted"', "<<key>>", "\xff" * 300)
    for key in keys:
        request = json_request("POST", "/transfers", body, ("Idempotency-Key", key), *seeded(SEED))
        found.add(f"create_transfer: Idempotency-Key {_label(key)}", request, entry=entry)
    for one, other in (("k1", "k2"), ("k", "k"), ("", "k"), ("k", ""), ("\xe9", "k")):
        request = json_request("POST", "/transfers", body, ("Idempotency-Key", one), ("Idempotency-Key", other))
        found.add(f"create_transfer: Idempotency-Key twice, {_label(one)} and {_label(other)}", request, entry=entry)


def _raw_types(found: CaseList) -> None:
    """Add content types that /echo must give back as they came."""
    for kind in (*TYPES, "text/html", "x" * 1_000, 'a/b; c="d, e"', "text/plain\tx", "\xff\xfe"):
        request = Request("POST", "/echo", (("Content-Type", kind),), b"x")
        found.add(f"echo: Content-Type {kind[:60]!r}", request, entry=ENTRY["echo"])
    for kinds in (("a/b", "c/d"), ("a/b", ""), ("", "a/b")):
        request = Request("POST", "/echo", tuple(("Content-Type", kind) for kind in kinds), b"x")
        found.add(f"echo: Content-Type twice, {kinds}", request, entry=ENTRY["echo"])
