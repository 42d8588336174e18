"""What waiting means in this edition: threads."""

import threading
import time
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from sqlalchemy import Connection

from shared.config import Edition
from shared.session import CoreSession

T = TypeVar("T")

EDITION: Edition = "wsgi"

Lock = threading.Lock
Chunks = Iterator[bytes]
Session = CoreSession


def pause(seconds: float) -> None:
    """Wait without using the processor; everything else goes on."""
    time.sleep(seconds)


def within(seconds: float, function: Callable[[], T]) -> T:
    """Return a function's result if it comes in time; a thread cannot be cancelled, so a late one is left to itself.

    Raises:
        TimeoutError: If there is no result within `seconds`.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="within", daemon=True).start()
    return future.result(timeout=seconds)


def sample_busy(busy: Collection[int], every_s: float, book: Callable[[float], None]) -> None:
    """Book again and again how many threads are busy, in a thread of its own; it ends with the process.

    Args:
        busy: Identifiers of the threads that are busy now.
        every_s: Seconds between two samples.
        book: Takes each number.
    """

    def run() -> None:
        while True:
            time.sleep(every_s)
            book(len(busy))

    threading.Thread(target=run, name="sample-busy", daemon=True).start()


def finish(function: Callable[[], T]) -> T:
    """Run a function to its end; nothing can cancel a thread."""
    return function()


def release(session: Session) -> None:
    """Close a session that has nothing left to tell the server."""
    session.close()


def run_sync(connection: Connection, function: Callable[[Connection], T]) -> T:
    """Run a function of a connection."""
    return function(connection)


def each(items: Iterable[T]) -> Iterator[T]:
    """Iterate over what is there already."""
    return iter(items)
