"""Whatever becomes of a traced request, its trace ends and says how."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2.extensions
import pytest

from shared.config import Edition
from shared.config import load
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import free_port
from shared.trace.document import TraceDocument
from shared.trace.store import open_store

from .clients import RawClient
from .clients import bad_log_lines
from .clients import eventually
from .clients import get
from .clients import once
from .clients import request
from .clients import together
from .conftest import ServiceFactory
from .traced import ASK
from .traced import assert_sound
from .traced import read_trace
from .traced import stages
from .traced import traced

JSON = ("Content-Type", "application/json")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01")

SERVED_BY_APPLICATION = ["dispatch", "receive", "parse", "route"]
ANSWERED = ["serialize", "respond", "encode", "send"]


def _names(document: TraceDocument) -> list[str]:
    return [stage["name"] for stage in document["stages"]]


def _trace_of(port: int, data: bytes) -> TraceDocument:
    reply = once(port, data)
    document = read_trace(port, reply.headers["x-trace-id"])
    assert document["status"] == reply.status
    assert document["outcome"] == "answered"
    assert_sound(document)
    return document


@pytest.mark.parametrize(
    ("data", "status", "failing", "error"),
    [
        (traced("GET", "/plaintext"), 200, None, None),
        (traced("GET", "/db"), 200, None, None),
        (traced("GET", "/nowhere"), 404, "route", "NotFound"),
        (traced("DELETE", "/db"), 405, "validate", "MethodNotAllowed"),
        (traced("POST", "/echo", [JSON], bytes(2_000_000)), 413, "validate", "BodyTooLarge"),
        (traced("POST", "/accounts", [JSON], b"{}"), 422, "validate", "InvalidRequest"),
        (traced("POST", "/accounts", [JSON], b"{"), 400, "validate", "MalformedRequest"),
        (traced("GET", "/accounts/999999999"), 404, None, None),
    ],
    ids=lambda value: value.split()[1].decode() if isinstance(value, bytes) else None,
)
def test_answered_requests(
    services: dict[Edition, Service],
    edition: Edition,
    data: bytes,
    status: int,
    failing: str | None,
    error: str | None,
) -> None:
    document = _trace_of(services[edition].port, data)
    assert document["status"] == status
    names = _names(document)
    assert set(SERVED_BY_APPLICATION) | set(ANSWERED) <= set(names)
    failed = [stage for stage in document["stages"] if "error" in stage["facts"] and stage["name"] != "send"]
    if failing is not None:
        assert [(stage["name"], stage["facts"]["error"]) for stage in failed] == [(failing, error)]
    else:
        assert failed == []


def test_stages_come_in_the_order_of_their_edition(services: dict[Edition, Service], edition: Edition) -> None:
    """A thread must be free before anybody reads; an event loop reads, and lets the task wait."""
    document = _trace_of(services[edition].port, traced("GET", "/db"))
    names = list(dict.fromkeys(_names(document)))
    first = ["dispatch", "receive", "parse"] if edition == "wsgi" else ["receive", "parse", "dispatch"]
    assert names == [
        *first, "route", "validate", "session", "checkout", "sql", "release", "serialize", "respond", "encode", "send",
    ]  # fmt: skip
    assert all(stage["worker"].startswith("thread" if edition == "wsgi" else ("task", "event loop"))
               for stage in document["stages"])  # fmt: skip


def test_bug_is_traced_without_its_message(edition: Edition, database_url: str, data_dir: Path) -> None:
    port = free_port()
    environ = {"DATABASE_URL": database_url, "DATA_DIR": str(data_dir), f"{edition.upper()}_PORT": "{port}"}
    spec = ServiceSpec(f"broken {edition}", (sys.executable, "-m", "tests.broken", edition), environ)
    with Service(spec) as service:
        document = _trace_of(service.port, traced("GET", "/cpu?iterations=5"))
        assert port
        assert document["status"] == 500
        assert "hunter2" not in str(document)


def test_full_pool_shows_as_a_checkout_that_failed(start_service: ServiceFactory, edition: Edition) -> None:
    service = start_service(edition, POOL_SIZE="1", CONNECT_TIMEOUT="0.2", POOL_TIMEOUT="0.4")
    assert get(service.port, "/db").status == 200
    with RawClient(service.port) as holder:
        holder.send(request("GET", "/sleep?seconds=1.5"))
        eventually(lambda: get(service.port, "/pool").json["checked_out"] == 1, 10)
        document = _trace_of(service.port, traced("GET", "/db"))
        assert holder.reply().status == 200
    assert document["status"] == 503
    (checkout,) = stages(document, "checkout")
    assert checkout["facts"]["error"]
    # An event loop counts in whole milliseconds, so its timers may be a little early.
    assert 0.38e9 <= checkout["duration_ns"] < 1.4e9
    assert checkout["facts"]["pool_before"]["checked_out"] == 1


def test_killed_backend_shows_as_a_statement_that_failed(
    start_service: ServiceFactory, edition: Edition, connection: psycopg2.extensions.connection
) -> None:
    service = start_service(edition)
    with RawClient(service.port) as client:
        client.send(traced("GET", "/sleep?seconds=3"))
        with connection.cursor() as cursor:

            def killed() -> bool:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = %s AND query LIKE '%%pg_sleep%%' AND state = 'active'",
                    (f"wsgi-vs-asgi {edition}",),
                )
                return bool(cursor.rowcount > 0)

            eventually(killed, 10)
        reply = client.reply()
    document = read_trace(service.port, reply.headers["x-trace-id"])
    assert (reply.status, document["status"], document["outcome"]) == (503, 503, "answered")
    assert any("error" in stage["facts"] for stage in stages(document, "sql"))
    assert_sound(document)


def _gone(port: int) -> TraceDocument:
    """Return the trace of a client that could not read its trace's id, and so brought one of its own."""
    found = read_trace(port, TRACE_ID)
    assert found["parent_span_id"] == PARENT[1].split("-")[2]
    return found


