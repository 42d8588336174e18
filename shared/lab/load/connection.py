"""One keep-alive connection of the load client, closed model: it sends when its last answer is complete.

Everything a request costs the client happens in this module, so it trades elegance for few calls: time stamps are taken
next to the system calls they stand for, and a request is written straight to the socket instead of through the
transport, which would hold it back until the end of the loop's turn.
"""

import asyncio
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from time import perf_counter_ns
from typing import cast

import httptools

from shared.lab.load import wire
from shared.lab.load.wire import Columns

# After a refused or failed connection; bounds the rate of errors against a dead server.
RETRY_PAUSE_S = 0.02
EXIT_OWN_MISTAKE = 70  # sysexits.h: EX_SOFTWARE


@dataclass(slots=True)
class Run:
    """One slice: what is sent, until when, and what came of it.

    Attributes:
        request: The request's bytes.
        end_ns: Nothing is sent from here on.
        columns: The raw record.
        timeout_s: A response that takes longer is an error, in seconds.
        active: Connections that have not finished yet.
        reconnects: Connections opened again.
        on_finished: Called when the last connection has finished.
    """

    request: bytes
    end_ns: int
    columns: Columns
    timeout_s: float
    active: int
    on_finished: Callable[[], None]
    reconnects: int = 0
    _finished: bool = field(default=False)

    def leave(self) -> None:
        """Note that one connection has finished."""
        self.active -= 1
        if self.active == 0 and not self._finished:
            self._finished = True
            self.on_finished()


