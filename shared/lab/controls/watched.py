"""An edition whose pool writes down what it does; everything else is the edition as it stands.

python -m shared.lab.controls.watched wsgi|asgi

WATCHED_EVENTS_FILE names the file, to which every process of the service appends a line for each event
(`shared.lab.watch.events`), as it happens: what a process that is killed has done is in it. All is put in place before
the edition's application is imported.

Connections are noted where the driver has made them and where it closes them, so that one that is never handed out is
in the account as well.
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
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.pool import QueuePool

from shared import engine
from shared.config import Edition
from shared.lab.watch.events import Kind
from shared.lab.watch.events import PoolEvent

EVENTS_KEY = "WATCHED_EVENTS_FILE"
# The header by which a request names itself, as PEP 3333 and as ASGI have it.
WSGI_NAME = "HTTP_X_WATCH"
ASGI_NAME = b"x-watch"
# Where a pool's record keeps which session somebody has; a session that is lost meanwhile is returned by that name.
HELD = "watched_pid"

request_name: ContextVar[str] = ContextVar("request_name", default="")
# How long the checkout under way in this thread or task has waited.
waited_ns: ContextVar[int] = ContextVar("waited_ns", default=0)


@lru_cache(maxsize=1)
def _descriptor(process: int) -> int:
    """Return this process's own descriptor of the file; the kernel keeps appended lines of several writers whole."""
    return os.open(os.environ[EVENTS_KEY], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def write(kind: Kind, *, at_ns: int = 0, backend_pid: int = 0, waited: int = 0, took_ns: int = 0) -> None:
    """Write an event down, as of a moment, or of now."""
    process = os.getpid()
    found = PoolEvent(
        kind, at_ns or monotonic_ns(), process, _worker(), request_name.get(), backend_pid, waited, took_ns
    )
    os.write(_descriptor(process), found.line().encode())


def _worker() -> str:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return threading.current_thread().name
    return threading.current_thread().name if task is None else task.get_name()


def _driver_pid(connection: Any) -> int:
    """Return the pid of the database's process behind a connection, as its driver knows it."""
    connection = getattr(connection, "driver_connection", connection)
    for name in ("get_backend_pid", "get_server_pid", "thread_id"):
        if hasattr(connection, name):
            return int(getattr(connection, name)())
    return int(connection.info.backend_pid)


class Watching(QueuePool):
    """A pool that writes down what it does; put before an edition's own class."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        # By the identity of a connection, which nothing else can have while the pool or a request has it.
        self.pids: dict[int, int] = {}
        super().__init__(*arguments, **keywords)
        # A pool that is made anew when its engine is disposed of gets the listeners of the one before it.
        if "_dispatch" not in keywords:
            event.listen(self, "invalidate", self._invalidated)
            event.listen(self, "soft_invalidate", self._invalidated)

    def connect(self) -> PoolProxiedConnection:
        """Return a connection."""
        waited_ns.set(0)
        try:
            found = super().connect()
        except BaseException as error:
            write("timeout" if isinstance(error, PoolWaitTimeout) else "failure", waited=waited_ns.get())
            raise
        pid = self.pids.get(id(found.dbapi_connection), 0)
        if found.record_info is not None:
            found.record_info[HELD] = pid
        write("checkout", backend_pid=pid, waited=waited_ns.get())
        return found

    def _wait(self) -> ConnectionPoolEntry:
        """Wait as the edition's own pool does."""
        began_ns = monotonic_ns()
        try:
            record: ConnectionPoolEntry = super()._wait()  # type: ignore[misc]  # the edition's class stands behind
            return record
        finally:
            waited_ns.set(monotonic_ns() - began_ns)

    def _should_wrap_creator(self, creator: Any) -> Callable[[ConnectionPoolEntry], Any]:
        """Return what makes connections; asked for wherever a pool is made."""
        create: Callable[[Any], Any] = super()._should_wrap_creator(creator)

        def connected(record: ConnectionPoolEntry) -> Any:
            began_ns = monotonic_ns()
            connection = create(record)
            self.pids[id(connection)] = pid = _driver_pid(connection)
            now_ns = monotonic_ns()
            write("connect", at_ns=now_ns, backend_pid=pid, took_ns=now_ns - began_ns)
            return connection

        return connected

    def _return_conn(self, record: ConnectionPoolEntry) -> None:
        # A record whose connection could not be made comes back as well; nobody has had it.
        pid = None if record.record_info is None else record.record_info.pop(HELD, None)
        if pid is not None:
            write("checkin", backend_pid=pid)
        super()._return_conn(record)

    def _close_connection(self, connection: Any, *, terminate: bool = False) -> None:
        began_ns = monotonic_ns()
        pid = self.pids.pop(id(connection), 0)
        try:
            super()._close_connection(connection, terminate=terminate)
        finally:
            write("close", at_ns=began_ns, backend_pid=pid, took_ns=monotonic_ns() - began_ns)

    def _invalidated(self, connection: Any, record: ConnectionPoolEntry, error: BaseException | None) -> None:
        write("invalidate", backend_pid=self.pids.get(id(connection), 0))


def watch_pools() -> None:
    """Have every pool that is made from now on write down what it does."""
    original: Callable[..., type[QueuePool]] = vars(engine)["pool_class"]

    # One class for each that there is, and not one for each engine.
    @lru_cache
    def pool_class(edition: Edition, *, is_tracing: bool) -> type[QueuePool]:
        return type("WatchingPool", (Watching, original(edition, is_tracing=is_tracing)), {})

    vars(engine)["pool_class"] = pool_class


def name_requests(edition: Edition, application: type[Any]) -> None:
    """Have every request leave its name where events find it, to the last byte of its answer."""
    original: Callable[..., Any] = application.__call__

    def call_wsgi(self: Any, environ: Any, start_response: Any) -> Any:
        request_name.set(environ.get(WSGI_NAME, ""))
        return original(self, environ, start_response)

    async def call_asgi(self: Any, scope: Any, receive: Any, send: Any) -> None:
        names = [value for name, value in scope.get("headers", ()) if name == ASGI_NAME]
        request_name.set(names[0].decode("latin-1") if names else "")
        await original(self, scope, receive, send)

    application.__call__ = call_wsgi if edition == "wsgi" else call_asgi


def apply(edition: Edition) -> None:
    """Put everything in place, before the edition's application is imported."""
    watch_pools()
    name_requests(edition, importlib.import_module(f"{edition}_app.app").Application)


# Worker processes that are spawned import this module by the second name, with the same arguments.
if __name__ in ("__main__", "__mp_main__"):
    apply("asgi" if sys.argv[1] == "asgi" else "wsgi")
    if __name__ == "__main__":
        runpy.run_module(f"{sys.argv[1]}_app", run_name="__main__")
