"""Requests that nobody thought of get the same answer from both editions: derived from the contract, at random."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from urllib.parse import unquote_plus

import pytest
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from shared.config import Edition
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from tests.conftest import CHECK_TOKEN

# Beside these, two right answers have the same header fields.
MAY_DIFFER = {"date", "server", "connection", "keep-alive"}
FRAMING = {"content-length", "transfer-encoding"}
METHODS = ("GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
BY_PATH: dict[str, list[Endpoint]] = {}
for entry in CONTRACT:
    BY_PATH.setdefault(entry.path, []).append(entry)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it stands on the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Got:
    """What of an answer must be the same."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


SMALL = st.integers(-2, 60)
NUMBERS = st.one_of(
    SMALL,
    st.sampled_from([100, 101, 500, 501, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30]),
).map(str)
ODD_WORDS = [
    *["", "+5", "%205", "5%20", "1e1", "0x10", "1_0", "٣", "²", "NaN", "inf", "-0", "00", "0.001", "1.0", "true"],
    *["null", "%00", "%FF", "%C3%28", "%2F", "a/b", "%25", "'", '"', "<b>", "ü", "🐍", "5&", "5;6", "[1]", "%ud800"],
]
ODD = st.sampled_from(ODD_WORDS)
VALUES = st.one_of(NUMBERS, ODD, st.text(max_size=8).map(lambda text: quote(text, safe="", errors="replace")))
# What would only make both wait, or send megabytes.
SLOW = {"seconds": 0.01, "iterations": 10_000.0, "rows": 3_000.0, "size": 200_000.0}
KEYS = st.sampled_from(
    ["queries", "seconds", "rows", "size", "iterations", "limit", "after", "x", "Queries", "%71", ""]
)
ODD_PATHS = [
    *["/", "//", "/plaintext/", "/db/", "/Queries", "/accounts/{id}/", "/accounts//1", "/%64b", "/db%00"],
    *["/accounts/{id}/deposits/", "/ü", "/%FF", "/a%2Fb", "/db;x=1", "/../db", "/./db", "/*", "/db%0A"],
]
PATHS = st.one_of(
    st.sampled_from(sorted(BY_PATH)),
    st.sampled_from(ODD_PATHS),
    st.text(max_size=10).map(lambda text: "/" + quote(text, safe="/", errors="replace")),
)
JSON_TYPES = [b"application/json", b"application/json; charset=utf-8", b"APPLICATION/json"]
OTHER_TYPES = [b"text/plain", b"", b"x", b"a/\xfc", b"application/json, text/plain"]
HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just("Content-Type"), st.sampled_from(JSON_TYPES + OTHER_TYPES)),
        st.tuples(st.just("Idempotency-Key"), st.sampled_from([b"", b"k", b"k k", b"\xff", b"x" * 256])),
        st.tuples(
            st.just("X-Odd"),
            st.binary(max_size=8).map(lambda raw: bytes(byte for byte in raw if byte > 31 and byte != 127)),
        ),
        st.tuples(st.just("traceparent"), st.just(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")),
        st.tuples(st.just("Accept"), st.sampled_from([b"text/html", b"*/*", b"image/png"])),
    ),
    max_size=3,
    unique_by=lambda field: field[0],
)
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=50),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["owner", "balance", "amount", "strategy", "version", "source_id", "target_id", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)


def is_quick(pair: tuple[str, str]) -> bool:
    """Tell whether a query field will not keep both services busy."""
    try:
        return float(unquote_plus(pair[1].partition("&")[0])) <= SLOW.get(pair[0], float("inf"))
    except ValueError:
        return True


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """Make up a request: half of them with a path and a method that belong together."""
    fits = draw(st.booleans())
    endpoint = draw(st.sampled_from(CONTRACT)) if fits else None
    template = endpoint.path if endpoint else draw(PATHS)
    method = endpoint.method if endpoint else draw(st.sampled_from(METHODS))
    id = draw(st.one_of(st.integers(1, 200).map(str), VALUES))
    path = template.replace("{id}", id)
    fields = draw(st.lists(st.tuples(KEYS, VALUES).filter(is_quick), max_size=3))
    query = "&".join(f"{key}={value}" if value or draw(st.booleans()) else key for key, value in fields)
    target = "".join(
        letter if " " < letter < "\x7f" else quote(letter) for letter in path + ("?" + query if query else "")
    )
    body = b"" if method in ("GET", "HEAD", "OPTIONS", "TRACE") else draw(BODIES)
    headers = draw(HEADERS)
    if endpoint and endpoint.body == "json" and all(name != "Content-Type" for name, _ in headers):
        headers.append(("Content-Type", draw(st.sampled_from(JSON_TYPES))))
    return Sent(method, target.replace("#", "%23"), tuple(headers), body)


