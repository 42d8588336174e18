"""What a trace shows of a request and its answer: the harmless, a value only on demand, a secret never."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import schemas
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.trace.recorder import Octets
from shared.trace.redaction import SECRET_FIELDS
from shared.trace.redaction import Redactor

PLANTED = "hunter2-planted"
ENTRY = {endpoint.name: endpoint for endpoint in CONTRACT}
NEW_ACCOUNT = json.dumps({"owner": f'{PLANTED}, "{{[:]}}"', "balance": 9_871}).encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
OK = b"HTTP/1.1 200 OK\r\nServer: s\r\n"
NOT_FOUND = (
    b'{"type":"urn:wsgi-vs-asgi:problem:not-found","title":"Not Found","status":404,'
    b'"detail":"No account has the id 4711","instance":"/accounts/4711"}'
)


def redactor(name: str | None = None, *, template: str | None = None, reveals_values: bool = False) -> Redactor:
    """Return what masks the trace of an endpoint's request."""
    endpoint: Endpoint | None = ENTRY[name] if name else None
    return Redactor(endpoint.path if endpoint else template, endpoint, reveals_values=reveals_values)


def whole(data: bytes) -> list[Octets]:
    """Return bytes as one piece."""
    return [Octets(len(data), data)]


def request(target: str = "/plaintext", headers: bytes = b"", body: bytes = b"", method: str = "GET") -> bytes:
    """Return a request as it stands on the wire."""
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n".encode("latin-1") + headers + b"\r\n" + body


def received(found: Redactor, data: bytes) -> str:
    """Return a request as a trace shows it, and check that no byte is lost."""
    (text,) = found.received(whole(data))
    assert len(text) == len(data)
    return text


def sent(found: Redactor, data: bytes) -> str:
    """Return an answer as a trace shows it, and check that no byte is lost."""
    (text,) = found.sent(whole(data))
    assert len(text) == len(data)
    return text


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("plaintext", "/plaintext", "/plaintext"),
        ("plaintext", "/%70laintext", "/%70laintext"),
        ("plaintext", "/plaintext?queries=9", "/plaintext?*******=*"),
        ("queries", "/queries?queries=20&other=7&queries", "/queries?queries=**&*****=*&queries"),
        ("queries", "/queries?q%75eries=20", "/queries?*********=**"),
        ("queries", "/queries?queries=2=3", "/queries?queries=***"),
        ("queries", "/queries?", "/queries?"),
        ("read_account", "/accounts/4711", "/accounts/****"),
        ("read_account", "/accounts/a%2Fb", "/accounts/*****"),
        ("deposit", "/accounts/4711/deposits", "/accounts/****/deposits"),
        ("health_db", "/health%2Fdb", "/***********"),
        (None, "/nowhere/else?key=value", "/*******/****?***=*****"),
        (None, "*", "*"),
        (None, "http://user:word@host/x", "***********************"),
    ],
)
def test_target_shows_the_template_and_declared_keys(name: str | None, target: str, expected: str) -> None:
    assert redactor(name).target(target) == expected
    assert redactor(name, reveals_values=True).target(target) == target


def test_harmless_fields_of_a_request_are_shown() -> None:
    data = request(headers=b"Accept: */*\r\nExpect: 100-continue\r\nX-Trace: 1\r\nConnection: close\r\n")
    assert received(redactor("plaintext"), data).encode() == data


