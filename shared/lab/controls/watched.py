"""An edition whose pool writes down what it does; everything else is the edition as it stands.

python -m shared.lab.controls.watched wsgi|asgi

WATCHED_EVENTS_FILE names the file, to which every process of the service appends a line for each event
(`shared.lab.watch.events`). All is put in place before the edition's application is imported.
"""

import asyncio
import importlib
import os
import runpy
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from time import monotonic_ns
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolWaitTimeout
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool import Pool
from sqlalchemy.pool import QueuePool

from shared import pool as edition_pool
from shared.config import Edition
from shared.lab.watch.events import Kind
from shared.lab.watch.events import PoolEvent

EVENTS_KEY = "WATCHED_EVENTS_FILE"
# The header by which a request names itself, as PEP 3333 and as ASGI have it.
WSGI_NAME = "HTTP_X_WATCH"
ASGI_NAME = b"x-watch"

request_name: ContextVar[str] = ContextVar("request_name", default="")
# Where a wait for a connection leaves how long it was, for the checkout that follows it in the same thread or task.
waited_ns: ContextVar[int] = ContextVar("waited_ns", default=0)


@lru_cache(maxsize=1)
def _descriptor(process: int) -> int:
    """Return this process's own descriptor of the file; appending single lines is atomic."""
    return os.open(os.environ[EVENTS_KEY], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def write(kind: Kind, *, backend_pid: int = 0, waited: int = 0) -> None:
    """Write an event down, as of now."""
    found = PoolEvent(kind, monotonic_ns(), os.getpid(), _worker(), request_name.get(), backend_pid, waited)
    os.write(_descriptor(found.process), found.line().encode())


def _worker() -> str:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return threading.current_thread().name
    return threading.current_thread().name if task is None else task.get_name()


def _backend_pid(record: ConnectionPoolEntry) -> int:
    pid = record.info.get("backend_pid")
    return 0 if pid is None else int(pid)


def _driver_pid(driver_connection: Any) -> int:
    """Return the pid of the database's process behind a connection, as its driver knows it."""
    for name in ("get_backend_pid", "get_server_pid", "thread_id"):
        if hasattr(driver_connection, name):
            return int(getattr(driver_connection, name)())
    return int(driver_connection.info.backend_pid)


def watch(pool: Pool) -> None:
    """Have a pool write down what it does."""

    def connected(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["backend_pid"] = pid = _driver_pid(record.driver_connection)
        write("connect", backend_pid=pid)

    def checked_out(dbapi_connection: Any, record: ConnectionPoolEntry, fairy: Any) -> None:
        write("checkout", backend_pid=_backend_pid(record), waited=waited_ns.get())
        waited_ns.set(0)

    def checked_in(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        write("checkin", backend_pid=_backend_pid(record))

    def invalidated(dbapi_connection: Any, record: ConnectionPoolEntry, error: Any) -> None:
        write("invalidate", backend_pid=_backend_pid(record))

    def closed(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        write("close", backend_pid=_backend_pid(record))

    event.listen(pool, "connect", connected)
    event.listen(pool, "checkout", checked_out)
    event.listen(pool, "checkin", checked_in)
    event.listen(pool, "invalidate", invalidated)
    event.listen(pool, "close", closed)


def _time_waits(kind: type[QueuePool]) -> None:
    """Have an edition's pool leave how long a wait was; SQLAlchemy has no event for it."""
    original: Callable[[Any], ConnectionPoolEntry] = vars(kind)["_wait"]

    def wait(self: Any) -> ConnectionPoolEntry:
        began_ns = monotonic_ns()
        try:
            record = original(self)
        except PoolWaitTimeout:
            write("timeout", waited=monotonic_ns() - began_ns)
            raise
        waited_ns.set(monotonic_ns() - began_ns)
        return record

    type.__setattr__(kind, "_wait", wait)


def _name_requests(edition: Edition, application: type[Any]) -> None:
    """Have every request leave its name where events find it."""
    original: Callable[..., Any] = application.__call__

    def call_wsgi(self: Any, environ: Any, start_response: Any) -> Any:
        request_name.set(environ.get(WSGI_NAME, ""))
        return original(self, environ, start_response)

    async def call_asgi(self: Any, scope: Any, receive: Any, send: Any) -> None:
        fields = dict(scope.get("headers", ()))
        request_name.set(fields.get(ASGI_NAME, b"").decode("latin-1"))
        await original(self, scope, receive, send)

    application.__call__ = call_wsgi if edition == "wsgi" else call_asgi


def apply(edition: Edition) -> None:
    """Put everything in place, before the edition's application is imported."""
    measure = edition_pool.measure

    def watched(pool: Pool, statistics: Any) -> None:
        measure(pool, statistics)
        watch(pool)

    vars(edition_pool)["measure"] = watched
    _time_waits(vars(edition_pool)["_Measured"])
    _name_requests(edition, importlib.import_module(f"{edition}_app.app").Application)


# Worker processes that are spawned import this module by the second name, with the same arguments.
if __name__ in ("__main__", "__mp_main__"):
    apply("asgi" if sys.argv[1] == "asgi" else "wsgi")
    if __name__ == "__main__":
        runpy.run_module(f"{sys.argv[1]}_app", run_name="__main__")
