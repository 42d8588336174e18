"""One load client process as its parent sees it: started, told what to do, asked what came of it, ended."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np

from shared.errors import EnvironmentFailure
from shared.lab.load.wire import ERROR_COLUMNS
from shared.lab.load.wire import SAMPLE_COLUMNS
from shared.lab.results.record import Int64Array
from shared.lab.results.record import RequestErrors
from shared.lab.results.record import Samples
from shared.lab.results.record import UInt32Array

# Beyond a slice's own length and time-out, what the client may take to answer a command.
ANSWER_GRACE_S = 10.0
DTYPES: dict[str, type[np.int64] | type[np.uint32]] = {"q": np.int64, "I": np.uint32}


class ClientProcess:
    """A process that runs shared.lab.load.client.

    Args:
        cores: Processors to pin it to; empty for none.
    """

    def __init__(self, cores: frozenset[int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shared.lab.load.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONASYNCIODEBUG"},
            # Away from the terminal's signals: on Ctrl-C it is stopped by us, or by the end of its standard input.
            start_new_session=True,
        )
        self.pid = self._process.pid
        if cores:
            os.sched_setaffinity(self.pid, cores)

    def end(self) -> None:
        """Kill it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def tell(self, command: dict[str, object]) -> None:
        """Give it a command.

        Raises:
            EnvironmentFailure: If it has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self, expected_s: float) -> tuple[dict[str, Any], Samples, RequestErrors]:
        """Return the answer to a command, which should take so many seconds.

        Raises:
            EnvironmentFailure: If it has ended, or is late by ANSWER_GRACE_S.
        """
        deadline = time.monotonic() + expected_s + ANSWER_GRACE_S
        head: dict[str, Any] = json.loads(self._read(int.from_bytes(self._read(4, deadline), "little"), deadline))
        samples = self._columns(SAMPLE_COLUMNS, head["responses"], deadline)
        errors = self._columns(ERROR_COLUMNS, head["errors"], deadline)
        # The columns have the fields' order and types.
        return head, Samples(*samples), RequestErrors(*errors)  # type: ignore[arg-type]

    def _columns(self, codes: dict[str, str], count: int, deadline: float) -> list[Int64Array | UInt32Array]:
        dtypes = [np.dtype(DTYPES[code]) for code in codes.values()]
        return [np.frombuffer(self._read(dtype.itemsize * count, deadline), dtype=dtype) for dtype in dtypes]

    def _read(self, size: int, deadline: float) -> bytes:
        """Read exactly so many bytes of the answer."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        parts: list[bytes] = []
        while size:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise EnvironmentFailure(
                    "the load client does not answer",
                    why="it is past the slice's length, its time-outs and ten more seconds",
                    hint="look for a machine out of memory or processors, then run again",
                )
            part = os.read(descriptor, min(size, 1 << 20))
            if not part:
                raise self._ended()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _ended(self) -> EnvironmentFailure:
        code = self._process.wait()
        return EnvironmentFailure(
            f"the load client ended with exit code {code}",
            why="the reason is in its standard error above",
            hint="if there is none, look for an out-of-memory kill in the kernel's log",
        )