class Connection(asyncio.Protocol):
    """One connection; reused over slices while the server keeps it open."""

    __slots__ = (
        "_fd",
        "_feed",
        "_first",
        "_first_byte_ns",
        "_in_flight",
        "_intended_ns",
        "_is_spilled",
        "_parser",
        "_sent_ns",
        "_size",
        "_transport",
        "address",
        "idle_since_ns",
        "index",
        "run",
        "tasks",
    )

    def __init__(self, index: int, address: tuple[str, int], tasks: "set[asyncio.Task[None]]") -> None:
        self.index = index
        self.address = address
        self.tasks = tasks
        self.run: Run | None = None
        self.idle_since_ns = 0
        self._transport: asyncio.Transport | None = None
        self._in_flight = False
        self._intended_ns = self._sent_ns = self._first_byte_ns = self._size = 0
        self._first = b""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection to send on."""
        return self._transport is not None

    async def open(self, timeout_s: float) -> None:
        """Connect, if not connected.

        Raises:
            OSError: If the connection is refused or fails.
            TimeoutError: If it takes longer than the time-out, in seconds.
        """
        if self._transport is None:
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.create_connection(lambda: self, *self.address), timeout_s)
            self.idle_since_ns = perf_counter_ns()

    def close(self) -> None:
        """Drop the connection; nothing is in flight."""
        transport, self._transport = self._transport, None
        if transport is not None:
            # The end of this transport is reported later, when its successor may be in place already.
            transport.set_protocol(asyncio.Protocol())
            transport.abort()

    def begin(self, run: Run, intended_ns: int) -> None:
        """Take part in a slice: the first request is due now."""
        self.run = run
        self._send(run, intended_ns)

    def check_timeout(self, now_ns: int) -> None:
        """Give up a response that takes too long."""
        run = self.run
        if run is not None and self._in_flight and now_ns - self._sent_ns > run.timeout_s * 1e9:
            self._fail(wire.TIMEOUT)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with a fresh parser; the answers of two connections must not mix."""
        # A cast, because uvloop's transports offer the interface without inheriting it.
        self._transport = cast(asyncio.Transport, transport)
        self._is_spilled = False
        self._fd = int(transport.get_extra_info("socket").fileno())
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a dropped request from an idle connection that the server has closed."""
        if self._transport is None:
            return
        self._transport = None
        if not self._in_flight:
            return
        if exc is None and self._is_complete_at_end():
            self._record(perf_counter_ns(), self._parser.get_status_code())
            self._next(perf_counter_ns())
            return
        self._fail(wire.RESET if isinstance(exc, ConnectionError) else wire.PREMATURE_CLOSE)

    def data_received(self, data: bytes) -> None:
        """Take in what was read."""
        if not self._size:
            self._first_byte_ns = perf_counter_ns()
            self._first = data
        self._size += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError:
            # A mistake of ours inside a callback: it must not pass for a mistake of the server.
            traceback.print_exc()
            os._exit(EXIT_OWN_MISTAKE)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._in_flight:
                self._fail(wire.PARSE)
            else:
                self.close()

    def on_message_complete(self) -> None:
        """Record the response and send the next request."""
        done_ns = perf_counter_ns()
        status = self._parser.get_status_code()
        if status < 200:  # 100 and 103 announce the response, they are not it
            return
        if not self._in_flight:  # an answer that nobody asked for: this connection cannot be trusted
            self.close()
            return
        self._record(done_ns, status)
        if not self._parser.should_keep_alive():
            self.close()
        self._next(done_ns)

    def _record(self, done_ns: int, status: int) -> None:
        self._in_flight = False
        run = self.run
        assert run is not None
        columns = run.columns
        columns.intended_ns.append(self._intended_ns)
        columns.sent_ns.append(self._sent_ns)
        columns.first_byte_ns.append(self._first_byte_ns)
        columns.done_ns.append(done_ns)
        columns.status.append(status)
        columns.size_bytes.append(self._size)
        columns.connection.append(self.index)

    def _next(self, intended_ns: int) -> None:
        """Send the next request, due at the given time, unless the slice has ended."""
        run = self.run
        assert run is not None
        if perf_counter_ns() >= run.end_ns:
            self._leave(run)
        elif self._transport is None:
            self._reopen(run, intended_ns, pause_s=0.0)
        else:
            self._send(run, intended_ns)

    def _send(self, run: Run, intended_ns: int) -> None:
        self._intended_ns = intended_ns
        self._size = 0
        self._in_flight = True
        request = run.request
        if self._transport is None:
            self._in_flight = False
            self._reopen(run, intended_ns, pause_s=0.0)
            return
        self._sent_ns = perf_counter_ns()
        if self._is_spilled:
            self._transport.write(request)
            return
        try:
            written = os.write(self._fd, request)
        except BlockingIOError:
            written = 0
        except OSError:
            self._fail(wire.RESET)
            return
        if written < len(request):  # the rest goes through the transport, and so must all that follows it
            self._is_spilled = True
            self._transport.write(request[written:])

    def _fail(self, kind: int) -> None:
        """Record the error of the request in flight, drop the connection, and go on with a new one."""
        run = self.run
        assert run is not None
        now_ns = perf_counter_ns()
        self._in_flight = False
        self.close()
        self._record_error(run, kind, self._intended_ns, now_ns)
        if now_ns >= run.end_ns:
            self._leave(run)
        else:
            self._reopen(run, now_ns, pause_s=RETRY_PAUSE_S)

    def _record_error(self, run: Run, kind: int, intended_ns: int, at_ns: int) -> None:
        run.columns.error_kind.append(kind)
        run.columns.error_connection.append(self.index)
        run.columns.error_intended_ns.append(intended_ns)
        run.columns.error_at_ns.append(at_ns)

    def _leave(self, run: Run) -> None:
        self.run = None
        self.idle_since_ns = perf_counter_ns()
        run.leave()

    def _reopen(self, run: Run, intended_ns: int, *, pause_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._reopen_until_end(run, intended_ns, pause_s))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _reopen_until_end(self, run: Run, intended_ns: int, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            now_ns = perf_counter_ns()
            if now_ns >= run.end_ns:
                self._leave(run)
                return
            try:
                await self.open(run.timeout_s)
            except OSError as error:
                self._record_error(run, error_kind(error), intended_ns, perf_counter_ns())
                pause_s = RETRY_PAUSE_S
                intended_ns = perf_counter_ns()
                continue
            run.reconnects += 1
            if perf_counter_ns() >= run.end_ns:
                self._leave(run)
            else:
                self._send(run, intended_ns)
            return

    def _is_complete_at_end(self) -> bool:
        """Whether the end of the connection is the end of the response: a body with no length and not chunked."""
        head, separator, _ = self._first.partition(b"\r\n\r\n")
        head = head.lower()
        return bool(self._size and separator) and not (
            b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding:" in head
        )


def error_kind(error: OSError) -> int:
    """Return the code of a failure to connect."""
    if isinstance(error, TimeoutError):
        return wire.TIMEOUT
    if isinstance(error, ConnectionRefusedError):
        return wire.REFUSED
    return wire.RESET if isinstance(error, ConnectionError) else wire.OTHER
