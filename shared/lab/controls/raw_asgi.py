"""The limit for the ASGI edition: a bare ASGI callable on raw asyncpg, under the edition's own server.

DATABASE_URL is a libpq URI, POOL_SIZE the number of connections. A read is one round trip: there is no transaction
around it, and a connection is not reset on its way back to the pool, because nothing here changes its state.
"""

import os
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from typing import Any

import asyncpg

from shared.lab.controls import world

SELECT_ONE = "SELECT id, randomnumber FROM world WHERE id = $1"
UPDATE_ALL = (
    "UPDATE world SET randomnumber = v.number FROM unnest($1::int[], $2::int[]) AS v(id, number) WHERE world.id = v.id"
)
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
DEFAULT_POOL_SIZE = 10

Message = MutableMapping[str, Any]


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection that is handed on as it is."""

    __slots__ = ()

    def get_reset_query(self) -> str:
        """Return nothing to run; the default is a round trip per checkout."""
        return ""


_pools: list[Any] = []


async def _open_pool() -> None:
    size = int(os.environ.get("POOL_SIZE", DEFAULT_POOL_SIZE))
    pool = await asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=size, max_size=size, connection_class=_Connection
    )
    _pools.append(pool)


async def _plaintext(_query: str) -> tuple[str, bytes]:
    return world.TEXT, b"Hello, World!"


async def _json(_query: str) -> tuple[str, bytes]:
    return world.JSON, world.hello()


async def _db(_query: str) -> tuple[str, bytes]:
    async with _pools[0].acquire() as connection:
        found = await connection.fetchrow(SELECT_ONE, world.random_id())
    return world.JSON, world.row((found[0], found[1]))


async def _queries(query: str) -> tuple[str, bytes]:
    found = []
    async with _pools[0].acquire() as connection:
        for _ in range(world.queries(query)):
            record = await connection.fetchrow(SELECT_ONE, world.random_id())
            found.append((record[0], record[1]))
    return world.JSON, world.rows(found)


async def _updates(query: str) -> tuple[str, bytes]:
    ids = world.distinct_ids(world.queries(query))
    numbers = [world.random_id() for _ in ids]
    async with _pools[0].acquire() as connection:
        await connection.execute(BEGIN)
        try:
            for number in ids:
                await connection.fetchrow(SELECT_ONE + " FOR UPDATE", number)
            await connection.execute(UPDATE_ALL, ids, numbers)
            await connection.execute("COMMIT")
        except BaseException:
            connection.terminate()
            raise
    return world.JSON, world.rows(list(zip(ids, numbers, strict=True)))


async def _fortunes(_query: str) -> tuple[str, bytes]:
    async with _pools[0].acquire() as connection:
        found = await connection.fetch(world.SELECT_FORTUNES)
    return world.HTML, world.fortunes([(record[0], record[1]) for record in found])


ROUTES: dict[str, Callable[[str], Awaitable[tuple[str, bytes]]]] = {
    "/livez": _plaintext,
    "/plaintext": _plaintext,
    "/json": _json,
    "/db": _db,
    "/queries": _queries,
    "/updates": _updates,
    "/fortunes": _fortunes,
}


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer one request, or follow the server's start and stop."""
    if scope["type"] == "lifespan":
        await _follow(receive, send)
        return
    answer = ROUTES.get(scope["path"])
    if answer is None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    content_type, body = await answer(scope["query_string"].decode())
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _follow(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await _open_pool()
            await send({"type": "lifespan.startup.complete"})
        else:
            await _pools.pop().close()
            await send({"type": "lifespan.shutdown.complete"})
            return
