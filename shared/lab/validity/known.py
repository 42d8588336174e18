"""What a scripted server must be measured as: pure functions, nothing here reads a clock."""

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.lab.validity.result import Known
from shared.lab.validity.result import StallSeen
from shared.lab.validity.result import Verdict

Floats = npt.NDArray[np.float64]

# What the client and the server add to a delay when several answers fall due at once, beyond what is measured here.
LEAST_TOLERANCE_S = 0.0005
# How far beyond the lateness of one answer in a hundred a figure may lie.
LATENESS_FACTOR = 2.0
# A machine whose timers are later than that says nothing about an instrument for milliseconds.
USELESS_TOLERANCE_S = 0.005


def tolerance_s(lateness_p99_s: float) -> float:
    """Return by how much a measured figure may differ from the known one, in seconds.

    Args:
        lateness_p99_s: How late one answer in a hundred is here, as a blocking socket sees it, in seconds.
    """
    return LEAST_TOLERANCE_S + LATENESS_FACTOR * lateness_p99_s


def uniform_quantile_s(low_s: float, high_s: float, q: float) -> float:
    """Return the q-quantile of the uniform distribution over a range, in its unit."""
    return low_s + q * (high_s - low_s)


def open_times_s(
    due_s: Sequence[float] | Floats, *, connections: int, delay_s: float, stall: tuple[float, float]
) -> Floats:
    """Return the response times of an open model on a server with a stall, each from the moment it was due, in seconds.

    A request is sent when it is due, or when a connection comes free if none is: first come, first served by so many
    servers. An answer that would fall into the stall comes at its end.

    Args:
        due_s: When the requests are due, ascending.
        connections: How many requests can be in flight.
        delay_s: What the server takes otherwise.
        stall: Begin and end of the stall.
    """
    begin_s, end_s = stall
    free_s = [0.0] * connections
    times_s = []
    for each in due_s:
        done_s = max(each, heapq.heappop(free_s)) + delay_s
        done_s = end_s if begin_s <= done_s < end_s else done_s
        heapq.heappush(free_s, done_s)
        times_s.append(done_s - each)
    return np.array(times_s, dtype=np.float64)


def expected_late(times_s: Floats, stall_s: float) -> int:
    """Return how many response times are more than half of the stall."""
    return int((times_s > stall_s / 2).sum())


def judge(known: Sequence[Known], stalls: Sequence[StallSeen], *, tolerance: float) -> Verdict:
    """Return whether the instrument measured what it was shown.

    A stall must be in as many response times as it must: in the closed model in one of each connection, in the open
    model in all that were due in its first half. One request in a hundred may fall on the other side of the bound.

    Args:
        known: The figures.
        stalls: The stall under each load.
        tolerance: In seconds; if it is useless, a figure that agrees says nothing.
    """
    shows_stalls = all(abs(seen.late - seen.expected_late) <= _play(seen) for seen in stalls)
    if tolerance > USELESS_TOLERANCE_S:
        return "undecided"
    return "holds" if shows_stalls and all(each.holds for each in known) else "fails"


def _play(seen: StallSeen) -> float:
    return 0.0 if seen.load.model == "closed" else 0.01 * seen.samples
