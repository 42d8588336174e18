"""Hands traces to a receiver outside of the service, from a thread of its own: nothing else ever waits for it.

A receiver that is down costs the traces that it would have got, and one line of log now and then.
"""

import logging
import os
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence
from threading import Condition
from threading import Thread
from time import monotonic
from weakref import WeakSet

from .document import TraceDocument

# Traces that wait to be handed over.
MOST_WAITING = 256
# Traces that one request to the receiver holds; each may have a thousand stages of a few hundred bytes.
MOST_AT_ONCE = 16
# How long the end of a process waits for what is left, in seconds.
FLUSH_TIMEOUT_S = 2.0
# Between two lines of log about a receiver that is down, in seconds.
SILENCE_S = 60.0

# Hands traces over; returns why it could not, and None when it could.
Deliver = Callable[[Sequence[TraceDocument]], str | None]

_log = logging.getLogger(__name__)


class Sender:
    """Sends traces in batches.

    Args:
        where: The receiver's address, as it may be shown.
        connect: Returns what delivers; called once in each process, in the thread that sends.

    Attributes:
        lost: Traces of this process that the receiver did not get.
    """

    def __init__(self, where: str, connect: Callable[[], Deliver]) -> None:
        self.lost = 0
        self._where = where
        self._connect = connect
        self._begin()
        _senders.add(self)

    def _begin(self) -> None:
        """Have nothing to send and nobody to send it; also in a child, where its parent's thread does not run."""
        self._changed = Condition()
        self._waiting: deque[TraceDocument] = deque()
        self._is_sending = False
        self._thread: Thread | None = None
        self._told_of = 0
        self._silent_until = 0.0

    def put(self, found: TraceDocument) -> None:
        """Let a trace be sent; returns at once."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self.lost += 1
                return
            self._waiting.append(found)
            if self._thread is None:
                thread = Thread(target=self._send_all, name="trace-sender", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # The interpreter is shutting down, or the machine has no thread left.
                    self._waiting.clear()
                    self.lost += 1
                    return
                self._thread = thread
            self._changed.notify_all()

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._waiting and not self._is_sending

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Wait until everything is sent, or was refused; tells whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_settled, timeout_s)

    def _send_all(self) -> None:
        deliver: Deliver | None = None
        while True:
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                batch = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
                self._is_sending = True
            try:
                deliver = deliver or self._connect()
                failure = deliver(batch)
            except Exception:
                # The next traces may be sound; the thread must be there for them.
                _log.exception("Traces could not be sent to %s", self._where)
                failure = "see above"
            if failure is not None:
                with self._changed:
                    self.lost += len(batch)
                self._tell(failure)

    def _tell(self, failure: str) -> None:
        """Log what was lost since the last line, unless that was just now."""
        if monotonic() >= self._silent_until:
            lost, self._told_of = self.lost - self._told_of, self.lost
            self._silent_until = monotonic() + SILENCE_S
            _log.warning("%d traces did not reach %s (%s); /traces has them all the same", lost, self._where, failure)


_senders: WeakSet[Sender] = WeakSet()


def _begin_anew() -> None:
    for sender in list(_senders):
        sender._begin()


def flush_all() -> None:
    """Wait, for a bounded time, until what this process has put is sent."""
    for sender in list(_senders):
        sender.flush()


os.register_at_fork(after_in_child=_begin_anew)
