"""Requests as they are written on the wire, and responses as they came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

HeaderFields = tuple[tuple[str, str], ...]

# Every request says so unless it is about keeping a connection: the end of the connection is then the end of the
# response, and a byte too many is seen.
CLOSE = ("Connection", "close")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; text stands for bytes as latin-1, and `<<name>>` for a value that an earlier answer gave.

    Attributes:
        method: As written.
        target: As written; nothing is encoded.
        headers: Fields beside Host, Connection and the body's framing.
        body: Sent with Content-Length; None: no body and no length.
        chunks: Sent chunked, instead of `body`.
        version: Of HTTP.
        host: Value of the Host field; "": the service's address.
        raw: All bytes of the request, instead of everything above; `<<host>>` is the service's address.
        awaits_continue: Whether the body is held back until the server asks for it.
        ends_sending: Whether the client says that nothing follows, as it must where a server would wait for more.
    """

    method: str = "GET"
    target: str = "/"
    headers: HeaderFields = ()
    body: bytes | None = None
    chunks: tuple[bytes, ...] | None = None
    version: str = "1.1"
    host: str = ""
    raw: bytes = b""
    awaits_continue: bool = False
    ends_sending: bool = False

    def filled(self, values: Mapping[str, str]) -> "Request":
        """Return the request with its placeholders replaced."""
        return replace(
            self,
            target=_fill(self.target, values),
            headers=tuple((name, _fill(value, values)) for name, value in self.headers),
            body=None if self.body is None else _fill_bytes(self.body, values),
            raw=_fill_bytes(self.raw, values),
        )

    @property
    def has_placeholder(self) -> bool:
        """Whether it needs a value of an earlier answer."""
        return "<<" in self.target or b"<<" in (self.body or b"")

    def header(self, name: str) -> str | None:
        """Return the first value of a field that the request names."""
        return next((value for field, value in self.headers if field.lower() == name.lower()), None)

    def head(self, address: str) -> bytes:
        """Return the bytes up to the body."""
        fields = [("Host", self.host or address), *self.headers]
        if self.header("Connection") is None:
            fields.append(CLOSE)
        if self.chunks is not None:
            fields.append(("Transfer-Encoding", "chunked"))
        elif self.body is not None and self.header("Content-Length") is None:
            fields.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/{self.version}", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def payload(self) -> bytes:
        """Return the bytes after the head."""
        if self.chunks is None:
            return self.body or b""
        return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in self.chunks) + b"0\r\n\r\n"

    def wire(self, address: str) -> bytes:
        """Return all its bytes."""
        return self.raw.replace(b"<<host>>", address.encode()) or self.head(address) + self.payload()


@dataclass(frozen=True, slots=True)
class Response:
    """One response; `failure` says what was wrong with its bytes, or that there was none.

    Attributes:
        status: HTTP status; 0 without a response.
        reason: The status line's phrase.
        headers: Field names in lower case, and values, as they came.
        body: Decoded from its framing.
        failure: What is wrong on the level of the protocol; "" if nothing.
    """

    status: int
    reason: str = ""
    headers: HeaderFields = ()
    body: bytes = b""
    failure: str = ""

    def values(self, name: str) -> list[str]:
        """Return every value of a field."""
        return [value for field, value in self.headers if field == name]

    def header(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next(iter(self.values(name)), None)

    @property
    def line(self) -> str:
        """The status line without the version."""
        return f"{self.status} {self.reason}".strip() if self.status else self.failure


def dumped(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _fill(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"<<{name}>>", value)
    return text


def _fill_bytes(data: bytes, values: Mapping[str, str]) -> bytes:
    if b"<<" not in data:
        return data
    for name, value in values.items():
        # In a body a placeholder stands for a number: "<<account>>" with its quotes.
        data = data.replace(f'"<<{name}>>"'.encode(), value.encode())
    return data
