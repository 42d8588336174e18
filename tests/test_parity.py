"""The parity check finds what differs, names it, and finds nothing between the two editions."""

import io
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from shared import errors
from shared.config import Edition
from shared.config import load
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.lab.parity import cases
from shared.lab.parity import check
from shared.lab.parity import shell
from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.case import Limits
from shared.lab.parity.case import duplicates
from shared.lab.parity.case import seeded
from shared.lab.parity.comparison import Comparison
from shared.lab.parity.known import KNOWN
from shared.lab.parity.message import Request
from shared.lab.parity.result import Difference
from shared.lab.parity.result import ParityResult
from shared.lab.parity.side import Side
from shared.lab.parity.statements import StatementCounter
from shared.lab.parity.statements import kind
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import exchange
from shared.lab.parity.transport import parse
from shared.lab.process import Service
from shared.report.parity import details
from shared.report.parity import print_parity
from tests.conftest import CHECK_TOKEN

LIMITS = Limits(1_048_576, 4_194_304, 100, 8_190, 4_094, lab=True)
HEADERS = {"Server": "scripted", "Content-Type": "text/plain"}
BODY = b"the same bytes in both answers, as far as anybody can see"

# Errors that no request can bring about by itself, so that no case shows them.
NOT_BROUGHT_ABOUT = {
    ("deposit", errors.Conflict): "needs two deposits at the same time",
    ("updates", errors.Conflict): "needs two requests that are serialized against each other",
    ("readyz", errors.PoolTimeout): "answers 200 when the pool is full: busy is not broken",
    ("readyz", errors.Draining): "needs a service that is being stopped",
}


class ScriptedServer:
    """Answers every request with the same bytes, and remembers what it was sent."""

    def __init__(self, body: bytes = BODY, /, status: str = "200 OK", **headers: str) -> None:
        fields = {**HEADERS, "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\n"
        self.head += "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value) + "\r\n"
        self.body = body
        self.received: list[bytes] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.received.append(self._read(connection))
                self.before_answer()
                connection.sendall(self.head.encode("latin-1") + self.body)

    def _read(self, connection: socket.socket) -> bytes:
        data = connection.recv(65_536)
        head = data.partition(b"\r\n\r\n")[0].lower()
        while b"transfer-encoding: chunked" in head and not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65_536)
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(data.partition(b"\r\n\r\n")[2]) < int(line.partition(b":")[2]):
                    data += connection.recv(65_536)
        return data


@contextmanager
def scripted(*servers: ScriptedServer) -> Iterator[tuple[ScriptedServer, ...]]:
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def compared(wsgi: ScriptedServer, asgi: ScriptedServer, case: Case | None = None) -> Comparison:
    """Compare two scripted servers by one case."""
    sides = (
        Side("wsgi", wsgi.address, None, None, "n", wsgi.address),
        Side("asgi", asgi.address, None, None, "n", asgi.address),
    )
    comparison = Comparison(sides, lambda _: None, is_shared=False, secrets=("hunter2",), setup="scripted")
    if case is None:
        found = CaseList("scripted")
        found.add("a case", Request("GET", "/x?a=1"))
        case = found.cases[0]
    comparison.compare([case])
    return comparison


def only(comparison: Comparison) -> Difference:
    (difference,) = comparison.found
    return difference


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


def test_case_names_are_unique() -> None:
    found, _ = cases.every(LIMITS)
    assert duplicates(f"{case.group}: {case.name}" for case in found) == []


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_every_entry_has_a_success_case(endpoint: Endpoint) -> None:
    found, _ = cases.every(LIMITS)
    successes = [case for case in found if case.entry is endpoint and case.group == "success"]
    assert any(step.expects == endpoint.status for case in successes for step in case.steps)
    assert any(case.is_common for case in successes)


