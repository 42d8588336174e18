"""Traces as OpenTelemetry spans: what is sent, what never is, and that no request waits for a receiver."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from shared.config import Edition
from shared.lab.services.process import HOST
from shared.lab.services.process import free_port
from shared.trace.document import StageDocument
from shared.trace.document import TraceDocument
from shared.trace.otlp import connect
from shared.trace.otlp import epoch_offset_ns
from shared.trace.otlp import spans
from shared.trace.sender import MOST_AT_ONCE
from shared.trace.sender import MOST_WAITING
from shared.trace.sender import Sender
from shared.twins import ROOT

from .clients import BAD_LOG_LINES
from .clients import eventually
from .clients import once
from .clients import request
from .conftest import ServiceFactory
from .otlp_receiver import PATH
from .otlp_receiver import attributes
from .otlp_receiver import receiving
from .trace_documents import Draft
from .traced import ASK
from .traced import ASK_VALUES
from .traced import anew
from .traced import read_trace
from .traced import stages

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PARENT = ("traceparent", f"00-{TRACE_ID}-{CALLER}-01")
SECRET = "planted-5ecret"
JSON = ("Content-Type", "application/json")
# Nobody waits longer than this for a thread of the service, on a machine however busy.
PATIENCE_S = 20.0
CALL = request("GET", "/queries?queries=3", [ASK, PARENT])


def made() -> TraceDocument:
    """Return a trace of three stages, one of them inside another."""
    draft = Draft("asgi", 0)
    session = draft.add("session", 100.0, isolation_level="READ COMMITTED")
    wire = {"sent": [{"message": "Bind", "bytes": 30}], "round_trips": 2, "bytes_sent": 30, "bytes_received": 80}
    draft.add("sql", 50.0, inside=session, statement=f"SELECT '{SECRET}'", parameters=1, rows=7, wire=wire)
    draft.add("send", 9.0, bytes={"size": 300, "text": SECRET, "kept": 14}, error="BrokenPipeError")
    document = draft.document(f"/db?{SECRET}={SECRET}")
    return {**document, "span_id": "b7ad6b7169203331", "parent_span_id": CALLER}


SYSTEM = "postgresql"


def of(span: ReadableSpan) -> dict[str, object]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


def test_spans_have_the_times_of_the_document_to_the_nanosecond() -> None:
    document = made()
    root, *children = spans(document, 1_000, SYSTEM)
    assert (root.start_time, root.end_time) == (document["started_ns"] + 1_000, document["ended_ns"] + 1_000)
    for span, stage in zip(children, document["stages"], strict=True):
        assert (span.start_time, span.end_time) == (stage["start_ns"] + 1_000, stage["end_ns"] + 1_000)


def test_spans_stand_in_each_other_as_stages_do() -> None:
    root, session, sql, send = spans(made(), 0, SYSTEM)
    assert root.context is not None
    assert root.parent is not None
    assert format(root.context.trace_id, "032x") == TRACE_ID
    assert (format(root.parent.span_id, "016x"), root.parent.is_remote) == (CALLER, True)
    assert (session.parent, sql.parent, send.parent) == (root.context, session.context, root.context)
    assert len({span.context.span_id for span in (root, session, sql, send) if span.context is not None}) == 4
    assert [span.context for span in spans(made(), 5, SYSTEM)] == [span.context for span in (root, session, sql, send)]


def test_spans_tell_sizes_and_numbers() -> None:
    root, session, sql, send = spans(made(), 0, SYSTEM)
    assert (root.name, root.kind.name, of(root)["http.route"]) == ("GET /db", "SERVER", "/db")
    assert of(session)["wsgi_vs_asgi.isolation_level"] == "READ COMMITTED"
    assert (sql.name, of(sql)["db.response.returned_rows"]) == ("sql", 7)
    assert of(sql)["db.query.text"] == f"SELECT '{'*' * len(SECRET)}'"
    assert {key: value for key, value in of(sql).items() if "wire" in key} == {
        "wsgi_vs_asgi.wire.round_trips": 2,
        "wsgi_vs_asgi.wire.bytes_sent": 30,
        "wsgi_vs_asgi.wire.bytes_received": 80,
    }
    assert of(send)["wsgi_vs_asgi.bytes.size"] == 300
    assert [span.status.status_code for span in (root, sql, send)] == [
        StatusCode.UNSET,
        StatusCode.UNSET,
        StatusCode.ERROR,
    ]
    assert of(send)["error.type"] == "BrokenPipeError"


def test_spans_at_the_database_name_its_kind() -> None:
    kinds = [of(span).get("db.system.name") for span in spans(made(), 0, "mariadb")]
    assert kinds == [None, None, "mariadb", None]


@pytest.mark.parametrize("reveals_values", [False, True])
def test_spans_hold_no_value(reveals_values: bool) -> None:
    """Also where the client asked to see its own: the receiver is somebody else."""
    document: TraceDocument = {**made(), "target": f"/db/{SECRET}?{SECRET}", "reveals_values": reveals_values}
    assert SECRET not in "".join(span.to_json() for span in spans(document, 0, SYSTEM))


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [(200, None, None), (404, None, None), (503, None, "503"), (200, "BrokenPipeError", "BrokenPipeError")],
)
def test_status_of_the_request(status: int, error: str | None, expected: str | None) -> None:
    """A 404 is the client's error, and a server's span is none for it."""
    root = spans({**made(), "status": status, "error": error}, 0, SYSTEM)[0]
    assert of(root)["http.response.status_code"] == status
    assert of(root).get("error.type") == expected
    assert root.status.status_code is (StatusCode.UNSET if expected is None else StatusCode.ERROR)


def test_client_chooses_no_name() -> None:
    root = spans({**made(), "method": SECRET, "template": None, "parent_span_id": None}, 0, SYSTEM)[0]
    assert (root.name, of(root)["http.request.method"], root.parent) == ("HTTP", "_OTHER", None)
    assert SECRET not in root.to_json()


def test_offset_leads_to_the_wall_clock() -> None:
    before_ns = time.time_ns()
    now_ns = time.monotonic_ns() + epoch_offset_ns()
    assert before_ns - 10**9 < now_ns < time.time_ns() + 10**9
    assert epoch_offset_ns() == epoch_offset_ns()


def test_what_waits_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A receiver that takes its time costs traces, no memory and no time of those that put them."""
    busy, go_on = Event(), Event()
    sent: list[int] = []

    def deliver(batch: object) -> str | None:
        busy.set()
        go_on.wait(PATIENCE_S)
        assert isinstance(batch, list)
        sent.append(len(batch))
        return "too late"

    sender = Sender("http://receiver", lambda: deliver)
    with caplog.at_level(logging.WARNING, "shared.trace.sender"):
        sender.put(made())
        assert busy.wait(PATIENCE_S)
        for _ in range(MOST_WAITING + 10):
            sender.put(made())
        assert sender.lost == 10
        assert not sender.flush(0.01)
        go_on.set()
        assert sender.flush(PATIENCE_S)
    assert sum(sent) == 1 + MOST_WAITING
    assert sender.lost == 1 + MOST_WAITING + 10
    assert [record.getMessage() for record in caplog.records] == [
        "11 traces did not reach http://receiver (too late); /traces has them all the same"
    ]


