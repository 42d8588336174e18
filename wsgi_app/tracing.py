"""SEAM: where gunicorn's part of a traced request is recorded.

A thread reads a request's bytes only when it is free for it, so the queue for a thread comes first, then the bytes. All
that an untraced request costs here is a few reads of the clock.
"""

import select
import socket
from time import monotonic
from time import monotonic_ns
from typing import TYPE_CHECKING
from typing import Any

from shared.config import load
from shared.trace.context import TraceParent
from shared.trace.gate import Gate
from shared.trace.recorder import Octets
from shared.trace.recorder import Trace
from shared.trace.recorder import current
from shared.trace.store import open_store

from .concurrency import EDITION
from .pipeline import LINGER_S
from .pipeline import BoundedSocket
from .pipeline import Worker

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class WatchedSocket(BoundedSocket):
    """A client's socket that keeps what a thread reads of a request until it is known whether that is traced.

    Attributes:
        queued_ns: When the request began to wait for a thread; 0 where a thread waited for it.
        taken_ns: When a thread took it.
        reads: Start, end and bytes of each read since; None once the request is known as untraced.
    """

    queued_ns = 0
    taken_ns = 0
    reads: list[tuple[int, int, bytes]] | None = None

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes.

        Raises:
            TimeoutError: If the client sends nothing in time.
        """
        reads = self.reads
        if reads is None:
            return BoundedSocket.recv(self, bufsize, flags)
        # Every request's head is read here, so what the other method does is repeated instead of called; but for the
        # 100 (Continue), which is owed before a body only.
        started_ns = monotonic_ns()
        try:
            data = socket.socket.recv(self, bufsize, flags)
        except BlockingIOError as error:
            raise self.nothing_received(error) from None
        reads.append((started_ns, monotonic_ns(), data))
        self.lines += data.count(b"\n")
        return data


class TracedSocket(WatchedSocket):
    """The same socket while it serves a traced request, which it tells what is read and sent."""

    trace: Trace

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes of the body.

        Raises:
            TimeoutError: If the client sends nothing in time.
        """
        started_ns = monotonic_ns()
        data = BoundedSocket.recv(self, bufsize, flags)
        ended_ns = monotonic_ns()
        if data:
            self.trace.record("receive", started_ns, ended_ns, part="body", bytes=self.trace.octets(data))
        return data

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        """Send bytes.

        Raises:
            TimeoutError: If the client does not read them in time.
        """
        trace = self.trace
        sent = bytes(data)
        encoded_ns = trace.handed_ns
        facts: dict[str, Any] = {}
        started_ns = monotonic_ns()
        try:
            super().sendall(data, flags)
        except OSError as error:
            facts["error"] = type(error).__name__
            trace.end("client left", error)
            raise
        finally:
            ended_ns = monotonic_ns()
            if encoded_ns:
                trace.record("encode", encoded_ns, started_ns, bytes=len(sent))
            trace.record("send", started_ns, ended_ns, bytes=trace.octets(sent), **facts)
            if encoded_ns:
                trace.handed_ns = monotonic_ns()


class TracingWorker(Worker):
    """The worker of a service whose requests may be traced.

    Every request passes here, so what is done for all of them is no more than what cannot be known afterwards.
    """

    socket_type = WatchedSocket

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = load()
        self._gate = Gate(settings)
        self._store = open_store(settings)

    def enqueue_req(self, conn: Any) -> None:
        """Let a connection wait for a thread.

        These are gunicorn's own two statements, so that the time goes along with what they submit: every request would
        pay for a call of them, and for keeping the time elsewhere.
        """
        future = self.tpool.submit(self.handle, conn, monotonic_ns())
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def handle(self, conn: Any, queued_ns: int) -> Any:
        """Serve a connection's next request, in a thread; `queued_ns` is when it began to wait for one."""
        client: WatchedSocket = conn.sock
        taken_ns = client.taken_ns = monotonic_ns()
        client.reads = []
        if conn.parser is None:
            if not _is_readable(client):
                # The thread waits for the client, not the client for a thread.
                queued_ns = 0
        elif ahead := conn.parser.unreader.buf.getvalue():
            client.reads.append((taken_ns, taken_ns, ahead))
        client.queued_ns = queued_ns
        return Worker.handle(self, conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head has been parsed."""
        for name, value in req.headers:
            if name == "X-TRACE":
                fields = dict(req.headers)
                reveals_values = self._gate.admit(value, fields.get("X-TRACE-TOKEN"))
                if reveals_values is not None:
                    parent = TraceParent.parse(fields.get("TRACEPARENT"))
                    return self._trace(req, conn, reveals_values=reveals_values, parent=parent)
        conn.sock.reads = None
        return Worker.handle_request(self, req, conn)

    def _trace(self, req: Any, conn: Any, *, reveals_values: bool, parent: TraceParent | None) -> Any:
        """Answer a request that is traced."""
        trace = self._begin(conn.sock, reveals_values=reveals_values, parent=parent)
        reset = current.set(trace)
        try:
            keeps_connection = super().handle_request(req, conn)
            if keeps_connection:
                # Whoever serves the connection next would do it; a body that nobody has read is this request's.
                conn.parser.finish_body(deadline=monotonic() + LINGER_S)
            return keeps_connection
        except BaseException as error:
            trace.end("client left" if isinstance(error, ConnectionError) else "failed", error)
            raise
        finally:
            current.reset(reset)
            conn.sock.__class__ = WatchedSocket
            _leave_out_what_follows(trace, conn.parser.unreader.buf.getvalue())
            trace.end("answered" if trace.status is not None else "failed")
            self._store.put(trace)

    def _begin(self, client: WatchedSocket, *, reveals_values: bool, parent: TraceParent | None) -> Trace:
        """Return a trace with what happened until the head was parsed."""
        began_ns = monotonic_ns()
        reads = client.reads or []
        first_ns, last_ns = reads[0][0], reads[-1][1]
        trace = Trace(EDITION, reveals_values, client.queued_ns or first_ns, parent)
        waited_from_ns, taken_ns = (client.queued_ns, client.taken_ns) if client.queued_ns else (first_ns, first_ns)
        waiting = self.tpool._work_queue.qsize()
        trace.record("dispatch", waited_from_ns, taken_ns, queue="thread", waiting=waiting, workers=self.cfg.threads)
        receiving = trace.record(
            "receive",
            first_ns,
            last_ns,
            part="head",
            reads=[{"at_ns": ended_ns, "size": len(data)} for _, ended_ns, data in reads],
            bytes=trace.octets(b"".join([data for _, _, data in reads])),
        )
        trace.record("parse", last_ns, began_ns, step="bytes to request")
        client.__class__ = TracedSocket
        assert isinstance(client, TracedSocket)
        client.trace = trace
        trace.ready_ns = monotonic_ns()
        # All of this stands behind the first step of parsing.
        receiving.cost_ns = trace.ready_ns - began_ns
        return trace


def _is_readable(client: BoundedSocket) -> bool:
    poller = select.poll()
    poller.register(client, select.POLLIN)
    return bool(poller.poll(0))


def _leave_out_what_follows(trace: Trace, rest: bytes) -> None:
    """Take from the end of what was received the bytes that belong to the next request."""
    left = len(rest)
    for stage in reversed([stage for stage in trace.stages if stage.name == "receive"]):
        if not left:
            return
        size, data = stage.facts["bytes"]
        kept = max(0, size - left)
        stage.facts["bytes"] = Octets(kept, data[:kept])
        left -= size - kept
