"""A server that answers after known delays and stalls when told to: python -m shared.lab.validity.scripted PORT SEED.

A process of its own, so that it takes no time from the load client, and on asyncio with select(2): uvloop's timers and
epoll's time-outs go by whole milliseconds, select's by microseconds. It answers

- /livez at once;
- /constant?ms=5 after that delay;
- /uniform?low=5&high=15 after a delay drawn evenly from that range, with the seed;
- /stall?after=1&for=1 at once, and begins after so many seconds a stall of so many: every answer of the two above that
  would fall into it is given at its end, on all connections.
"""

import asyncio
import random
import selectors
import sys
from urllib.parse import parse_qsl

from shared.lab.services.process import HOST

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
HEAD_END = b"\r\n\r\n"


class Script:
    """When answers are due.

    Args:
        seed: Of the drawn delays.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._stall = (0.0, 0.0)

    def due_s(self, target: str, now_s: float) -> float | None:
        """Return when a request that was read now is answered; None for a target that does not exist."""
        path, _, query = target.partition("?")
        values = {key: float(value) for key, value in parse_qsl(query)}
        match path:
            case "/livez":
                return now_s
            case "/stall":
                begin_s = now_s + values["after"]
                self._stall = (begin_s, begin_s + values["for"])
                return now_s
            case "/constant":
                due_s = now_s + values["ms"] / 1e3
            case "/uniform":
                due_s = now_s + self._random.uniform(values["low"], values["high"]) / 1e3
            case _:
                return None
        begin_s, end_s = self._stall
        return end_s if begin_s <= due_s < end_s else due_s


class Connection(asyncio.Protocol):
    """One connection; a request is answered when the script says so.

    Args:
        script: The script.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete; none of them has a body."""
        loop = asyncio.get_running_loop()
        self._read += data
        while HEAD_END in self._read:
            head, _, self._read = self._read.partition(HEAD_END)
            target = head.split(b" ", 2)[1].decode("ascii")
            now_s = loop.time()
            due_s = self._script.due_s(target, now_s)
            answer = NOT_FOUND if due_s is None else OK
            if due_s is None or due_s <= now_s:
                self._write(answer)
            else:
                loop.call_at(due_s, self._write, answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(port: int, seed: int) -> None:
    script = Script(seed)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(script), HOST, port)
    await server.serve_forever()


def main(port: int, seed: int) -> None:
    """Serve until a signal ends the process."""
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(_serve(port, seed))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
