"""The messages of PostgreSQL's protocol that one connection sends and receives, counted at the connection itself.

Message formats: https://www.postgresql.org/docs/current/protocol-message-formats.html. Names, sizes and the first word
of a query are kept; what else a message holds is not.
"""

from collections.abc import Callable
from typing import NotRequired
from typing import Protocol

from typing_extensions import TypedDict

FRONTEND = {
    b"B": "Bind", b"C": "Close", b"D": "Describe", b"E": "Execute", b"F": "FunctionCall", b"H": "Flush", b"P": "Parse",
    b"Q": "Query", b"S": "Sync", b"X": "Terminate", b"c": "CopyDone", b"d": "CopyData", b"f": "CopyFail",
    b"p": "PasswordMessage",
}  # fmt: skip
BACKEND = {
    b"1": "ParseComplete", b"2": "BindComplete", b"3": "CloseComplete", b"A": "NotificationResponse",
    b"C": "CommandComplete", b"D": "DataRow", b"E": "ErrorResponse", b"G": "CopyInResponse", b"H": "CopyOutResponse",
    b"I": "EmptyQueryResponse", b"K": "BackendKeyData", b"N": "NoticeResponse", b"R": "Authentication",
    b"S": "ParameterStatus", b"T": "RowDescription", b"V": "FunctionCallResponse", b"W": "CopyBothResponse",
    b"Z": "ReadyForQuery", b"c": "CopyDone", b"d": "CopyData", b"n": "NoData", b"s": "PortalSuspended",
    b"t": "ParameterDescription", b"v": "NegotiateProtocolVersion",
}  # fmt: skip

# Sent messages of one statement that are listed; those beyond are counted.
MOST_LISTED = 64
# One byte for the type, four for the length, which counts itself.
_HEADER_BYTES = 5
LENGTH_BYTES = 4
# Enough of a message for the name of a prepared statement and the query's first word.
PEEKED_BYTES = 128


class SentMessage(TypedDict):
    """One message to the server.

    Attributes:
        message: Its name in the protocol's documentation.
        bytes: Its size with type and length.
        verb: First word of the query that it holds.
    """

    message: str
    bytes: int
    verb: NotRequired[str]


class ReceivedMessages(TypedDict):
    """Messages of one kind from the server.

    Attributes:
        message: Their name in the protocol's documentation.
        count: How many there were.
        bytes: Their size with types and lengths.
    """

    message: str
    count: int
    bytes: int


class WireFacts(TypedDict):
    """What went over a connection in one stage.

    Attributes:
        sent: Messages to the server in their order, the first of them.
        sent_left_out: How many more there were.
        received: Messages from the server, by kind, in order of their first.
        round_trips: How often something was sent and then answered.
        bytes_sent: Size of all messages sent.
        bytes_received: Size of all messages received.
    """

    sent: list[SentMessage]
    sent_left_out: int
    received: list[ReceivedMessages]
    round_trips: int
    bytes_sent: int
    bytes_received: int


class CannotTapError(Exception):
    """Raised where the messages of a connection cannot be counted; tells why."""


class Tap(Protocol):
    """Counts the messages of one connection until it is stopped."""

    def take(self) -> "Exchange":
        """Return what was counted since the last time."""

    def stop(self) -> None:
        """Leave the connection as it was before."""


class Exchange:
    """Messages sent and received.

    Attributes:
        rows: Number of rows that the last completed command told of; None where it told none.
    """

    def __init__(self) -> None:
        self.rows: int | None = None
        self._sent: list[SentMessage] = []
        self._sent_left_out = 0
        self._bytes_sent = 0
        self._received: dict[str, ReceivedMessages] = {}
        self._round_trips = 0
        self._is_answer_due = False

    @property
    def has_sent(self) -> bool:
        """Whether anything went to the server."""
        return bool(self._sent)

    def send(self, message: str, size: int, payload: bytes) -> None:
        """Count a message to the server of `size` bytes; `payload` is the beginning of what it holds."""
        self._is_answer_due = True
        self._bytes_sent += size
        if len(self._sent) == MOST_LISTED:
            self._sent_left_out += 1
            return
        sent = SentMessage(message=message, bytes=size)
        if message == "Query":
            sent["verb"] = _first_word(payload)
        elif message == "Parse":
            sent["verb"] = _first_word(payload.partition(b"\0")[2])
        self._sent.append(sent)

    def receive(self, message: str, size: int, payload: bytes) -> None:
        """Count a message from the server of `size` bytes; `payload` is the beginning of what it holds."""
        if self._is_answer_due:
            self._is_answer_due = False
            self._round_trips += 1
        if message == "CommandComplete":
            last = payload.rstrip(b"\0").rpartition(b" ")[2]
            self.rows = int(last) if last.isdigit() else None
        kind = self._received.setdefault(message, ReceivedMessages(message=message, count=0, bytes=0))
        kind["count"] += 1
        kind["bytes"] += size

    def facts(self) -> WireFacts:
        """Return what was counted."""
        return WireFacts(
            sent=self._sent,
            sent_left_out=self._sent_left_out,
            received=list(self._received.values()),
            round_trips=self._round_trips,
            bytes_sent=self._bytes_sent,
            bytes_received=sum(kind["bytes"] for kind in self._received.values()),
        )


class Splitter:
    """Finds the messages in one direction's bytes, however these are cut.

    Args:
        names: Names of the direction's messages by their type.
        found: Called with each message's name, size in bytes, and the beginning of what it holds.
    """

    def __init__(self, names: dict[bytes, str], found: Callable[[str, int, bytes], None]) -> None:
        self._names = names
        self._found = found
        self._head = bytearray()
        self._peeked = bytearray()
        self._size = 0
        self._left = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data).cast("B")
        while view:
            view = self._continue(view) if self._left else self._begin(view)

    def _begin(self, view: memoryview) -> memoryview:
        missing = _HEADER_BYTES - len(self._head)
        self._head += view[:missing]
        if len(self._head) == _HEADER_BYTES:
            length = int.from_bytes(self._head[1:])
            self._size = 1 + length
            self._left = max(length - LENGTH_BYTES, 0)
            if not self._left:
                self._end()
        return view[missing:]

    def _continue(self, view: memoryview) -> memoryview:
        part = view[: self._left]
        self._peeked += part[: PEEKED_BYTES - len(self._peeked)]
        self._left -= len(part)
        if not self._left:
            self._end()
        return view[len(part) :]

    def _end(self) -> None:
        kind = bytes(self._head[:1])
        self._found(self._names.get(kind, f"type {kind[0]}"), self._size, bytes(self._peeked))
        self._head.clear()
        self._peeked.clear()


def _first_word(query: bytes) -> str:
    """Return a query's first word, in capitals; never a value."""
    words = query.rstrip(b"\0").split(maxsplit=1)
    word = words[0].strip(b";").decode("ascii", "replace") if words else ""
    return word.upper() if word.isalpha() else ""
