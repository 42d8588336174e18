"""An edition whose handlers answer in a wrong shape where a request asks for it; everything else is as it stands.

python -m shared.lab.controls.misshapen wsgi|asgi

A request with the header X-Misshape gets its handler's own result, bent as the header says
(`shared.lab.claims.shapes`). The functions in the edition's `endpoints` are replaced before its server starts;
validation, session, rendering and server are the edition's own. With WATCHED_EVENTS_FILE the pool writes down what it
does, as `watched` does.
"""

import importlib
import runpy
import sys
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterator
from contextvars import ContextVar
from functools import wraps
from typing import Any

from shared import contract
from shared.config import Edition
from shared.lab.claims.shapes import bent
from shared.lab.controls import watched

WSGI_NAME = "HTTP_X_MISSHAPE"
ASGI_NAME = b"x-misshape"

asked: ContextVar[str] = ContextVar("asked", default="")


def _bent_wsgi(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(argument: Any, parameters: Any) -> Any:
        return bent(function(argument, parameters), asked.get())

    return call


def _bent_asgi(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(argument: Any, parameters: Any) -> Any:
        return bent(await function(argument, parameters), asked.get())

    return call


def _bent_stream_wsgi(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(argument: Any, parameters: Any) -> Iterator[Any]:
        for chunk in function(argument, parameters):
            yield bent(chunk, asked.get())

    return call


def _bent_stream_asgi(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(argument: Any, parameters: Any) -> AsyncIterator[Any]:
        async for chunk in function(argument, parameters):
            yield bent(chunk, asked.get())

    return call


def _hear(edition: Edition, application: type[Any]) -> None:
    """Have every request leave what it asks for where its handler finds it."""
    original: Callable[..., Any] = application.__call__

    def call_wsgi(self: Any, environ: Any, start_response: Any) -> Any:
        asked.set(environ.get(WSGI_NAME, ""))
        return original(self, environ, start_response)

    async def call_asgi(self: Any, scope: Any, receive: Any, send: Any) -> None:
        asked.set(dict(scope.get("headers", ())).get(ASGI_NAME, b"").decode("latin-1"))
        await original(self, scope, receive, send)

    application.__call__ = call_wsgi if edition == "wsgi" else call_asgi


def apply(edition: Edition) -> None:
    """Put everything in place, before the edition's server starts."""
    watched.apply(edition)
    endpoints: Any = importlib.import_module(f"{edition}_app.endpoints")
    whole, streamed = (_bent_wsgi, _bent_stream_wsgi) if edition == "wsgi" else (_bent_asgi, _bent_stream_asgi)
    for endpoint in contract.CONTRACT:
        function = getattr(endpoints, endpoint.name)
        setattr(endpoints, endpoint.name, (streamed if endpoint.streams else whole)(function))
    _hear(edition, importlib.import_module(f"{edition}_app.app").Application)


if __name__ in ("__main__", "__mp_main__"):
    apply("asgi" if sys.argv[1] == "asgi" else "wsgi")
    if __name__ == "__main__":
        runpy.run_module(f"{sys.argv[1]}_app", run_name="__main__")
