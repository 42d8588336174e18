"""What waiting means in this edition: tasks of one event loop."""

import asyncio
from collections.abc import AsyncGenerator
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Coroutine
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from typing import Generic
from typing import TypeVar
from typing import cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.asyncio import AsyncSession

from shared.config import Edition
from shared.session import CoreSession

T = TypeVar("T")

EDITION: Edition = "asgi"

# What is finished against a cancellation is finished within this many seconds, or given up.
FINISH_TIMEOUT_S = 2.0

Lock = asyncio.Lock

# Tasks that were given up and have not ended yet: the event loop itself holds tasks only weakly.
_late: set["asyncio.Future[Any]"] = set()
Chunks = AsyncIterator[bytes]


class Session(AsyncSession):
    """The session of this edition; inside is the same one as in the other."""

    sync_session_class = CoreSession


class Around(Generic[T]):
    """A generator that yields once, as a context manager.

    As contextlib makes one, but for the checks of generators that are not: those cost 4 % of a request for one row.

    Args:
        generator: What happens before, and after.
    """

    __slots__ = ("_generator",)

    def __init__(self, generator: AsyncIterator[T]) -> None:
        # As contextlib does: functions with a yield in them are annotated with the lesser type.
        self._generator = cast("AsyncGenerator[T, None]", generator)

    async def __aenter__(self) -> T:
        return await anext(self._generator)

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            with suppress(StopAsyncIteration):
                await anext(self._generator)
            return
        try:
            await self._generator.athrow(error)
        except BaseException as raised:
            # The same error goes on by itself, without the lines it passed here.
            if raised is not error:
                raise
            error.__traceback__ = traceback


async def pause(seconds: float) -> None:
    """Wait without using the processor; everything else goes on."""
    await asyncio.sleep(seconds)


async def within(seconds: float, function: Callable[[], Awaitable[T]]) -> T:
    """Return a function's result if it comes in time; a late one is cancelled, and its end is not waited for.

    A driver may take seconds to give up a query that it asked the server to cancel.

    Raises:
        TimeoutError: If there is no result within `seconds`.
    """
    task = asyncio.ensure_future(function())
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            _late.add(task)
            task.add_done_callback(_forget)
    if task in _late:
        raise TimeoutError
    return task.result()


async def sample_lag(every_s: float, book: Callable[[float], None]) -> None:
    """Book again and again how late the event loop runs a callback that was due; until cancelled.

    uvloop's timers count whole milliseconds, so less than one says nothing.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        book(max(0.0, loop.time() - due))


async def again_and_again(every_s: float, function: Callable[[], None]) -> None:
    """Call a function again and again, until cancelled.

    Args:
        every_s: Seconds between two calls, at the least.
        function: What is called.
    """
    while True:
        function()
        await asyncio.sleep(every_s)


def _forget(task: "asyncio.Future[Any]") -> None:
    _late.discard(task)
    if not task.cancelled():
        # Retrieved, so that a failure is not reported as one that nobody has seen.
        task.exception()


async def finish(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a function to its end, also when the caller is cancelled meanwhile; then the cancellation goes on."""
    task = asyncio.create_task(function())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FINISH_TIMEOUT_S
        while not task.done() and loop.time() < deadline:
            # Whoever cancels may do so again; a session must not be used while this task still uses it.
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=deadline - loop.time())
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            # Retrieved, so that a failure is not reported as one that nobody has seen.
            task.exception()
        raise


async def release(session: Session) -> None:
    """Close a session that has nothing left to tell the server: without the greenlet that waiting would need.

    A connection beyond the pool's size is closed on its return, and that waits for the server.
    """
    engine: Any = session.sync_session.bind
    if engine.pool.overflow() > 0:
        await finish(session.close)
    else:
        session.sync_session.close()


async def run_sync(connection: AsyncConnection, function: Callable[[Connection], T]) -> T:
    """Run a function of a connection."""
    return await connection.run_sync(function)


async def each(items: Iterable[T]) -> AsyncIterator[T]:
    """Iterate over what is there already, letting other tasks run in between."""
    for item in items:
        yield item
        await asyncio.sleep(0)