def test_failure_of_the_sender_is_not_its_end(caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[int] = []

    def deliver(batch: object) -> str | None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("a bug")
        return None

    sender = Sender("http://receiver", lambda: deliver)
    for _ in range(2):
        sender.put(made())
        assert sender.flush(PATIENCE_S)
    assert (len(attempts), sender.lost) == (2, 1)
    assert "a bug" in caplog.text


def test_reason_of_the_sdk_is_handed_on_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with receiving(status=400) as receiver:
        assert "400" in str(connect(receiver.endpoint, SYSTEM)([made()]))
    assert caplog.records == []


def nested(document: TraceDocument, stage: StageDocument) -> tuple[int, int]:
    """Return the times that a stage must lie in."""
    if stage["parent"] is None:
        return document["started_ns"], document["ended_ns"]
    around = document["stages"][stage["parent"]]
    return around["start_ns"], around["end_ns"]


def test_spans_reach_a_receiver(start_service: ServiceFactory, edition: Edition) -> None:
    with receiving() as receiver:
        service = start_service(edition, TRACE_OTLP_ENDPOINT=receiver.endpoint)
        trace_id, call = anew(CALL, TRACE_ID)
        assert once(service.port, call).status == 200
        document = read_trace(service.port, trace_id)
        root, *children = eventually(lambda: receiver.spans(trace_id), PATIENCE_S)
        assert (root.parent_span_id.hex(), root.span_id.hex()) == (CALLER, document["span_id"])
        found = attributes(root.attributes)
        assert root.name == "GET /queries"
        assert found["http.request.method"] == "GET"
        assert found["url.path"] == found["http.route"] == "/queries"
        assert found["http.response.status_code"] == 200
        assert found["wsgi_vs_asgi.edition"] == edition
        assert [span.name for span in children] == [stage["name"] for stage in document["stages"]]
        assert len([span for span in children if span.name == "sql"]) == len(stages(document, "sql")) >= 3

        by_id = {span.span_id: span for span in [root, *children]}
        assert len(by_id) == 1 + len(children)
        offset_ns = root.start_time_unix_nano - document["started_ns"]
        assert root.end_time_unix_nano - root.start_time_unix_nano == document["duration_ns"]
        assert abs(root.end_time_unix_nano - time.time_ns()) < PATIENCE_S * 4e9
        for span, stage in zip(children, document["stages"], strict=True):
            assert span.start_time_unix_nano - offset_ns == stage["start_ns"]
            assert span.end_time_unix_nano - offset_ns == stage["end_ns"]
            around = by_id[span.parent_span_id]
            assert (around.start_time_unix_nano - offset_ns, around.end_time_unix_nano - offset_ns) == nested(
                document, stage
            )
            assert around.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= around.end_time_unix_nano
        resource = attributes(receiver.requests()[0].resource_spans[0].resource.attributes)
        assert (resource["service.name"], resource["service.namespace"]) == (edition, "wsgi-vs-asgi")


def test_traced_requests_alone_are_sent_and_all_of_them(start_service: ServiceFactory, edition: Edition) -> None:
    """The end waits for what is left: more than one batch, at a receiver that takes its time."""
    count = 2 * MOST_AT_ONCE + 1
    with receiving(delay_s=0.25) as receiver:
        service = start_service(edition, TRACE_OTLP_ENDPOINT=receiver.endpoint)
        assert once(service.port, request("GET", "/plaintext", [PARENT])).status == 200
        for _ in range(count):
            assert once(service.port, request("GET", "/json", [ASK, PARENT])).status == 200
        assert service.stop() == 0
        found = receiver.spans(TRACE_ID)
    assert [span.name for span in found if span.parent_span_id.hex() == CALLER] == ["GET /json"] * count
    assert "Traceback" not in service.log_path.read_text()


def test_secrets_are_not_sent(start_service: ServiceFactory, edition: Edition) -> None:
    headers = [("X-Private", SECRET), ("Authorization", f"Bearer {SECRET}"), ("Cookie", f"a={SECRET}")]
    body = b'{"owner": "' + SECRET.encode() + b'", "balance": 1}'
    calls = [
        request("GET", f"/queries?queries=3&{SECRET}={SECRET}", headers),
        request("GET", f"/accounts/{SECRET}", headers),
        request("GET", f"/nowhere/{SECRET}", headers),
        request("POST", f"/echo?a={SECRET}", [JSON, *headers], body),
        request("POST", "/accounts", [JSON, *headers], body),
        request(SECRET, "/db", headers),
    ]
    with receiving() as receiver:
        service = start_service(edition, TRACE_OTLP_ENDPOINT=receiver.endpoint)
        # What asks for the trace comes behind the request line.
        for name, value in (ASK, ASK_VALUES):
            for call in calls:
                line, rest = call.split(b"\r\n", 1)
                once(service.port, b"\r\n".join([line, f"{name}: {value}".encode(), rest]))
        assert service.stop() == 0
        sent = b"".join(receiver.bodies)
    # Each edition refuses the unknown method in its server, before anything is traced, or traces it without its name.
    assert sent.count(b"http.response.status_code") >= 2 * (len(calls) - 1)
    assert SECRET.encode() not in sent


@pytest.mark.slow
def test_each_of_several_processes_sends(start_service: ServiceFactory, edition: Edition) -> None:
    with receiving() as receiver:
        service = start_service(edition, TRACE_OTLP_ENDPOINT=receiver.endpoint, **{f"{edition.upper()}_WORKERS": "2"})

        def pids() -> set[int]:
            once(service.port, request("GET", "/plaintext", [ASK]))
            return {
                attributes(resource.resource.attributes)["process.pid"]
                for export in receiver.requests()
                for resource in export.resource_spans
            }

        assert eventually(lambda: len(pids()) == 2, 60)
        assert service.stop() == 0


def test_credentials_are_used_and_not_shown(start_service: ServiceFactory, edition: Edition) -> None:
    with receiving(status=400) as receiver:
        place = receiver.endpoint.replace("http://", f"http://me:{SECRET}@")
        service = start_service(edition, TRACE_OTLP_ENDPOINT=place)
        assert once(service.port, CALL).status == 200
        assert service.stop() == 0
        assert [field[:5] for field in receiver.authorizations if field] == ["Basic"]
    log = service.log_path.read_text()
    assert f"1 traces did not reach http://***@{HOST}:" in log
    assert "400" in log
    assert SECRET not in log


@contextmanager
def silence() -> Iterator[str]:
    """Yield the URL of a receiver that takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}{PATH}"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["refuses", "is silent", "fails"])
def test_receiver_in_trouble_is_nobody_elses(start_service: ServiceFactory, edition: Edition, trouble: str) -> None:
    with ExitStack() as stack:
        if trouble == "refuses":
            endpoint = f"http://{HOST}:{free_port()}{PATH}"
        elif trouble == "is silent":
            endpoint = stack.enter_context(silence())
        else:
            endpoint = stack.enter_context(receiving(status=503)).endpoint
        service = start_service(edition, TRACE_OTLP_ENDPOINT=endpoint)
        for _ in range(40):
            trace_id, call = anew(CALL, TRACE_ID)
            reply = once(service.port, call)
            assert (reply.status, len(reply.json)) == (200, 3)
        assert read_trace(service.port, trace_id)["status"] == 200
        started_at = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started_at < 12
    log = service.log_path.read_text()
    assert not [line for line in BAD_LOG_LINES if line in log], log
    assert "Transient error" not in log
    assert log.count("did not reach") <= 1


@pytest.mark.slow
def test_receiver_that_is_down_is_told_of_once(start_service: ServiceFactory, edition: Edition) -> None:
    endpoint = f"http://{HOST}:{free_port()}{PATH}"
    service = start_service(edition, TRACE_OTLP_ENDPOINT=endpoint)
    assert once(service.port, CALL).status == 200
    eventually(lambda: f"1 traces did not reach {endpoint} (" in service.log_path.read_text(), 60)
    assert service.stop() == 0
    assert "Traceback" not in service.log_path.read_text()


HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def without_the_extra(edition: Edition, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Try to start an edition where the extra is not installed."""
    (directory / "sitecustomize.py").write_text(HIDDEN, "utf-8")
    return subprocess.run(
        [sys.executable, "-m", f"{edition}_app"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": f"{directory}:{ROOT}", f"{edition.upper()}_PORT": str(free_port()), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_missing_extra_stops_the_start_with_one_line(edition: Edition, tmp_path: Path) -> None:
    done = without_the_extra(edition, tmp_path, TRACE_OTLP_ENDPOINT=f"http://me:{SECRET}@{HOST}{PATH}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"{edition}: TRACE_OTLP_ENDPOINT is set, and what sends traces is not installed")
    assert "pip install -e '.[otel]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr + done.stdout


def test_extra_is_not_needed_without_an_endpoint(
    start_service: ServiceFactory, edition: Edition, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN, "utf-8")
    service = start_service(edition, PYTHONPATH=str(tmp_path))
    trace_id, call = anew(CALL, TRACE_ID)
    assert once(service.port, call).status == 200
    assert read_trace(service.port, trace_id)["status"] == 200
