"""One keep-alive connection of the load client: it sends what its run tells it to, and records what comes back.

Everything a request costs the client happens in this module, so it trades elegance for few calls: time stamps are taken
next to the system calls they stand for, and a request is written straight to the socket instead of through the
transport, which would hold it back until the end of the loop's turn.
"""

import asyncio
import os
import socket
import struct
import traceback
from functools import partial
from time import perf_counter_ns
from typing import cast

import httptools

from shared.lab.load import wire
from shared.lab.load.runs import RETRY_PAUSE_S
from shared.lab.load.runs import Run

EXIT_OWN_MISTAKE = 70  # sysexits.h: EX_SOFTWARE
# With SO_LINGER on for 0 s a socket is closed by a reset (socket(7)), as when a client's process dies.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# What a slow reader's kernel may take in before the server is held up, in bytes; the kernel doubles it (socket(7)).
SLOW_RECEIVE_BYTES = 4_096


class Connection(asyncio.Protocol):
    """One connection; reused over slices while the server keeps it open.

    Args:
        index: Number among all connections to its address.
        address: Numeric host, and port.
        tasks: Holds the tasks that open connections again.
        slow_bytes_per_s: How fast it reads; 0 for as fast as it can.
    """

    __slots__ = (
        "_fd",
        "_feed",
        "_first",
        "_first_byte_ns",
        "_flags",
        "_in_flight",
        "_intended_ns",
        "_is_new",
        "_is_spilled",
        "_parser",
        "_request",
        "_sent_ns",
        "_size",
        "_transport",
        "address",
        "idle_since_ns",
        "index",
        "run",
        "slow_bytes_per_s",
        "tasks",
    )

    def __init__(
        self,
        index: int,
        address: tuple[str, int],
        tasks: "set[asyncio.Task[None]]",
        slow_bytes_per_s: int = 0,
    ) -> None:
        self.index = index
        self.address = address
        self.tasks = tasks
        self.slow_bytes_per_s = slow_bytes_per_s
        self.run: Run | None = None
        self.idle_since_ns = 0
        self._transport: asyncio.Transport | None = None
        self._in_flight = False
        # Whether opening it is no loss: it left by itself, or was not open when the slice began.
        self._is_new = False
        self._intended_ns = self._sent_ns = self._first_byte_ns = self._size = self._request = self._flags = 0
        self._first = b""
        self._fd = -1
        self._is_spilled = False

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
            await asyncio.wait_for(self._connect(), timeout_s)
            self.idle_since_ns = perf_counter_ns()

    def close(self) -> None:
        """Drop the connection; nothing is in flight."""
        transport, self._transport = self._transport, None
        if transport is not None:
            # The end of this transport is reported later, when its successor may be in place already.
            transport.set_protocol(asyncio.Protocol())
            transport.abort()

    def retire(self) -> None:
        """Drop the connection because it has been idle for too long; opening it again is no loss."""
        self._is_new = self._is_new or self.is_open
        self.close()

    def begin(self, run: Run) -> None:
        """Take part in a slice."""
        self.run = run
        self._is_new = not self.is_open

    def leave(self) -> None:
        """Take part no more."""
        run = self._run()
        self.run = None
        self.idle_since_ns = perf_counter_ns()
        run.leave()

    def send(self, intended_ns: int, flags: int) -> None:
        """Send the run's next request; the connection is open.

        Args:
            intended_ns: When it was due.
            flags: Of its sample, without what concerns the connection.
        """
        assert self._transport is not None
        run = self._run()
        self._intended_ns = intended_ns
        self._flags = flags
        self._size = 0
        self._in_flight = True
        self._request, moment = run.draw()
        request = run.requests[self._request]
        self._sent_ns = perf_counter_ns()
        if moment >= 0:
            give_up_ns = self._sent_ns + int(moment * run.service_ns[self._request])
            run.alarm.at(give_up_ns, partial(self._give_up, run, self._sent_ns))
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

    def reopen(self, intended_ns: int, flags: int, *, pause_s: float) -> None:
        """Connect, after a pause in seconds, and send the run's next request.

        Args:
            intended_ns: When it was due.
            flags: Of its sample.
            pause_s: How long to wait before.
        """
        task = asyncio.get_running_loop().create_task(self._open_and_send(self._run(), intended_ns, flags, pause_s))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

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
            now_ns = perf_counter_ns()
            self._record(now_ns, self._parser.get_status_code())
            self._run().proceed(self, now_ns)
            return
        self._fail(wire.RESET if isinstance(exc, ConnectionError) else wire.PREMATURE_CLOSE)

    def data_received(self, data: bytes) -> None:
        """Take in what was read."""
        if not self._size:
            self._first_byte_ns = perf_counter_ns()
            self._first = data
        self._size += len(data)
        if self.slow_bytes_per_s:
            self._take_slowly(data)
        else:
            self._take(data)

    def on_message_complete(self) -> None:
        """Record the response and go on."""
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
        self._run().proceed(self, done_ns)

    def _run(self) -> Run:
        assert self.run is not None
        return self.run

    def _take(self, data: bytes) -> None:
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

    def _take_slowly(self, data: bytes) -> None:
        """Read nothing more, and take this in only when so many bytes are due at the connection's pace."""
        transport = self._transport
        assert transport is not None
        transport.pause_reading()

        def go_on() -> None:
            if self._transport is transport:
                self._take(data)
            if self._transport is transport:
                transport.resume_reading()

        asyncio.get_running_loop().call_later(len(data) / self.slow_bytes_per_s, go_on)

    def _record(self, done_ns: int, status: int) -> None:
        self._in_flight = False
        run = self._run()
        run.service_ns[self._request] = done_ns - self._sent_ns
        columns = run.columns
        columns.intended_ns.append(self._intended_ns)
        columns.sent_ns.append(self._sent_ns)
        columns.first_byte_ns.append(self._first_byte_ns)
        columns.done_ns.append(done_ns)
        columns.status.append(status)
        columns.size_bytes.append(self._size)
        columns.connection.append(self.index)
        columns.request.append(self._request)
        columns.flags.append(self._flags | wire.SLOW if self.slow_bytes_per_s else self._flags)

    def _give_up(self, run: Run, sent_ns: int) -> None:
        """Close the connection by a reset, as a client does that leaves, unless the answer was faster."""
        if self.run is not run or not self._in_flight or self._sent_ns != sent_ns:
            run.owe_abort()
            return
        # A duplicate, because the loop's own sockets have no options; both stand for one connection.
        with socket.socket(fileno=os.dup(self._fd)) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._in_flight = False
        self.close()
        now_ns = self._record_error(run, wire.ABORTED)
        self._is_new = True
        run.proceed(self, now_ns)

    def _fail(self, kind: int) -> None:
        """Record the error of the request in flight, drop the connection, and go on with a new one."""
        run = self._run()
        self._in_flight = False
        self.close()
        run.recover(self, self._record_error(run, kind))

    def _record_error(self, run: Run, kind: int) -> int:
        """Record the request in flight as failed, and return when."""
        now_ns = perf_counter_ns()
        run.columns.add_error(
            kind,
            connection=self.index,
            intended_ns=self._intended_ns,
            at_ns=now_ns,
            sent_ns=self._sent_ns,
            request=self._request,
        )
        return now_ns

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        if not self.slow_bytes_per_s:
            await loop.create_connection(lambda: self, *self.address)
            return
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        own = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Before connecting, because the window that is offered follows from it.
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_RECEIVE_BYTES)
            own.setblocking(False)
            await loop.sock_connect(own, self.address)
            await loop.create_connection(lambda: self, sock=own)
        except BaseException:
            own.close()
            raise

    async def _open_and_send(self, run: Run, intended_ns: int, flags: int, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        if run.is_over_for(perf_counter_ns()):
            run.too_late(self, intended_ns)
            return
        try:
            await self.open(run.timeout_s)
        except OSError as error:
            run.refused(self, error_kind(error), intended_ns)
            return
        run.reconnects += not self._is_new
        self._is_new = False
        if run.is_over_for(perf_counter_ns()):
            run.too_late(self, intended_ns)
        elif self.is_open:
            self.send(intended_ns, flags)
        else:  # closed again by the server, at once
            self.reopen(intended_ns, flags, pause_s=RETRY_PAUSE_S)

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
