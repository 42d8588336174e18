"""A client that asks for traces and keeps its own record of the bytes, to hold the service's record against."""

import re
import secrets
import socket
import time
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from shared.lab.services.process import HOST
from shared.trace.document import StageDocument
from shared.trace.document import TraceDocument

from .clients import eventually
from .clients import get
from .clients import request

ASK = ("X-Trace", "1")
ASK_VALUES = ("X-Trace", "values")

_ID = re.compile(rb"(?i)\r\nx-trace-id: ([0-9a-f]{32})\r\n")


def traced(method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> bytes:
    """Return the bytes of a request that asks for a trace with its values."""
    return request(method, path, [ASK_VALUES, *headers], body)


def anew(call: bytes, trace_id: str) -> tuple[str, bytes]:
    """Return a trace id that no other test has left a trace of, and a request with it in place of its own."""
    fresh = secrets.token_hex(16)
    return fresh, call.replace(trace_id.encode(), fresh.encode())


def read_trace(port: int, trace_id: str) -> TraceDocument:
    """Return a trace once the service has stored it."""

    def found() -> Any:
        reply = get(port, f"/traces/{trace_id}")
        return reply.json if reply.status == 200 else None

    document: TraceDocument = eventually(found, 10)
    return document


def ids(received: bytes) -> list[str]:
    """Return the trace ids of the answers in some received bytes, in order."""
    return [found.decode() for found in _ID.findall(received)]


def exchange(port: int, fragments: Sequence[bytes], *, answers: int = 1, pause_s: float = 0.0) -> bytes:
    """Send fragments, each in a packet of its own where there is a pause, and return every byte that comes back.

    Args:
        port: The service's port.
        fragments: What is sent; the last request must end the connection.
        answers: How many answers there must be.
        pause_s: Between two fragments.
    """
    with socket.create_connection((HOST, port), timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for fragment in fragments:
            client.sendall(fragment)
            time.sleep(pause_s)
        received = b""
        while chunk := client.recv(65_536):
            received += chunk
    assert len(re.findall(rb"HTTP/1\.[01] [2-5]", received)) >= answers, received
    return received


def stages(document: TraceDocument, *names: str) -> list[StageDocument]:
    """Return the stages of some names, in order."""
    return [stage for stage in document["stages"] if stage["name"] in names]


def crossed(document: TraceDocument, name: str) -> bytes:
    """Return the bytes that a trace says were received, or sent."""
    return b"".join(stage["facts"]["bytes"]["text"].encode("latin-1") for stage in stages(document, name))


def assert_sound(document: TraceDocument) -> None:
    """Check what holds for every trace: order, signs, nesting, and stages with gaps as the whole."""
    found = document["stages"]
    assert [stage["start_ns"] for stage in found] == sorted(stage["start_ns"] for stage in found)
    for stage in found:
        assert stage["end_ns"] - stage["start_ns"] == stage["duration_ns"] >= stage["own_ns"] >= 0, stage
        assert document["started_ns"] <= stage["start_ns"] <= stage["end_ns"] <= document["ended_ns"], stage
        if stage["parent"] is not None:
            around = found[stage["parent"]]
            assert around["start_ns"] <= stage["start_ns"] <= around["end_ns"], (around, stage)
    assert all(gap["duration_ns"] > 0 and gap["recorder_ns"] >= 0 for gap in document["gaps"])
    at_the_top = sum(stage["duration_ns"] for stage in found if stage["parent"] is None)
    gaps = sum(gap["duration_ns"] for gap in document["gaps"])
    assert at_the_top + gaps == document["duration_ns"] == document["ended_ns"] - document["started_ns"]