@pytest.mark.parametrize(
    "name", ["User-Agent", "X-Anything", "Idempotency-Key", "Referer", "X-Forwarded-For", *SECRET_FIELDS]
)
def test_other_fields_are_masked(name: str) -> None:
    text = received(redactor("plaintext"), request(headers=f"{name}: {PLANTED}\r\n".encode()))
    assert PLANTED not in text
    assert f"{name}: {'*' * len(PLANTED)}\r\n" in text


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_secrets_are_masked_whoever_asks(name: str) -> None:
    found = redactor("plaintext", reveals_values=True)
    field = f"{name.title()}:{PLANTED}\r\n".encode()
    both = field + b"User-Agent: shown\r\n"
    assert PLANTED not in received(found, request(headers=both))
    assert "User-Agent: shown" in received(found, request(headers=both))
    assert PLANTED not in sent(found, OK + field + b"\r\n")
    assert PLANTED not in received(found, request(headers=CHUNKED, body=b"0\r\n" + field + b"\r\n"))
    environ = {"HTTP_" + name.upper().replace("-", "_"): PLANTED}
    assert PLANTED not in json.dumps(found.facts({"interface": "environ", "value": environ}))
    scope = {"headers": [(name.encode(), PLANTED.encode())]}
    assert PLANTED not in json.dumps(found.facts({"interface": "scope", "value": scope}))


@pytest.mark.parametrize(
    "data",
    [
        b"GET /plaintext HTTP/1.1\nHost: " + PLANTED.encode() + b"\n\n",
        b"GET /plaintext HTTP/1.1\r\nHost: a\nAuthorization: " + PLANTED.encode() + b"\r\n\r\n",
        b"GET /plaintext HTTP/1.1\r\nHost: a\r\n " + PLANTED.encode() + b"\r\n\r\n",
        b"GET /plaintext HTTP/1.1\r\nHost : " + PLANTED.encode() + b"\r\n\r\n",
        b"GET  /plaintext " + PLANTED.encode() + b"\r\n\r\n",
        b"GET /plaintext HTTP/1.1\r\nHost: " + PLANTED.encode(),
        b"\x16\x03\x01" + PLANTED.encode(),
        b"",
    ],
)
@pytest.mark.parametrize("reveals_values", [False, True])
def test_what_is_no_head_is_masked_as_a_whole(data: bytes, reveals_values: bool) -> None:
    found = redactor("plaintext", reveals_values=reveals_values)
    assert received(found, data) == "*" * len(data)
    assert sent(found, data) == "*" * len(data)


def test_json_body_keeps_its_punctuation() -> None:
    headers = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(NEW_ACCOUNT)
    text = received(redactor("create_account"), request("/accounts", headers, NEW_ACCOUNT, "POST"))
    body = text.partition("\r\n\r\n")[2]
    assert body == '{"*****": "' + "*" * (len(PLANTED) + 11) + '", "*******": ****}'


@pytest.mark.parametrize("body", [b'{"a":"' + PLANTED.encode(), b'{"a":"\\', b'"\\"' + PLANTED.encode() + b'"', b"'x'"])
def test_body_that_is_no_json_shows_no_text(body: bytes) -> None:
    data = request("/accounts", b"Content-Length: %d\r\n" % len(body), body, "POST")
    shown = received(redactor("create_account"), data).partition("\r\n\r\n")[2]
    assert set(shown) <= set('*{}[]:,"')


def test_other_bodies_are_masked_as_a_whole() -> None:
    data = request("/echo", b"Content-Length: 9\r\n", b'{"a": 1}\n', "POST")
    assert received(redactor("echo"), data).endswith("\r\n\r\n" + "*" * 9)


def test_chunks_keep_their_sizes_and_nothing_else() -> None:
    body = b"4;name=secret\r\nabcd\r\n2\r\nef\r\n0\r\nX-Sum: secret\r\n\r\n"
    text = received(redactor("echo"), request("/echo", CHUNKED, body, "POST"))
    shown = text.partition("\r\n\r\n")[2]
    assert shown.startswith("4************\r\n****\r\n2\r\n**\r\n0\r\n")
    assert "secret" not in shown
    assert "X-Sum" not in shown
    shown = received(redactor("echo", reveals_values=True), request("/echo", CHUNKED, body, "POST"))
    assert shown.encode().endswith(b"\r\n\r\n" + body)


def test_json_in_chunks_is_read_across_them() -> None:
    body = b'6\r\n{"a":"\r\n4\r\n{:,}\r\n2\r\n"}\r\n0\r\n\r\n'
    shown = received(redactor("create_account"), request("/accounts", CHUNKED, body, "POST")).partition("\r\n\r\n")[2]
    assert shown == '6\r\n{"*":"\r\n4\r\n****\r\n2\r\n"}\r\n0\r\n\r\n'


