"""An HTTP server that does as it is told, badly if so told; it counts what it sees."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


class ScriptedServer:
    """Runs the script once per request; use `serving` to start one.

    Args:
        script: Gets the streams and the number of the request, from 1; it answers, or does something else.

    Attributes:
        port: Where it listens.
        requests: Requests seen.
        heads: Their heads.
        connections: Connections accepted.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.requests = 0
        self.heads: list[bytes] = []
        self.connections = 0
        self.started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._following: set[asyncio.Task[None] | None] = set()

    def run(self) -> None:
        """Serve until `stop`; to be run in a thread."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """End, from another thread."""
        self._loop.call_soon_threadsafe(self._end.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._follow, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        await self._end.wait()
        # A client may have connected just now: take nobody else in, and go on until nobody is left, looking again soon,
        # for who is being taken in follows no script yet. The loop's own task that takes it in is not cancelled, and
        # the server not closed before it ends, for then nobody would close its socket.
        (listener,) = server.sockets
        self._loop.remove_reader(listener.fileno())
        listener.shutdown(socket.SHUT_RDWR)
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks & self._following:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.01)
        server.close()
        await asyncio.sleep(0)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._following.add(asyncio.current_task())
        # The stream's own callback cannot take a cancelled task, so `stop` ends here too.
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            with contextlib.suppress(asyncio.IncompleteReadError):
                while not writer.is_closing():
                    self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                    self.requests += 1
                    await self.script(reader, writer, self.requests)
            writer.close()
            await writer.wait_closed()
        # What its client did not take would keep the socket open.
        writer.transport.abort()


@contextmanager
def serving(script: Script) -> Iterator[ScriptedServer]:
    """Run a scripted server in a thread of its own."""
    server = ScriptedServer(script)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.started.wait(5)
        yield server
    finally:
        server.stop()
        thread.join(5)
        assert not thread.is_alive()
