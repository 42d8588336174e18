"""SEAM: where uvicorn's part of a traced request is recorded.

The event loop reads and parses at once whatever has come; the queue, for a turn of the request's task, comes behind
that. All that an untraced request costs here is a look at the clock.
"""

import re
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shared.config import load
from shared.trace.context import TraceParent
from shared.trace.gate import Gate
from shared.trace.recorder import Trace
from shared.trace.stages import shown
from shared.trace.store import Store
from shared.trace.store import open_store

from .concurrency import EDITION
from .exchange import TracedCall
from .exchange import task_name
from .pipeline import NO_REQUEST
from .pipeline import Protocol
from .pipeline import request_parser

if TYPE_CHECKING:
    pass

# A head ends so, and so does a body in chunks, with or without trailers.
END = b"\r\n\r\n"
LINE_FEED = END[-1]
FIELD = b"x-trace"
_FIELD = re.compile(rb"\n(x-trace|x-trace-token|traceparent):[ \t]*([^\r\n]*)", re.IGNORECASE)


class MessageStarts:
    """Callbacks of a parser that is fed byte by byte: where the last message began, up to one that asks for a trace."""

    at = 0
    start = 0
    is_in_head = False

    def on_message_begin(self) -> None:
        """Note a message's first byte."""
        self.start = self.at
        self.is_in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Stop at a message that asks for a trace; a trailer asks for nothing."""
        if self.is_in_head and name.lower() == FIELD:
            raise ValueError("found")

    def on_headers_complete(self) -> None:
        """Note a head's last byte."""
        self.is_in_head = False


def start_of_wanted(data: bytes) -> int:
    """Return where the first message that asks for a trace begins, or else the last one.

    Args:
        data: Bytes that begin with a message.
    """
    if data.find(END) in (-1, len(data) - len(END)):
        # One head, or a part of one.
        return 0
    starts = MessageStarts()
    parser = request_parser(starts)
    with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        for starts.at in range(len(data)):
            parser.feed_data(data[starts.at : starts.at + 1])
    return starts.start


