"""SEAM: where uvicorn reads and writes a client's bytes.

uvicorn's httptools protocol with what it leaves open: headers are limited, the wait for them is bounded, what is
refused is answered in the contract's form, and a stop answers what a client may be sending already.
"""

import asyncio
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shared import answers
from shared.config import Settings
from shared.config import load
from shared.errors import HeadersTooLarge
from shared.errors import MalformedRequest
from shared.errors import RequestError
from shared.errors import UriTooLong

from .app import app

# How long a kept-alive connection outlives a stop, for a request that is on its way; gunicorn's own figure.
STOP_LINGER_S = 2.0
# "GET " and " HTTP/1.1" around the target.
LINE_OVERHEAD_BYTES = 13


@lru_cache(maxsize=1)
def _settings() -> Settings:
    return load()


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounded headers, the contract's errors and a stop that loses nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = _settings()
        self._head_limit = self._limits.max_line_bytes + self._limits.max_header_count * self._limits.max_header_bytes
        self._head_bytes = 0
        self._is_in_head = False
        self._refusal: RequestError | None = None
        self._is_stopping = False
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; it is closed unless a request's head arrives in time."""
        super().connection_made(transport)
        self._silence = self.loop.call_later(self._limits.request_timeout, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the head has grown beyond what all limits allow together."""
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._head_limit:
                self._refusal = HeadersTooLarge("Too many header fields, or one that is too large", close=True)
                self.send_400_response("")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Start a request."""
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        super().on_url(url)
        if len(self.url) + LINE_OVERHEAD_BYTES > self._limits.max_line_bytes:
            self._refuse(UriTooLong("The request line is too long", close=True))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        if len(name) + len(value) > self._limits.max_header_bytes or len(self.headers) >= self._limits.max_header_count:
            self._refuse(HeadersTooLarge("Too many header fields, or one that is too large", close=True))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the application."""
        self._is_in_head = False
        self._heard()
        super().on_headers_complete()
        if self._is_stopping:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer what never reached the application."""
        error = self._refusal or MalformedRequest("The bytes are not an HTTP/1.1 request", close=True)
        self.transport.write(answers.raw(answers.problem(error, None), server="uvicorn"))
        self.transport.close()

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

    def _refuse(self, error: RequestError) -> None:
        self._refusal = error
        # The parser reports whatever its callbacks raise, and uvicorn then calls send_400_response.
        raise ValueError(error.detail)

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
