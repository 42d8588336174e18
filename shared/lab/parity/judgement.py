"""What counts as equal, and what must be true of any answer."""

import json
import re
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

from shared.contract import Endpoint
from shared.lab.observation.statements import Kinds
from shared.lab.observation.statements import shown
from shared.lab.parity.case import Step
from shared.lab.parity.message import Response
from shared.lab.parity.result import Fact

# Header fields that belong to the server or to the connection, not to the answer.
IGNORED = frozenset({"date", "server", "connection", "keep-alive"})
# What a traced answer tells about the time that it took, and about itself.
MEASURED = frozenset({"server-timing", "traceparent"})
FRAMING = frozenset({"content-length", "transfer-encoding"})
EVERYTHING = "*"

DATE_TOLERANCE_S = 3.0
EXCERPT_BYTES = 28
# A shorter secret is found in any long text.
SECRET_LENGTH = 7
# What only a programmer should see: tracebacks, statements, names of drivers.
_INSIDES = re.compile(
    rb"Traceback \(most recent|File \"[^\"]+\", line \d|sqlalchemy|psycopg|asyncpg|\bpg_|"
    rb"\bSELECT\s.+\sFROM\b|\bINSERT INTO\b|\bUPDATE\s.+\sSET\b",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one edition did with one step.

    Attributes:
        responses: All responses on the connection.
        kinds: Statements counted; None where they were not.
        received_at: Wall-clock time of the end, in seconds since the epoch.
        handed_out: Ids that this service gave to this check, by the name that stands for them.
    """

    responses: tuple[Response, ...]
    kinds: Kinds | None = None
    received_at: float = 0.0
    handed_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def last(self) -> Response:
        """The response that ends the exchange."""
        return self.responses[-1]


def differences(
    step: Step, wsgi: Answer, asgi: Answer, *, entry: Endpoint | None, is_shared: bool, counts_sql: bool
) -> list[Fact]:
    """Return in what two answers differ.

    Args:
        step: What was sent.
        wsgi: The WSGI edition's answer.
        asgi: The ASGI edition's answer.
        entry: Contract entry that answered; it says what is streamed and what is measured.
        is_shared: Whether the services ran before: ids that they handed out, and what they tell of their past, are
            their own.
        counts_sql: Whether statements are compared.
    """
    facts: list[Fact] = []
    lefts = [_comparable(response, entry, wsgi.handed_out, is_shared=is_shared) for response in wsgi.responses]
    rights = [_comparable(response, entry, asgi.handed_out, is_shared=is_shared) for response in asgi.responses]
    if len(lefts) != len(rights):
        facts.append(Fact("responses", _lines(lefts), _lines(rights)))
    for left, right in zip(lefts, rights, strict=False):
        facts += response_differences(left, right)
    if counts_sql and wsgi.kinds is not None and asgi.kinds is not None and wsgi.kinds != asgi.kinds:
        facts.append(Fact("SQL statements", shown(wsgi.kinds), shown(asgi.kinds)))
    return facts


def response_differences(left: Response, right: Response) -> list[Fact]:
    """Return in what two responses differ, the left one standing where the WSGI edition's does."""
    facts = []
    for what, one, other in (
        ("protocol", left.failure or "in order", right.failure or "in order"),
        ("status", left.line, right.line),
    ):
        if one != other:
            facts.append(Fact(what, one, other))
    for name in sorted({name for name, _ in (*left.headers, *right.headers)}):
        one, other = " | ".join(sorted(left.values(name))), " | ".join(sorted(right.values(name)))
        if sorted(left.values(name)) != sorted(right.values(name)):
            facts.append(Fact(f"header {name}", one or "(none)", other or "(none)"))
    if left.body != right.body:
        facts.append(_body_difference(left.body, right.body))
    return facts


def violations(
    step: Step, answer: Answer, before: Answer | None, *, entry: Endpoint | None, secrets: Iterable[str]
) -> list[str]:
    """Return what is wrong in an answer by itself, whatever the other edition says."""
    response = answer.last
    found = []
    if response.failure:
        found.append(response.failure)
    if step.expects and response.status != step.expects:
        found.append(f"the contract says {step.expects}, not {response.line}")
    if not response.status:
        return found
    if response.status == 500:
        found.append("500 means a bug")
    found += _head_violations(response, answer.received_at, step)
    if step.request.method == "HEAD" and response.body:
        found.append(f"HEAD answered with {len(response.body)} bytes of body")
    if step.head_of_previous and before is not None:
        found += _unlike_get(before.last, response, entry)
    # What a client sent comes back from /echo, whatever it is.
    if entry is None or entry.name != "echo":
        found += [
            f"a secret is in the answer ({len(secret)} characters)"
            for secret in secrets
            if len(secret) >= SECRET_LENGTH and _has(response, secret)
        ]
    if response.header("content-type") == "application/problem+json" and (inside := _INSIDES.search(response.body)):
        found.append(f"shows insides of the service: {inside[0][:40]!r}")
    return found


def _head_violations(response: Response, received_at: float, step: Step) -> list[str]:
    found = []
    if len(response.values("server")) != 1:
        found.append(f"{len(response.values('server'))} Server fields")
    dates = response.values("date")
    if len(dates) != 1:
        found.append(f"{len(dates)} Date fields")
    elif abs(parsedate_to_datetime(dates[0]).timestamp() - received_at) > DATE_TOLERANCE_S:
        found.append(f"Date {dates[0]!r} is more than {DATE_TOLERANCE_S:g} s from now")
    length, coding = response.header("content-length"), response.header("transfer-encoding")
    if response.status in (204, 304):
        if length is not None or coding is not None:
            found.append("a length on a status that has no body (RFC 9110, section 8.6)")
        return found
    if response.header("content-type") is None:
        found.append("no Content-Type")
    if length is not None and coding is not None:
        found.append("both Content-Length and Transfer-Encoding")
    is_old = step.request.version == "1.0" or b" HTTP/1.0\r\n" in step.request.raw
    if is_old and coding is not None:
        found.append("Transfer-Encoding answered to HTTP/1.0 (RFC 9112, section 6.1)")
    is_head = step.request.method == "HEAD"
    if length is None and coding is None and not is_old and not is_head:
        found.append("neither Content-Length nor Transfer-Encoding")
    if length is not None and not is_head and length != str(len(response.body)):
        found.append(f"Content-Length {length}, but {len(response.body)} bytes of body")
    return found


def _unlike_get(get: Response, head: Response, entry: Endpoint | None) -> list[str]:
    left, right = (_comparable(answer, entry, {}, is_shared=False) for answer in (get, head))
    found = [] if left.status == right.status else [f"HEAD answers {right.line}, GET {left.line}"]
    for name in sorted({name for name, _ in (*left.headers, *right.headers)}):
        if sorted(left.values(name)) != sorted(right.values(name)):
            found.append(f"HEAD has {name} {right.values(name)}, GET {left.values(name)}")
    return found


def _comparable(
    response: Response, entry: Endpoint | None, handed_out: Mapping[str, str], *, is_shared: bool
) -> Response:
    """Return a response without what may differ."""
    ignored = IGNORED | MEASURED
    is_success = entry is not None and response.status == entry.status
    if entry is not None and entry.streams and is_success:
        ignored = ignored | FRAMING
    body = response.body
    if entry is not None and entry.measured and is_success:
        ignored = ignored | {"content-length"}
        body = _names_of(body) if EVERYTHING in entry.measured else _masked(body, entry.measured, is_shared=is_shared)
    headers = [(name, value) for name, value in response.headers if name not in ignored]
    if is_shared and handed_out:
        body = _without_ids(body, handed_out)
        # Ids of different length make bodies of different length; what each says is checked on its own.
        headers = [
            (name, str(len(body)) if name == "content-length" and value == str(len(response.body)) else
             _without_ids(value.encode("latin-1"), handed_out).decode("latin-1"))
            for name, value in headers
        ]  # fmt: skip
    return replace(response, headers=tuple(headers), body=body)


def _without_ids(data: bytes, handed_out: Mapping[str, str]) -> bytes:
    # Only where an id stands: a small one is found in many numbers.
    for name, id in handed_out.items():
        data = re.sub(
            rb'((?:id|next)": ?|/accounts/|the id )%b(?![0-9])' % id.encode(), rb"\1<%b>" % name.encode(), data
        )
    return data


def _masked(body: bytes, measured: frozenset[str], *, is_shared: bool) -> bytes:
    """Return a JSON body with the values of measured members replaced by their types."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    masked = {key: _types(item, hides_keys=is_shared) if key in measured else item for key, item in dict(value).items()}
    return json.dumps(masked, ensure_ascii=False).encode()


def _types(value: Any, *, hides_keys: bool) -> Any:
    """Return a value with its types in the place of its leaves."""
    if isinstance(value, list):
        return [_types(item, hides_keys=hides_keys) for item in value]
    if not isinstance(value, dict):
        return f"<{type(value).__name__}>"
    if hides_keys and not any(isinstance(item, dict) for item in value.values()):
        # A table, whose keys are what the service has seen so far.
        return "<table>"
    return {key: _types(item, hides_keys=hides_keys) for key, item in value.items()}


def _names_of(body: bytes) -> bytes:
    """Return the names, types and help texts in Prometheus text, sorted."""
    lines = {line if line.startswith(b"#") else re.split(rb"[{ ]", line, maxsplit=1)[0] for line in body.splitlines()}
    return b"\n".join(sorted(lines))


def _body_difference(left: bytes, right: bytes) -> Fact:
    at = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    place = f"body, byte {at:,} of {len(left):,} and {len(right):,}"
    return Fact(place, _excerpt(left, at), _excerpt(right, at))


def _excerpt(body: bytes, at: int) -> str:
    """Return what is around a byte, the byte itself between >> and <<."""
    start = max(0, at - EXCERPT_BYTES)
    marked = _text(body[at : at + 1]) if at < len(body) else "end"
    tail = body[at + 1 : at + 1 + EXCERPT_BYTES]
    return f"{'...' if start else ''}{_text(body[start:at])}>>{marked}<<{_text(tail)}"


def _text(data: bytes) -> str:
    return repr(data)[2:-1]


def _lines(responses: Iterable[Response]) -> str:
    return ", ".join(response.line for response in responses)


def _has(response: Response, secret: str) -> bool:
    return secret.encode() in response.body or any(secret in value for _, value in response.headers)
