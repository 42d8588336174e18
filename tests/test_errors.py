"""Every row of the contract's table of errors: exact problem documents, and nothing that helps an attacker."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from shared.config import Edition
from tests.conftest import NO_TLS
from tests.conftest import ServiceFactory
from tests.examples import example
from tests.examples import open_account
from tests.problems import assert_discreet
from tests.problems import assert_problem
from tests.problems import problem


@pytest.mark.parametrize(
    "path", ["/nowhere", "/", "/plaintext/", "/Plaintext", "/accounts/", "/accounts/1/", "/accounts/1/2", "/a%20b/ü"]
)
def test_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    assert_problem(
        client.get(path),
        problem("not-found", "Not Found", 404, "No endpoint has this path", quote(path, safe="/%")),
    )


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/plaintext", "GET, HEAD, OPTIONS"),
        ("DELETE", "/db", "GET, HEAD, OPTIONS"),
        ("GET", "/echo", "POST, OPTIONS"),
        ("HEAD", "/echo", "POST, OPTIONS"),
        ("PUT", "/accounts", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/accounts/1", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("TRACE", "/accounts/1/deposits", "POST, OPTIONS"),
        ("PURGE", "/transfers", "POST, OPTIONS"),
    ],
)
def test_other_method_is_405_with_allow(client: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = client.request(method, path)
    assert answer.headers["allow"] == allow
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (405, b"")
        return
    template = path.replace("/1", "/{id}")
    expected = problem("method-not-allowed", "Method Not Allowed", 405, f"{template} answers {allow}", path)
    assert_problem(answer, expected)


def test_options_of_an_unknown_path_is_404(client: httpx.Client) -> None:
    assert client.options("/nowhere").status_code == 404


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
@pytest.mark.parametrize("name", ["create_account", "change_account", "deposit", "create_transfer"])
def test_other_type_than_json_is_415(client: httpx.Client, name: str, content_type: str | None) -> None:
    request = example(name, 1)
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = client.request(request.method, request.target, content=request.body, headers=headers)
    assert_problem(
        answer,
        problem(
            "unsupported-media-type",
            "Unsupported Media Type",
            415,
            "This path reads application/json",
            request.target,
        ),
    )


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"]
)
def test_json_may_carry_parameters(client: httpx.Client, content_type: str) -> None:
    body = b'{"owner": "Ada", "balance": 1}'
    assert client.post("/accounts", content=body, headers={"Content-Type": content_type}).status_code == 201


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'owner': 1}", b'{"owner": "\xff"}', b"\xef\xbb\xbf{}", b'{"owner": NaN}', b"{} {}", b"[" * 10_000],
    ids=["empty", "cut", "quotes", "not UTF-8", "BOM", "NaN", "two", "deep"],
)
def test_malformed_json_is_400(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/accounts", content=body, headers={"Content-Type": "application/json"})
    assert_problem(
        answer, problem("malformed-request", "Bad Request", 400, "The body is not JSON in UTF-8", "/accounts")
    )


def field(loc: list[str | int], msg: str, type: str) -> dict[str, Any]:
    """Return one entry of a 422's errors."""
    return {"loc": loc, "msg": msg, "type": type}


INVALID_BODIES: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "missing": ({"owner": "Ada"}, [field(["body", "balance"], "Field required", "missing")]),
    "text for a number": (
        {"owner": "Ada", "balance": "1"},
        [field(["body", "balance"], "Input should be a valid integer", "int_type")],
    ),
    "float": (
        {"owner": "Ada", "balance": 1.5},
        [field(["body", "balance"], "Input should be a valid integer", "int_type")],
    ),
    "negative": (
        {"owner": "Ada", "balance": -1},
        [field(["body", "balance"], "Input should be greater than or equal to 0", "greater_than_equal")],
    ),
    "unknown member": (
        {"owner": "Ada", "balance": 1, "admin": True},
        [field(["body", "admin"], "Extra inputs are not permitted", "extra_forbidden")],
    ),
    "two at once": (
        {"owner": "", "balance": None},
        [
            field(["body", "owner"], "String should have at least 1 character", "string_too_short"),
            field(["body", "balance"], "Input should be a valid integer", "int_type"),
        ],
    ),
}


