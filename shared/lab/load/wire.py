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
}
ERROR_COLUMNS = {"kind": "I", "connection": "I", "intended_ns": "q", "at_ns": "q"}

# Indices of shared.lab.results.record.ERROR_KINDS; spelt out here, because the client imports as little as it can.
REFUSED, RESET, TIMEOUT, PREMATURE_CLOSE, PARSE, OTHER = range(6)


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
    error_kind: "array[int]" = field(default_factory=lambda: array("I"))
    error_connection: "array[int]" = field(default_factory=lambda: array("I"))
    error_intended_ns: "array[int]" = field(default_factory=lambda: array("q"))
    error_at_ns: "array[int]" = field(default_factory=lambda: array("q"))

    def blocks(self) -> list[bytes]:
        """Return every column's bytes: those of responses, then those of errors."""
        responses = [getattr(self, name).tobytes() for name in SAMPLE_COLUMNS]
        return responses + [getattr(self, f"error_{name}").tobytes() for name in ERROR_COLUMNS]
