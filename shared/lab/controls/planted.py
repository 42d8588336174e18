"""An edition with more work in every request, of a known amount: differences that an instrument must find.

python -m shared.lab.controls.planted wsgi|asgi EXTRA_NS

Every request burns so many nanoseconds of CPU time, then goes to the edition as it stands. With 0 it takes the same way
and burns nothing, which makes it the baseline. The work is a counted loop. How long a step takes is timed by the
thread's CPU clock again and again, while requests are served: a processor that shares its core with another is slower
as soon as that one is loaded, too, and a loop that was timed before would be longer than was asked for.
"""

import importlib
import runpy
import sys
from collections import deque
from collections.abc import Callable
from itertools import repeat
from statistics import fmean
from time import thread_time_ns
from typing import Any

# A tenth of a millisecond or so: long for the clock, which costs up to a microsecond, and short for a request.
TIMED_STEPS = 10_000
# Requests between two timings, which then cost each about a microsecond, the baseline's too.
TIMED_EVERY = 128
# The mean of so many counts: interruptions are on a process's account, so the work's own are part of what it costs.
KEPT_TIMINGS = 32


def burn(steps: int) -> None:
    """Do so many steps of work that has no effect."""
    for _ in repeat(None, steps):
        pass


class Work:
    """So much CPU time, to be burnt again and again; for all threads of a process.

    Args:
        extra_ns: Nanoseconds of CPU time to burn in each request.

    Attributes:
        steps: How many steps take that long, as last timed.
    """

    def __init__(self, extra_ns: float) -> None:
        self._extra_ns = extra_ns
        self._timings: deque[int] = deque(maxlen=KEPT_TIMINGS)
        self._requests = 0
        for _ in range(KEPT_TIMINGS):
            self.time()

    def time(self) -> None:
        """Time the loop, as fast as the processor is now."""
        before = thread_time_ns()
        burn(TIMED_STEPS)
        self._timings.append(thread_time_ns() - before)
        self.steps = round(self._extra_ns * TIMED_STEPS / fmean(tuple(self._timings)))

    def do(self) -> None:
        """Burn what one request burns."""
        self._requests += 1
        if self._requests % TIMED_EVERY == 0:
            self.time()
        burn(self.steps)


def plant_wsgi(application: type[Any], work: Work) -> None:
    """Have every request of a PEP 3333 application burn."""
    original: Callable[..., Any] = application.__call__

    def call(self: Any, environ: Any, start_response: Any) -> Any:
        work.do()
        return original(self, environ, start_response)

    application.__call__ = call


def plant_asgi(application: type[Any], work: Work) -> None:
    """Have every request of an ASGI application burn."""
    original: Callable[..., Any] = application.__call__

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            work.do()
        await original(self, scope, receive, send)

    application.__call__ = call


PLANT = {"wsgi": plant_wsgi, "asgi": plant_asgi}


def main(edition: str, extra_ns: float) -> None:
    """Serve an edition with so much more CPU time in every request."""
    application = type(importlib.import_module(f"{edition}_app.app").app)
    PLANT[edition](application, Work(extra_ns))
    runpy.run_module(f"{edition}_app", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