class TracingProtocol(Protocol):
    """The protocol of a service whose requests may be traced."""

    __slots__ = ("_body_left", "_gate", "_is_in_message", "_may_ask", "_reading", "_reads", "_store", "_tail")

    checked_fields = Protocol.checked_fields | {FIELD}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate, self._store = _shared_parts()
        self._is_in_message = False
        # What has been read of the message that is read: when, and what.
        self._reads: list[tuple[int, bytes]] = []
        self._tail = b""
        self._body_left = 0
        self._reading: Trace | None = None
        # Whether a request that asks for a trace would be news.
        self._may_ask = True

    def data_received(self, data: bytes) -> None:
        """Feed the parser.

        Most often with whole heads of requests that nobody wants traced. The parser, which reads the fields anyhow,
        tells otherwise: to look for one here, too, would cost each request more than one per cent.
        """
        arrived_ns = monotonic_ns()
        if self._is_in_message or data[-1] != LINE_FEED:
            self._feed(data, arrived_ns)
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        except httptools.HttpParserError:
            if self._may_ask:
                self.logger.warning(NO_REQUEST)
                self.send_400_response(NO_REQUEST)
            else:
                self._feed_again(data[start_of_wanted(data) :], arrived_ns)
            return
        if self._is_in_message:
            self._go_on_by_pieces(data, arrived_ns)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go, and end the traces of requests whose turn never came."""
        for _, call in self.pipeline:
            if isinstance(call, TracedCall):
                call.abandon()
        super().connection_lost(exc)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._is_in_message = True
        super().on_url(url)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_in_message = False
        super().on_message_complete()

    def _check_field(self, name: bytes, value: bytes) -> None:
        """Stop the parser at a request that may be traced, to feed it again by itself."""
        if name != FIELD:
            super()._check_field(name, value)
        elif self._may_ask and self._is_in_head:
            self._may_ask = False
            raise ValueError("the request asks for a trace")

    def _feed_again(self, data: bytes, arrived_ns: int) -> None:
        """Feed a new parser from the beginning of the message at which the last one was stopped."""
        self.parser = request_parser(self)
        self._is_in_head = self._is_in_message = False
        self._feed(data, arrived_ns)

    def _go_on_by_pieces(self, data: bytes, arrived_ns: int) -> None:
        """Keep what is needed of a message that was fed at once and goes on."""
        if self._is_in_head:
            self._reads, self._tail = [(arrived_ns, data[start_of_wanted(data) :])], data[-3:]
        else:
            # Its task has not run yet, so that its body is still all there.
            self._expect_body(len(self.cycle.body))

    def _feed(self, data: bytes, arrived_ns: int) -> None:
        """Feed the parser in pieces that end where messages end, so that each byte is known to be of one request."""
        self._may_ask = False
        start = 0
        while start < len(data) and not self.transport.is_closing():
            end = self._end_of_piece(data, start)
            piece = data[start:end]
            start = end
            is_past_head = self._is_in_message and not self._is_in_head
            if is_past_head:
                self._feed_body(piece, arrived_ns)
            else:
                is_past_head = self._feed_head(piece, arrived_ns)
            self._tail = (self._tail + piece)[-3:]
            if is_past_head and not self._is_in_message:
                self._reads, self._tail, self._body_left, self._reading = [], b"", 0, None
        self._may_ask = True

    def _end_of_piece(self, data: bytes, start: int) -> int:
        if self._body_left:
            return min(start + self._body_left, len(data))
        # The end of a head may have begun in what came before.
        begun = (self._tail + data[start : start + len(END) - 1]).find(END)
        if begun >= 0:
            return start + begun + len(END) - len(self._tail)
        found = data.find(END, start)
        return len(data) if found < 0 else found + len(END)

    def _feed_body(self, piece: bytes, arrived_ns: int) -> None:
        if self._reading is not None and self._reading.outcome is None:
            octets = self._reading.octets(piece)
            self._reading.record("receive", arrived_ns, arrived_ns, part="body", bytes=octets)
        super().data_received(piece)
        self._body_left = max(0, self._body_left - len(piece))

    def _feed_head(self, piece: bytes, arrived_ns: int) -> bool:
        """Feed a part of a head; when it was the last one, the request's task waits for its turn.

        Returns:
            Whether it was the last one.
        """
        self._reads.append((arrived_ns, piece))
        before = self.cycle
        is_last = (self._tail + piece).endswith(END)
        trace = self._trace_of(b"".join([data for _, data in self._reads])) if is_last else None
        if trace is None:
            super().data_received(piece)
        else:
            self._feed_traced(trace, piece)
        if self.cycle is before:
            # Also of a message of which there is so little that the parser has not told of it yet.
            self._is_in_head = self._is_in_message = True
            return False
        if self._is_in_message:
            self._expect_body(0)
            self._reading = trace
        return True

    def _feed_traced(self, trace: Trace, piece: bytes) -> None:
        """Feed the last part of the head of a traced request."""
        app, before = self.app, self.cycle
        call = self.app = TracedCall(app, trace, self._store, self.tasks)
        started_ns = monotonic_ns()
        super().data_received(piece)
        ended_ns = monotonic_ns()
        self.app = app
        cycle: RequestResponseCycle = self.cycle
        if cycle is before:
            # Refused before any application was called.
            return
        trace.method = cycle.scope["method"]
        trace.target = self.url.decode("latin-1")
        call.attach(cycle)
        trace.record(
            "parse",
            started_ns,
            ended_ns,
            lambda: {"value": shown(cycle.scope)},
            step="bytes to scope",
            interface="scope",
        )
        trace.ready_ns = monotonic_ns()

    def _trace_of(self, head: bytes) -> Trace | None:
        """Return the trace that a head asks for, with what was received; None where it asks for none."""
        began_ns = monotonic_ns()
        fields = {name.lower(): value.decode("latin-1").rstrip() for name, value in _FIELD.findall(head)}
        value = fields.get(FIELD)
        reveals_values = None if value is None else self._gate.admit(value, fields.get(b"x-trace-token"))
        if reveals_values is None:
            return None
        first_ns, last_ns = self._reads[0][0], self._reads[-1][0]
        parent = TraceParent.parse(fields.get(b"traceparent"))
        trace = Trace(EDITION, reveals_values, first_ns, parent, who=task_name)
        reads = [{"at_ns": at_ns, "size": len(data)} for at_ns, data in self._reads]
        receiving = trace.record("receive", first_ns, last_ns, part="head", reads=reads, bytes=trace.octets(head))
        receiving.cost_ns = monotonic_ns() - began_ns
        return trace

    def _expect_body(self, received: int) -> None:
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        self._body_left = max(0, int(length) - received)


_parts: tuple[Gate, Store] | None = None


def _shared_parts() -> tuple[Gate, Store]:
    """Return what all connections of this process share."""
    global _parts
    if _parts is None:
        settings = load()
        _parts = Gate(settings), open_store(settings)
    return _parts
