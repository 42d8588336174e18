"""Ends waits for a database that has fallen silent.

libpq has no limit on the wait for an answer: a server that is stopped, or a network that swallows packets, would keep a
thread for ever. The server's own statement timeout does not help against a server that does nothing, and TCP's do not
while the kernel still acknowledges. asyncpg has such a limit (`command_timeout`); this is its counterpart for threads,
and costs a request nothing.
"""

import os
import socket
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import suppress
from threading import Event
from threading import Thread
from time import perf_counter_ns
from typing import Any

from sqlalchemy import Engine
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

from .pool import held_since_ns

# libpq's PQTRANS_ACTIVE: a statement was sent, its answer is due.
ACTIVE = 1
# Looks in the time of one limit: a wait ends at most a tenth of the limit late.
LOOKS = 10


class Watchdog:
    """A thread that shuts the socket of each connection whose answer is overdue; the wait then fails at once.

    Args:
        engine: The engine whose connections to watch, before the first of them.
        limit_s: Longest wait for an answer.
    """

    def __init__(self, engine: Engine, limit_s: float) -> None:
        # Of a driver that bounds the wait itself, nothing is noted.
        self._asked_ns: Mapping[Any, int] = getattr(engine.dialect, "asked_ns", {})
        self._limit_s = limit_s
        self._sockets: dict[ConnectionPoolEntry, socket.socket] = {}
        self._ended = Event()
        event.listen(engine.pool, "connect", self._connected)
        event.listen(engine.pool, "close", self._closed)

    def start(self) -> Callable[[], None]:
        """Begin to watch; return what ends it."""
        Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self._ended.set

    def _connected(self, dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        # pymysql bounds the wait for an answer itself (`shared.engine`), and has no such method.
        if not hasattr(dbapi_connection, "fileno"):
            return
        # A descriptor of our own: the number of the driver's may be another socket's by the time it is needed.
        self._sockets[record] = socket.socket(fileno=os.dup(dbapi_connection.fileno()))

    def _closed(self, dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
        own = self._sockets.pop(record, None)
        if own is not None:
            own.close()

    def _watch(self) -> None:
        while not self._ended.wait(self._limit_s / LOOKS):
            latest_ns = perf_counter_ns() - round(self._limit_s * 1e9)
            for record, own in list(self._sockets.items()):
                if self._is_overdue(record, latest_ns):
                    with suppress(OSError):
                        own.shutdown(socket.SHUT_RDWR)

    def _is_overdue(self, record: ConnectionPoolEntry, latest_ns: int) -> bool:
        """Return whether a connection waits, at this moment, for an answer that was asked for before `latest_ns`."""
        since_ns = held_since_ns(record)
        asked_ns = max(since_ns, self._asked_ns.get(record.dbapi_connection, 0))
        return since_ns > 0 and asked_ns < latest_ns and _is_waiting(record)


def _is_waiting(record: ConnectionPoolEntry) -> bool:
    driver_connection = record.driver_connection
    return driver_connection is not None and driver_connection.info.transaction_status == ACTIVE
