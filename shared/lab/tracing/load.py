"""Keeps an edition busy while a request to it is traced, in slices, from a process of its own."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import contextmanager

import numpy as np

from shared.config import Edition
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.parity.transport import Address
from shared.lab.tracing.request import Request
from shared.lab.tracing.result import Load

# The queues are as long as they get when every connection has had an answer or waits for one.
SETTLE_S = 0.3
# What is ahead of a request in a queue was sent before it, so load that ends later than this changes nothing for it.
SLICE_S = 0.5
TIMEOUT_S = 10.0


class Background:
    """Load on one edition at a time, so that the other's does not take its processor; use `background`.

    Args:
        client: The load client.
        executor: Runs a slice while a request is traced.
        request: What every connection sends.
        connections: How many.
    """

    def __init__(self, client: LoadClient, executor: ThreadPoolExecutor, request: Request, connections: int) -> None:
        self._client = client
        self._executor = executor
        self._request = request
        self._connections = connections
        self._slices: dict[Edition, list[ClientSlice]] = {}

    @contextmanager
    def on(self, edition: Edition, address: Address) -> Iterator[None]:
        """Load an edition during the block, from a moment before it on.

        Raises:
            EnvironmentFailure: If the load client ended.
        """
        self._client.prepare(address.host, address.port, connections=self._connections)
        future: Future[ClientSlice] = self._executor.submit(
            self._client.run,
            address.host,
            address.port,
            self._request.wire(str(address)),
            ramp_s=0.0,
            window_s=SLICE_S,
            timeout_s=TIMEOUT_S,
        )
        time.sleep(SETTLE_S)
        yield
        self._slices.setdefault(edition, []).append(future.result())

    def loads(self) -> tuple[Load, ...]:
        """Return what the load was, for each edition that had any."""
        return tuple(self._load(edition, slices) for edition, slices in self._slices.items())

    def _load(self, edition: Edition, slices: list[ClientSlice]) -> Load:
        refused = sum(int(np.sum((piece.samples.status < 200) | (piece.samples.status > 299))) for piece in slices)
        return Load(
            edition=edition,
            connections=self._connections,
            responses=sum(len(piece.samples) for piece in slices),
            failures=refused + sum(len(piece.errors) for piece in slices),
            duration_s=sum(piece.elapsed_s for piece in slices),
        )


@contextmanager
def background(request: Request, connections: int) -> Iterator[Background | None]:
    """Yield what can load an edition, None for no connections; its process ends with the block, however that ends."""
    if not connections:
        yield None
        return
    with ExitStack() as stack:
        # Left last: its thread ends when the client's process does.
        executor = stack.enter_context(ThreadPoolExecutor(1))
        client = stack.enter_context(LoadClient())
        yield Background(client, executor, request, connections)