LEAVING: dict[str, Callable[[RawClient], None]] = {
    "during an answer": lambda client: client.send(traced("GET", "/bytes?size=50000000", [PARENT])),
    "during a stream": lambda client: client.send(traced("GET", "/stream?rows=1000000", [PARENT])),
    "during its body": lambda client: client.send(
        traced("POST", "/upload", [PARENT, ("Content-Length", "1000000")]) + bytes(100_000)
    ),
}


@pytest.mark.parametrize("when", LEAVING)
def test_client_that_leaves_ends_its_trace(
    start_service: ServiceFactory, edition: Edition, tmp_path: Path, when: str
) -> None:
    service = start_service(edition, DATA_DIR=str(tmp_path))
    with RawClient(service.port) as client:
        LEAVING[when](client)
        time.sleep(0.3)
        client.reset()
    document = _gone(service.port)
    assert document["outcome"] == "client left" or (when == "during its body" and document["status"] == 400)
    assert_sound(document)
    assert get(service.port, "/pool").json["checked_out"] == 0


def test_request_whose_turn_never_came_ends_its_trace(start_service: ServiceFactory, tmp_path: Path) -> None:
    """An event loop has parsed it already; a thread would not even have read it."""
    service = start_service("asgi", DATA_DIR=str(tmp_path))
    with RawClient(service.port) as client:
        client.send(request("GET", "/wait?seconds=0.5") + traced("GET", "/db", [PARENT]))
        time.sleep(0.2)
        client.reset()
    document = _gone(service.port)
    assert (document["outcome"], document["status"]) == ("client left", None)
    assert [stage["name"] for stage in document["stages"]] == ["receive", "parse"]
    assert_sound(document)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_cancelled_task_ends_its_trace(start_service: ServiceFactory, tmp_path: Path, workers: str) -> None:
    """The server cancels what outlasts the time for stopping; a thread cannot be cancelled."""
    timeouts = {"CONNECT": "0.2", "POOL": "0.4", "STATEMENT": "0.6", "REQUEST": "0.8", "GRACEFUL": "1"}
    environ = {f"{name}_TIMEOUT": seconds for name, seconds in timeouts.items()}
    service = start_service("asgi", DATA_DIR=str(tmp_path), ASGI_WORKERS=workers, **environ)
    with RawClient(service.port) as client:
        client.send(traced("GET", "/wait?seconds=30", [PARENT]))
        time.sleep(0.5)
        service.stop()
    document = open_store(load({"DATA_DIR": str(tmp_path)}, dotenv_path="")).get(TRACE_ID)
    assert document is not None
    assert (document["outcome"], document["error"], document["status"]) == ("cancelled", "CancelledError", None)
    assert_sound(document)


