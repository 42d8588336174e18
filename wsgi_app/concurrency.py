"""What waiting means in this edition: threads."""

import threading
import time
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any
from typing import Generic
from typing import TypeVar
from typing import cast

from sqlalchemy import Connection

from shared.config import Edition
from shared.session import CoreSession

T = TypeVar("T")

EDITION: Edition = "wsgi"

Lock = threading.Lock
Chunks = Iterator[bytes]
Session = CoreSession


class Around(Generic[T]):
    """A generator that yields once, as a context manager.

    As contextlib makes one, but for the checks of generators that are not: those cost 4 % of a request for one row.

    Args:
        generator: What happens before, and after.
    """

    __slots__ = ("_generator",)

    def __init__(self, generator: Iterator[T]) -> None:
        # As contextlib does: functions with a yield in them are annotated with the lesser type.
        self._generator = cast("Generator[T, None, None]", generator)

    def __enter__(self) -> T:
        return next(self._generator)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            with suppress(StopIteration):
                next(self._generator)
            return
        try:
            self._generator.throw(error)
        except BaseException as raised:
            # The same error goes on by itself, without the lines it passed here.
            if raised is not error:
                raise
            error.__traceback__ = traceback


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
