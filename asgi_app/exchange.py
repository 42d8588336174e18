"""SEAM: what is recorded while a traced request is answered.

uvicorn's exchange of one request, the application that it calls and the transport that it writes to, each told of the
trace; an untraced request has nothing of it.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Collection
from time import monotonic_ns
from typing import TYPE_CHECKING
from typing import Any

from starlette.types import ASGIApp
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shared.trace.recorder import Trace
from shared.trace.recorder import current
from shared.trace.store import Store

from .pipeline import OldCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent


def task_name() -> str:
    """Return the name of the running task; outside of any, the event loop calls."""
    task = asyncio.current_task()
    return "event loop" if task is None else f"task {task.get_name()}"


class TracedTransport:
    """A transport that tells a trace what is written; all else is the transport's."""

    def __init__(self, transport: asyncio.Transport, trace: Trace) -> None:
        self.whole = transport
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def write(self, data: bytes) -> None:
        """Write bytes."""
        trace = self._trace
        encoded_ns = trace.handed_ns
        started_ns = monotonic_ns()
        self.whole.write(data)
        ended_ns = monotonic_ns()
        if encoded_ns:
            trace.record("encode", encoded_ns, started_ns, bytes=len(data))
        trace.record(
            "send",
            started_ns,
            ended_ns,
            bytes=trace.octets(data),
            left_in_buffer=self.whole.get_write_buffer_size(),
        )
        if encoded_ns:
            trace.handed_ns = monotonic_ns()


class TracedCycle(RequestResponseCycle):
    """The exchange of a traced request; made from an exchange whose task has not run yet."""

    trace: Trace

    async def send(self, message: "ASGISendEvent") -> None:
        """Send a part of the response."""
        trace = self.trace
        with trace.stage("respond", call=f"send({message['type']})") as responding:
            trace.handed_ns = monotonic_ns()
            await super().send(message)
        trace.handed_ns = 0
        if message["type"] == "http.response.start":
            trace.status = message["status"]
            responding.facts.update(status=message["status"], header_fields=len(list(message.get("headers", []))))
        elif message["type"] == "http.response.body":
            responding.facts["bytes"] = len(message.get("body", b""))


class TracedOldCycle(TracedCycle, OldCycle):
    """The same for an HTTP/1.0 client."""


class TracedCall:
    """An ASGI application around the service's, for one traced request."""

    def __init__(self, app: ASGIApp, trace: Trace, store: Store, tasks: Collection[Any]) -> None:
        self._app = app
        self._trace = trace
        self._store = store
        self._tasks = tasks
        self._waiting = len(tasks)
        self._cycle: RequestResponseCycle | None = None

    def attach(self, cycle: RequestResponseCycle) -> None:
        """Make the exchange a traced one; its task has not run yet."""
        self._cycle = cycle
        cycle.__class__ = TracedOldCycle if isinstance(cycle, OldCycle) else TracedCycle
        assert isinstance(cycle, TracedCycle)
        cycle.trace = self._trace
        cycle.transport = TracedTransport(cycle.transport, self._trace)  # type: ignore[assignment]
        cycle.on_response = _outside(cycle.on_response)

    def _detach(self, cycle: RequestResponseCycle) -> None:
        """Let what the server still does about a failure be no part of a trace that has ended."""
        cycle.__class__ = OldCycle if isinstance(cycle, OldCycle) else RequestResponseCycle
        if isinstance(cycle.transport, TracedTransport):
            cycle.transport = cycle.transport.whole

    def abandon(self) -> None:
        """End the trace of a request that was never answered."""
        if self._trace.outcome is None:
            self._trace.end("client left")
            self._store.put(self._trace)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, and end its trace whatever happens."""
        cycle, trace = self._cycle, self._trace
        assert cycle is not None
        trace.record(
            "dispatch",
            trace.ready_ns,
            monotonic_ns(),
            queue="task",
            waiting=self._waiting,
            workers=len(self._tasks),
        )
        current.set(trace)
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            trace.end("cancelled" if isinstance(error, asyncio.CancelledError) else "failed", error)
            raise
        finally:
            if not cycle.response_complete:
                trace.end("client left" if cycle.disconnected else "failed")
            trace.end("answered")
            self._detach(cycle)
            self._store.put(trace)


def _outside(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that runs outside of the trace: what it starts is another request."""

    def run() -> None:
        reset = current.set(None)
        try:
            function()
        finally:
            current.reset(reset)

    return run
