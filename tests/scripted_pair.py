"""Two servers that answer as they are told, compared by one case."""

import socket
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

from shared.lab.parity.case import Case
from shared.lab.parity.case import CaseList
from shared.lab.parity.comparison import Comparison
from shared.lab.parity.message import Request
from shared.lab.parity.result import Difference
from shared.lab.parity.side import Side
from shared.lab.parity.transport import Address

HEADERS = {"Server": "scripted", "Content-Type": "text/plain"}
BODY = b"the same bytes in both answers, as far as anybody can see"


class ScriptedServer:
    """Answers every request with the same bytes, and remembers what it was sent."""

    def __init__(self, body: bytes = BODY, /, status: str = "200 OK", **headers: str) -> None:
        fields = {**HEADERS, "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\n"
        self.head += "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value) + "\r\n"
        self.body = body
        self.received: list[bytes] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self.received.append(self._read(connection))
                self.before_answer()
                connection.sendall(self.head.encode("latin-1") + self.body)

    def _read(self, connection: socket.socket) -> bytes:
        data = connection.recv(65_536)
        head = data.partition(b"\r\n\r\n")[0].lower()
        while b"transfer-encoding: chunked" in head and not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65_536)
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(data.partition(b"\r\n\r\n")[2]) < int(line.partition(b":")[2]):
                    data += connection.recv(65_536)
        return data


@contextmanager
def scripted(*servers: ScriptedServer) -> Iterator[tuple[ScriptedServer, ...]]:
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def compared(wsgi: ScriptedServer, asgi: ScriptedServer, case: Case | None = None) -> Comparison:
    """Compare two scripted servers by one case."""
    sides = (
        Side("wsgi", wsgi.address, None, None, "n", wsgi.address),
        Side("asgi", asgi.address, None, None, "n", asgi.address),
    )
    comparison = Comparison(sides, lambda _: None, is_shared=False, secrets=("hunter2",), setup="scripted")
    if case is None:
        found = CaseList("scripted")
        found.add("a case", Request("GET", "/x?a=1"))
        case = found.cases[0]
    comparison.compare([case])
    return comparison


def only(comparison: Comparison) -> Difference:
    (difference,) = comparison.found
    return difference
