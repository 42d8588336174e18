"""Clients for the tests of trouble: sockets that misbehave on purpose, crowds of them, polling for an outcome."""

import contextlib
import http.client
import json
import socket
import struct
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any
from typing import TypeVar

from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import free_port

T = TypeVar("T")

# What a service's log must never hold after a client, or the database, has misbehaved.
BAD_LOG_LINES = (
    "Traceback",
    "garbage collector",
    "never awaited",
    "never retrieved",
    "was destroyed",
    "Exception in ASGI",
    "Socket error",
    "Bug while answering",
    "Error outside the application",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, or why there was none.

    Attributes:
        status: HTTP status; 0 where no whole answer arrived.
        headers: Header fields by lower-case name.
        body: The body's bytes.
        error: Why there was no whole answer.
        started_at: Monotonic seconds when the request was sent.
        elapsed_s: From then to the last byte, or to the error.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    error: str
    started_at: float
    elapsed_s: float

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The last part of a problem document's type."""
        return str(self.json["type"]).rpartition(":")[2]


def request(method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def post(path: str, content: object, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the bytes of a POST with a JSON body."""
    return request("POST", path, [("Content-Type", "application/json"), *headers], json.dumps(content).encode())


class RawClient:
    """One connection to a service; use it as a context manager.

    Args:
        port: The service's port.
        timeout_s: Longest wait for anything.
        receive_buffer: Bytes that the kernel may take in before they are read; its own choice where None.
    """

    def __init__(self, port: int, timeout_s: float = 20.0, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect((HOST, port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def reply(self, method: str = "GET") -> Reply:
        """Read one whole answer."""
        started_at = time.monotonic()
        response = http.client.HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            why = f"{type(error).__name__}: {error}"
            return Reply(0, {}, b"", why, started_at, time.monotonic() - started_at)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, body, "", started_at, time.monotonic() - started_at)

    def exchange(self, data: bytes) -> Reply:
        """Send a request and read its answer."""
        started_at = time.monotonic()
        try:
            self.send(data)
        except OSError as error:
            return Reply(0, {}, b"", f"{type(error).__name__}: {error}", started_at, time.monotonic() - started_at)
        return self.reply(data.partition(b" ")[0].decode("latin-1"))

    def reset(self) -> None:
        """Leave with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_closed_within(self, seconds: float) -> bool:
        """Tell whether the service closes the connection in time; what it still sends is read away."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left_s)
            try:
                if not self.socket.recv(65_536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def once(port: int, data: bytes, timeout_s: float = 20.0) -> Reply:
    """Send one request on a connection of its own."""
    started_at = time.monotonic()
    try:
        with RawClient(port, timeout_s) as client:
            return client.exchange(data)
    except OSError as error:
        return Reply(0, {}, b"", f"connect: {type(error).__name__}", started_at, time.monotonic() - started_at)


def get(port: int, path: str, timeout_s: float = 20.0) -> Reply:
    """Get a path on a connection of its own."""
    return once(port, request("GET", path), timeout_s)


def pool_of(service: Service) -> Any:
    """Return what /pool answers."""
    return get(service.port, "/pool").json


def together(functions: Sequence[Callable[[], T]]) -> list[T]:
    """Run functions at the same time, one thread each, and return their results in order."""
    with ThreadPoolExecutor(max_workers=max(1, len(functions))) as threads:
        return [future.result() for future in [threads.submit(function) for function in functions]]


class Crowd:
    """Clients that send the same request again and again, each on its connection, until they are told to stop.

    Args:
        port: The service's port.
        data: The request, or a function that makes one.
        clients: How many.
        keeps_connection: Whether a client sends on one connection as long as it lasts, or opens one for each request.
    """

    def __init__(
        self,
        port: int,
        data: bytes | Callable[[], bytes],
        clients: int,
        *,
        keeps_connection: bool = True,
        timeout_s: float = 20.0,
    ) -> None:
        self._port = port
        self._data = data
        self._keeps_connection = keeps_connection
        self._timeout_s = timeout_s
        self._ended = Event()
        self._threads = ThreadPoolExecutor(max_workers=clients)
        self._futures = [self._threads.submit(self._run) for _ in range(clients)]

    def stop(self) -> list[Reply]:
        """Let each client finish its last request, and return all replies."""
        self._ended.set()
        replies = [reply for future in self._futures for reply in future.result()]
        self._threads.shutdown()
        return replies

    def _run(self) -> list[Reply]:
        replies: list[Reply] = []
        while not self._ended.is_set():
            try:
                client = RawClient(self._port, self._timeout_s)
            except OSError as error:
                # Refused is not lost: the request was never accepted.
                replies.append(Reply(0, {}, b"", f"connect: {type(error).__name__}", time.monotonic(), 0.0))
                self._ended.wait(0.02)
                continue
            with client:
                self._use(client, replies)
        return replies

    def _use(self, client: RawClient, replies: list[Reply]) -> None:
        while not self._ended.is_set():
            data = self._data if isinstance(self._data, bytes) else self._data()
            reply = client.exchange(data)
            replies.append(reply)
            if not reply.status or reply.headers.get("connection") == "close" or not self._keeps_connection:
                return


def eventually(condition: Callable[[], T], within_s: float, *, every_s: float = 0.02) -> T:
    """Return a condition's value once it is true.

    Raises:
        AssertionError: If it is not within `within_s`.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s:g} s; last seen: {value!r}"
        time.sleep(every_s)


def sleep_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock."""
    with contextlib.suppress(ValueError):
        time.sleep(moment - time.monotonic())


def bad_log_lines(service: Service) -> list[str]:
    """Return the lines of a service's log that no request may cause."""
    log = service.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in log if any(bad in line for bad in BAD_LOG_LINES)]


def free_port_url() -> str:
    """Return the URL of a database on a port where nothing listens."""
    return f"postgresql://postgres@{HOST}:{free_port()}/nothing"
