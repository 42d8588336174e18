"""A proxy that hands bytes on a while after they came, each way, so that a database seems to be farther away.

python -m shared.lab.factors.proxy LISTEN TARGET ROUND_TRIP_MS

LISTEN and TARGET are unix:PATH or tcp:HOST:PORT; port 0 of LISTEN is any free one. The first line of output is where it
listens. Connections do not wait for each other, and what is on its way does not hold up what follows: the delay is that
of a line, not of a queue. Standard input is a lifeline: the proxy ends when its starter closes it, or is gone.
"""

import asyncio
import selectors
import signal
import sys
from collections import deque
from contextlib import suppress

# What one direction of one connection may have on its way before its sender has to wait.
ON_ITS_WAY_BYTES = 4_194_304


class Line:
    """One direction of one connection: bytes come out of it a fixed time after they went in.

    Args:
        source: What sends; it is paused while too much is on its way.
        sink: What receives.
        delay_s: How long bytes are on their way, in seconds.
    """

    def __init__(self, source: asyncio.Transport, sink: asyncio.Transport, delay_s: float) -> None:
        self._source = source
        self._sink = sink
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._on_its_way: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._is_blocked = False

    def put(self, data: bytes) -> None:
        """Send bytes on their way; none at all are the end of the stream."""
        if not self._delay_s and not self._on_its_way and not self._is_blocked:
            self._hand_over(data)
            return
        self._on_its_way.append((self._loop.time() + self._delay_s, data))
        self._bytes += len(data)
        if self._bytes > ON_ITS_WAY_BYTES and not self._is_paused:
            self._is_paused = True
            self._source.pause_reading()
        if self._timer is None:
            self._wait()

    def block(self) -> None:
        """Keep what is on its way: the receiver does not read."""
        self._is_blocked = True

    def unblock(self) -> None:
        """Go on: the receiver reads again."""
        self._is_blocked = False
        self._arrive()

    def cut(self) -> None:
        """Lose what is on its way."""
        self._on_its_way.clear()
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._loop.call_at(self._on_its_way[0][0], self._arrive)

    def _arrive(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._on_its_way and self._on_its_way[0][0] <= now and not self._is_blocked:
            _, data = self._on_its_way.popleft()
            self._bytes -= len(data)
            self._hand_over(data)
        if self._is_paused and self._bytes <= ON_ITS_WAY_BYTES // 2 and not self._source.is_closing():
            self._is_paused = False
            self._source.resume_reading()
        if self._on_its_way and not self._is_blocked:
            self._wait()

    def _hand_over(self, data: bytes) -> None:
        if self._sink.is_closing():
            return
        if data:
            self._sink.write(data)
        else:
            # What is buffered is sent first. Neither PostgreSQL nor a driver closes one direction only.
            self._sink.close()


class End(asyncio.Protocol):
    """One end of a connection through the proxy.

    Attributes:
        transport: Its socket.
        out: The line that leads away from it; None until the other end is there.
        other: The other end.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.out: Line | None = None
        self.other: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # The line limits what is on its way; what is written is to leave at once.
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Send bytes on their way."""
        assert self.out is not None
        self.out.put(data)

    def eof_received(self) -> bool:
        """Send the end of the stream on its way."""
        if self.out is not None:
            self.out.put(b"")
        return True

    def pause_writing(self) -> None:
        """Keep what is on its way to this end."""
        if self.other is not None and self.other.out is not None:
            self.other.out.block()

    def resume_writing(self) -> None:
        """Hand over what is on its way to this end."""
        if self.other is not None and self.other.out is not None:
            self.other.out.unblock()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other end, too, at once: nobody is left to read, or to answer."""
        other, self.other = self.other, None
        if self.out is not None:
            self.out.cut()
        if other is not None and other.transport is not None:
            other.transport.close()


class Door(End):
    """The end of a client that has just connected: opens the other end, and reads nothing until it is there.

    Args:
        target: Where the other end leads.
        delay_s: How long bytes are on their way, each way, in seconds.
    """

    def __init__(self, target: str, delay_s: float) -> None:
        super().__init__()
        self._target = target
        self._delay_s = delay_s
        self._early: list[bytes] = []
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client."""
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self._opening = asyncio.create_task(self._open())

    def data_received(self, data: bytes) -> None:
        """Send bytes on their way; keep what comes before there is one.

        In older versions of asyncio a transport that is paused while its connection is made reads all the same.
        """
        if self.out is None:
            self._early.append(data)
        else:
            self.out.put(data)

    def eof_received(self) -> bool:
        """Send the end of the stream on its way."""
        self.data_received(b"")
        return True

    async def _open(self) -> None:
        assert self.transport is not None
        loop, far = asyncio.get_running_loop(), End()
        kind, _, where = self._target.partition(":")
        try:
            if kind == "unix":
                await loop.create_unix_connection(lambda: far, where)
            else:
                host, _, port = where.rpartition(":")
                await loop.create_connection(lambda: far, host, int(port))
        except OSError:
            # As a database that is not there.
            self.transport.abort()
            return
        assert far.transport is not None
        if self.transport.is_closing():
            far.transport.close()
            return
        self.other, far.other = far, self
        self.out = Line(self.transport, far.transport, self._delay_s)
        far.out = Line(far.transport, self.transport, self._delay_s)
        for data in self._early:
            self.out.put(data)
        self.transport.resume_reading()


async def serve(listen: str, target: str, round_trip_s: float) -> None:
    """Serve until standard input ends.

    Args:
        listen: Where clients connect.
        target: Where they are led.
        round_trip_s: How much longer a question and its answer take, in seconds; half of it each way.

    Raises:
        OSError: If it cannot listen there.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Nobody writes to it, so that there is nothing to read but its end.
    loop.add_reader(0, ended.set)
    kind, _, where = listen.partition(":")
    if kind == "unix":
        server: asyncio.Server = await loop.create_unix_server(lambda: Door(target, round_trip_s / 2), where)
        said = listen
    else:
        host, _, port = where.rpartition(":")
        server = await loop.create_server(lambda: Door(target, round_trip_s / 2), host, int(port))
        said = f"tcp:{host}:{server.sockets[0].getsockname()[1]}"
    print(said, flush=True)
    await ended.wait()
    server.close()


def main(listen: str, target: str, round_trip_ms: str) -> int:
    """Run the proxy; return the exit code."""
    # select() counts a wait in microseconds where epoll counts milliseconds and rounds up: a delay of half a
    # millisecond would be a whole one.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(serve(listen, target, float(round_trip_ms) / 1_000))
    except OSError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return 1
    finally:
        with suppress(RuntimeError):
            loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
