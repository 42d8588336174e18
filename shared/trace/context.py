"""The client's own trace context, as the W3C specifies it: https://www.w3.org/TR/trace-context/."""

import re
from dataclasses import dataclass
from typing import Self

# Section 3.2: version, trace id, parent id, flags; a later version may append more.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """What a traceparent header says.

    Attributes:
        trace_id: 32 hexadecimal digits that all services of one request share.
        span_id: 16 hexadecimal digits: the caller's own span.
        is_sampled: Whether the caller records it, too.
    """

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @classmethod
    def parse(cls, header: str | None) -> Self | None:
        """Return what a header says; None for one that is missing or malformed, which must be ignored."""
        found = _TRACEPARENT.fullmatch(header or "")
        # Version 00 has no fifth part.
        if found is None or (found[1] == "00" and found[5]):
            return None
        return cls(found[2], found[3], bool(int(found[4], 16) & 1))

    def __str__(self) -> str:
        """Return the header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"
