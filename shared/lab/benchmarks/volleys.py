"""CPU time of small volleys of requests, sent to several services in turn: for differences of about one per cent.

A volley is one request on each of some keep-alive connections. It takes milliseconds, so that the services are compared
within a time in which the machine's speed hardly changes. One start of a process is one draw of its memory layout and
hash seed, which alone make up some per cent: only several starts tell a difference in the code from one in the layout
(T. Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009). So the unit of every
interval is a start.
"""

import os
import random
import socket
import time
from collections.abc import Sequence
from statistics import median

import httptools

from shared.errors import EnvironmentFailure
from shared.lab.services import usage
from shared.lab.services.process import HOST
from shared.lab.services.process import Service

READ_BYTES = 65_536
TIMEOUT_S = 10.0
# A server has done with a request a moment after its client has the answer.
SETTLE_S = 0.0003
WARM_UP = 50


class _Connection:
    """One keep-alive connection; httptools' callback tells the end of an answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)
        self._is_complete = False

    def send(self, request: bytes) -> None:
        self._is_complete = False
        self._socket.sendall(request)

    def read(self) -> None:
        while not self._is_complete:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("the service closed a connection")
            self._parser.feed_data(data)
        if self._parser.get_status_code() != 200:
            raise ConnectionResetError(f"the service answered {self._parser.get_status_code()}")

    def on_message_complete(self) -> None:
        self._is_complete = True

    def close(self) -> None:
        self._socket.close()


class Volleys:
    """Volleys to one service; use it as a context manager.

    Args:
        service: Where to; its processes' CPU time is read.
        target: What is requested.
        size: Connections, and requests of each volley.
    """

    def __init__(self, service: Service, target: str, size: int) -> None:
        self._name = service.spec.name
        self._request = _request(target)
        self._pids = service.pids()
        self._connections = [_Connection(service.port) for _ in range(size)]

    def cpu_s(self) -> float:
        """Send one volley; return the CPU seconds that the service used for each request.

        Raises:
            EnvironmentFailure: If the service breaks off or answers other than 200.
        """
        before = sum(usage.process_cpu_s(pid) for pid in self._pids)
        self._send(self._request)
        time.sleep(SETTLE_S)
        return (sum(usage.process_cpu_s(pid) for pid in self._pids) - before) / len(self._connections)

    def send(self, target: str) -> None:
        """Send one volley to any target of the service and wait for its answers.

        Raises:
            EnvironmentFailure: If the service breaks off or answers other than 200.
        """
        self._send(_request(target))

    def _send(self, request: bytes) -> None:
        try:
            for connection in self._connections:
                connection.send(request)
            for connection in self._connections:
                connection.read()
        except (OSError, httptools.HttpParserError) as error:
            raise EnvironmentFailure(f"{self._name} ended a measurement", why=str(error)) from error

    def __enter__(self) -> "Volleys":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()


def _request(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def measure(
    services: Sequence[Service],
    target: str,
    *,
    size: int,
    seconds: float,
    seed: str,
    cores: frozenset[int],
) -> list[tuple[float, float]]:
    """Send volleys to services in turn, in a new random order each time and then in the reverse one.

    Args:
        services: What is compared; the first is the baseline.
        target: What is requested.
        size: Requests of a volley.
        seconds: How long.
        seed: Fixes the orders.
        cores: Processors of this client.

    Returns:
        For each service the median CPU seconds of a request, and the median of its ratio to the baseline within a turn.

    Raises:
        EnvironmentFailure: If a service breaks off or answers other than 200.
    """
    own = os.sched_getaffinity(0)
    volleys = [Volleys(service, target, size) for service in services]
    generator = random.Random(seed)
    turns: list[list[float]] = []
    try:
        if cores:
            os.sched_setaffinity(0, cores)
        for _ in range(WARM_UP):
            for each in volleys:
                each.cpu_s()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            order = list(range(len(volleys)))
            generator.shuffle(order)
            for places in (order, order[::-1]):
                spent = {place: volleys[place].cpu_s() for place in places}
                turns.append([spent[place] for place in range(len(volleys))])
    finally:
        os.sched_setaffinity(0, own)
        for each in volleys:
            each.__exit__()
    # The kernel's clock has not always moved on within a volley; such a turn compares nothing.
    turns = [turn for turn in turns if min(turn) > 0]
    return [
        (median(turn[place] for turn in turns), median(turn[place] / turn[0] for turn in turns))
        for place in range(len(volleys))
    ]