@pytest.mark.parametrize("reveals_values", [False, True])
def test_the_next_request_in_the_same_bytes_is_masked(reveals_values: bool) -> None:
    """It has not asked for anything."""
    following = request(headers=b"X-Any: " + PLANTED.encode() + b"\r\n")
    for first in (request("/echo", b"Content-Length: 2\r\n", b"ab", "POST"), request("/echo")):
        text = received(redactor("echo", reveals_values=reveals_values), first + following)
        assert text[len(first) :] == "*" * len(following)


def test_answer_is_shown_where_no_client_can_have_written_it() -> None:
    answer = OK + b"Content-Length: 13\r\n\r\nHello, World!"
    assert sent(redactor("plaintext"), answer).encode() == answer
    assert sent(redactor("echo"), answer).endswith("\r\n\r\n" + "*" * 13)
    assert sent(redactor(), answer).endswith("\r\n\r\n" + "*" * 13)
    streamed = OK + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"
    assert sent(redactor("stream"), streamed).encode() == streamed


def test_answer_of_json_keeps_its_punctuation() -> None:
    answer = OK + b"Content-Type: application/json\r\nLocation: /accounts/4711\r\n\r\n" + b'{"id":4711}'
    text = sent(redactor("create_account"), answer)
    assert text.endswith('\r\nLocation: **************\r\n\r\n{"**":****}')


def test_problem_tells_which_one_it_is() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n\r\n"
    body = sent(redactor("read_account"), head + NOT_FOUND).partition("\r\n\r\n")[2]
    assert body.startswith('{"type":"urn:wsgi-vs-asgi:problem:not-found","title":"Not Found","status":404,"******":"*')
    assert "4711" not in body
    # What went wrong with a request tells of the request, also where a success would tell of nothing.
    assert "4711" not in sent(redactor("queries"), head + NOT_FOUND)
    echoed = sent(redactor("echo"), head.replace(b"404 Not Found", b"200 OK") + NOT_FOUND)
    assert echoed.endswith("*" * len(NOT_FOUND))


def test_interim_answer_is_followed_by_another() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Set-Cookie: secret\r\nContent-Length: 2\r\n\r\nok"
    text = sent(redactor("livez"), answer)
    assert text.encode() == answer.replace(b"secret", b"******")


def test_pieces_are_masked_as_the_message_that_they_are() -> None:
    data = request("/accounts/4711", b"Authorization: " + PLANTED.encode() + b"\r\n")
    for size in (1, 2, 7):
        pieces = [Octets(len(data[at : at + size]), data[at : at + size]) for at in range(0, len(data), size)]
        texts = redactor("read_account").received(pieces)
        assert [len(text) for text in texts] == [piece.size for piece in pieces]
        assert "".join(texts) == received(redactor("read_account"), data)


@pytest.mark.parametrize("reveals_values", [False, True])
def test_nothing_is_shown_behind_bytes_that_were_not_kept(reveals_values: bool) -> None:
    head = request("/echo", b"Content-Length: 100\r\n", b"x" * 10, "POST")
    pieces = [Octets(len(head) + 50, head), Octets(40, PLANTED.encode())]
    texts = redactor("echo", reveals_values=reveals_values).received(pieces)
    assert texts[1] == "*" * len(PLANTED)


ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/accounts/4711",
    "RAW_URI": "/accounts/4711?a=b",
    "QUERY_STRING": "a=b",
    "HTTP_HOST": "localhost",
    "HTTP_X_ANY": PLANTED,
    "CONTENT_TYPE": "text/plain",
    "SOMETHING_NEW": PLANTED,
    "wsgi.version": (1, 0),
    "wsgi.input": object(),
    "wsgi.multithread": True,
    "gunicorn.socket": "<socket.socket>",
}
SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "client": ("127.0.0.1", 5),
    "path": "/accounts/4711",
    "raw_path": b"/accounts/4711",
    "query_string": b"a=b",
    "headers": [(b"host", b"localhost"), (b"x-any", PLANTED.encode())],
    "state": {"service": object()},
    "path_params": {"id": "4711"},
    "something_new": PLANTED,
}


