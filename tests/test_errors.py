"""Every row of the contract's table of errors: exact problem documents, and nothing that helps an attacker."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any
from urllib.parse import quote

import httpx
import psycopg2
import pytest

from shared.config import Edition
from shared.lab.process import HOST
from shared.lab.process import Service
from shared.lab.process import ServiceSpec
from shared.lab.process import free_port
from shared.models import Base
from shared.twins import ROOT
from tests.broken import SECRET
from tests.broken import WRONG
from tests.conftest import CHECK_TOKEN
from tests.conftest import NO_TLS
from tests.conftest import ServiceFactory
from tests.examples import example
from tests.examples import open_account

PASSWORD = "hunter2-in-the-url"
# What no answer may hold: how the service is built, what it asks the database, and what only it knows.
NEVER_SAID = (
    "Traceback",
    'File "',
    ".py",
    "SELECT",
    "INSERT",
    "psycopg",
    "asyncpg",
    "sqlalchemy",
    "pydantic.dev",
    PASSWORD,
    SECRET,
    CHECK_TOKEN,
    *Base.metadata.tables.keys() - {"accounts", "transfers"},
)


def problem(
    slug: str, title: str, status: int, detail: str, instance: str, errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return a whole problem document."""
    document = {
        "type": f"urn:wsgi-vs-asgi:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return document if errors is None else {**document, "errors": errors}


def assert_problem(answer: httpx.Response, expected: dict[str, Any]) -> None:
    """Check a problem document to the last byte."""
    assert answer.status_code == expected["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.content == json.dumps(expected, separators=(",", ":"), ensure_ascii=False).encode()
    assert answer.headers["content-length"] == str(len(answer.content))
    assert_discreet(answer)


def assert_discreet(answer: httpx.Response) -> None:
    """Check that an answer tells nothing it should not."""
    told = answer.text.replace(answer.json().get("instance", "-"), "") + str(dict(answer.headers))
    assert [word for word in NEVER_SAID if word.lower() in told.lower()] == []


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
        ("BREW", "/transfers", "POST, OPTIONS"),
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


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "tab\t"])
def test_bad_idempotency_key_is_422(client: httpx.Client, key: str) -> None:
    request = example("create_transfer", open_account(client))
    answer = client.post(request.target, content=request.body, headers={**request.headers, "Idempotency-Key": f"{key}"})
    # A field's value has no white space around it by the time anybody sees it.
    if key.strip() == key:
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


@pytest.fixture
def hurried(start_service: ServiceFactory, edition: Edition) -> Iterator[httpx.Client]:
    """Run a service with one connection and short patience."""
    service = start_service(edition, POOL_SIZE="1", CONNECT_TIMEOUT="0.2", POOL_TIMEOUT="0.3", STATEMENT_TIMEOUT="1.5")
    with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
        assert client.get("/db").status_code == 200
        yield client


@contextmanager
def full_pool(client: httpx.Client) -> Iterator[None]:
    """Hold the only connection."""
    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(client.get, "/sleep?seconds=1.2")
        deadline = monotonic() + 10
        while client.get("/pool").json()["checked_out"] == 0:
            assert monotonic() < deadline
        yield
        assert holding.result().status_code == 200


def test_full_pool_is_503_and_says_so(hurried: httpx.Client) -> None:
    with full_pool(hurried):
        answer = hurried.get("/db")
        health = hurried.get("/health/db")
        assert hurried.get("/readyz").status_code == 200
        assert hurried.get("/plaintext").status_code == 200
    assert answer.headers["retry-after"] == health.headers["retry-after"] == "1"
    title = "Service Unavailable"
    detail = "No connection of the pool became free in time; every one is in use"
    assert_problem(answer, problem("pool-exhausted", title, 503, detail, "/db"))
    detail = "Pool full: every connection is in use, so the database was not asked"
    assert_problem(health, problem("pool-exhausted", title, 503, detail, "/health/db"))
    assert hurried.get("/db").status_code == 200


