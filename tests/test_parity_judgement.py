"""Whatever differs between two answers is found and named, and can be repeated from a shell."""

import io
import shutil
import subprocess
from pathlib import Path

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from shared.lab.observation.statements import StatementCounter
from shared.lab.observation.statements import kind
from shared.lab.parity import shell
from shared.lab.parity.case import CaseList
from shared.lab.parity.comparison import Comparison
from shared.lab.parity.message import Request
from shared.lab.parity.result import ParityResult
from shared.lab.parity.side import Side
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import parse
from shared.report.parity import details
from shared.report.parity import print_parity
from tests.scripted_pair import BODY
from tests.scripted_pair import ScriptedServer
from tests.scripted_pair import compared
from tests.scripted_pair import only
from tests.scripted_pair import scripted


def test_equal_servers_do_not_differ() -> None:
    with scripted(ScriptedServer(), ScriptedServer()) as (wsgi, asgi):
        assert compared(wsgi, asgi).found == []


def test_one_byte_of_the_body_is_found_and_marked() -> None:
    with scripted(ScriptedServer(), ScriptedServer(BODY.replace(b"far", b"fat"))) as (wsgi, asgi):
        (fact,) = only(compared(wsgi, asgi)).facts
    assert fact.what == f"body, byte {BODY.index(b'far') + 2} of {len(BODY)} and {len(BODY)}"
    assert "fa>>r<< as anybody" in fact.wsgi
    assert "fa>>t<< as anybody" in fact.asgi


def test_a_missing_last_byte_is_found() -> None:
    with scripted(ScriptedServer(), ScriptedServer(BODY[:-1])) as (wsgi, asgi):
        facts = {fact.what: fact for fact in only(compared(wsgi, asgi)).facts}
    assert facts["header content-length"].asgi == str(len(BODY) - 1)
    assert any(what.startswith("body") and ">>end<<" in fact.asgi for what, fact in facts.items())


def test_one_header_is_found() -> None:
    with scripted(ScriptedServer(X_Extra="1"), ScriptedServer()) as (wsgi, asgi):
        (fact,) = only(compared(wsgi, asgi)).facts
    assert (fact.what, fact.wsgi, fact.asgi) == ("header x-extra", "1", "(none)")


def test_one_status_is_found() -> None:
    with scripted(ScriptedServer(), ScriptedServer(status="201 Created")) as (wsgi, asgi):
        (fact,) = only(compared(wsgi, asgi)).facts
    assert (fact.what, fact.wsgi, fact.asgi) == ("status", "200 OK", "201 Created")


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        ({"Server": ""}, "0 Server fields"),
        ({"Content_Type": ""}, "no Content-Type"),
        ({"Content_Length": ""}, "neither Content-Length nor Transfer-Encoding"),
        ({"X_Secret": "hunter2"}, "a secret is in the answer (7 characters)"),
    ],
)
def test_what_is_wrong_in_both_is_found(headers: dict[str, str], rule: str) -> None:
    with scripted(ScriptedServer(BODY, **headers), ScriptedServer(BODY, **headers)) as (wsgi, asgi):
        facts = only(compared(wsgi, asgi)).facts
    assert [(fact.wsgi, fact.asgi) for fact in facts] == [(rule, rule)]


def test_a_server_that_does_not_answer_is_found() -> None:
    with scripted(ScriptedServer(), ScriptedServer(b"x", Content_Length="2")) as (wsgi, asgi):
        facts = {fact.what: fact for fact in only(compared(wsgi, asgi)).facts}
    assert facts["protocol"].asgi == "ended early"


def test_a_wrong_status_in_both_is_found() -> None:
    found = CaseList("scripted")
    found.add("a case", Request("GET", "/x"), expects=404)
    with scripted(ScriptedServer(), ScriptedServer()) as (wsgi, asgi):
        (fact,) = only(compared(wsgi, asgi, found.cases[0])).facts
    assert fact.wsgi == fact.asgi == "the contract says 404, not 200 OK"


def test_a_known_difference_that_is_gone_is_reported() -> None:
    found = CaseList("scripted")
    found.add("a case", Request("GET", "/x"), known="some reason")
    with scripted(ScriptedServer(), ScriptedServer()) as (wsgi, asgi):
        assert only(compared(wsgi, asgi, found.cases[0])).facts[0].what == "known difference"
    with scripted(ScriptedServer(), ScriptedServer(status="400 Bad Request")) as (wsgi, asgi):
        comparison = compared(wsgi, asgi, found.cases[0])
    assert comparison.found == []
    assert [(known.reason, known.asgi) for known in comparison.known] == [("some reason", "400 Bad Request")]


