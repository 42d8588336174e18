"""Both applications keep to their interface, and run under the commands that people know."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.config import Edition
from shared.config import Settings
from shared.contract import CONTRACT
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.trace.recorder import Trace
from shared.trace.store import open_store
from shared.twins import ROOT
from tests.conftest import NO_TLS
from tests.examples import TRACE_ID
from tests.examples import example
from tests.examples import open_account
from tests.interfaces import Message
from tests.interfaces import Receive
from tests.interfaces import Send
from tests.interfaces import Violation
from tests.interfaces import checked

BIN = Path(sys.executable).parent
BAD_LINES = (
    "Traceback",
    "AssertionError",
    "Violation",
    "never awaited",
    "never retrieved",
    "was destroyed",
    "garbage collected",
)
FAILING = (
    ("GET", "/nowhere", b""),
    ("PUT", "/plaintext", b""),
    ("OPTIONS", "/accounts", b""),
    ("HEAD", "/fortunes", b""),
    ("HEAD", "/stream?rows=10", b""),
    ("HEAD", "/nowhere", b""),
    ("GET", "/cpu?iterations=0", b""),
    ("POST", "/accounts", b"{"),
    ("POST", "/echo", b"x" * 2_000_000),
    ("POST", "/echo", b""),
    ("POST", "/upload", b""),
    ("GET", "/bytes?size=0", b""),
    ("GET", "/bytes?size=3000000", b""),
)


@pytest.fixture
def served(database_url: str, edition: Edition, tmp_path: Path) -> Iterator[Service]:
    """Run an edition behind the checker of its interface; its log must be clean at the end."""
    spec = ServiceSpec(
        edition,
        (sys.executable, "-W", "error", "-m", "tests.interfaces", edition, "{port}"),
        {
            "DATABASE_URL": database_url,
            "DATA_DIR": str(tmp_path),
            "LAB": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONASYNCIODEBUG": "1",
        },
    )
    # A server that is not the project's records nothing; there is a trace to read all the same.
    store = open_store(Settings(data_dir=tmp_path))
    trace = Trace(edition, reveals_values=False, started_ns=1, trace_id=TRACE_ID)
    trace.end("answered")
    store.put(trace)
    assert store.flush(20)
    with Service(spec, log_directory=tmp_path) as service:
        yield service
    log = service.log_path.read_text()
    assert [line for line in log.splitlines() if any(bad in line for bad in BAD_LINES)] == [], log


def test_interface_is_kept_by_every_entry(served: Service) -> None:
    with httpx.Client(base_url=served.url, timeout=20, verify=NO_TLS) as client:
        for endpoint in CONTRACT:
            answer = example(endpoint.name, open_account(client)).send(client)
            assert answer.status_code == endpoint.status, (endpoint.name, answer.text)


def test_interface_is_kept_by_failures_and_edges(served: Service) -> None:
    with httpx.Client(base_url=served.url, timeout=20, verify=NO_TLS) as client:
        for method, target, body in FAILING:
            answer = client.request(method, target, content=body or None)
            assert answer.status_code < 500, (method, target, answer.text)


def test_bodies_are_whole_however_the_server_ends_its_input(served: Service) -> None:
    """Without wsgi.input_terminated the application must stop at the declared length by itself."""
    with httpx.Client(base_url=served.url, timeout=20, verify=NO_TLS) as client:
        for size in (0, 1, 65_536, 65_537, 1_000_000):
            body = b"z" * size
            assert client.post("/echo", content=body).content == body
            digest = hashlib.sha256(body).hexdigest()
            assert client.post("/upload", content=body).json() == {"bytes": size, "sha256": digest}


def test_interface_is_kept_when_the_client_leaves(served: Service) -> None:
    for request in (
        b"GET /stream?rows=1000000 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /bytes?size=60000000 HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection((HOST, served.port)) as connection:
            connection.sendall(request)
            assert connection.recv(100).startswith(b"HTTP/1.")
    with httpx.Client(base_url=served.url, timeout=20, verify=NO_TLS) as client:
        for _ in range(100):
            if client.get("/pool").json()["checked_out"] == 0:
                return
    pytest.fail("the stream's connection was not given back")


class Toy:
    """An ASGI application that sends what it is told."""

    def __init__(self, *messages: Message, receives: int = 0) -> None:
        self._messages = messages
        self._receives = receives

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send it all."""
        for _ in range(self._receives):
            await receive()
        for message in self._messages:
            await send(message)


