"""A server that does next to nothing, for measuring the load client itself: python -m shared.lab.load.responder.

It prints its port, answers every request head with the same bytes, and ends when its standard input does.
"""

import asyncio
import os
import sys
from typing import cast

import uvloop

HOST = "127.0.0.1"
# As long as a short answer of the services.
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: responder\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\n"
    b"Hello, World!"
)
END = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        # A cast, because uvloop's transports offer the interface without inheriting it.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer as many requests as have ended."""
        *heads, self._rest = (self._rest + data).split(END)
        if heads:
            self._transport.write(ANSWER * len(heads))


class Lifeline(asyncio.Protocol):
    """Standard input; its end ends the process."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        os._exit(0)


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(Lifeline, sys.stdin)
    server = await loop.create_server(Answering, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
