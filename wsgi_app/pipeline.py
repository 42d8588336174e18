"""SEAM: where gunicorn reads and writes a client's bytes.

A threaded worker with what gunicorn leaves open: waits for a client are bounded, what its parser refuses is answered in
the contract's form, and a stop loses no connection that the kernel has accepted already.
"""

import errno
import selectors
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING
from typing import Any
from typing import ParamSpec
from typing import TypeVar

from gunicorn.http import errors as parser
from gunicorn.workers.gthread import ThreadWorker

from shared import answers
from shared.backpressure import LOOKS
from shared.backpressure import Reader
from shared.config import load
from shared.errors import HeadersTooLarge
from shared.errors import InternalError
from shared.errors import MalformedRequest
from shared.errors import RequestError
from shared.errors import UnmetExpectation
from shared.errors import UriTooLong
from shared.metrics import SAMPLE_EVERY_S
from shared.metrics import instruments
from shared.stalls.watch import watch_threads

from .concurrency import sample_busy

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

P = ParamSpec("P")
T = TypeVar("T")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# How long a client may take to notice that its connection has ended, and how much of what it still sends is read at a
# time; gunicorn's own figures.
LINGER_S = 2.0
DRAIN_BYTES = 65_536
# Most header fields that gunicorn's parser can hold.
PARSER_FIELDS = 256

# Every request passes these two: finding them anew through super() would cost it more than what is added to them.
_recv = socket.socket.recv
_send = socket.socket.send


