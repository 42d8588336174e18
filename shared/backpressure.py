"""Backpressure: tells a client that reads slowly from one that has stopped reading.

Every byte that a client's kernel has acknowledged counts, and nothing else does: room that this machine's own kernel
finds for more of an answer is no progress.
"""

import fcntl
import struct
import termios
from time import monotonic

# Looks at a client in the time within which it must have read something; the second one after that cuts it at the
# latest.
LOOKS = 4


class Reader:
    """A client that an answer waits for.

    Args:
        descriptor: Its connection's file descriptor.
        unsent: Bytes of the answer that the kernel has not taken yet.
        timeout_s: Longest time without progress.
    """

    def __init__(self, descriptor: int, unsent: int, timeout_s: float) -> None:
        self._descriptor = descriptor
        self._timeout_s = timeout_s
        self._unread = unsent + _unacknowledged(descriptor)
        self._read_at = monotonic()

    def has_stopped(self, unsent: int) -> bool:
        """Return whether the client has read nothing for too long.

        Args:
            unsent: Bytes of the answer that the kernel has not taken yet.

        Raises:
            OSError: If the connection is closed.
        """
        unread = unsent + _unacknowledged(self._descriptor)
        now = monotonic()
        if unread != self._unread:
            self._unread = unread
            self._read_at = now
        return now - self._read_at >= self._timeout_s


def _unacknowledged(descriptor: int) -> int:
    """Return how many bytes the kernel holds until the other side has acknowledged them (SIOCOUTQ in tcp(7))."""
    found: tuple[int] = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
    return found[0]
