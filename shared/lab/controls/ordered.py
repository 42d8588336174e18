"""An edition that writes down when each part of its stack comes and goes; everything else is the edition as it stands.

python -m shared.lab.controls.ordered wsgi|asgi

WATCHED_ORDER_FILE names the file, to which every process of the service appends a line for each beginning and end
(`shared.lab.watch.order`). All is put in place before the edition's application is imported.
"""

import importlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from functools import wraps
from time import monotonic_ns
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from shared import engine as edition_engine
from shared import pool as edition_pool
from shared import session as edition_session
from shared.config import Edition
from shared.lab.watch.order import Edge
from shared.lab.watch.order import Moment
from shared.lab.watch.order import Part

ORDER_KEY = "WATCHED_ORDER_FILE"
# The header by which a request names itself, as PEP 3333 and as ASGI have it.
WSGI_NAME = "HTTP_X_WATCH"
ASGI_NAME = b"x-watch"

request_name: ContextVar[str] = ContextVar("request_name", default="")


@lru_cache(maxsize=1)
def _descriptor(process: int) -> int:
    """Return this process's own descriptor of the file; appending single lines is atomic."""
    return os.open(os.environ[ORDER_KEY], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def write(part: Part, edge: Edge) -> None:
    """Write a moment down, as of now."""
    found = Moment(part, edge, monotonic_ns(), os.getpid(), request_name.get())
    os.write(_descriptor(found.process), found.line().encode())


def _spanned(part: Part, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that writes down when it begins and when it ends."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def waited_for(*arguments: Any, **named: Any) -> Any:
            write(part, "begin")
            try:
                return await function(*arguments, **named)
            finally:
                write(part, "end")

        return waited_for

    @wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        write(part, "begin")
        try:
            return function(*arguments, **named)
        finally:
            write(part, "end")

    return called


def _watch_sessions(database_type: Any) -> None:
    """Have a session write down when it is opened and when it has been closed."""
    open_session, close = database_type.open_session, edition_session.CoreSession.close

    def opened(self: Any) -> Any:
        write("session", "begin")
        return open_session(self)

    def closed(self: Any) -> None:
        write("close", "begin")
        close(self)
        write("close", "end")
        write("session", "end")

    database_type.open_session = opened
    type.__setattr__(edition_session.CoreSession, "close", closed)


def _watch_connections() -> None:
    """Have every pool and every engine write down connections, from connecting to disconnecting, and statements."""
    event.listen(Engine, "do_connect", lambda *_: write("connection", "begin"))
    event.listen(Pool, "checkout", lambda *_: write("checkout", "begin"))
    event.listen(Pool, "checkin", lambda *_: write("checkout", "end"))
    event.listen(Pool, "close", lambda *_: write("connection", "end"))
    event.listen(Engine, "before_cursor_execute", lambda *_: write("statement", "begin"))
    event.listen(Engine, "after_cursor_execute", lambda *_: write("statement", "end"))


def _watch_requests(edition: Edition, application: type[Any]) -> None:
    original: Callable[..., Any] = application.__call__

    def call_wsgi(self: Any, environ: Any, start_response: Any) -> Any:
        request_name.set(environ.get(WSGI_NAME, ""))
        write("request", "begin")
        try:
            return original(self, environ, start_response)
        finally:
            write("request", "end")

    async def call_asgi(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await original(self, scope, receive, send)
            return
        request_name.set(dict(scope["headers"]).get(ASGI_NAME, b"").decode("latin-1"))
        write("request", "begin")
        try:
            await original(self, scope, receive, send)
        finally:
            write("request", "end")

    application.__call__ = call_wsgi if edition == "wsgi" else call_asgi


def apply(edition: Edition) -> None:
    """Put everything in place, before the edition's application is imported."""
    vars(edition_engine)["engine_url"] = _spanned("url", edition_engine.engine_url)
    database: Any = importlib.import_module(f"{edition}_app.database")
    maker = "create_engine" if edition == "wsgi" else "create_async_engine"
    vars(database)[maker] = _spanned("engine", vars(database)[maker])
    database.Database.dispose = _spanned("dispose", database.Database.dispose)
    type.__setattr__(
        vars(edition_pool)["_Measured"], "__init__", _spanned("pool", vars(edition_pool)["_Measured"].__init__)
    )
    _watch_sessions(database.Database)
    _watch_connections()
    _watch_requests(edition, importlib.import_module(f"{edition}_app.app").Application)


# Worker processes that are spawned import this module by the second name, with the same arguments.
if __name__ in ("__main__", "__mp_main__"):
    apply("asgi" if sys.argv[1] == "asgi" else "wsgi")
    if __name__ == "__main__":
        runpy.run_module(f"{sys.argv[1]}_app", run_name="__main__")