def writes(sent: Sent, got: Got) -> bool:
    """Tell whether a request has changed something, so that another answer to the same request is right."""
    is_accounts = sent.target.startswith(("/accounts", "/transfers"))
    return is_accounts and sent.method in ("POST", "PATCH", "DELETE") and got.status < 300


class Peer:
    """One edition on a connection that is kept while the service keeps it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=20)

    def ask(self, sent: Sent) -> Got:
        """Send a request and return what is to be compared."""
        try:
            return self._ask(sent)
        except (OSError, http.client.HTTPException) as error:
            error.add_note(f"{sent}")
            raise

    def _ask(self, sent: Sent) -> Got:
        connection = self._connection
        connection.putrequest(sent.method, sent.target, skip_accept_encoding=True)
        for name, value in sent.headers:
            connection.putheader(name, value)
        connection.putheader("X-Check-Seed", "7")
        connection.putheader("X-Check-Token", CHECK_TOKEN)
        if sent.body or sent.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(sent.body)))
        connection.endheaders(sent.body or None)
        answer = connection.getresponse()
        body = answer.read()
        if answer.will_close:
            connection.close()
        headers = [(name.lower(), value) for name, value in answer.getheaders()]
        return Got(answer.status, tuple(sorted(headers)), body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def comparable(sent: Sent, got: Got) -> Got:
    """Return an answer without what may differ between two right ones."""
    entries = BY_PATH.get(sent.target.partition("?")[0], [])
    ignored = set(MAY_DIFFER)
    body = got.body
    for endpoint in entries:
        if endpoint.streams:
            ignored |= FRAMING
        if endpoint.measured and got.status == 200:
            ignored |= FRAMING
            body = _without(endpoint.measured, body)
    return Got(got.status, tuple(field for field in got.headers if field[0] not in ignored), body)


def _without(measured: frozenset[str], body: bytes) -> bytes:
    if "*" in measured or not body:
        return b""
    found: dict[str, Any] = json.loads(body)
    return json.dumps({key: "measured" if key in measured else value for key, value in found.items()}).encode()


@pytest.fixture(scope="module")
def peers(services: dict[Edition, Service]) -> Iterator[dict[str, Peer]]:
    """Return both editions."""
    found: dict[str, Peer] = {edition: Peer(service.port) for edition, service in services.items()}
    yield found
    for peer in found.values():
        peer.close()


@pytest.mark.slow
def test_editions_agree_on_random_requests(peers: dict[str, Peer]) -> None:
    """The same status, the same header fields and the same bytes, whatever was sent."""
    seen: set[int] = set()

    @settings(
        max_examples=1_200,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(sent=requests())
    def editions_agree(sent: Sent) -> None:
        wsgi = peers["wsgi"].ask(sent)
        if writes(sent, wsgi):
            return
        asgi = peers["asgi"].ask(sent)
        assert comparable(sent, asgi) == comparable(sent, wsgi)
        seen.add(wsgi.status)

    editions_agree()
    # The requests were not all alike: successes, and most of the ways to be refused.
    assert {200, 204, 400, 404, 405, 415, 422} <= seen
    assert 500 not in seen


@pytest.mark.parametrize(
    ("change", "is_equal"),
    [
        ({}, True),
        ({"status": 201}, False),
        ({"body": b"{}"}, False),
        ({"headers": (("x-new", "1"),)}, False),
        ({"headers": (("date", "another"), ("server", "x"))}, True),
    ],
    ids=str,
)
def test_comparison_can_fail(change: dict[str, Any], is_equal: bool) -> None:
    sent = Sent("GET", "/json", (), b"")
    right = Got(200, (), b'{"message":"Hello, World!"}')
    other = Got(**{"status": right.status, "headers": right.headers, "body": right.body, **change})
    assert (comparable(sent, right) == comparable(sent, other)) == is_equal
