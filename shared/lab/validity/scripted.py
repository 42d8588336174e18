"""A server that answers after known delays and stalls when told to: python -m shared.lab.validity.scripted PORT SEED.

A process of its own, so that it takes no time from the load client, and on asyncio with select(2): uvloop's timers and
epoll's time-outs go by whole milliseconds, select's by microseconds. It answers

- /livez at once;
- /constant?ms=5 after that delay;
- /uniform?low=5&high=15 after a delay drawn evenly from that range, with the seed;
- /stall?after=1&for=1 at once, and begins after so many seconds a stall of so many: every answer of the two above that
  would fall into it is given at its end, on all connections;
- /record at once with what it really did since it was last asked, and forgets it: for each request of the two above
  that bears a number (&n=7) the columns of RECORD_COLUMNS, one after the other, as 64-bit integers in native order.

The record is the truth that a client is held against. A busy machine makes a server late, and then the plan is not what
happened. Its clock is that of the load client (CLOCK_MONOTONIC, one for all processes of a machine).
"""

import asyncio
import random
import selectors
import sys
from array import array
from time import perf_counter_ns
from urllib.parse import parse_qsl

from shared.lab.services.process import HOST

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
HEAD_END = b"\r\n\r\n"
# A request's number; when it was complete here; when its answer was handed to the socket. Taken after the one and
# before the other, so that no client can have seen less than what lies between.
RECORD_COLUMNS = ("number", "read_ns", "written_ns")
NO_NUMBER = -1


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


def number_of(target: str) -> int:
    """Return the number that a request bears, or NO_NUMBER."""
    _, mark, digits = target.partition("&n=")
    return int(digits) if mark else NO_NUMBER


class Record:
    """What was done, request by request in the order of the answers."""

    def __init__(self) -> None:
        self._columns = [array("q") for _ in RECORD_COLUMNS]

    def add(self, *row: int) -> None:
        """Note an answer."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def take(self) -> bytes:
        """Return all columns, and forget them."""
        taken = b"".join(column.tobytes() for column in self._columns)
        for column in self._columns:
            del column[:]
        return taken


class Connection(asyncio.Protocol):
    """One connection; a request is answered when the script says so.

    Args:
        script: The script.
        record: Where answers are noted.
    """

    def __init__(self, script: Script, record: Record) -> None:
        self._script = script
        self._record = record
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
            read_ns = perf_counter_ns()
            target = head.split(b" ", 2)[1].decode("ascii")
            if target == "/record":
                self._write(_with_body(self._record.take()))
                continue
            now_s = loop.time()
            due_s = self._script.due_s(target, now_s)
            answer = NOT_FOUND if due_s is None else OK
            if due_s is None or due_s <= now_s:
                self._write(answer)
            else:
                loop.call_at(due_s, self._answer, number_of(target), read_ns)

    def _answer(self, number: int, read_ns: int) -> None:
        written_ns = perf_counter_ns()
        self._write(OK)
        if number != NO_NUMBER:
            self._record.add(number, read_ns, written_ns)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


def _with_body(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def _serve(port: int, seed: int) -> None:
    script, record = Script(seed), Record()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(script, record), HOST, port)
    await server.serve_forever()


def main(port: int, seed: int) -> None:
    """Serve until a signal ends the process."""
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(_serve(port, seed))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
