"""A witness to when a processor was away: python -m shared.lab.validity.witness CORE, or any core without a number.

A process that sleeps a millisecond over and over, pinned to one processor, and notes when it woke up late. When the
hypervisor gives the processor to another machine, or another program holds it, the witness is late as the load client
or the server beside it is. When one of these is slow by its own doing the witness is not, or by a time slice of a few
milliseconds at most: a sleeper that wakes up is let in before a program that has been running.

It ends when its standard input does, and then writes the moments between which it was late to its standard output.
"""

import os
import select
import subprocess
import sys
from array import array
from contextlib import ExitStack
from time import perf_counter_ns
from types import TracebackType

import numpy as np

from shared.errors import EnvironmentFailure
from shared.lab.validity.served import Away

PERIOD_NS = 1_000_000
# Late by less than this is what waking up costs.
LEAST_LATE_NS = 200_000
END_TIMEOUT_S = 5.0


class Witness:
    """A witness process; use it as a context manager, and ask it once.

    Args:
        cores: Processors to pin it to; empty for none.
    """

    def __init__(self, cores: frozenset[int]) -> None:
        self._words = [",".join(str(core) for core in sorted(cores))] if cores else []
        self._stack = ExitStack()

    def __enter__(self) -> "Witness":
        self._process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", __name__, *self._words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        )
        self._stack.callback(self._process.kill)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def away(self) -> Away:
        """End it, and return when its processor was away.

        Raises:
            EnvironmentFailure: If it failed.
        """
        try:
            output, _ = self._process.communicate(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise EnvironmentFailure("the witness to the processors did not end") from None
        if self._process.returncode:
            raise EnvironmentFailure("the witness to the processors failed", why=f"exit {self._process.returncode}")
        moments = np.frombuffer(output, dtype=np.int64)
        return Away(moments[2::2], moments[3::2], int(moments[0]), int(moments[1]))


def watch() -> None:
    """Sleep and note until standard input ends; write begin and end, then each moment due and each of waking up."""
    late = array("q")
    began_ns = perf_counter_ns()
    ended = select.poll()
    ended.register(sys.stdin, select.POLLIN | select.POLLHUP)
    while True:
        due_ns = perf_counter_ns() + PERIOD_NS
        if ended.poll(PERIOD_NS / 1e6):
            break
        now_ns = perf_counter_ns()
        if now_ns - due_ns > LEAST_LATE_NS:
            late.extend((due_ns, now_ns))
    sys.stdout.buffer.write(array("q", (began_ns, perf_counter_ns())).tobytes() + late.tobytes())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    watch()
