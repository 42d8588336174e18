"""An OpenTelemetry receiver on loopback: takes OTLP/HTTP as the specification has it, and keeps the spans."""

import time
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from shared.lab.services.process import HOST

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"


class Receiver(ThreadingHTTPServer):
    """What has arrived.

    Args:
        status: What every request is answered with.
        delay_s: How long each answer takes, in seconds.

    Attributes:
        bodies: The bytes of each request.
        authorizations: The Authorization field of each.
    """

    daemon_threads = True

    def __init__(self, status: int, delay_s: float) -> None:
        super().__init__((HOST, 0), Handler)
        self.status = status
        self.delay_s = delay_s
        self.bodies: list[bytes] = []
        self.authorizations: list[str | None] = []

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{HOST}:{self.server_port}{PATH}"

    def requests(self) -> list[ExportTraceServiceRequest]:
        """Return what was sent, decoded."""
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace, in the order in which they were sent."""
        return [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.trace_id.hex() == trace_id
        ]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        """Take an export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_export = self.path == PATH and self.headers["Content-Type"] == PROTOBUF
        if is_export:
            self.server.authorizations.append(self.headers["Authorization"])
            self.server.bodies.append(body)
        time.sleep(self.server.delay_s)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(self.server.status if is_export else 404)
        self.send_header("Content-Type", PROTOBUF)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def receiving(status: int = 200, delay_s: float = 0.0) -> Iterator[Receiver]:
    """Run a receiver."""
    with Receiver(status, delay_s) as receiver:
        thread = Thread(target=receiver.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in pairs}
