"""An edition whose answers of /queries are large, and whose get_db is closed before an answer is sent, or after it.

python -m shared.lab.controls.late_close wsgi|asgi before|after BYTES

`before` is the edition as it stands. `after` is what FastAPI does with a dependency that yields: what stands behind the
yield, the commit included, runs when the answer has been sent. BYTES of white space, which JSON allows at its end, make
an answer larger than what the kernel takes from the server in advance. All is put in place before the edition's
application is imported by its server.
"""

import importlib
import sys
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AsyncExitStack
from contextlib import ExitStack
from contextlib import asynccontextmanager
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from shared import answers
from shared.config import Edition
from shared.config import Settings
from shared.contract import Endpoint
from shared.serving import main

PADDED = "queries"

# What is left to be closed when the answer of the request that runs has been sent.
_threads: ContextVar[ExitStack | None] = ContextVar("threads", default=None)
_tasks: ContextVar[AsyncExitStack | None] = ContextVar("tasks", default=None)


def pad(size: int) -> None:
    """Make the answers of one endpoint larger."""
    blank = b" " * size

    class Renderer(answers.Renderer):
        """The renderer of answers, with white space behind one endpoint's."""

        def __init__(self, endpoint: Endpoint) -> None:
            super().__init__(endpoint)
            if endpoint.name == PADDED:
                to_bytes = self._to_bytes
                self._to_bytes = lambda result: to_bytes(result) + blank

    vars(answers)["Renderer"] = Renderer


class LateBody:
    """A body behind whose end what is left is closed; the server closes it when all has been sent."""

    def __init__(self, body: Any, left: ExitStack) -> None:
        self._body = body
        self._left = left

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body, and then what is left."""
        with self._left:
            close: Callable[[], None] = getattr(self._body, "close", lambda: None)
            close()


def close_threads_late() -> None:
    """Have the sync edition close get_db when the server closes the body."""
    app = importlib.import_module("wsgi_app.app")
    open_db = app.open_db

    @contextmanager
    def late(*arguments: Any) -> Iterator[Any]:
        left = _threads.get()
        assert left is not None
        with ExitStack() as own:
            session = own.enter_context(open_db(*arguments))
            yield session
            # Not reached by an exception, which is told to get_db at once.
            left.push(own.pop_all())

    call = app.Application.__call__

    def late_call(self: Any, environ: Any, start_response: Any) -> LateBody:
        left = ExitStack()
        _threads.set(left)
        return LateBody(call(self, environ, start_response), left)

    vars(app)["open_db"] = late
    app.Application.__call__ = late_call


def close_tasks_late() -> None:
    """Have the async edition close get_db when the application has handed its whole answer over."""
    app = importlib.import_module("asgi_app.app")
    open_db = app.open_db

    @asynccontextmanager
    async def late(*arguments: Any) -> AsyncIterator[Any]:
        left = _tasks.get()
        assert left is not None
        async with AsyncExitStack() as own:
            session = await own.enter_async_context(open_db(*arguments))
            yield session
            left.push_async_exit(own.pop_all())

    respond = app.Service.respond

    async def late_respond(self: Any, *arguments: Any) -> None:
        async with AsyncExitStack() as left:
            _tasks.set(left)
            await respond(self, *arguments)

    vars(app)["open_db"] = late
    app.Service.respond = late_respond


def _serve(edition: Edition, settings: Settings) -> int:
    return int(importlib.import_module(f"{edition}_app.server").serve(settings))


if __name__ == "__main__":
    chosen: Edition = "asgi" if sys.argv[1] == "asgi" else "wsgi"
    pad(int(sys.argv[3]))
    if sys.argv[2] == "after":
        (close_tasks_late if chosen == "asgi" else close_threads_late)()
    sys.exit(main(chosen, lambda settings: _serve(chosen, settings)))
