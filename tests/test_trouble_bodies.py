"""Requests that are too large, too many, too slow or never end: refused in bounded memory and bounded time."""

import contextlib
import hashlib
import socket
import threading
import time

import psutil
import pytest

from shared.config import Edition
from shared.lab.services.process import Service

from .clients import RawClient
from .clients import Reply
from .clients import bad_log_lines
from .clients import get
from .clients import once
from .clients import pool_of
from .clients import request
from .conftest import ServiceFactory

MIB = 1_048_576
GROWTH_BYTES = 32 * MIB
SHORT_TIMEOUTS = {
    "CONNECT_TIMEOUT": "0.2",
    "POOL_TIMEOUT": "0.4",
    "STATEMENT_TIMEOUT": "0.6",
    "REQUEST_TIMEOUT": "1",
    "GRACEFUL_TIMEOUT": "3",
}


@pytest.fixture
def service(services: dict[Edition, Service], edition: Edition) -> Service:
    """Return the suite's own service: nothing here needs another."""
    return services[edition]


class MemoryWatch:
    """Samples the resident size of a service's processes while a block runs."""

    def __init__(self, service: Service) -> None:
        self._processes = [psutil.Process(pid) for pid in service.pids()]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak_bytes = 0

    def _now(self) -> int:
        return sum(int(process.memory_info().rss) for process in self._processes)

    def _sample(self) -> None:
        while not self._ended.wait(0.02):
            self.peak_bytes = max(self.peak_bytes, self._now())

    def __enter__(self) -> "MemoryWatch":
        self._before_bytes = self.peak_bytes = self._now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth_bytes(self) -> int:
        """How much larger the processes have been than at the start."""
        return self.peak_bytes - self._before_bytes


def test_upload_of_half_a_gibibyte_takes_no_memory(service: Service) -> None:
    piece = bytes(range(256)) * 4_096
    digest = hashlib.sha256()
    assert once(service.port, request("POST", "/upload", body=piece)).status == 200
    with MemoryWatch(service) as memory, RawClient(service.port) as client:
        client.send(request("POST", "/upload", [("Content-Length", str(512 * len(piece)))]))
        for _ in range(512):
            client.send(piece)
            digest.update(piece)
        reply = client.reply()
    assert reply.json == {"bytes": 512 * MIB, "sha256": digest.hexdigest()}
    assert memory.growth_bytes < GROWTH_BYTES


@pytest.mark.slow
def test_stream_of_a_million_rows_takes_no_memory(service: Service) -> None:
    assert get(service.port, "/stream?rows=5000").status == 200
    with MemoryWatch(service) as memory, RawClient(service.port) as client:
        client.send(request("GET", "/stream?rows=1000000"))
        lines, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            received = client.socket.recv(MIB)
            assert received
            lines += received.count(b'{"id"')
            tail = (tail + received)[-5:]
    # A row may be cut between two reads.
    assert 999_000 < lines <= 1_000_000
    assert memory.growth_bytes < GROWTH_BYTES
    assert pool_of(service)["checked_out"] == 0


@pytest.mark.parametrize(("path", "declared"), [("/echo", 10**9), ("/upload", 2 * 10**9), ("/transfers", 10**9)])
def test_declared_length_over_the_limit_is_413_without_reading(service: Service, path: str, declared: int) -> None:
    """Nothing of the body is sent, and the answer is there at once; the connection ends with it."""
    headers = [("Content-Type", "application/json"), ("Content-Length", str(declared))]
    with RawClient(service.port) as client:
        reply = client.exchange(request("POST", path, headers))
        assert (reply.status, reply.problem) == (413, "body-too-large")
        assert reply.elapsed_s < 1
        assert reply.headers["connection"] == "close"
        assert client.is_closed_within(4)


