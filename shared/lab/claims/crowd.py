"""Clients that ask again and again until they are told to stop, and what became of each of their requests."""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.client import HTTPException
from threading import Event
from time import monotonic_ns
from typing import Literal

from shared.lab.services.process import HOST

TIMEOUT_S = 20.0
# How long a client that was refused waits before it tries again.
REFUSED_PAUSE_S = 0.02

# refused: no connection, so that no byte was accepted. lost: connected, and no whole answer came.
Fate = Literal["answered", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what became of it; nanoseconds of the monotonic clock.

    Attributes:
        target: As on the request line.
        fate: What became of it.
        status: Of the answer; 0 without a whole one.
        began_ns: Just before it was sent, or its connection was tried.
        done_ns: When the answer was complete, or it was clear that none would be.
        why: What went wrong; empty for an answer.
    """

    target: str
    fate: Fate
    status: int
    began_ns: int
    done_ns: int
    why: str = ""


class Crowd:
    """Clients that ask, each on connections of its own.

    Args:
        port: The service's port.
        kept: What clients ask for that keep their connection; one client for each.
        fresh: What clients ask for that open a connection for each request; one client for each.
    """

    def __init__(self, port: int, kept: Sequence[str], fresh: Sequence[str]) -> None:
        self._port = port
        self._is_over = Event()
        self._threads = ThreadPoolExecutor(max(1, len(kept) + len(fresh)), thread_name_prefix="crowd")
        self._clients: list[Future[list[Exchange]]] = [
            *(self._threads.submit(self._run, target, True) for target in kept),
            *(self._threads.submit(self._run, target, False) for target in fresh),
        ]

    def stop(self) -> list[Exchange]:
        """Let every client finish its request, and return what became of all."""
        self._is_over.set()
        self._threads.shutdown()
        return [exchange for client in self._clients for exchange in client.result()]

    def _run(self, target: str, keeps: bool) -> list[Exchange]:
        found: list[Exchange] = []
        while not self._is_over.is_set():
            connection = HTTPConnection(HOST, self._port, timeout=TIMEOUT_S)
            began_ns = monotonic_ns()
            try:
                connection.connect()
            except OSError as error:
                found.append(Exchange(target, "refused", 0, began_ns, monotonic_ns(), type(error).__name__))
                self._is_over.wait(REFUSED_PAUSE_S)
                continue
            try:
                goes_on = True
                while goes_on and not self._is_over.is_set():
                    found.append(_exchange(connection, target))
                    # Without a socket the server has said that it closes.
                    goes_on = keeps and found[-1].fate == "answered" and connection.sock is not None
            finally:
                connection.close()
        return found


def _exchange(connection: HTTPConnection, target: str) -> Exchange:
    began_ns = monotonic_ns()
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException) as error:
        return Exchange(target, "lost", 0, began_ns, monotonic_ns(), f"{type(error).__name__}: {error}")
    return Exchange(target, "answered", response.status, began_ns, monotonic_ns())


@contextmanager
def asking(port: int, *, kept: Sequence[str] = (), fresh: Sequence[str] = ()) -> Iterator[Crowd]:
    """Have clients ask until the block ends, however it does.

    Args:
        port: The service's port.
        kept: What clients ask for that keep their connection; one client for each.
        fresh: What clients ask for that open a connection for each request; one client for each.
    """
    crowd = Crowd(port, kept, fresh)
    try:
        yield crowd
    finally:
        crowd.stop()
