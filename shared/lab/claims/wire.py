"""Exact bytes over a socket: what is sent, however it is cut, what comes back, and how a connection fails."""

import socket
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep
from urllib.parse import unquote_to_bytes

TIMEOUT_S = 10.0
READ_BYTES = 65_536
END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reading:
    """A request's bytes, read by hand: no server's parser has a part in it.

    Attributes:
        method: Its method.
        path: Its path, as written.
        query: What follows the question mark, as written; empty for none.
        version: Of HTTP, such as 1.1.
        fields: Header fields in their order, names in lower case.
        body: The body without its framing.
    """

    method: str
    path: str
    query: str
    version: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def decoded_path(self) -> bytes:
        """The path's bytes without their percent-encoding."""
        return unquote_to_bytes(self.path)

    @property
    def joined(self) -> Mapping[str, str]:
        """Values by name, repeated ones joined by commas (RFC 9110, section 5.3)."""
        found: dict[str, str] = {}
        for name, value in self.fields:
            found[name] = f"{found[name]},{value}" if name in found else value
        return found


def read_request(data: bytes) -> Reading:
    """Return what the bytes of one whole request say (RFC 9112).

    Raises:
        ValueError: If they are no such request.
    """
    head, end, rest = data.partition(END_OF_HEAD)
    if not end:
        raise ValueError("'data' must hold a whole head")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, protocol = first.split(" ")
    path, _, query = target.partition("?")
    pairs = [line.partition(":") for line in lines]
    fields = tuple((name.lower(), value.strip(" \t")) for name, _, value in pairs)
    is_chunked = dict(fields).get("transfer-encoding") == "chunked"
    return Reading(
        method, path, query, protocol.removeprefix("HTTP/"), fields, _unchunked(rest) if is_chunked else rest
    )


def _unchunked(data: bytes) -> bytes:
    """Return a chunked body's own bytes (RFC 9112, section 7.1)."""
    found = b""
    while True:
        size, _, rest = data.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            return found
        found, data = found + rest[:length], rest[length + 2 :]


def cut(data: bytes, pieces: int) -> list[bytes]:
    """Return bytes in as many pieces of about one size; fewer where there are fewer bytes."""
    size = max(1, -(-len(data) // pieces))
    return [data[start : start + size] for start in range(0, len(data), size)]


def talk(host: str, port: int, pieces: Sequence[bytes], *, pause_s: float = 0.0, timeout_s: float = TIMEOUT_S) -> bytes:
    """Send bytes on a connection of their own, and return every byte that comes back until the other side ends it.

    Args:
        host: Address to connect to.
        port: Port there.
        pieces: What is sent; each piece leaves at once.
        pause_s: Between two pieces, in seconds.
        timeout_s: For how long nothing may come, in seconds.

    Raises:
        OSError: If there is no connection, it breaks, or nothing comes in time.
    """
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place, piece in enumerate(pieces):
            if place:
                sleep(pause_s)
            connection.sendall(piece)
        received = []
        while data := connection.recv(READ_BYTES):
            received.append(data)
    return b"".join(received)
