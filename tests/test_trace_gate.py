"""Who is traced, and who may read traces; without tracing there is nothing to be seen of it."""

from pathlib import Path

import httpx
import pytest

from shared.config import Edition
from shared.config import Settings
from shared.errors import Forbidden
from shared.errors import MalformedRequest
from shared.trace.gate import TOKEN_HEADER
from shared.trace.gate import Gate
from tests.conftest import NO_TLS
from tests.conftest import ServiceFactory
from tests.examples import TRACE_ID
from tests.examples import TRACED

TOKEN = "token-of-the-traces-\u00fc"
SENT = TOKEN.encode().decode("latin-1")
PLAIN_TOKEN = "token-of-the-traces"
OPEN = Settings()
GUARDED = Settings.model_validate({"trace_token": TOKEN})
CLOSED = Settings(trace=False)


@pytest.mark.parametrize(("value", "expected"), [("1", False), ("values", True)])
def test_header_asks_for_a_trace(value: str, expected: bool) -> None:
    assert Gate(OPEN).is_open
    assert Gate(OPEN).admit(value, None) is expected
    assert Gate(OPEN).admit(value, "any") is expected
    assert Gate(CLOSED).admit(value, None) is None
    assert not Gate(CLOSED).is_open


@pytest.mark.parametrize("value", [None, "", "0", "2", "true", "Values", "1, 1", "values,values", " 1"])
def test_anything_else_is_ignored(value: str | None) -> None:
    assert Gate(OPEN).admit(value, None) is None


def test_token_is_needed_where_one_is_set() -> None:
    gate = Gate(GUARDED)
    assert gate.admit("1", SENT) is False
    assert gate.admit("values", SENT) is True
    for wrong in (None, "", TOKEN, SENT[:-1], SENT + "x", SENT.upper(), "\U0001f600"):
        assert gate.admit("1", wrong) is None
        with pytest.raises(Forbidden):
            gate.check_reader("localhost", wrong)
    gate.check_reader("other.example.org", SENT)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8001", "127.0.0.1", "127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:8002", "localhost:"],
)
def test_own_names_of_this_machine_may_be_read_under(host: str) -> None:
    Gate(OPEN).check_reader(host, None)


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "example.org", "example.org:80", "localhost.example.org", "127.0.0.1.example.org", "192.168.0.1"),
        *("::1", "[::2]", "[127.0.0.1", "localhost:80:80", "localhost:x", "localhost@example.org", "0.0.0.0", "[::1]x"),
        "2130706433",
    ],
)
def test_other_names_may_not(host: str | None) -> None:
    """A page of another site that has its name point here sends that name."""
    with pytest.raises(MalformedRequest):
        Gate(OPEN).check_reader(host, None)


def test_name_of_another_site_is_refused(client: httpx.Client, edition: Edition) -> None:
    for path in ("/traces", f"/traces/{TRACE_ID}"):
        answer = client.get(path, headers={"Host": "rebound.example.org"})
        assert answer.status_code == 400
        assert answer.json()["type"].endswith(":malformed-request")


def test_trace_is_read_by_its_id_and_listed(client: httpx.Client, edition: Edition) -> None:
    traced = client.get("/plaintext", headers={"X-Trace": "1"})
    trace_id = traced.headers["X-Trace-Id"]
    found = client.get(f"/traces/{trace_id}").json()
    assert (found["trace_id"], found["endpoint"], found["edition"]) == (trace_id, "plaintext", edition)
    listed = client.get("/traces?limit=100").json()["traces"]
    assert trace_id in [summary["trace_id"] for summary in listed]
    assert len(client.get("/traces?limit=1").json()["traces"]) == 1


@pytest.mark.parametrize("id", ["1", "x" * 32, TRACE_ID.upper(), TRACE_ID + "0", "..%2f" + TRACE_ID])
def test_what_is_no_id_is_refused(client: httpx.Client, edition: Edition, id: str) -> None:
    assert client.get(f"/traces/{id}").status_code in (404, 422)
    assert client.get(f"/traces/{'f' * 32}").status_code == 404


def test_nothing_is_there_when_tracing_is_off(start_service: ServiceFactory, edition: Edition, tmp_path: Path) -> None:
    service = start_service(edition, TRACE="0", DATA_DIR=str(tmp_path / "data"))
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        unknown = client.get("/nowhere").json()
        for path in ("/traces", f"/traces/{TRACE_ID}"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert answer.json() == {**unknown, "instance": path}
        answer = client.get("/plaintext", headers=TRACED)
        assert not {"x-trace-id", "server-timing", "traceparent"} & set(answer.headers)
        assert "/traces" not in client.get("/openapi.json").text
    assert not (tmp_path / "data" / "traces").exists()


def test_token_guards_tracing_and_reading(start_service: ServiceFactory, edition: Edition, tmp_path: Path) -> None:
    service = start_service(edition, TRACE_TOKEN=PLAIN_TOKEN, DATA_DIR=str(tmp_path / "data"))
    proof = {TOKEN_HEADER: PLAIN_TOKEN}
    wrong = {TOKEN_HEADER: "wrong"}
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        nothing: dict[str, str] = {}
        for headers in (nothing, wrong):
            assert "X-Trace-Id" not in client.get("/plaintext", headers={"X-Trace": "1", **headers}).headers
            for path in ("/traces", f"/traces/{TRACE_ID}"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 403
                assert answer.json()["type"].endswith(":forbidden")
        trace_id = client.get("/plaintext", headers={"X-Trace": "1", **proof}).headers["X-Trace-Id"]
        anywhere = {"Host": "service.example.org", **proof}
        answer = client.get(f"/traces/{trace_id}", headers=anywhere)
        assert answer.status_code == 200
        assert PLAIN_TOKEN not in answer.text
        assert [summary["trace_id"] for summary in client.get("/traces", headers=anywhere).json()["traces"]] == [
            trace_id
        ]
    kept = list((tmp_path / "data" / "traces").iterdir())
    assert len(kept) == 1
    assert PLAIN_TOKEN not in kept[0].read_text()