@pytest.mark.parametrize(
    ("endpoint", "error"), [(e, r) for e in CONTRACT for r in e.raises], ids=lambda item: getattr(item, "name", item)
)
def test_every_error_of_an_entry_has_a_case(endpoint: Endpoint, error: type[errors.RequestError]) -> None:
    found, _ = cases.every(LIMITS)
    faults = (cases.faults.exhausted(), cases.faults.slow(), cases.faults.down())
    every = [*found, *(case for part in faults for case in part)]
    expected = {step.expects for case in every if case.entry is endpoint for step in case.steps}
    if endpoint.name == "sleep" and error is errors.StatementTimeout:
        expected.add(next(case.steps[-1].expects for case in cases.faults.slow() if "sleep" in case.name))
    if (endpoint.name, error) not in NOT_BROUGHT_ABOUT:
        assert error.status in expected


def test_every_known_difference_belongs_to_a_case() -> None:
    found, _ = cases.every(LIMITS)
    names = {case.name for case in (*found, *cases.faults.slow()) if case.known}
    assert names == set(KNOWN)


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


def test_seed_counts_only_with_the_token(services: dict[Edition, Service], edition: Edition) -> None:
    address = Address.of(services[edition].url)

    def answer(token: str, seed: int = 1) -> bytes:
        (name, _), (field, _) = seeded()
        headers = ((name, str(seed)), (field, token)) if token else ((name, str(seed)),)
        return exchange(address, Request("GET", "/queries?queries=20", headers))[-1].body

    assert answer(CHECK_TOKEN) == answer(CHECK_TOKEN)
    assert answer(CHECK_TOKEN) != answer(CHECK_TOKEN, seed=2)
    for wrong in ("", "x", CHECK_TOKEN[:-1], CHECK_TOKEN + "x", CHECK_TOKEN.upper()):
        assert answer(wrong) != answer(CHECK_TOKEN)
        assert answer(wrong) != answer(wrong)


@pytest.fixture(scope="module")
def full(database_url: str) -> ParityResult:
    """Run the whole check once."""
    return check.run(load({"DATABASE_URL": database_url}, ""), None, lambda _: None)


@pytest.mark.slow
def test_editions_are_equal(full: ParityResult, connection: psycopg2.extensions.connection) -> None:
    stream = io.StringIO()
    print_parity(full, stream)
    assert full.is_equal, stream.getvalue()
    assert full.statements is not None
    assert full.statements[0] == full.statements[1] > 1_000
    assert sum(group.cases for group in full.groups) > 3_000
    assert {known.case for known in full.known} == set(KNOWN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'parity%'")
        assert cursor.fetchone() == (0,)


@pytest.mark.slow
def test_running_editions_are_equal(services: dict[Edition, Service], database_url: str) -> None:
    """Two services on one database: ids are masked, and all the rest is compared."""
    settings = load({"DATABASE_URL": database_url, "CHECK_TOKEN": CHECK_TOKEN}, "")
    result = check.run(settings, (services["wsgi"].url, services["asgi"].url), lambda _: None, scope="quick")
    stream = io.StringIO()
    print_parity(result, stream)
    assert result.is_equal, stream.getvalue()
    assert result.statements is not None


@pytest.mark.slow
def test_without_a_token_random_answers_are_named_as_not_compared(services: dict[Edition, Service]) -> None:
    urls = (services["wsgi"].url, services["asgi"].url)
    result = check.run(load({}, ""), urls, lambda _: None, scope="quick")
    assert result.is_equal
    assert result.statements is None
    assert "DATABASE_URL" in result.statements_why
    assert "GET and HEAD /db" in {item.case for item in result.not_compared}
    assert "GET and HEAD /plaintext" not in {item.case for item in result.not_compared}


def test_services_that_do_not_answer_are_told() -> None:
    with pytest.raises(EnvironmentFailure, match="wsgi edition does not answer"):
        check.run(load({}, ""), ("http://127.0.0.1:1", "http://127.0.0.1:2"), lambda _: None)


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "https://x", "http://x/path", "http://x:port"])
def test_unusable_url_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="not usable"):
        check.run(load({}, ""), (url, url), lambda _: None)


def test_role_that_may_not_create_databases_is_told(
    database_url: str, connection: psycopg2.extensions.connection
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE parity_reader LOGIN")
    try:
        url = make_url(database_url).set(username="parity_reader").render_as_string(hide_password=False)
        with pytest.raises(UsageError, match="may not create databases"):
            check.run(load({"DATABASE_URL": url}, ""), None, lambda _: None)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP ROLE parity_reader")


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