def test_callers_trace_goes_on(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    reply = once(port, request("GET", "/json", [ASK, PARENT]))
    assert reply.headers["x-trace-id"] == TRACE_ID
    version, trace_id, span_id, flags = reply.headers["traceparent"].split("-")
    document = read_trace(port, TRACE_ID)
    assert (version, trace_id, span_id, flags) == ("00", TRACE_ID, document["span_id"], "01")
    assert document["parent_span_id"] == "00f067aa0ba902b7"


@pytest.mark.parametrize("header", ["", "00", "ff-" + "1" * 32 + "-" + "1" * 16 + "-01", "00-" + "0" * 32 + "-1-01"])
def test_broken_traceparent_is_ignored(services: dict[Edition, Service], edition: Edition, header: str) -> None:
    port = services[edition].port
    reply = once(port, request("GET", "/json", [ASK, ("traceparent", header)]))
    assert read_trace(port, reply.headers["x-trace-id"])["parent_span_id"] is None


def test_server_timing_tells_the_stages_before_the_head(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    reply = once(port, traced("GET", "/queries?queries=3"))
    document = read_trace(port, reply.headers["x-trace-id"])
    told = dict(metric.strip().split(";dur=") for metric in reply.headers["server-timing"].split(","))
    assert {"receive", "parse", "dispatch", "route", "validate", "checkout", "sql", "serialize"} <= told.keys()
    assert not {"respond", "encode", "send"} & told.keys()
    spent = sum(stage["duration_ns"] for stage in stages(document, "sql"))
    assert told["sql"] == f'{spent / 1e6:.3f};desc="3 times"'


def test_nothing_is_answered_where_nobody_asks(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    for data in (request("GET", "/json", [PARENT]), request("GET", "/json", [("X-Trace", "0")])):
        assert not {"x-trace-id", "server-timing", "traceparent"} & once(port, data).headers.keys()


def test_tracing_that_is_off_is_not_there(start_service: ServiceFactory, edition: Edition) -> None:
    service = start_service(edition, TRACE="0")
    reply = once(service.port, traced("GET", "/json", [PARENT]))
    assert reply.status == 200
    assert not {"x-trace-id", "server-timing", "traceparent"} & reply.headers.keys()
    assert get(service.port, "/traces").status == 404
    assert HOST in service.url


def test_many_traced_requests_at_once_never_mix(services: dict[Edition, Service], edition: Edition) -> None:
    """Two hundred at once, each with a number of its own in its target and in its body."""
    port = services[edition].port

    def ask(number: int) -> tuple[int, str]:
        data = traced("POST", f"/echo?number={number}", [("Content-Type", "text/plain")], b"%d." % number * 20)
        return number, once(port, data).headers["x-trace-id"]

    def sql(number: int) -> tuple[int, str]:
        return -number, once(port, traced("GET", f"/queries?queries={number}")).headers["x-trace-id"]

    asked = together([*(lambda n=n: ask(n) for n in range(1, 151)), *(lambda n=n: sql(n) for n in range(1, 51))])
    assert len({trace_id for _, trace_id in asked}) == 200
    for number, trace_id in asked:
        document = read_trace(port, trace_id)
        assert_sound(document)
        if number < 0:
            assert len(stages(document, "sql")) == -number
        else:
            (send,) = [
                stage for stage in stages(document, "send") if stage["facts"]["bytes"]["text"].startswith(f"{number}.")
            ]
            assert send["facts"]["bytes"]["text"] == f"{number}." * 20
            assert f"number={number} " in stages(document, "receive")[0]["facts"]["bytes"]["text"]


def test_wait_for_the_only_thread_is_dispatch(start_service: ServiceFactory) -> None:
    port = start_service("wsgi", WSGI_THREADS="1").port
    once(port, request("GET", "/plaintext"))
    with RawClient(port) as holder:
        holder.send(request("GET", "/wait?seconds=1"))
        time.sleep(0.2)
        document = _trace_of(port, traced("GET", "/plaintext"))
    (dispatch,) = stages(document, "dispatch")
    (receive,) = stages(document, "receive")
    # It waited for what was left of the second; the thread then found its bytes there.
    assert dispatch["end_ns"] - dispatch["start_ns"] > 0.4e9
    assert receive["start_ns"] >= dispatch["end_ns"]
    assert receive["end_ns"] - receive["start_ns"] < 0.4e9


def test_refused_head_leaves_no_error_behind(edition: Edition, start_service: ServiceFactory) -> None:
    """A head that the server itself refuses, at its end, while tracing listens."""
    service = start_service(edition, TRACE="1")
    reply = once(service.port, b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert reply.status == 400
    assert get(service.port, "/livez").status == 200
    service.stop()
    assert bad_log_lines(service) == []