def test_one_statement_more_is_found(
    database_url: str, new_database: str, connection: psycopg2.extensions.connection
) -> None:
    """Whatever runs at the database counts, also what says nothing to the client."""
    inside = psycopg2.connect(new_database)
    inside.autocommit = True
    name = make_url(new_database).database or ""

    def run(count: int) -> None:
        with inside.cursor() as cursor:
            for _ in range(count):
                cursor.execute("SELECT 1")
            cursor.execute("SHOW work_mem")

    with scripted(ScriptedServer(), ScriptedServer()) as (wsgi, asgi):
        wsgi.before_answer, asgi.before_answer = lambda: run(1), lambda: run(2)
        with StatementCounter(database_url, name) as one, StatementCounter(database_url, name) as other:
            sides = (
                Side("wsgi", wsgi.address, None, one, "n", wsgi.address),
                Side("asgi", asgi.address, None, other, "n", asgi.address),
            )
            comparison = Comparison(sides, lambda _: None, is_shared=True, secrets=(), setup="scripted")
            found = CaseList("scripted")
            found.add("a case", Request("GET", "/x"))
            comparison.compare(found.cases)
    inside.close()
    (fact,) = only(comparison).facts
    assert (fact.what, fact.wsgi, fact.asgi) == ("SQL statements", "2: SELECT 1, SHOW 1", "3: SELECT 2, SHOW 1")


@pytest.mark.parametrize(
    ("statement", "word"),
    [("select 1", "SELECT"), ("  -- x\n /* y */ (Select 1)", "SELECT"), ("BEGIN;", "BEGIN"), ("", "?")],
)
def test_statement_kind_is_its_first_keyword(statement: str, word: str) -> None:
    assert kind(statement) == word


@pytest.mark.parametrize(
    ("data", "is_head", "statuses", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", False, [200], ""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", False, [100, 204], ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", True, [200], ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", False, [200], "ended early"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", False, [200], ""),
        (b"", False, [0], "connection closed without an answer"),
    ],
)
def test_responses_are_read_as_they_are(data: bytes, is_head: bool, statuses: list[int], failure: str) -> None:
    responses = parse(data, is_head=is_head)
    assert [response.status for response in responses] == statuses
    assert responses[-1].failure == failure


REQUESTS = {
    "plain": Request("GET", "/x?a=1&b=%FF'$(echo)", (("X-Text", 'it\'s "$HOME" `id` \\'),)),
    "obs-text": Request("GET", "/x", (("X-Text", "caf\xe9"),)),
    "body of every byte": Request("POST", "/x", (("Content-Type", "a/b"),), bytes(range(256))),
    "no content type": Request("PATCH", "/x", (), b"100%\\ \n'"),
    "long body": Request("POST", "/x", (), b"x" * 5_000),
    "empty body": Request("POST", "/x", (), b""),
    "the same field twice": Request("GET", "/x", (("X-Text", "a"), ("X-Text", "b"))),
    "token": Request("GET", "/x", (("X-Check-Token", "s3cret"),)),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_curl_line_sends_the_same_request(name: str) -> None:
    request = REQUESTS[name]
    with scripted(ScriptedServer()) as (server,):
        line = shell.command(server.address, request, "s3cret")
        assert line.split(" | ")[-1].startswith("curl ")
        assert "s3cret" not in line
        done = run_shell(line)
        address = str(server.address)
    assert BODY in done
    (received,) = server.received
    sent = request.wire(address)
    assert received.partition(b"\r\n\r\n")[2] == sent.partition(b"\r\n\r\n")[2]
    ours, theirs = (set(data.partition(b"\r\n\r\n")[0].split(b"\r\n")) for data in (sent, received))
    assert ours <= theirs
    assert {line.partition(b":")[0].lower() for line in theirs - ours} <= {b"user-agent", b"accept"}


def test_line_for_what_curl_cannot_send_prints_the_same_bytes() -> None:
    request = Request(raw=b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\nX: it's 100%\\\x00\r\n\r\n")
    line = shell.command(Address("127.0.0.1", 1), request, None)
    assert line.endswith(" | nc 127.0.0.1 1")
    assert run_shell(line.removesuffix(" | nc 127.0.0.1 1")) == request.raw


def run_shell(line: str) -> bytes:
    environ = {"CHECK_TOKEN": "s3cret", "PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C"}
    return subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=20, env=environ).stdout


def test_lines_of_a_difference_reproduce_it() -> None:
    with scripted(ScriptedServer(X_Extra="1"), ScriptedServer()) as (wsgi, asgi):
        difference = only(compared(wsgi, asgi))
        assert b"X-Extra: 1" in run_shell(difference.wsgi_lines[-1])
        assert b"X-Extra" not in run_shell(difference.asgi_lines[-1])


@pytest.mark.parametrize("width", [80, 100])
def test_report_fits_the_terminal(width: int) -> None:
    long = ScriptedServer(BODY * 20, status="400 Bad Request", X_Extra="word " * 40)
    with scripted(ScriptedServer(), long) as (wsgi, asgi):
        comparison = compared(wsgi, asgi)
    result = ParityResult(
        tuple(comparison.groups), tuple(comparison.found), (), (), None, "nobody counted", 1.0, None, "full"
    )
    assert not result.is_equal
    lines = list(details(result, width))
    assert max(len(line) for line in lines if "$ curl" not in line) <= width
    assert any("status" in line and "200 OK" in line and "400 Bad Request" in line for line in lines)
    stream = io.StringIO()
    print_parity(result, stream)
    assert "scripted" in stream.getvalue()
    assert "nobody counted" in stream.getvalue()


def test_curl_is_installed() -> None:
    assert shutil.which("curl"), "the tests of the reproducing lines need curl"
    assert Path("/bin/sh").exists()
