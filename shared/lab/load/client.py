"""The load client, a process of its own: python -m shared.lab.load.client; shared.lab.load.driver is its other end.

It stays alive over many slices, so that a slice of half a second is not spent on starting an interpreter, and ends
when its standard input does, whatever became of its parent.
"""

import asyncio
import gc
import json
import os
import sys
from array import array
from functools import partial
from time import perf_counter_ns
from time import process_time_ns
from typing import Any
from typing import BinaryIO

import uvloop

from shared.lab.load.alarm import Alarm
from shared.lab.load.connection import Connection
from shared.lab.load.runs import REPLACE_IDLE_NS
from shared.lab.load.runs import ClosedRun
from shared.lab.load.runs import OpenRun
from shared.lab.load.runs import Run
from shared.lab.load.runs import Task
from shared.lab.load.schedule import Pattern
from shared.lab.load.schedule import due_offsets_ns
from shared.lab.load.wire import Columns

# How often responses are checked against the time-out.
TIMEOUT_CHECK_S = 0.05


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
        self._alarm = Alarm()

    async def prepare(
        self,
        *,
        host: str,
        port: int,
        indices: list[int],
        slow: list[int],
        slow_bytes_per_s: int,
        timeout_s: float,
        fresh: bool,
        opens: bool,
    ) -> list[str]:
        """Have a connection for each index, those in `slow` reading slowly, and open them if that is wanted.

        Returns:
            Why some could not be opened.
        """
        address = (host, port)
        now_ns = perf_counter_ns()
        wanted = {index: slow_bytes_per_s if index in slow else 0 for index in indices}
        kept: dict[int, Connection] = {}
        for connection in self._connections.get(address, []):
            if fresh or now_ns - connection.idle_since_ns > REPLACE_IDLE_NS:
                connection.close()
            if wanted.get(connection.index) == connection.slow_bytes_per_s:
                kept[connection.index] = connection
            else:
                connection.close()
        held = [kept.get(index) or Connection(index, address, self._tasks, pace) for index, pace in wanted.items()]
        self._connections[address] = held
        if not opens:
            return []
        opened = await asyncio.gather(*(connection.open(timeout_s) for connection in held), return_exceptions=True)
        failures = [result for result in opened if result is not None]
        for failure in failures:
            if not isinstance(failure, OSError):
                raise failure
        return [str(failure) or type(failure).__name__ for failure in failures]

    async def run(
        self,
        *,
        host: str,
        port: int,
        requests: list[str],
        pattern: dict[str, Any],
        start_ns: int,
        ramp_s: float,
        window_s: float,
        timeout_s: float,
        grace_s: float,
        member: int,
        members: int,
    ) -> tuple[dict[str, Any], Columns]:
        """Load the prepared address for one slice, and wait for what is in flight at its end.

        A start of 0 is now; others let several clients begin together.
        """
        connections = self._connections[host, port]
        finished = asyncio.get_running_loop().create_future()
        drawn = Pattern(**{**pattern, "weights": tuple(pattern["weights"])})
        # Drawn before the clock starts, as requests are encoded before: either takes a while where there are many.
        offsets_ns = None
        if drawn.rate is not None:
            offsets_ns = due_offsets_ns(
                drawn.rate,
                ramp_s + window_s,
                is_constant=drawn.is_constant,
                seed=drawn.seed,
                member=member,
                members=members,
            )
        encoded = [text.encode("latin-1") for text in requests]
        gc.collect()
        await asyncio.sleep(max(0.0, (start_ns - perf_counter_ns()) / 1e9))
        cpu_ns = process_time_ns()
        start_ns = start_ns or perf_counter_ns()
        window_start_ns = start_ns + int(ramp_s * 1e9)
        end_ns = window_start_ns + int(window_s * 1e9)
        task = Task(encoded, drawn, start_ns, end_ns, timeout_s, grace_s)
        finish = partial(finished.set_result, None)
        run: Run = ClosedRun(task, connections, self._alarm, finish)
        if offsets_ns is not None:
            due_ns = array("q", [start_ns + offset for offset in offsets_ns])
            run = OpenRun(task, connections, self._alarm, finish, due_ns=due_ns)
        run.begin()
        while not finished.done():
            await asyncio.wait((finished,), timeout=TIMEOUT_CHECK_S)
            now_ns = perf_counter_ns()
            for connection in connections:
                connection.check_timeout(now_ns)
        self._alarm.clear()
        head = {
            "start_ns": start_ns,
            "window_start_ns": window_start_ns,
            "window_end_ns": end_ns,
            "elapsed_s": (perf_counter_ns() - start_ns) / 1e9,
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
