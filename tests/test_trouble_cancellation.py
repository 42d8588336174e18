"""A request's task cancelled at its first wait, at its second, and so on to its last: the pool is whole each time."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Coroutine
from collections.abc import Generator
from contextlib import asynccontextmanager
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Message

from asgi_app.app import Application
from asgi_app.app import Service

from .cluster import rows
from .cluster import sessions

# More waits than any of the requests below has.
MOST_WAITS = 500
CHANGED = "SELECT sum(id * randomnumber), sum(xmin::text::bigint) FROM world"


class CancelledAt:
    """Awaits a coroutine, and cancels the task when it waits for the k-th time, and at some waits after that one."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], k: int, times: int) -> None:
        self._coroutine = coroutine
        self._due = range(k, k + times)
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._coroutine.__await__()
        error: BaseException | None = None
        while True:
            try:
                waited_for = next(steps) if error is None else steps.throw(error)
            except StopIteration:
                return
            self.waits += 1
            task = asyncio.current_task()
            if self.waits in self._due and task is not None:
                task.cancel()
            error = None
            try:
                yield waited_for
            except BaseException as raised:
                error = raised


class Client:
    """The server's side of the application: one request at a time, no sockets."""

    def __init__(self, app: Application, service: Service) -> None:
        self._app = app
        self.service = service

    async def _request(self, path: str, noted: list[int], note: Callable[[], int] | None = None) -> None:
        """Get a path; note the answer's status, or what else there is to note when the answer begins."""

        async def receive() -> Message:
            await asyncio.sleep(3_600)
            raise AssertionError("the client stays")

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                noted.append(note() if note else message["status"])
            # A place to be cancelled at, as in a server whose client reads slowly.
            await asyncio.sleep(0)

        target, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": "GET",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "http_version": "1.1",
            "headers": [(b"host", b"test")],
        }
        await self._app(scope, receive, send)

    async def status(self, path: str) -> int:
        """Get a path; return the answer's status."""
        statuses: list[int] = []
        await self._request(path, statuses)
        return statuses[0]

    async def cancel_at(self, path: str, k: int, times: int) -> bool:
        """Get a path and cancel at the k-th wait and after; tell whether there was one."""
        steps = CancelledAt(self._request(path, []), k, times)

        async def run() -> None:
            await steps

        task = asyncio.create_task(run())
        with suppress(asyncio.CancelledError):
            await task
        return steps.waits >= k

    async def waits_before_answer(self, path: str) -> int:
        """Get a path; return how often it waits until its answer begins."""
        seen: list[int] = []
        steps = CancelledAt(self._request(path, seen, lambda: steps.waits), 0, 0)
        await steps
        return seen[0]


@asynccontextmanager
async def serving() -> AsyncIterator[Client]:
    """Run the application's lifespan, as a server does."""
    app = Application()
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    assert app.service is not None
    yield Client(app, app.service)
    await to_app.put({"type": "lifespan.shutdown"})
    await lifespan


async def cancel_at_every_wait(path: str, url: str, *, is_cold: bool, times: int) -> int:
    """Cancel at each wait of a request; return how many there were."""
    async with serving() as client:
        database = client.service.database
        assert await client.status(path) == 200
        for k in range(1, MOST_WAITS):
            if is_cold:
                await database.engine.dispose()
            if not await client.cancel_at(path, k, times):
                break
            # Whoever is cancelled while finishing leaves the rest to a task of its own, as a probe always does.
            for _ in range(200 if times > 1 or path == "/health/db" else 0):
                if database.pool().checked_out:
                    await asyncio.sleep(0.02)
            seen = database.pool()
            assert (seen.checked_out, seen.waiting) == (0, 0), f"cancelled at wait {k}"
            assert sessions(url, "asgi", "idle in transaction%") == 0, f"cancelled at wait {k}"
            assert await client.status("/updates?queries=1") == 200, f"cancelled at wait {k}"
            assert database.pool().checked_out == 0
        else:
            raise AssertionError(f"still waiting after {MOST_WAITS} times")
        assert sessions(url, "asgi") <= database.pool().size
    return k - 1


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "connecting"])
@pytest.mark.parametrize(
    ("path", "fewest_waits"),
    [("/db", 1), ("/sleep?seconds=0.01", 1), ("/updates?queries=3", 4), ("/stream?rows=3000", 6), ("/health/db", 1)],
)
def test_request_cancelled_at_any_wait_leaves_the_pool_whole(
    new_database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
    fewest_waits: int,
    is_cold: bool,
    times: int,
) -> None:
    """One connection only: the first that leaks makes the next request fail."""
    for key, value in (("DATABASE_URL", new_database), ("POOL_SIZE", "1"), ("POOL_TIMEOUT", "1.5")):
        monkeypatch.setenv(key, value)
    with caplog.at_level(logging.WARNING):
        waits = asyncio.run(cancel_at_every_wait(path, new_database, is_cold=is_cold, times=times))
        gc.collect()
    assert waits >= fewest_waits
    assert caplog.records == []


async def cancel_while_committing(url: str) -> None:
    """Cancel at the last wait before the answer."""
    path = "/updates?queries=500"
    async with serving() as client:
        database = client.service.database
        for _ in range(10):
            assert await client.status(path) == 200
            waits = await client.waits_before_answer(path)
            before = rows(url, CHANGED)
            connects = database.pool().totals.connects
            assert await client.cancel_at(path, waits, 1)
            assert rows(url, CHANGED) != before
            assert await client.status("/db") == 200
            assert database.pool().totals.connects == connects


def test_commit_that_was_sent_is_not_cancelled(new_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored, and the connection is kept: a commit that is broken off ends it."""
    monkeypatch.setenv("DATABASE_URL", new_database)
    asyncio.run(cancel_while_committing(new_database))
