"""SEAM: where uvicorn reads and writes a client's bytes.

uvicorn's httptools protocol with what it leaves open: headers are limited, the wait for them is bounded, what is
refused is answered in the contract's form, and a stop answers what a client may be sending already.
"""

import asyncio
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shared import answers
from shared.backpressure import LOOKS
from shared.backpressure import Reader
from shared.config import Settings
from shared.config import load
from shared.errors import HeadersTooLarge
from shared.errors import MalformedRequest
from shared.errors import RequestError
from shared.errors import UnmetExpectation
from shared.errors import UriTooLong

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

from .app import app

# How long a kept-alive connection outlives a stop, for a request that is on its way; gunicorn's own figure.
STOP_LINGER_S = 2.0
# The spaces and " HTTP/1.1" around the target, beside the method.
LINE_OVERHEAD_BYTES = 10
# Longer than any method that the parser knows.
METHOD_BYTES = 32
# The colon, the space and the line's end around a field's name and value.
FIELD_OVERHEAD_BYTES = 4
NO_REQUEST = "The bytes are not an HTTP/1.1 request"


@lru_cache(maxsize=1)
def _settings() -> Settings:
    return load()


def request_parser(callbacks: Any) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes it: it reads on behind a request that closes the connection."""
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class FreshHeaders(list[tuple[bytes, bytes]]):
    """The server's own header fields, dated when a response puts its fields behind them.

    uvicorn's are as old as the request, and older where something blocked the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next_second = 0
        self._fields: list[tuple[bytes, bytes]] = []

    def __add__(self, fields: Any) -> list[Any]:
        """Return the fields of a response."""
        now = time()
        if not self._next_second - 1 <= now < self._next_second:
            self._next_second = int(now) + 1
            self._fields = [(b"date", formatdate(now, usegmt=True).encode()), (b"server", b"uvicorn")]
        return [*self._fields, *fields]


FRESH_HEADERS = FreshHeaders()


