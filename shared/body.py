"""Limits on what a client sends, judged before reading where that is possible and while reading otherwise.

Neither server limits request bodies, and uvicorn does not limit headers.
"""

from collections.abc import Sequence
from itertools import chain

from .config import Settings
from .errors import BodyTooLarge
from .errors import HeadersTooLarge
from .errors import MalformedRequest

# The colon, the space and the line's end around a field's name and value, which gunicorn's parser counts as well.
FIELD_OVERHEAD_BYTES = 4


class ByteLimit:
    """Counts the bytes of one body against a limit.

    Args:
        limit: Most bytes the body may have.
        content_length: The Content-Length field, where there is one.

    Raises:
        BodyTooLarge: If the declared length exceeds the limit already; nothing was read then.
    """

    def __init__(self, limit: int, content_length: str | None) -> None:
        self._limit = limit
        self.declared = int(content_length) if content_length and content_length.isdecimal() else None
        self.received = 0
        if self.declared is not None and self.declared > limit:
            raise self._too_large()

    def count(self, size: int) -> None:
        """Book `size` bytes that arrived.

        Raises:
            BodyTooLarge: If the body now exceeds the limit.
        """
        self.received += size
        if self.received > self._limit:
            raise self._too_large()

    def end(self) -> None:
        """Check that the body is whole.

        Raises:
            MalformedRequest: If the client stopped before the declared length.
        """
        if self.declared is not None and self.received < self.declared:
            raise MalformedRequest("The body ended before its declared length", close=True)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body exceeds {self._limit} bytes", close=True)


def check_headers(settings: Settings, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a header section that is too long.

    Raises:
        HeadersTooLarge: If there are too many fields, or one is too large.
    """
    if len(headers) > settings.max_header_count:
        raise HeadersTooLarge(f"More than {settings.max_header_count} header fields", close=True)
    # All of them together are rarely as large as one may be.
    if sum(map(len, chain.from_iterable(headers))) + FIELD_OVERHEAD_BYTES <= settings.max_header_bytes:
        return
    for name, value in headers:
        if len(name) + len(value) + FIELD_OVERHEAD_BYTES > settings.max_header_bytes:
            raise HeadersTooLarge(f"A header field exceeds {settings.max_header_bytes} bytes", close=True)
