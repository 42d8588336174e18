"""An edition with more work in every request, of a known amount: differences that an instrument must find.

python -m shared.lab.controls.planted wsgi|asgi EXTRA_NS

Every request burns so many nanoseconds of CPU time, then goes to the edition as it stands. With 0 it takes the same way
and burns nothing, which makes it the baseline. The work is a counted loop, timed once at the start by the thread's CPU
clock: a machine that becomes slower later slows the loop and the edition alike, so that their ratio stays.
"""

import importlib
import runpy
import sys
from collections.abc import Callable
from itertools import repeat
from time import thread_time_ns
from typing import Any

# Long enough for the clock, repeated so that one interruption does not count.
TIMED_STEPS = 200_000
TIMINGS = 9


def burn(steps: int) -> None:
    """Do so many steps of work that has no effect."""
    for _ in repeat(None, steps):
        pass


def steps_for(extra_ns: float) -> int:
    """Return how many steps take so many nanoseconds of CPU time here."""
    if not extra_ns:
        return 0
    timings = []
    for _ in range(TIMINGS):
        before = thread_time_ns()
        burn(TIMED_STEPS)
        timings.append(thread_time_ns() - before)
    return round(extra_ns * TIMED_STEPS / sorted(timings)[TIMINGS // 2])


def plant_wsgi(application: type[Any], steps: int) -> None:
    """Have every request of a PEP 3333 application burn."""
    original: Callable[..., Any] = application.__call__

    def call(self: Any, environ: Any, start_response: Any) -> Any:
        burn(steps)
        return original(self, environ, start_response)

    application.__call__ = call


def plant_asgi(application: type[Any], steps: int) -> None:
    """Have every request of an ASGI application burn."""
    original: Callable[..., Any] = application.__call__

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            burn(steps)
        await original(self, scope, receive, send)

    application.__call__ = call


PLANT = {"wsgi": plant_wsgi, "asgi": plant_asgi}


def main(edition: str, extra_ns: float) -> None:
    """Serve an edition with so much more CPU time in every request."""
    application = type(importlib.import_module(f"{edition}_app.app").app)
    PLANT[edition](application, steps_for(extra_ns))
    runpy.run_module(f"{edition}_app", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