@pytest.mark.parametrize(("body", "errors"), INVALID_BODIES.values(), ids=INVALID_BODIES.keys())
def test_invalid_body_is_422_with_each_field(client: httpx.Client, body: Any, errors: list[dict[str, Any]]) -> None:
    assert_problem(
        client.post("/accounts", json=body),
        problem(
            "invalid-request",
            "Unprocessable Entity",
            422,
            "The request is well-formed, but not valid",
            "/accounts",
            errors,
        ),
    )


@pytest.mark.parametrize("body", [[], "text", 5, None, True], ids=repr)
def test_body_that_is_no_object_is_422(client: httpx.Client, body: Any) -> None:
    answer = client.post("/accounts", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["errors"]] == [["body"]]
    assert_discreet(answer)


@pytest.mark.parametrize(
    ("target", "loc", "type"),
    [
        ("/sleep", ["query", "seconds"], "missing"),
        ("/sleep?seconds=", ["query", "seconds"], "float_parsing"),
        ("/sleep?seconds=-0.1", ["query", "seconds"], "greater_than_equal"),
        ("/sleep?seconds=30.1", ["query", "seconds"], "less_than_equal"),
        ("/wait?seconds=nan", ["query", "seconds"], "finite_number"),
        ("/wait?seconds=inf", ["query", "seconds"], "finite_number"),
        ("/cpu?iterations=0", ["query", "iterations"], "greater_than_equal"),
        ("/cpu?iterations=10000001", ["query", "iterations"], "less_than_equal"),
        ("/cpu?iterations=1.5", ["query", "iterations"], "int_parsing"),
        ("/stream?rows=1000001", ["query", "rows"], "less_than_equal"),
        ("/bytes?size=67108865", ["query", "size"], "less_than_equal"),
        ("/bytes?size=-1", ["query", "size"], "greater_than_equal"),
        ("/accounts?limit=0", ["query", "limit"], "greater_than_equal"),
        ("/accounts?limit=101", ["query", "limit"], "less_than_equal"),
        ("/accounts?after=9223372036854775808", ["query", "after"], "less_than_equal"),
        ("/accounts/0", ["path", "id"], "greater_than_equal"),
        ("/accounts/one", ["path", "id"], "int_parsing"),
        ("/accounts/9223372036854775808", ["path", "id"], "less_than_equal"),
    ],
)
def test_parameter_out_of_range_is_422(client: httpx.Client, target: str, loc: list[str], type: str) -> None:
    answer = client.get(target)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(error["loc"], error["type"]) for error in answer.json()["errors"]] == [(loc, type)]
    assert answer.json()["instance"] == target.partition("?")[0]
    assert_discreet(answer)


@pytest.mark.parametrize("key", ["", "with space", "x" * 256])
def test_bad_idempotency_key_is_422(client: httpx.Client, key: str) -> None:
    request = example("create_transfer", open_account(client))
    headers = {**request.headers, "Idempotency-Key": key}
    answer = client.post(request.target, content=request.body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]


def test_transfer_to_itself_is_422(client: httpx.Client) -> None:
    answer = client.post("/transfers", json={"source_id": 1, "target_id": 1, "amount": 1})
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["errors"]] == [["body"]]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("path", ["/echo", "/accounts"])
def test_body_over_the_limit_is_413(client: httpx.Client, path: str, is_chunked: bool) -> None:
    body = b"x" * (1_048_576 + 1)
    content = iter([body[:1_000_000], body[1_000_000:]]) if is_chunked else body
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.headers["connection"] == "close"
    detail = "The body exceeds 1048576 bytes"
    assert_problem(answer, problem("body-too-large", "Request Entity Too Large", 413, detail, path))
    # On a connection of its own, because the other one's rest was not read.
    assert client.get("/plaintext").status_code == 200


def test_upload_has_a_limit_of_its_own(start_service: ServiceFactory, edition: Edition) -> None:
    service = start_service(edition, MAX_UPLOAD_BYTES="2000000")
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        assert client.post("/upload", content=b"x" * 2_000_000).json()["bytes"] == 2_000_000
        assert client.post("/upload", content=b"x" * 2_000_001).status_code == 413


def test_too_many_query_fields_are_400(client: httpx.Client) -> None:
    assert client.get("/queries?" + "&".join(["queries=1"] * 100)).status_code == 200
    answer = client.get("/queries?" + "&".join(["queries=1"] * 101))
    detail = "The query string has more than 100 fields"
    assert_problem(answer, problem("malformed-request", "Bad Request", 400, detail, "/queries"))
