"""Random numbers and the clock of a request, which the parity check may fix.

Without a seed numbers are really random and the clock is the wall's. With one (only a holder of CHECK_TOKEN can give
it) both follow from the seed alone, so two services give the same answer to the same request.
"""

import os
import random
from datetime import UTC
from datetime import datetime
from datetime import timedelta

from .models import WORLD_ROWS

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
# One generator for the process, seeded by the operating system, and anew in a forked child: two workers that were
# forked from one parent would draw the same rows.
_generator = random.Random()
os.register_at_fork(after_in_child=_generator.seed)


def ids(seed: int | None, count: int) -> list[int]:
    """Return row ids, 1 to 10,000, each drawn on its own."""
    generator = _generator if seed is None else random.Random(seed)
    return [1 + int(generator.random() * WORLD_ROWS) for _ in range(count)]


def distinct_ids(seed: int | None, count: int) -> list[int]:
    """Return distinct row ids in ascending order, the global order in which rows are locked."""
    generator = _generator if seed is None else random.Random(seed)
    return sorted(generator.sample(range(1, WORLD_ROWS + 1), count))


def numbers(seed: int | None, count: int) -> list[int]:
    """Return new random numbers, 1 to 10,000."""
    # Another stream than the ids', or each row would get its own id as its number.
    return ids(None if seed is None else ~seed, count)


def now(seed: int | None) -> datetime:
    """Return the time that a new row carries."""
    return datetime.now(UTC) if seed is None else _EPOCH + timedelta(seconds=seed % 1_000_000)


def jitter(attempt: int) -> float:
    """Return a random pause in seconds that grows with the attempts: up to 2, 4, 8 ms."""
    return _generator.uniform(0, 0.002 * 2**attempt)
