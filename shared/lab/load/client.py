"""The load client, a process of its own: python -m shared.lab.load.client; shared.lab.load.driver is its other end.

It stays alive over many slices, so that a slice of half a second is not spent on starting an interpreter, and ends
when its standard input does, whatever became of its parent.
"""

import asyncio
import gc
import json
import os
import sys
from time import perf_counter_ns
from time import process_time_ns
from typing import Any
from typing import BinaryIO

import uvloop

from shared.lab.load.connection import Connection
from shared.lab.load.connection import Run
from shared.lab.load.wire import Columns

# How often responses are checked against the time-out.
TIMEOUT_CHECK_S = 0.05
# Servers close idle connections after 2 s (gunicorn) or 5 s (uvicorn) by default; a request sent at that very moment
# would be lost, so a connection that has waited longer than this between slices is replaced before the next one.
REPLACE_IDLE_NS = 1_500_000_000


class Lifeline(asyncio.StreamReaderProtocol):
    """Standard input; its end ends the process at once, in the middle of a slice too."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        os._exit(0)


class Client:
    """All connections of this process, kept by address."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, int], list[Connection]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def prepare(self, *, host: str, port: int, connections: int, timeout_s: float, fresh: bool) -> list[str]:
        """Have so many connections open; return why some could not be opened."""
        address = (host, port)
        held = self._connections.setdefault(address, [])
        now_ns = perf_counter_ns()
        for connection in held:
            if fresh or len(held) > connections or now_ns - connection.idle_since_ns > REPLACE_IDLE_NS:
                connection.close()
        del held[connections:]
        held.extend(Connection(index, address, self._tasks) for index in range(len(held), connections))
        opened = await asyncio.gather(*(connection.open(timeout_s) for connection in held), return_exceptions=True)
        failures = [result for result in opened if result is not None]
        for failure in failures:
            if not isinstance(failure, OSError):
                raise failure
        return [str(failure) or type(failure).__name__ for failure in failures]

    async def run(
        self, *, host: str, port: int, request: bytes, ramp_s: float, window_s: float, timeout_s: float
    ) -> tuple[dict[str, Any], Columns]:
        """Load the prepared address for one slice, and wait for what is in flight at its end."""
        connections = self._connections[host, port]
        finished = asyncio.get_running_loop().create_future()
        gc.collect()
        cpu_ns = process_time_ns()
        start_ns = perf_counter_ns()
        window_start_ns = start_ns + int(ramp_s * 1e9)
        end_ns = window_start_ns + int(window_s * 1e9)
        run = Run(
            request=request,
            end_ns=end_ns,
            columns=Columns(),
            timeout_s=timeout_s,
            active=len(connections),
            on_finished=lambda: finished.set_result(None),
        )
        for connection in connections:
            connection.begin(run, start_ns)
        while not finished.done():
            await asyncio.wait((finished,), timeout=TIMEOUT_CHECK_S)
            now_ns = perf_counter_ns()
            for connection in connections:
                connection.check_timeout(now_ns)
        elapsed_ns = perf_counter_ns() - start_ns
        head = {
            "start_ns": start_ns,
            "window_start_ns": window_start_ns,
            "window_end_ns": end_ns,
            "elapsed_s": elapsed_ns / 1e9,
            "client_cpu_s": (process_time_ns() - cpu_ns) / 1e9,
            "reconnects": run.reconnects,
        }
        return head, run.columns

    async def serve(self, commands: asyncio.StreamReader, answers: BinaryIO) -> None:
        """Carry out one command after the other until standard input ends."""
        while line := await commands.readline():
            command = json.loads(line)
            name = command.pop("command")
            columns = Columns()
            if name == "prepare":
                head: dict[str, Any] = {"failures": await self.prepare(**command)}
            else:
                command["request"] = command["request"].encode("latin-1")
                head, columns = await self.run(**command)
            self._answer(answers, head, columns)

    def _answer(self, answers: BinaryIO, head: dict[str, Any], columns: Columns) -> None:
        head["responses"] = len(columns.done_ns)
        head["errors"] = len(columns.error_kind)
        encoded = json.dumps(head).encode()
        answers.write(len(encoded).to_bytes(4, "little") + encoded)
        for block in columns.blocks():
            answers.write(block)
        answers.flush()


async def main() -> None:
    """Serve commands from standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: Lifeline(reader), sys.stdin)
    # A collection in the middle of a slice would show as a stall of the server; they run between slices.
    gc.disable()
    gc.freeze()
    await Client().serve(reader, sys.stdout.buffer)


if __name__ == "__main__":
    uvloop.run(main())