class BoundedSocket(socket.socket):
    """A client's socket that waits a bounded time where gunicorn would wait for ever.

    gunicorn asks for every body that a client holds back. Here it is asked for when it is read, so that a body which
    nobody wants, or which is too large, is not sent at all.
    """

    timeout_s = 0.0
    owes_continue = False
    # Lines received since the last answer; tells apart what gunicorn's parser does not.
    lines = 0

    def bound(self, timeout_s: float) -> None:
        """Limit each wait of the blocking socket.

        The kernel's own limit: Python's would ask it before each call whether there is anything to wait for.
        """
        self.timeout_s = timeout_s
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(timeout_s))
        # A send that ends early is looked at, and goes on while the client reads.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout_s / LOOKS))

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes.

        Raises:
            TimeoutError: If the client sends nothing in time; with the code of a reset connection, which gunicorn
                takes for what it is, a client that is gone, instead of logging a traceback.
        """
        if self.owes_continue:
            self.sendall(CONTINUE)
        try:
            data = _recv(self, bufsize, flags)
        except BlockingIOError as error:
            raise self.nothing_received(error) from None
        self.lines += data.count(b"\n")
        return data

    def nothing_received(self, error: BlockingIOError) -> OSError:
        """Return what a read raises that ended without a byte."""
        if not self.getblocking():
            return error
        return TimeoutError(errno.ECONNRESET, "the client sent nothing in time")

    def send(self, data: "ReadableBuffer", flags: int = 0, /) -> int:
        """Send bytes; 100 (Continue) is kept until the body is read, and dropped when there is an answer before."""
        if data == CONTINUE:
            self.owes_continue = True
            return len(CONTINUE)
        return _send(self, data, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        """Send bytes.

        Raises:
            TimeoutError: If the client stops reading for too long; with the same code.
        """
        if self.owes_continue:
            self.owes_continue = False
        self.lines = 0
        try:
            sent = _send(self, data, flags)
        except BlockingIOError as error:
            sent = self._nothing_sent(error)
        # Nearly always all of it: this is the way of every answer.
        if sent < len(data):  # type: ignore[arg-type]  # gunicorn hands bytes over
            self._send_rest(memoryview(data)[sent:], flags)

    def _send_rest(self, left: memoryview, flags: int) -> None:
        """Send the rest to a client that reads slower than it is sent to, as long as it does read."""
        reader = Reader(self.fileno(), len(left), self.timeout_s)
        while left:
            try:
                left = left[_send(self, left, flags) :]
            except BlockingIOError as error:
                self._nothing_sent(error)
            if left and reader.has_stopped(len(left)):
                raise _nothing_read()

    def _nothing_sent(self, error: BlockingIOError) -> int:
        """Return 0 where the kernel has waited for the client; a socket that does not wait has no more chances."""
        if not self.getblocking():
            raise _nothing_read() from error
        return 0


def _timeval(seconds: float) -> bytes:
    """Return a time as the kernel takes it (struct timeval)."""
    whole, fraction = divmod(seconds, 1)
    return struct.pack("ll", int(whole), int(fraction * 1_000_000))


def _nothing_read() -> TimeoutError:
    return TimeoutError(errno.ECONNRESET, "the client read nothing in time")


class BoundedListener:
    """A listener whose accepted sockets are bounded.

    Args:
        listener: gunicorn's listener.
        timeout_s: Longest wait for a client, in seconds.
        socket_type: What the accepted sockets are.
    """

    def __init__(self, listener: Any, timeout_s: float, socket_type: type[BoundedSocket]) -> None:
        self._listener = listener
        self._timeout_s = timeout_s
        self._socket_type = socket_type

    def accept(self) -> tuple[BoundedSocket, Any]:
        """Accept a connection."""
        client, address = self._listener.accept()
        bounded = self._socket_type(fileno=client.detach())
        bounded.bound(self._timeout_s)
        return bounded, address

    def getsockname(self) -> Any:
        """Return the address it listens on."""
        return self._listener.getsockname()


class CountedThreads(ThreadPoolExecutor):
    """Threads that tell which of them are busy; used only where somebody wants to know."""

    def __init__(self, max_workers: int) -> None:
        super().__init__(max_workers)
        self.busy: set[int] = set()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called by one of the threads."""
        return super().submit(self._call, function, *args, **kwargs)

    def _call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        thread = get_ident()
        self.busy.add(thread)
        try:
            return function(*args, **kwargs)
        finally:
            self.busy.discard(thread)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """A gthread worker with bounded waits, the contract's errors and a stop that loses nothing."""

    socket_type = BoundedSocket

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ending: deque[Any] = deque()
        settings = load()
        self._timeout_s = settings.request_timeout
        self._samples_load = settings.sample_load
        self._is_watched = settings.lab

    def get_thread_pool(self) -> Executor:
        """Return the worker's threads; called in the worker, after fork."""
        if not (self._samples_load or self._is_watched):
            plain: Executor = super().get_thread_pool()
            return plain
        pool = CountedThreads(self.cfg.threads)
        if self._samples_load:
            sample_busy(pool.busy, SAMPLE_EVERY_S, instruments().busy_threads(self.cfg.threads))
        if self._is_watched:
            watch_threads(pool.busy, self.cfg.threads)
        return pool

    def accept(self, listener: Any) -> None:
        """Accept one connection."""
        super().accept(BoundedListener(listener, self._timeout_s, self.socket_type))

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin a graceful stop: /readyz says so at once."""
        if getattr(self.wsgi, "database", None) is not None:
            self.wsgi.database.is_draining = True
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop at once; but gracefully on a first Ctrl-C, which reaches every process of a terminal."""
        if sig == signal.SIGINT:
            self.handle_exit(sig, frame)
        else:
            super().handle_quit(sig, frame)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or end accepting.

        A stopping worker takes what the kernel has accepted already, and then closes its listeners: the kernel would go
        on accepting what nobody will ever answer.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            waiting = True
            while waiting:
                before = self.nr_conns
                self.accept(listener)
                waiting = self.nr_conns > before
            listener.close()

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Go on after a request.

        A connection that ends is drained by the poller: gunicorn does it in the thread that accepts, so that a client
        which is slow to close would keep everybody else waiting.
        """
        try:
            is_kept = fs.result()
        except Exception:  # gunicorn closes the connection
            is_kept = True
        if is_kept:
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drain, conn))
        except (OSError, ValueError, KeyError):
            self.nr_conns -= 1
            conn.close()
            return
        conn.timeout = monotonic() + LINGER_S
        self._ending.append(conn)

    def murder_pending(self) -> None:
        """Close connections whose clients have not closed, or begun, in time."""
        super().murder_pending()
        while self._ending and self._ending[0].timeout < monotonic():
            self._end(self._ending[0])

    def _drain(self, conn: Any, client: Any) -> None:
        try:
            rest = conn.sock.recv(DRAIN_BYTES)
        except BlockingIOError:
            return
        except OSError:
            rest = b""
        if not rest:
            self._end(conn)

    def _end(self, conn: Any) -> None:
        self._ending.remove(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what never reached the application."""
        error = _refusal(exc, client.lines)
        if isinstance(error, InternalError):
            self.log.error("Error outside the application", exc_info=exc)
        try:
            client.sendall(answers.raw(answers.problem(error, None), server="gunicorn"))
        except OSError:
            self.log.debug("The client left before it was refused")


def _refusal(exc: BaseException, lines: int) -> RequestError:
    match exc:
        # A line that never ends makes the parser wait, until there is more than a whole head may have.
        case parser.LimitRequestHeaders() if lines == 0:
            return UriTooLong("The request line is too long", close=True)
        # Beyond 256 fields the parser says no more than that it cannot read them.
        case parser.InvalidRequestLine() if lines > PARSER_FIELDS:
            return HeadersTooLarge("Too many header fields, or one that is too large", close=True)
        case parser.LimitRequestLine():
            return UriTooLong("The request line is too long", close=True)
        case parser.LimitRequestHeaders():
            return HeadersTooLarge("Too many header fields, or one that is too large", close=True)
        case parser.ExpectationFailed():
            return UnmetExpectation("The only expectation this service knows is 100-continue", close=True)
        case parser.ParseException():
            return MalformedRequest("The bytes are not an HTTP/1.1 request", close=True)
        case _:
            return InternalError("The service failed; its log tells why", close=True)
