"""Work that occupies a processor or a thread on purpose; the same code in both editions."""

import time
from collections.abc import Iterator

CHUNK_BYTES = 65_536
# Recognisable in a dump, and its period of 64 divides every chunk.
PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_" * (CHUNK_BYTES // 64)


def churn(iterations: int) -> int:
    """Return a linear congruential generator's state after `iterations` rounds from 1.

    Pure Python, holding the interpreter lock. The constants are those of ANSI C's rand (ISO C99, 7.20.2.2).
    """
    state = 1
    for _ in range(iterations):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return state


def block(seconds: float) -> None:
    """Block the calling thread, and with it everything that runs on it."""
    time.sleep(seconds)


def pattern(size: int) -> Iterator[bytes]:
    """Yield `size` bytes of the fixed pattern, in chunks."""
    whole, rest = divmod(size, CHUNK_BYTES)
    for _ in range(whole):
        yield PATTERN
    if rest:
        yield PATTERN[:rest]
