"""One request over a real socket: its exact bytes both ways, and when each step was done."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field
from time import monotonic_ns
from types import TracebackType

import httptools

from shared.errors import EnvironmentFailure
from shared.lab.parity.transport import Address
from shared.lab.tracing.result import ClientTimes

READ_BYTES = 65_536
# Beyond the longest wait that a setting allows a pool and a statement by default.
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over the socket.

    Attributes:
        sent: The request's bytes.
        received: The answer's bytes, interim answers and framing included.
        times: When.
        status: Of the final answer.
        headers: Its fields, names in lower case.
    """

    sent: bytes
    received: bytes
    times: ClientTimes
    status: int
    headers: dict[str, str]


@dataclass(slots=True)
class _Answer:
    """httptools' callbacks; complete when the final answer is."""

    is_head: bool
    parser: httptools.HttpResponseParser = field(init=False)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    is_complete: bool = False

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        """Forget an interim answer's fields."""
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """End an answer to HEAD, which has no body whatever its fields say."""
        self.status = self.parser.get_status_code()
        self.is_complete = self.is_head and self.status >= 200

    def on_message_complete(self) -> None:
        """End the answer, unless it was an interim one."""
        self.is_complete = self.status >= 200


class Connection:
    """A keep-alive connection to a service, opened when it is needed; use it as a context manager.

    Args:
        address: Where to.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether the last answer left it open."""
        return self._socket is not None

    def exchange(self, payload: bytes) -> Exchange:
        """Send a request's bytes and read the whole answer.

        Raises:
            EnvironmentFailure: If the service cannot be reached, breaks off, or answers no HTTP.
        """
        try:
            connection = self._opened()
            return self._exchange(connection, payload)
        except (OSError, httptools.HttpParserError) as error:
            self.close()
            raise EnvironmentFailure(
                f"The service at {self.address} did not answer",
                why=str(error) or type(error).__name__,
                hint="Look at its log",
            ) from error

    def close(self) -> None:
        """Close it."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection((self.address.host, self.address.port), TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _exchange(self, connection: socket.socket, payload: bytes) -> Exchange:
        answer = _Answer(payload.startswith(b"HEAD "))
        pieces: list[bytes] = []
        first_ns = last_ns = 0
        sent_start_ns = monotonic_ns()
        # A service that refuses a body unread may close before all of it is sent; its answer is there nevertheless.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(payload)
        sent_end_ns = monotonic_ns()
        while not answer.is_complete:
            piece = connection.recv(READ_BYTES)
            last_ns = monotonic_ns()
            first_ns = first_ns or last_ns
            if not piece:
                # The end of the connection ends an answer that has neither length nor chunks.
                if not answer.status or {"content-length", "transfer-encoding"} & answer.headers.keys():
                    raise ConnectionResetError("it closed the connection before the answer was whole")
                self.close()
                break
            pieces.append(piece)
            answer.parser.feed_data(piece)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        times = ClientTimes(sent_start_ns, sent_end_ns, first_ns, last_ns)
        return Exchange(payload, b"".join(pieces), times, answer.status, answer.headers)