@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_answer_to_a_body_over_the_limit_can_be_read_by_a_client_that_goes_on_sending(
    service: Service, kind: str
) -> None:
    """The body is cut near the limit, and no reset destroys the answer before it is read."""
    chunked = kind == "chunked"
    fields = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", str(10**9))]
    piece = b"10000\r\n" + bytes(65_536) + b"\r\n" if chunked else bytes(65_536)
    with MemoryWatch(service) as memory, RawClient(service.port) as client:
        client.send(request("POST", "/echo", fields))
        sent_bytes = 0
        client.socket.settimeout(5)
        with contextlib.suppress(OSError):
            while sent_bytes < 64 * MIB:
                client.send(piece)
                sent_bytes += len(piece)
                if _has_answer(client):
                    break
        reply = client.reply("POST")
    assert (reply.status, reply.error) == (413, "")
    assert reply.problem == "body-too-large"
    # The limit, and what fits into the sockets' buffers.
    assert sent_bytes < 24 * MIB
    assert memory.growth_bytes < GROWTH_BYTES
    assert get(service.port, "/plaintext").status == 200


def _has_answer(client: RawClient) -> bool:
    timeout_s = client.socket.gettimeout()
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client.socket.settimeout(timeout_s)


def _flood(client: RawClient, start: bytes, piece: bytes, limit_bytes: int) -> tuple[Reply, int]:
    sent_bytes = 0
    with contextlib.suppress(OSError):
        client.send(start)
        while sent_bytes < limit_bytes:
            client.send(piece)
            sent_bytes += len(piece)
            if _has_answer(client):
                break
    return client.reply(), sent_bytes


HEAD = b"GET /plaintext HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("start", "piece", "statuses"),
    [
        pytest.param(HEAD, b"X-Field: value\r\n" * 100, {431}, id="endless header fields"),
        pytest.param(HEAD + b"X-Field: ", b"v" * 10_000, {431, 400}, id="endless header value"),
        pytest.param(HEAD + b"X-", b"n" * 10_000, {431, 400}, id="endless header name"),
        pytest.param(b"GET /", b"p" * 10_000, {414, 400}, id="endless request line"),
        pytest.param(b"", b"G" * 10_000, {400, 414}, id="endless method"),
    ],
)
def test_endless_head_is_refused_in_bounded_memory(
    service: Service, start: bytes, piece: bytes, statuses: set[int]
) -> None:
    logged = bad_log_lines(service)
    with MemoryWatch(service) as memory, RawClient(service.port) as client:
        reply, sent_bytes = _flood(client, start, piece, 64 * MIB)
    assert reply.status in statuses, reply.error
    assert sent_bytes < 24 * MIB
    assert memory.growth_bytes < GROWTH_BYTES
    assert get(service.port, "/plaintext").status == 200
    assert bad_log_lines(service) == logged


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([("X-Field", "v")] * 100_000, id="100,000 fields"),
        pytest.param([("X-Field", "v" * MIB)], id="1 MiB"),
    ],
)
def test_oversized_head_that_is_sent_whole_is_431(service: Service, fields: list[tuple[str, str]]) -> None:
    with MemoryWatch(service) as memory:
        for _ in range(3):
            with RawClient(service.port) as client:
                with contextlib.suppress(OSError):
                    client.send(request("GET", "/plaintext", fields))
                reply = client.reply()
            assert reply.status == 431, reply.error
            assert reply.problem == "headers-too-large"
    assert memory.growth_bytes < GROWTH_BYTES
    assert get(service.port, "/plaintext").status == 200


@pytest.mark.slow
def test_slow_clients_are_ended_after_request_timeout(edition: Edition, start_service: ServiceFactory) -> None:
    """Nothing, a part of a head, or a part of a body, and then silence."""
    service = start_service(edition, WSGI_THREADS="14", **SHORT_TIMEOUTS)
    with RawClient(service.port) as half, RawClient(service.port) as body, RawClient(service.port) as silent:
        started_at = time.monotonic()
        half.send(b"GET /plaintext HTTP/1.1\r\nHo")
        body.send(request("POST", "/echo", [("Content-Length", "100")]) + b"x")
        reply = body.reply("POST")
        assert (reply.status, reply.problem) == (408, "request-timeout")
        assert 1 - 0.1 < time.monotonic() - started_at < 1 + 1
        assert body.is_closed_within(4)
        assert half.is_closed_within(1)
        assert get(service.port, "/plaintext").status == 200
        # gthread looks 5 s for a first byte, and then for the keep-alive time.
        assert silent.is_closed_within(5 + 5 + 2 if edition == "wsgi" else 1)
    service.stop()
    assert bad_log_lines(service) == []
