"""Query, path and header parameters: every constraint of every field, from the models themselves."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from urllib.parse import unquote

from annotated_types import Ge
from annotated_types import Le
from pydantic.fields import FieldInfo

from shared.contract import Endpoint
from shared.contract import endpoints
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.case import json_request
from shared.lab.parity.cases.success import headers_of
from shared.lab.parity.message import Request
from shared.schemas import MAX_QUERIES
from shared.schemas import In
from shared.schemas import Parameters

GROUP = "parameters"

# Texts that are no number, or hardly one, in decoded form.
TEXTS = (
    "abc", "", " ", "5 ", " 5", "+5", "-5", "-0", "007", "1.0", "1.5", ".5", "5.", "1e3", "1E400", "-1e400", "0x10",
    "1_000", "1,000", "true", "null", "None", "NaN", "nan", "inf", "-Infinity", "5\n", "5\x00", "\x00", "\u0665",
    "\uff15", "\u00bd", "\U0001f600", "\ufeff5", "5\u00a0", "[5]", '"5"', "5;", "--5", "+-5", "9" * 30, "9" * 400,
    "-" + "9" * 30, str(2**31), str(2**63), str(2**64), "1" * 2000,
)  # fmt: skip
# Bytes that are no text in UTF-8, as they stand in a target.
ENCODED = ("%FF", "5%FF", "%C0%AF", "%ED%A0%80", "%E2%82", "%F4%90%80%80", "%35", "%", "%4", "%zz", "5%00", "%0A5")
# Stands for every number that is clamped: 500 rows each time show nothing more.
HUGE = str(2**64)
# Rows or bytes beyond which a body is not fetched.
LONG = 100_000
# A request that waits this long adds nothing that a shorter one does not show.
PATIENCE_S = 0.01

BODIES = {
    "change_account": b'{"owner":"nobody","version":2147483647}',
    "deposit": b'{"amount":1,"strategy":"atomic"}',
}


def add(limits: Limits, skipped: list[Skipped]) -> list[Case]:
    """Return the group."""
    found = CaseList(GROUP)
    models: set[type[Any]] = set()
    for endpoint in endpoints(lab=limits.lab, trace=limits.trace):
        if not issubclass(endpoint.parameters, Parameters):
            continue
        # Entries that share a model share the code that reads it: the first one answers for the odd values.
        is_first = endpoint.parameters not in models
        models.add(endpoint.parameters)
        for name, field in endpoint.parameters.model_fields.items():
            if In.QUERY in field.metadata:
                _query(found, skipped, endpoint, name, field, is_first=is_first)
            elif In.PATH in field.metadata:
                _path(found, endpoint, name, field)
    return found.cases


def _query(
    found: CaseList, skipped: list[Skipped], endpoint: Endpoint, name: str, field: FieldInfo, *, is_first: bool
) -> None:
    # Clamped, not refused: any text is a number there.
    is_clamped = name == "queries"
    headers = headers_of(endpoint)
    texts = [*TEXTS, *_bounds(field)] if is_first else [*TEXTS[:6], *_bounds(field)]
    for text in dict.fromkeys(_short(name, text, field) for text in texts):
        if is_clamped and (_number(text) or 0) > MAX_QUERIES and text != HUGE:
            continue
        if _waits(name, text):
            skipped.append(
                Skipped(GROUP, f"{endpoint.path} {name}={text}", "succeeds, after a wait of that many seconds")
            )
            continue
        # The head tells that it is accepted; the body would be gigabytes of what shorter ones show.
        is_head = endpoint.streams and (_number(text) or 0) > LONG
        target = f"{endpoint.path}?{name}={quote(text, safe='')}"
        found.add(
            f"{name}={_label(text)} on {endpoint.path}",
            Request("HEAD" if is_head else "GET", target, headers),
            entry=endpoint,
            expects=200 if is_clamped else 0,
            is_common=text == "abc",
        )
    for encoded in ENCODED if is_first else ENCODED[:1]:
        if _waits(name, unquote(encoded)):
            encoded = encoded.replace("35", "30").replace("A5", "A0")
        target = f"{endpoint.path}?{name}={encoded}"
        found.add(f"{name}={encoded} encoded on {endpoint.path}", Request("GET", target, headers), entry=endpoint)
    if field.is_required():
        for query in (
            "",
            f"?{name}",
            f"?{name}=",
            f"?{name.upper()}=1",
            f"?x{name}=1",
            f"?{name}%00=1",
            f"?{name}[]=1",
        ):
            found.add(
                f"{endpoint.path} without {name}: {query or 'no query'}",
                Request("GET", endpoint.path + query),
                entry=endpoint,
                expects=422,
                is_common=not query,
            )


def _path(found: CaseList, endpoint: Endpoint, name: str, field: FieldInfo) -> None:
    for text in dict.fromkeys((*TEXTS, *_bounds(field))):
        # Nothing of what is there is changed: only ids that no account has, or texts that are none.
        if endpoint.method != "GET" and _number(text) is not None and 1 <= (_number(text) or 0) < 10**15:
            continue
        found.add(
            f"{endpoint.method} {endpoint.path} {name}={_label(text)}",
            _with_path(endpoint, name, quote(text, safe="")),
            entry=endpoint,
            is_common=text == "abc",
        )
    for encoded in ENCODED:
        if endpoint.method == "GET" or encoded not in ("%35", "%0A5"):
            found.add(
                f"{endpoint.method} {endpoint.path} {name}={encoded} encoded",
                _with_path(endpoint, name, encoded),
                entry=endpoint,
            )
    if field.annotation is int:
        found.add(
            f"{endpoint.method} {endpoint.path} unknown {name}",
            _with_path(endpoint, name, str(2**62)),
            entry=endpoint,
            expects=404,
            is_common=True,
        )


def _with_path(endpoint: Endpoint, name: str, text: str) -> Request:
    target = endpoint.path.replace(f"{{{name}}}", text)
    if endpoint.body == "json":
        return json_request(endpoint.method, target, BODIES[endpoint.name])
    return Request(endpoint.method, target, headers_of(endpoint))


def _short(name: str, text: str, field: FieldInfo) -> str:
    """Return a text; where it would mean a wait, the same spelling of none, unless it is one of the bounds."""
    return re.sub("[0-9]", "0", text) if _waits(name, text) and text not in _bounds(field) else text


def _bounds(field: FieldInfo) -> Iterator[str]:
    step: Any = 1 if field.annotation is int else 0.001
    for mark in field.metadata:
        if isinstance(mark, Ge):
            yield from (str(mark.ge), str(mark.ge - step))
        if isinstance(mark, Le):
            yield from (str(mark.le), str(mark.le + step))


def _waits(name: str, text: str) -> bool:
    number = _number(text)
    # Digits of other scripts are numbers to Python, not to pydantic.
    return name == "seconds" and text.strip().isascii() and number is not None and PATIENCE_S < number <= 30


def _number(text: str) -> float | None:
    """Return the number that Python, or pydantic, may read in a text."""
    try:
        return float(text.strip().replace("_", ""))
    except ValueError:
        return None


def _label(text: str) -> str:
    shown = ascii(text)[1:-1] if text else "(empty)"
    return shown if len(shown) <= 24 else f"{shown[:12]}...({len(text)})"