def test_statement_timeout_is_504(hurried: httpx.Client) -> None:
    answer = hurried.get("/sleep?seconds=3")
    detail = "A statement ran longer than the database allows this service"
    assert_problem(answer, problem("statement-timeout", "Gateway Timeout", 504, detail, "/sleep"))
    assert 1.4 < answer.elapsed.total_seconds() < 2.5
    assert hurried.get("/db").status_code == 200


def test_database_down_is_503_and_says_so(start_service: ServiceFactory, edition: Edition) -> None:
    """The service starts and stays up without a database."""
    url = f"postgresql://someone:{PASSWORD}@{HOST}:{free_port()}/nothing"
    service = start_service(edition, DATABASE_URL=url)
    with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
        expected = {
            "/db": "The database cannot be reached",
            "/health/db": "Database down: it cannot be reached, or does not answer in time",
            "/readyz": "Database down: it cannot be reached, or does not answer in time",
        }
        for path, detail in expected.items():
            answer = client.get(path)
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["detail"].startswith(detail)
            detail = answer.json()["detail"]
            assert_problem(answer, problem("database-unavailable", "Service Unavailable", 503, detail, path))
            assert answer.elapsed.total_seconds() < 2
        for path in ("/plaintext", "/livez", "/pool", "/openapi.json"):
            assert client.get(path).status_code == 200
    assert PASSWORD not in service.log_path.read_text()


def test_wrong_database_user_is_503_without_the_password(
    start_service: ServiceFactory, edition: Edition, database_url: str
) -> None:
    url = database_url.replace("postgres@", f"nobody:{PASSWORD}@")
    assert PASSWORD in url
    service = start_service(edition, DATABASE_URL=url)
    answer = httpx.get(service.url + "/db", verify=NO_TLS)
    assert answer.status_code == 503
    assert_discreet(answer)
    assert PASSWORD not in service.log_path.read_text()


def test_statement_that_fails_is_a_500_without_its_text(
    start_service: ServiceFactory, edition: Edition, new_database: str
) -> None:
    """A table that somebody dropped is a bug of the installation: logged, and told to nobody else."""
    service = start_service(edition, DATABASE_URL=new_database)
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        assert client.get("/fortunes").status_code == 200
        connection = psycopg2.connect(new_database)
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE fortune")
        connection.close()
        answer = client.get("/fortunes")
        assert_problem(answer, BUG | {"instance": "/fortunes"})
        assert client.get("/db").status_code == 200
    assert "fortune" in service.log_path.read_text()


BUG = problem("internal-error", "Internal Server Error", 500, "The service failed; its log tells why", "")


@pytest.fixture
def broken(database_url: str, edition: Edition, tmp_path: Any) -> Iterator[Service]:
    """Run a service whose endpoints have bugs."""
    environ = {
        "DATABASE_URL": database_url,
        "HOST": HOST,
        f"{edition.upper()}_PORT": "{port}",
        "PYTHONPATH": str(ROOT),
    }
    spec = ServiceSpec(edition, (sys.executable, "-m", "tests.broken", edition), environ)
    with Service(spec, log_directory=tmp_path) as service:
        yield service


def test_wrong_shapes_and_bugs_are_500(broken: Service) -> None:
    """An answer that is not the contract's is never sent."""
    with httpx.Client(base_url=broken.url, verify=NO_TLS) as client:
        for name in WRONG:
            target = example(name, 1).target
            answer = client.get(target)
            assert_problem(answer, BUG | {"instance": target.partition("?")[0]})
            assert client.head(target).status_code == 500
        assert client.get("/livez").status_code == 200


def test_bug_is_logged_with_its_trace_id(broken: Service) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    traceparent = f"00-{trace_id}-00f067aa0ba902b7-01"
    with httpx.Client(base_url=broken.url, verify=NO_TLS) as client:
        answer = client.get("/cpu?iterations=1", headers={"traceparent": traceparent})
        unnamed = client.get("/cpu?iterations=1", headers={"traceparent": "00-nonsense\u00ff-01"})
    assert answer.status_code == unnamed.status_code == 500
    log = broken.log_path.read_text()
    assert log.count(f"Bug while answering /cpu (trace id {trace_id})") == 1
    assert log.count("Bug while answering /cpu (trace id ") == 2
    assert log.count(f"RuntimeError: {SECRET}") == 2
    assert "nonsense" not in log
