"""Whether the load client measured what a scripted server did: pure functions, nothing here reads a clock.

The rule. Three things are known of every slice: the plan of the server, the server's own record of what it really did,
and when the processors of both were away. The instrument's error is the distance of a figure from the record's, not
from the plan, since a busy machine makes a server late; what the processors took from a request's way there and back,
as a witness beside server and client saw it, counts as done, too.

- What no machine can cause needs no tolerance, and one case is enough to fail: an answer that only one of the two
  knows, a request sent after it was read or complete before it was answered, an open model's that is not counted from
  the moment it was due, a percentile that another computation from the same times does not give.
- All else is judged over rounds: the median of the errors, with its interval. It holds if the whole interval lies
  within a tolerance that does not depend on the machine, and fails if all of it lies outside.
"""

import heapq
import math
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.lab.statistics import Difference
from shared.lab.validity.result import Known
from shared.lab.validity.result import StallSeen
from shared.lab.validity.verdict import Verdict

Floats = npt.NDArray[np.float64]

# What the way of a request to the server and of its answer back may cost beside the waiting for a processor. Measured
# on a machine with little else to do: 0.2 to 0.4 ms in every figure, with intervals of up to 0.8 ms.
TOLERANCE_S = 0.001
# Of a stall, as a share of it: hundreds of answers are then given at one moment, one after the other.
STALL_TOLERANCE = 0.01
CONFIDENCE = 0.95
# Where processors were away for more of the time than this, what lies outside is not shown to be the instrument's.
MOST_AWAY = 0.05


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


def median_of_rounds(values: Sequence[float]) -> Difference:
    """Return the median of rounds with an interval of at least 95 %, or of all values where they are too few for it.

    From order statistics, whatever the distribution (H. A. David and H. N. Nagaraja 2003, "Order Statistics", section
    7.1): the k-th smallest and largest hold the median unless fewer than k values lie on one side of it. Nine rounds
    leave the outermost two out, with 96 %; below six all values are 94 % (five) to 75 % (three).

    Raises:
        ValueError: If there is no value.
    """
    if not values:
        raise ValueError("'values' must hold at least one value (got none)")
    ordered, count = sorted(values), len(values)
    outside, rank = 0.0, 0
    while rank < (count - 1) // 2:
        outside += 2 * math.comb(count, rank) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        rank += 1
    place = max(rank - 1, 0)
    return Difference(statistics.median(ordered), ordered[place], ordered[count - 1 - place], count)


def judge(known: Sequence[Known], stalls: Sequence[StallSeen], *, faults: int, away: float) -> Verdict:
    """Return whether the instrument measured what it was shown.

    A stall must be in as many response times as by the server's record: in the closed model in one of each connection,
    in the open model in all that were due in its first half. One request in a hundred may fall on the other side of the
    bound there, which is half of the stall.

    Args:
        known: The figures.
        stalls: The stall under each load.
        faults: How much was found that only the instrument can have caused.
        away: The larger share of the time for which one of the processors was away.
    """
    if faults or not all(abs(seen.late - seen.expected_late) <= _play(seen) for seen in stalls):
        return "fails"
    verdicts = {each.verdict for each in known}
    if "fails" in verdicts:
        return "undecided" if away > MOST_AWAY else "fails"
    return "undecided" if "undecided" in verdicts else "holds"


def _play(seen: StallSeen) -> float:
    return 0.0 if seen.load.model == "closed" else 0.01 * seen.samples
