"""What a variant of an edition changes in the running program, one function for each factor that no setting reaches.

Everything is put in place before the edition's application is imported, by names that the edition looks up later, so
that the edition itself knows nothing of it. Editions and servers are named as text: the lab imports none of them.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import await_only

from shared import answers
from shared import contract
from shared import engine
from shared import serialization
from shared.config import Edition
from shared.contract import Endpoint
from shared.pool import pool_class as edition_pool

Dump = Callable[[Any], bytes]


def server_options(edition: Edition, changed: dict[str, Any]) -> None:
    """Change options that an edition gives its own server."""
    module = import_module(f"{edition}_app.server")
    original = module.options
    vars(module)["options"] = lambda settings: {**original(settings), **changed}


class OneUse(QueuePool):
    """A pool of places instead of connections: each request connects anew, never more of them than POOL_SIZE at once.

    SQLAlchemy's NullPool has no such bound; a variant under it would be given more connections than the edition.
    """

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        record.invalidate()
        super()._do_return_conn(record)


def no_pool() -> None:
    """Have each request open a connection and close it."""

    def pool_class(edition: Edition, *, is_tracing: bool) -> type[QueuePool]:
        return type("OneUsePool", (OneUse, edition_pool(edition, is_tracing=is_tracing)), {})

    vars(engine)["pool_class"] = pool_class


def serializer(name: str) -> None:
    """Make the bytes of JSON answers with orjson or the standard library, from what pydantic has validated."""
    dump = DUMPS[name]()

    class Renderer(answers.Renderer):
        """The renderer of answers with another serializer; a page, and text, are no JSON."""

        def __init__(self, endpoint: Endpoint) -> None:
            super().__init__(endpoint)
            if endpoint.render is None:
                self._to_bytes = dump

    vars(answers)["Renderer"] = Renderer
    vars(serialization)["to_json"] = dump


def _orjson() -> Dump:
    import orjson

    return partial(orjson.dumps, default=_as_plain)


def _json() -> Dump:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_as_plain).encode
    return lambda value: encode(value).encode()


DUMPS: dict[str, Callable[[], Dump]] = {"orjson": _orjson, "json": _json}


def _as_plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not serialised")


def one_greenlet() -> None:
    """Run each endpoint of the ASGI edition that has a session as one unit of sync code, its twin's, in one greenlet.

    The session is opened, committed and released as ever. Streams are left as they are: they hand over while they read.
    """
    twins = import_module("wsgi_app.endpoints")
    # A pause of the twin would hold up the event loop.
    vars(twins)["pause"] = lambda seconds: await_only(asyncio.sleep(seconds))
    endpoints = vars(import_module("asgi_app.endpoints"))
    for endpoint in contract.endpoints(lab=True, trace=False):
        if endpoint.needs == "session" and not endpoint.streams:
            endpoints[endpoint.name] = _as_unit(getattr(twins, endpoint.name))


def _as_unit(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def run(session: Any, parameters: Any) -> Any:
        return await session.run_sync(function, parameters)

    return run