async def disconnected() -> Message:
    """Tell that the client has left."""
    return {"type": "http.disconnect"}


async def ignored(message: Message) -> None:
    """Send to nowhere."""


def run(toy: Toy) -> None:
    """Run a toy behind the checker."""
    asyncio.run(_run(toy))


async def _run(toy: Toy) -> None:
    await checked(toy)({"type": "http"}, disconnected, ignored)


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    """Return a start message."""
    return {"type": "http.response.start", "status": status, "headers": headers or ((b"content-type", b"text/plain"),)}


def body(data: object = b"", **more: object) -> Message:
    """Return a body message."""
    return {"type": "http.response.body", "body": data, **more}


def test_checker_accepts_what_is_right() -> None:
    run(Toy(start(), body()))
    run(Toy(start(), body(b"x", more_body=True), body(b"", more_body=False)))
    run(Toy(start(204, (b"allow", b"GET")), body()))
    run(Toy(receives=1))


@pytest.mark.parametrize(
    "toy",
    [
        Toy(),
        Toy(start()),
        Toy(body()),
        Toy(start(), start(), body()),
        Toy(start(), body(), body()),
        Toy(start(), body(b"", more_body=True)),
        Toy(start(), body("text")),
        Toy(start(), body(bytearray())),
        Toy(start(), body(b"", more_body=1)),
        Toy(start(100), body()),
        Toy(start(200, (b"Content-Type", b"x")), body()),
        Toy(start(200, (b"content-type", b"a\r\nb")), body()),
        Toy(start(200, (b"allow", b"x")), body()),
        Toy(start(204), body()),
        Toy({"type": "http.response.push"}),
        Toy(start(), body(), receives=2),
    ],
    ids=lambda toy: "-".join(message["type"][14:] for message in toy._messages) or "nothing",
)
def test_checker_rejects_what_is_wrong(toy: Toy) -> None:
    with pytest.raises(Violation):
        run(toy)


UVICORN = (f"{BIN}/uvicorn", "asgi_app.app:app", "--port", "{port}")
GUNICORN = (f"{BIN}/gunicorn", "wsgi_app.app:app", "--bind", f"{HOST}:{{port}}")
COMMANDS: dict[str, tuple[Edition, tuple[str, ...]]] = {
    "uvicorn": ("asgi", UVICORN),
    "uvicorn workers": ("asgi", (*UVICORN, "--workers", "2")),
    "gunicorn": ("wsgi", GUNICORN),
    "gunicorn threads": ("wsgi", (*GUNICORN, "--threads", "4")),
    "gunicorn workers": ("wsgi", (*GUNICORN, "--workers", "2")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_that_people_know_serve(database_url: str, tmp_path: Path, name: str) -> None:
    edition, command = COMMANDS[name]
    spec = ServiceSpec(edition, command, {"DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)})
    service = Service(spec, log_directory=tmp_path)
    service.start()
    try:
        with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
            assert client.get("/plaintext").text == "Hello, World!"
            assert len(client.get("/queries?queries=5").json()) == 5
            assert client.post("/echo", content=b"1" * 100_000).content == b"1" * 100_000
            assert client.get("/stream?rows=2000").content.count(b"\n") == 2_000
            assert client.get("/nowhere").status_code == 404
    finally:
        # uvicorn's own command ends by the signal that stopped it: 128 + SIGTERM.
        assert service.stop() in ((0, 143) if edition == "asgi" else (0,))
    assert "Traceback" not in service.log_path.read_text()


FORKED = """
import os
from wsgiref.util import setup_testing_defaults

from sqlalchemy import text

from wsgi_app.app import app


def answer():
    environ = {"PATH_INFO": "/db", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    heads = []
    list(app(environ, lambda status, headers: heads.append(status)))
    session = app.database.open_session()
    print(*heads, session.execute(text("SELECT pg_backend_pid()")).scalar_one(), flush=True)
    session.close()


answer()
child = os.fork()
answer()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
answer()
"""


def test_forked_worker_opens_connections_of_its_own(database_url: str, tmp_path: Path) -> None:
    """A connection that two processes use gives one the other's answer; a server may fork after it has served."""
    environ = {**os.environ, "DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert ended.stderr == ""
    backends = Counter(ended.stdout.splitlines())
    assert all(line.startswith("200 OK ") for line in backends)
    assert sorted(backends.values()) == [1, 3]
