"""The parent's side of the load client: start it, give it a slice to run, take its raw samples in."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
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
CONNECT_TIMEOUT_S = 5.0
DTYPES: dict[str, type[np.int64] | type[np.uint32]] = {"q": np.int64, "I": np.uint32}


@dataclass(frozen=True, slots=True, eq=False)
class ClientSlice:
    """What the client saw in one slice; the fields mean what they mean in shared.lab.results.record.Slice."""

    start_ns: int
    window_start_ns: int
    window_end_ns: int
    elapsed_s: float
    client_cpu_s: float
    reconnects: int
    samples: Samples
    errors: RequestErrors


class LoadClient:
    """One load client process, kept alive over many slices; use it as a context manager.

    Args:
        cores: Processors to pin it to; empty for none.
    """

    def __init__(self, *, cores: frozenset[int] = frozenset()) -> None:
        self._cores = cores
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id.

        Raises:
            EnvironmentFailure: If it is not running.
        """
        return self._running().pid

    def __enter__(self) -> "LoadClient":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shared.lab.load.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONASYNCIODEBUG"},
            # Away from the terminal's signals: on Ctrl-C it is stopped by us, or by the end of its standard input.
            start_new_session=True,
        )
        if self._cores:
            os.sched_setaffinity(self._process.pid, self._cores)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def prepare(self, host: str, port: int, *, connections: int, fresh: bool = False) -> list[str]:
        """Have connections open to an address before the slice that uses them.

        Args:
            host: Numeric address.
            port: Port.
            connections: How many.
            fresh: Whether to replace those that are open already.

        Returns:
            Why some could not be opened; the slice will try them again and record the errors.
        """
        head, _ = self._ask(
            {
                "command": "prepare",
                "host": host,
                "port": port,
                "connections": connections,
                "timeout_s": CONNECT_TIMEOUT_S,
                "fresh": fresh,
            },
            answer_s=CONNECT_TIMEOUT_S,
        )
        return [str(failure) for failure in head["failures"]]

    def run(
        self, host: str, port: int, request: bytes, *, ramp_s: float, window_s: float, timeout_s: float
    ) -> ClientSlice:
        """Load a prepared address for one slice, closed model, and wait for what is in flight at its end.

        Args:
            host: Numeric address, as prepared.
            port: Port, as prepared.
            request: Bytes of one whole request.
            ramp_s: Load before the measured window, in seconds.
            window_s: Measured window, in seconds.
            timeout_s: A response that takes longer, in seconds, is an error.

        Raises:
            EnvironmentFailure: If the client ended or does not answer.
        """
        head, columns = self._ask(
            {
                "command": "run",
                "host": host,
                "port": port,
                "request": request.decode("latin-1"),
                "ramp_s": ramp_s,
                "window_s": window_s,
                "timeout_s": timeout_s,
            },
            answer_s=ramp_s + window_s + 2 * timeout_s,
        )
        samples = [columns.pop(0) for _ in SAMPLE_COLUMNS]
        return ClientSlice(
            start_ns=int(head["start_ns"]),
            window_start_ns=int(head["window_start_ns"]),
            window_end_ns=int(head["window_end_ns"]),
            elapsed_s=float(head["elapsed_s"]),
            client_cpu_s=float(head["client_cpu_s"]),
            reconnects=int(head["reconnects"]),
            samples=Samples(*samples),  # type: ignore[arg-type]  # SAMPLE_COLUMNS has the fields' order and types
            errors=RequestErrors(*columns),  # type: ignore[arg-type]  # and so has ERROR_COLUMNS
        )

    def _ask(
        self, command: dict[str, object], *, answer_s: float
    ) -> tuple[dict[str, Any], list[Int64Array | UInt32Array]]:
        process = self._running()
        assert process.stdin is not None
        deadline = time.monotonic() + answer_s + ANSWER_GRACE_S
        try:
            process.stdin.write(json.dumps(command).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        head: dict[str, Any] = json.loads(self._read(int.from_bytes(self._read(4, deadline), "little"), deadline))
        columns: list[Int64Array | UInt32Array] = []
        for codes, count in ((SAMPLE_COLUMNS, head["responses"]), (ERROR_COLUMNS, head["errors"])):
            for code in codes.values():
                dtype = np.dtype(DTYPES[code])
                columns.append(np.frombuffer(self._read(dtype.itemsize * count, deadline), dtype=dtype))
        return head, columns

    def _read(self, size: int, deadline: float) -> bytes:
        """Read exactly so many bytes of the answer."""
        process = self._running()
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
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

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EnvironmentFailure("the load client is not running", hint="use it inside a with block")
        return self._process

    def _ended(self) -> EnvironmentFailure:
        code = self._running().wait()
        return EnvironmentFailure(
            f"the load client ended with exit code {code}",
            why="the reason is in its standard error above",
            hint="if there is none, look for an out-of-memory kill in the kernel's log",
        )
