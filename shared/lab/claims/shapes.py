"""Requests that are not valid, made from the contract so that no entry is forgotten, and results of a wrong shape."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from shared.contract import Endpoint
from shared.lab.claims.client import Ask
from shared.schemas import In
from shared.validation import MAX_QUERY_FIELDS

# What a right request of an entry has beyond its path; {id} is 1, which no experiment on a database of its own deletes.
QUERIES: Mapping[str, str] = {
    "sleep": "seconds=0", "wait": "seconds=0", "blocking": "seconds=0", "cpu": "iterations=1", "stream": "rows=1",
    "pattern": "size=1",
}  # fmt: skip
BODIES: Mapping[str, Mapping[str, object]] = {
    "create_account": {"owner": "claims", "balance": 1},
    "change_account": {"owner": "claims", "version": 2**31 - 1},
    "deposit": {"amount": 1, "strategy": "atomic"},
    "create_transfer": {"source_id": 1, "target_id": 2, "amount": 1},
}
JSON_TYPE = {"Content-Type": "application/json"}
TRACE_ID = "0" * 32
# What a client can send that no field of the contract takes, whatever its type and bounds.
BAD_TEXTS = ("x", "-1", str(2**70))
BAD_HEADER = "\t"


@dataclass(frozen=True, slots=True)
class Bad:
    """A request that is not valid.

    Attributes:
        entry: Name of the contract's entry.
        what: What is wrong with it.
        ask: The request.
        statuses: What the contract promises for it.
        place: Where the refusal must say that it is wrong, such as query or body; empty where it need not.
    """

    entry: str
    what: str
    ask: Ask
    statuses: tuple[int, ...]
    place: str = ""


def right(endpoint: Endpoint) -> Ask:
    """Return a request that is valid, though what it names may not exist."""
    target = endpoint.path.replace("{id}", "1").replace("{trace_id}", TRACE_ID)
    query = QUERIES.get(endpoint.name)
    body = BODIES.get(endpoint.name)
    return Ask(
        f"{target}?{query}" if query else target,
        endpoint.name,
        endpoint.method,
        b"" if endpoint.body in ("bytes", "stream") else None if body is None else json.dumps(body).encode(),
        JSON_TYPE if body is not None else {},
    )


def bad(endpoint: Endpoint) -> Iterator[Bad]:
    """Yield requests of an entry that are not valid; none where it reads nothing, or takes any bytes there are."""
    if not issubclass(endpoint.parameters, BaseModel):
        return
    for name, field in endpoint.parameters.model_fields.items():
        place = next(mark for mark in field.metadata if isinstance(mark, In))
        alias = field.alias or name
        # Host is every client's; /queries and /updates take any text for a number and clamp it.
        if alias == "Host" or name == "queries":
            continue
        if place is In.QUERY:
            yield from _bad_query(endpoint, alias, is_required=field.is_required())
        elif place is In.PATH:
            for text in ("x", "-1" if field.annotation is int else "F" * 32):
                ask = replace(right(endpoint), target=endpoint.path.replace(f"{{{name}}}", text))
                yield Bad(endpoint.name, f"{alias}={text} in the path", ask, (422,), "path")
        elif place is In.HEADER and alias == "Idempotency-Key":
            found = right(endpoint)
            ask = replace(found, headers={**found.headers, alias: "two words"})
            yield Bad(endpoint.name, f"{alias} with a space", ask, (422,), "header")
        elif place is In.BODY:
            yield from _bad_body(endpoint)
    if any(In.QUERY in field.metadata for field in endpoint.parameters.model_fields.values()):
        ask = replace(right(endpoint), target=f"{endpoint.path}?{'&'.join(['a=1'] * (MAX_QUERY_FIELDS + 1))}")
        yield Bad(endpoint.name, f"more than {MAX_QUERY_FIELDS} fields in the query", ask, (400,))


def _bad_query(endpoint: Endpoint, name: str, *, is_required: bool) -> Iterator[Bad]:
    path = right(endpoint).target.partition("?")[0]
    for text in BAD_TEXTS:
        ask = replace(right(endpoint), target=f"{path}?{name}={quote(text)}")
        yield Bad(endpoint.name, f"{name}={text[:8]} in the query", ask, (422,), "query")
    if is_required:
        yield Bad(endpoint.name, f"no {name} in the query", replace(right(endpoint), target=path), (422,), "query")


def _bad_body(endpoint: Endpoint) -> Iterator[Bad]:
    found = right(endpoint)
    members = BODIES[endpoint.name]

    def with_body(what: str, body: bytes, status: int, place: str = "body") -> Bad:
        return Bad(endpoint.name, what, replace(found, body=body), (status,), place)

    for name, value in members.items():
        for what, wrong in (("null", None), ("of another type", [] if isinstance(value, str) else str(value))):
            yield with_body(f"{name} {what}", json.dumps({**members, name: wrong}).encode(), 422)
        rest = {other: kept for other, kept in members.items() if other != name}
        yield with_body(f"no {name}", json.dumps(rest).encode(), 422)
    yield with_body("a member too many", json.dumps({**members, "extra": 1}).encode(), 422)
    yield with_body("an array", b"[]", 422)
    yield with_body("no JSON", b"{", 400, "")
    ask = replace(found, headers={"Content-Type": "text/plain"})
    yield Bad(endpoint.name, "another content type", ask, (415,))


# What a result is made into; the names are what X-Misshape says.
Bend = Callable[[Any], Any]


def _as_mapping(result: Any) -> dict[str, Any] | None:
    if isinstance(result, BaseModel):
        return {name: getattr(result, name) for name in type(result).model_fields}
    return dict(result) if isinstance(result, dict) else None


def _in_member(result: Any, change: Callable[[dict[str, Any]], object]) -> Any:
    """Return a result with its members changed; of a list its first item's; what has none becomes a number."""
    if isinstance(result, list) and result:
        return [_in_member(result[0], change), *result[1:]]
    members = _as_mapping(result)
    if members is None:
        return 5
    change(members)
    return members


def _unchecked(result: Any) -> Any:
    """Return an instance of the right model with a wrong member; other results as they are."""
    members = _as_mapping(result)
    if not isinstance(result, BaseModel) or not members:
        return result
    first = next(iter(members))
    return type(result).model_construct(**{**members, first: [members[first]]})


def _wrong_first(members: dict[str, Any]) -> None:
    first = next(iter(members))
    members[first] = [members[first]]


BENDS: Mapping[str, Bend] = {
    "another type": lambda result: 5,
    "nothing": lambda result: "nothing" if result is None else None,
    "a member missing": lambda result: _in_member(result, lambda members: members.popitem()),
    "a member of another type": lambda result: _in_member(result, _wrong_first),
    "unchecked": _unchecked,
}
# Made past validation: pydantic's model_construct is for data that is known to be right already.
UNCHECKED = "unchecked"


def bent(result: Any, name: str) -> Any:
    """Return a handler's result in a wrong shape; as it is where no shape is named."""
    return BENDS[name](result) if name else result
