"""What the load client and its parent say to each other: a JSON line each way, samples after it as raw bytes.

Commands go to the client's standard input, one JSON object a line. Each is answered on its standard output by the
length of a JSON head (four bytes, little endian), the head, and the columns the head announces, in native byte order:
both ends run on one machine.
"""

from array import array
from dataclasses import dataclass
from dataclasses import field

# Array type code by column; q is int64, I is uint32.
SAMPLE_COLUMNS = {
    "intended_ns": "q",
    "sent_ns": "q",
    "first_byte_ns": "q",
    "done_ns": "q",
    "status": "I",
    "size_bytes": "I",
    "connection": "I",
    "request": "I",
    "flags": "I",
}
ERROR_COLUMNS = {"kind": "I", "connection": "I", "intended_ns": "q", "at_ns": "q", "sent_ns": "q", "request": "I"}

# Indices of shared.lab.results.record.ERROR_KINDS; spelt out here, because the client imports as little as it can.
REFUSED, RESET, TIMEOUT, PREMATURE_CLOSE, PARSE, OTHER, NOT_SENT, ABORTED = range(8)
# As in shared.lab.results.record: it found no idle connection; its connection reads slowly.
WAITED, SLOW = 1, 2
# In place of the index of a connection, where there was none.
NO_CONNECTION = 2**32 - 1


@dataclass(slots=True)
class Columns:
    """What one slice has seen so far, column by column."""

    intended_ns: "array[int]" = field(default_factory=lambda: array("q"))
    sent_ns: "array[int]" = field(default_factory=lambda: array("q"))
    first_byte_ns: "array[int]" = field(default_factory=lambda: array("q"))
    done_ns: "array[int]" = field(default_factory=lambda: array("q"))
    status: "array[int]" = field(default_factory=lambda: array("I"))
    size_bytes: "array[int]" = field(default_factory=lambda: array("I"))
    connection: "array[int]" = field(default_factory=lambda: array("I"))
    request: "array[int]" = field(default_factory=lambda: array("I"))
    flags: "array[int]" = field(default_factory=lambda: array("I"))
    error_kind: "array[int]" = field(default_factory=lambda: array("I"))
    error_connection: "array[int]" = field(default_factory=lambda: array("I"))
    error_intended_ns: "array[int]" = field(default_factory=lambda: array("q"))
    error_at_ns: "array[int]" = field(default_factory=lambda: array("q"))
    error_sent_ns: "array[int]" = field(default_factory=lambda: array("q"))
    error_request: "array[int]" = field(default_factory=lambda: array("I"))

    def add_error(
        self, kind: int, *, connection: int, intended_ns: int, at_ns: int, sent_ns: int = 0, request: int = 0
    ) -> None:
        """Record a request without a response."""
        self.error_kind.append(kind)
        self.error_connection.append(connection)
        self.error_intended_ns.append(intended_ns)
        self.error_at_ns.append(at_ns)
        self.error_sent_ns.append(sent_ns)
        self.error_request.append(request)

    def blocks(self) -> list[bytes]:
        """Return every column's bytes: those of responses, then those of errors."""
        responses = [getattr(self, name).tobytes() for name in SAMPLE_COLUMNS]
        return responses + [getattr(self, f"error_{name}").tobytes() for name in ERROR_COLUMNS]
