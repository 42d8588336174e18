"""Raw HTTP/1.1 over one socket a request: nothing is normalised on the way out, nothing repaired on the way in."""

import contextlib
import socket
import time
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from urllib.parse import urlsplit

import httptools

from shared.errors import UsageError
from shared.lab.parity.message import Request
from shared.lab.parity.message import Response

TIMEOUT_S = 10.0
READ_BYTES = 262_144
# How long a client that expects 100 (Continue) waits for it before it would send its body anyway.
CONTINUE_TIMEOUT_S = 1.0

NO_ANSWER = f"no answer within {TIMEOUT_S:g} s"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Address":
        """Return the address in a URL such as http://127.0.0.1:8001.

        Raises:
            UsageError: If it is no such URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise UsageError(f"{url!r} is not usable", why="expected a URL such as http://127.0.0.1:8001")
        return cls(parts.hostname, port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Exchange:
    """A request under way on a connection of its own.

    Args:
        address: Where to.
        request: What is sent, at once.
    """

    def __init__(self, address: Address, request: Request) -> None:
        self.request = request
        self._received = b""
        self._failure = ""
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.create_connection((address.host, address.port), TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send(str(address))
        except OSError as error:
            # What was answered before the connection broke is read nevertheless.
            self._failure = f"{type(error).__name__} while sending"

    def responses(self) -> tuple[Response, ...]:
        """Read to the end of the connection and return every response, interim ones first."""
        if self._socket is None:
            return (Response(0, failure=self._failure),)
        with self._socket as connection:
            pieces = [self._received]
            failure = ""
            deadline = time.monotonic() + TIMEOUT_S
            try:
                while time.monotonic() < deadline:
                    piece = connection.recv(READ_BYTES)
                    if not piece:
                        break
                    pieces.append(piece)
                else:
                    failure = NO_ANSWER
            except TimeoutError:
                failure = NO_ANSWER
            except ConnectionResetError:
                # The rest of a request that was refused unread makes the kernel say so; what came before counts.
                failure = "" if any(pieces) else "connection reset without an answer"
        return parse(b"".join(pieces), is_head=self.request.method == "HEAD", failure=failure)

    def _send(self, address: str) -> None:
        assert self._socket is not None
        if not self.request.awaits_continue:
            self._socket.sendall(self.request.wire(address))
            if self.request.ends_sending:
                self._socket.shutdown(socket.SHUT_WR)
            return
        self._socket.sendall(self.request.head(address))
        self._socket.settimeout(CONTINUE_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):
            self._received = self._socket.recv(READ_BYTES)
        self._socket.settimeout(TIMEOUT_S)
        if self._received.startswith(b"HTTP/1.1 100 "):
            self._socket.sendall(self.request.payload())


def exchange(address: Address, request: Request) -> tuple[Response, ...]:
    """Send a request on a new connection and return every response on it."""
    return Exchange(address, request).responses()


@dataclass(slots=True)
class _Collector:
    """httptools' callbacks."""

    parser: httptools.HttpResponseParser = field(init=False)
    done: list[Response] = field(default_factory=list)
    is_open: bool = False
    reason: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)

    def on_message_begin(self) -> None:
        """Begin a response."""
        self.is_open, self.reason, self.headers, self.body = True, b"", [], []

    def on_status(self, reason: bytes) -> None:
        """Take a piece of the reason phrase."""
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """End a response."""
        self.done.append(self.response())
        self.is_open = False

    def response(self) -> Response:
        """Return the response under way."""
        return Response(
            self.parser.get_status_code(), self.reason.decode("latin-1"), tuple(self.headers), b"".join(self.body)
        )


def parse(data: bytes, *, is_head: bool = False, failure: str = "") -> tuple[Response, ...]:
    """Return the responses in all the bytes of a connection.

    Args:
        data: What was received until the connection ended.
        is_head: Whether the request was HEAD: whatever follows the head is then a mistake, returned as the body.
        failure: What was wrong with the connection itself.
    """
    if not data:
        return (Response(0, failure=failure or "connection closed without an answer"),)
    collector = _Collector()
    collector.parser = httptools.HttpResponseParser(collector)
    head, separator, rest = data.partition(b"\r\n\r\n")
    try:
        collector.parser.feed_data(head + separator if is_head else data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        failure = failure or f"bytes that are no HTTP response: {error}"
    if is_head and collector.is_open:
        return (*collector.done, replace(collector.response(), body=rest, failure=failure))
    if is_head and rest:
        return (*collector.done, Response(0, failure="bytes after the head", body=rest))
    if collector.is_open:
        response = collector.response()
        has_length = response.header("content-length") is not None or response.header("transfer-encoding") is not None
        return (*collector.done, replace(response, failure=failure or ("ended early" if has_length else "")))
    if failure and collector.done:
        collector.done[-1] = replace(collector.done[-1], failure=failure)
    return tuple(collector.done) or (Response(0, failure=failure or "no HTTP response", body=data),)
