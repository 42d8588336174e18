"""`make trace` as people type it: what it draws and writes, how it ends, and what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.config import Edition
from shared.lab.services.process import HOST

from .clients import once
from .conftest import ServiceFactory
from .leftovers import leftovers
from .test_commands import ROOT
from .test_commands import run
from .trace_events import faults
from .traced import read_trace
from .traced import traced

SECRET = "canary-4c1d"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def environ(database_url: str, tmp_path: Path, silent_ports: dict[str, str]) -> dict[str, str]:
    """Return an environment in which nothing listens on the editions' ports."""
    return {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path / "data"), **silent_ports}


def started_ports(messages: str) -> list[int]:
    return [int(found) for found in re.findall(r"started on 127\.0\.0\.1:(\d+)", messages)]


def assert_nobody_listens(ports: list[int]) -> None:
    for port in ports:
        with socket.socket() as client:
            assert client.connect_ex((HOST, port)) != 0, port


def waited_ns(document: Mapping[str, Any]) -> dict[str, int]:
    """Return how long a request waited for whatever runs it, and for a connection."""
    return {
        name: sum(stage["duration_ns"] for stage in document["stages"] if stage["name"] == name)
        for name in ("dispatch", "checkout")
    }


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("db",), "target is not usable"),
        (("http://127.0.0.1:8001/db",), "target is not usable"),
        (("GET", "/a b"), "target is not usable"),
        (("/db#x",), "target is not usable"),
        (("G T", "/db"), "not usable as a method"),
        (("GET", "/db", "more"), "Too many words"),
        (("/db", "--header", "no colon"), "header field is not usable"),
        (("/db", "--header", "X-A: b\r\nX-B: c"), "header field is not usable"),
        (("/db", "--header", "Content-Length: 3"), "this command's own"),
        (("/db", "--repeat", "2"), "give --repeat 3"),
        (("/db", "--perfetto", "/no/such/folder/trace.json"), "Cannot write /no/such/folder/trace.json"),
        (("/db", "--html", "/tmp"), "Cannot write /tmp"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(words: tuple[str, ...], text: str) -> None:
    done = run("trace", *words)
    assert done.returncode == 2
    assert text in re.sub(r"[\s│]+", " ", done.stderr)
    assert "Traceback" not in done.stderr
    assert "start" not in done.stderr


@pytest.mark.slow
def test_request_is_drawn_in_both_editions_and_nothing_stays(environ: dict[str, str], tmp_path: Path) -> None:
    files = tmp_path / "trace.json", tmp_path / "trace.html"
    done = run("trace", "/queries?queries=3", "--perfetto", str(files[0]), "--html", str(files[1]), environ=environ)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    for stage in ("receive", "parse", "dispatch", "route", "validate", "checkout", "sql x3", "serialize", "send"):
        assert re.search(rf"^[! ] +{stage} +\d+ +[\d,.]+ ", done.stdout, re.M), stage
    assert re.search(r"^! dispatch ", done.stdout, re.M)
    assert re.search(r"^wsgi: .* Waited .* for a thread and ", done.stdout.replace("\n  ", " "), re.M)
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert faults(files[0].read_text()) == []
    assert files[1].read_text().lower().startswith("<!doctype html")
    ports = started_ports(done.stderr)
    assert len(ports) == 2
    assert_nobody_listens(ports)


@pytest.mark.slow
def test_json_is_all_that_is_printed_and_repeats_give_figures(environ: dict[str, str]) -> None:
    done = run("trace", "/db", "--repeat", "4", "--json", environ=environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["method"], found["target"], found["repeats"], len(found["pairs"])) == ("GET", "/db", 4, 4)
    ids = {pair[edition]["document"]["trace_id"] for pair in found["pairs"] for edition in ("wsgi", "asgi")}
    assert len(ids) == 8
    for edition in ("wsgi", "asgi"):
        document, client = found[edition]["document"], found[edition]["client"]
        received = [stage for stage in document["stages"] if stage["name"] == "receive"]
        # One clock: the service has the request only after the client began to send it.
        assert client["sent_start_ns"] <= received[0]["start_ns"] <= client["last_byte_ns"]
        assert "".join(stage["facts"]["bytes"]["text"] for stage in received) == found[edition]["sent"]
        sent = "".join(stage["facts"]["bytes"]["text"] for stage in document["stages"] if stage["name"] == "send")
        assert sent == found[edition]["received"]
    figures = {figure["name"]: figure for figure in found["figures"]}
    for edition in ("wsgi", "asgi"):
        whole = figures["whole"][edition]
        assert 0 < whole["low"] <= whole["median"] <= whole["high"]


@pytest.mark.slow
def test_load_on_a_pool_of_one_shows_as_waiting(environ: dict[str, str]) -> None:
    words = ("trace", "/sleep?seconds=0.02", "--under-load", "12", "--json")
    done = run(*words, environ={**environ, "POOL_SIZE": "1"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [load["edition"] for load in found["loads"]] == ["wsgi", "asgi"]
    for load in found["loads"]:
        assert load["responses"] > load["failures"] == 0
    for edition in ("wsgi", "asgi"):
        waits = waited_ns(found[edition]["document"])
        # Ahead of it are some of the twelve, 20 ms each; by itself it would wait for less than a millisecond.
        assert sum(waits.values()) > 10_000_000, (edition, waits)
    assert waited_ns(found["asgi"]["document"])["checkout"] > 10_000_000
    assert_nobody_listens(started_ports(done.stderr))


@pytest.mark.slow
def test_what_was_typed_as_a_value_is_shown_only_on_demand(environ: dict[str, str], tmp_path: Path) -> None:
    files = tmp_path / "trace.json", tmp_path / "trace.html"
    words = ("trace", "POST", f"/echo?key={SECRET}", "--header", f"X-Own: {SECRET}", "--body", SECRET)
    more = ("--perfetto", str(files[0]), "--html", str(files[1]))
    for form in ((), ("--json",)):
        done = run(*words, *more, *form, environ=environ)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr + files[0].read_text() + files[1].read_text()
    done = run(*words, "--values", environ=environ)
    assert done.stdout.count(SECRET) >= 3


@pytest.mark.slow
def test_running_services_are_used_and_go_on(start_service: ServiceFactory, environ: dict[str, str]) -> None:
    services = {edition: start_service(edition, TRACE="1") for edition in ("wsgi", "asgi")}
    ports = {f"{edition.upper()}_PORT": str(service.port) for edition, service in services.items()}
    done = run("trace", "/json", environ={**environ, **ports})
    assert done.returncode == 0, done.stderr
    for service in services.values():
        assert f"using the service that runs on 127.0.0.1:{service.port}" in done.stderr
        assert service.pids()
    assert started_ports(done.stderr) == []


@pytest.mark.slow
def test_running_service_without_tracing_is_named(
    start_service: ServiceFactory, environ: dict[str, str], edition: Edition
) -> None:
    service = start_service(edition, TRACE="0")
    done = run("trace", "/db", environ={**environ, f"{edition.upper()}_PORT": str(service.port)})
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert f"The {edition} edition on 127.0.0.1:{service.port} does not trace" in done.stderr
    assert "TRACE=1 make run-" in done.stderr


@pytest.mark.slow
def test_service_with_another_token_is_named(start_service: ServiceFactory, environ: dict[str, str]) -> None:
    service = start_service("asgi", TRACE="1", TRACE_TOKEN=SECRET)
    theirs = {**environ, "ASGI_PORT": str(service.port)}
    done = run("trace", "/db", environ=theirs)
    assert (done.returncode, SECRET in done.stderr) == (2, False)
    assert "Set TRACE_TOKEN" in done.stderr
    assert run("trace", "/db", environ={**theirs, "TRACE_TOKEN": SECRET}).returncode == 0


@contextmanager
def imitation(answer_fields: Mapping[str, str]) -> Iterator[int]:
    """Run a service that says it traces, answers with the given fields and knows no trace; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = (404, b"{}") if self.path.startswith("/traces/") else (200, b'{"status":"ok","traces":[]}')
            self.send_response(status)
            for name, value in {**answer_fields, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("fields", "text"),
    [({}, "answered without a trace"), ({"X-Trace-Id": TRACE_ID}, f"has no trace {TRACE_ID}")],
)
def test_trace_that_is_not_there_is_named(environ: dict[str, str], fields: Mapping[str, str], text: str) -> None:
    with imitation(fields) as one, imitation(fields) as other:
        done = run("trace", "/db", environ={**environ, "WSGI_PORT": str(one), "ASGI_PORT": str(other)})
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert text in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_interrupt_ends_everything(environ: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from shared.cli import main; main()", "trace", "/sleep?seconds=0.2"]
    with subprocess.Popen(
        [*command, "--repeat", "50", "--under-load", "8"],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        messages = ""
        for line in process.stderr:
            messages += line
            if line.startswith("request 2 "):
                break
        os.killpg(process.pid, signal.SIGINT)
        output, rest = process.communicate(timeout=40)
    assert process.returncode == 130, messages + rest
    assert "Traceback" not in rest
    assert output == ""
    ports = started_ports(messages)
    assert len(ports) == 2
    assert_nobody_listens(ports)
    assert leftovers(environ["DATA_DIR"]) == []


def test_clean_removes_the_traces_whatever_the_database(tmp_path: Path, start_service: ServiceFactory) -> None:
    service = start_service("wsgi", DATA_DIR=str(tmp_path / "data"))
    trace_id = once(service.port, traced("GET", "/plaintext")).headers["x-trace-id"]
    read_trace(service.port, trace_id)
    traces = tmp_path / "data" / "traces"
    assert [path for path in traces.iterdir() if trace_id in path.name]
    environ = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    assert run("clean", environ=environ).returncode == 0
    assert not traces.exists()