class OldCycle(RequestResponseCycle):
    """A response that an HTTP/1.0 client can read to its end."""

    is_until_close = False

    async def send(self, message: "ASGISendEvent") -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self.is_until_close = all(name != b"content-length" for name, _ in message["headers"])
            # HTTP/1.0 knows no chunks: without a length the response ends with the connection.
            self.chunked_encoding = False if self.is_until_close else None
        elif self.is_until_close and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounded headers, the contract's errors and a stop that loses nothing.

    Attributes:
        checked_fields: Names of header fields that are looked at before the application is called.
    """

    # uvicorn's own attributes nearly fill the 30 that CPython keeps in an object without a dictionary of its own.
    __slots__ = (
        "_count_limit",
        "_field_limit",
        "_head_bytes",
        "_head_limit",
        "_is_in_head",
        "_is_stopping",
        "_late_refusal",
        "_limits",
        "_line_limit",
        "_refusal",
        "_silence",
        "_unread",
    )

    checked_fields = frozenset({b"host", b"content-type", b"expect", b"transfer-encoding"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = _settings()
        app.is_bounded = True
        self._head_limit = self._limits.max_line_bytes + self._limits.max_header_count * self._limits.max_header_bytes
        self._line_limit = self._limits.max_line_bytes - LINE_OVERHEAD_BYTES
        self._field_limit = self._limits.max_header_bytes - FIELD_OVERHEAD_BYTES
        self._count_limit = self._limits.max_header_count
        self._head_bytes = 0
        self._is_in_head = False
        self._refusal: RequestError | None = None
        self._is_stopping = False
        self._silence: asyncio.TimerHandle | None = None
        self._late_refusal: RequestError | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; it is closed unless a request's head arrives in time."""
        super().connection_made(transport)
        self._silence = self.loop.call_later(self._limits.request_timeout, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._heard()
        self._read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the application wait, until the client has read; one that does not in time is cut off."""
        super().pause_writing()
        descriptor = self.transport.get_extra_info("socket").fileno()
        unsent = self.transport.get_write_buffer_size()
        self._watch(Reader(descriptor, unsent, self._limits.request_timeout))

    def resume_writing(self) -> None:
        """Let the application go on."""
        self._read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the head has grown beyond what all limits allow together."""
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._head_limit:
                self._refusal = HeadersTooLarge("Too many header fields, or one that is too large", close=True)
                self.send_400_response("")
                return
        super().data_received(data)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        if not self.url:
            self._is_in_head = True
            self._head_bytes = 0
        self.url += url
        # The method is asked for only where its length can matter.
        left = self._line_limit - len(self.url)
        if left < METHOD_BYTES and left < len(self.parser.get_method()):
            self._refuse(UriTooLong("The request line is too long", close=True))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        headers = self.headers
        if len(name) + len(value) > self._field_limit or len(headers) >= self._count_limit:
            self._refuse(HeadersTooLarge("Too many header fields, or one that is too large", close=True))
        name = name.lower()
        if name in self.checked_fields:
            self._check_field(name, value)
        # Spaces after a value are no part of it (RFC 9110, section 5.5).
        headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Start the application."""
        self._is_in_head = False
        if self._silence is not None:
            self._heard()
        version = self.parser.get_http_version()
        if version != "1.1":
            self._check_version(version)
        if self.url[:1] != b"/":
            self._check_target()
        super().on_headers_complete()
        cycle = self.cycle
        cycle.default_headers = FRESH_HEADERS
        if version == "1.0":
            # Its task runs later, so that nothing has been sent by the class that it was made from.
            cycle.__class__ = OldCycle
        if self._is_stopping:
            cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer what never reached the application."""
        error = self._refusal or MalformedRequest(NO_REQUEST, close=True)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._refuse_now(error, None)
        elif cycle.more_body:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._refuse_now(MalformedRequest("The body cannot be read", close=True), self.scope["path"])
        else:
            # What came before is answered first.
            self._late_refusal = error
            cycle.on_response = self._refuse_late

    def on_message_complete(self) -> None:
        """End a request; a body that is here already need not be asked for."""
        self.cycle.waiting_for_100_continue = False
        super().on_message_complete()

    def _refuse_late(self) -> None:
        """Refuse what came behind a request that is answered now."""
        self.on_response_complete()
        if self._late_refusal is not None and self.cycle.response_complete and not self.transport.is_closing():
            self._refuse_now(self._late_refusal, None)

    def shutdown(self) -> None:
        """Begin to stop: /readyz says so, and an idle connection stays a moment for a request that is on its way."""
        self._is_stopping = True
        if app.service is not None:
            app.service.database.is_draining = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(STOP_LINGER_S, self.timeout_keep_alive_handler)
        else:
            super().shutdown()

    def _check_field(self, name: bytes, value: bytes) -> None:
        """Refuse what could be read in two ways, and expectations that nobody meets."""
        if name == b"expect":
            if value.lower() != b"100-continue":
                self._refuse(UnmetExpectation("The only expectation this service knows is 100-continue", close=True))
            self.expect_100_continue = True
        elif name == b"transfer-encoding":
            if value.lower().rpartition(b",")[2].strip() != b"chunked":
                self._refuse(MalformedRequest(NO_REQUEST, close=True))
        elif self.headers and any(field == name for field, _ in self.headers):
            # Neither can be combined into a list (RFC 9110, section 5.3).
            self._refuse(MalformedRequest(NO_REQUEST, close=True))

    def _check_version(self, version: str) -> None:
        """Refuse the versions that the parser knows and this service does not speak."""
        # Chunks in HTTP/1.0 are faulty framing (RFC 9112, section 6.1).
        if version != "1.0" or any(name == b"transfer-encoding" for name, _ in self.headers):
            self._refuse(MalformedRequest(NO_REQUEST, close=True))

    def _check_target(self) -> None:
        """Take a target that is no path: all of the server, or a whole URL, whose path may be empty."""
        if self.url == b"*":
            if self.parser.get_method() != b"OPTIONS":
                self._refuse(MalformedRequest(NO_REQUEST, close=True))
            return
        parsed = httptools.parse_url(self.url)
        if parsed.path is None:
            self.url = b"/?" + parsed.query if parsed.query else b"/"

    def _refuse_now(self, error: RequestError, path: str | None) -> None:
        self.transport.write(answers.raw(answers.problem(error, path), server="uvicorn"))
        self.transport.close()

    def _refuse(self, error: RequestError) -> None:
        self._refusal = error
        # The parser reports whatever its callbacks raise, and uvicorn then calls send_400_response.
        raise ValueError(error.detail)

    def _watch(self, reader: Reader) -> None:
        self._unread = self.loop.call_later(self._limits.request_timeout / LOOKS, self._look, reader)

    def _look(self, reader: Reader) -> None:
        if reader.has_stopped(self.transport.get_write_buffer_size()):
            # Not closed: closing waits for the client to read what is left.
            self.transport.abort()
        else:
            self._watch(reader)

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