def test_environ_is_masked_as_the_bytes_are() -> None:
    shown = redactor("read_account").facts({"interface": "environ", "value": ENVIRON})["value"]
    assert shown == {
        **ENVIRON,
        "PATH_INFO": "/accounts/****",
        "RAW_URI": "/accounts/****?*=*",
        "QUERY_STRING": "*=*",
        "HTTP_X_ANY": "*" * len(PLANTED),
        "SOMETHING_NEW": "*" * len(PLANTED),
        "wsgi.version": [1, 0],
        "wsgi.input": "<builtins.object>",
    }
    shown = redactor("read_account", reveals_values=True).facts({"interface": "environ", "value": ENVIRON})["value"]
    assert shown == {**ENVIRON, "wsgi.version": [1, 0], "wsgi.input": "<builtins.object>"}


def test_scope_is_masked_as_the_bytes_are() -> None:
    shown = redactor("read_account").facts({"interface": "scope", "value": SCOPE})["value"]
    assert shown == {
        "type": "http",
        "asgi": {"version": "3.0"},
        "client": ["127.0.0.1", 5],
        "path": "/accounts/****",
        "raw_path": "/accounts/****",
        "query_string": "*=*",
        "headers": [["host", "localhost"], ["x-any", "*" * len(PLANTED)]],
        "state": {"service": "<builtins.object>"},
        "path_params": {"id": "****"},
        "something_new": "*" * len(PLANTED),
    }


def test_values_of_facts_are_masked_unless_asked_for() -> None:
    facts: dict[str, Any] = {
        "path_parameters": {"id": "4711"},
        "parameters": schemas.DepositParameters(id=4711, body=schemas.Deposit(amount=5, strategy="atomic")),
        "parameter_values": [4711, PLANTED],
        "statement": "SELECT 'a''b', id FROM t WHERE id = $1",
        "rows": 3,
        "connection": "reused",
        "unheard_of": PLANTED,
        "wire": {"sent": [{"message": "Parse", "bytes": 20}], "round_trips": 1},
    }
    shown = redactor("deposit").facts(facts)
    assert shown == {
        "path_parameters": {"id": "****"},
        "parameters": {"id": "****", "body": {"amount": "*", "strategy": "******"}},
        "statement": "SELECT '****', id FROM t WHERE id = $1",
        "rows": 3,
        "connection": "reused",
        "unheard_of": "*" * len(PLANTED),
        "wire": {"sent": [{"message": "Parse", "bytes": 20}], "round_trips": 1},
    }
    shown = redactor("deposit", reveals_values=True).facts(facts)
    assert shown["parameter_values"] == [4711, PLANTED]
    assert shown["parameters"] == {"id": 4711, "body": {"amount": 5, "strategy": "atomic"}}
    assert redactor("db").facts({"parameters": 2}) == {"parameters": 2}


def test_token_of_a_reader_is_no_value() -> None:
    read: dict[str, Any] = {"trace_token": PLANTED, "host": "localhost", "limit": 5}
    assert PLANTED not in json.dumps(redactor("list_traces", reveals_values=True).facts({"parameters": read}))


@given(st.binary(max_size=200), st.booleans(), st.sampled_from([None, "echo", "create_account", "plaintext"]))
def test_any_bytes_keep_their_size(data: bytes, reveals_values: bool, name: str | None) -> None:
    found = redactor(name, reveals_values=reveals_values)
    for body in (data, request(headers=CHUNKED, body=data), request(headers=b"Content-Length: 20\r\n", body=data)):
        received(found, body)
        sent(found, body)
        sent(found, OK + CHUNKED + b"\r\n" + body)


@given(st.text(max_size=40))
def test_any_target_keeps_its_size(text: str) -> None:
    assert len(redactor("read_account").target("/" + text)) == len(text) + 1
