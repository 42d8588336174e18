"""How long requests wait for a connection of a pool: queueing formulas, and a simulation; nothing is measured here.

A pool of c connections is a queue with c servers. Requests arrive at random (Poisson, the M of Kendall's notation),
each holds a connection for a while (exponential times are M, constant ones D), and those that find none wait in line.
"""

import heapq
import math
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.lab.statistics import percentile

Floats = npt.NDArray[np.float64]
# How long connections are held: always as long, or as waiting for independent events takes.
Holds = Literal["constant", "exponential"]
HOLDS: tuple[Holds, ...] = ("constant", "exponential")
MOST_CONNECTIONS = 1_000


class UnstableQueue(ValueError):
    """More work arrives than connections can do, so the line grows without end."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long requests wait for a connection, those that do not wait included; seconds.

    Attributes:
        probability: Share of requests that wait at all.
        mean_s: Mean wait.
        p99_s: 99th percentile of the waits.
    """

    probability: float
    mean_s: float
    p99_s: float


def utilisation(rate: float, hold_s: float, connections: int) -> float:
    """Return the share of time in which a connection is held: rate times hold time over connections.

    Args:
        rate: Requests per second.
        hold_s: Mean time a request holds a connection, in seconds.
        connections: Connections of the pool.

    Raises:
        UnstableQueue: If it is 1 or more.
        ValueError: If a value is out of range.
    """
    if not (rate > 0 and hold_s > 0 and math.isfinite(rate * hold_s)):
        raise ValueError(f"'rate' and 'hold_s' must be more than 0 (got {rate!r} and {hold_s!r})")
    if not 1 <= connections <= MOST_CONNECTIONS:
        raise ValueError(f"'connections' must be 1 to {MOST_CONNECTIONS} (got {connections!r})")
    offered = rate * hold_s
    if offered >= connections:
        more = rate - connections / hold_s
        growth = (
            f"the line grows by {more:.3g} requests a second" if more > 0 else "none is ever spare, so the line grows"
        )
        raise UnstableQueue(
            f"{rate:g} requests a second that hold a connection for {hold_s:g} s each keep {offered:.4g} connections "
            f"busy, and there are {connections}: {growth}"
        )
    return offered / connections


def erlang_c(offered: float, connections: int) -> float:
    """Return the probability that a request waits in an M/M/c queue.

    Erlang's second formula (Erlang 1917, "Solution of some problems in the theory of probabilities of significance in
    automatic telephone exchanges"), from his first, C = B / (1 - u (1 - B)) with utilisation u. The first is computed
    by its recursion over the number of servers, B(n) = a B(n-1) / (n + a B(n-1)), B(0) = 1 (Cooper, "Introduction to
    Queueing Theory", 1981, chapter 3): sums and products of numbers between 0 and 1, where factorials would overflow.

    Args:
        offered: Rate times mean hold time, in erlangs; less than the connections.
        connections: Connections of the pool.
    """
    lost = 1.0
    for number in range(1, connections + 1):
        lost = offered * lost / (number + offered * lost)
    return lost / (1.0 - offered / connections * (1.0 - lost))


def exponential_waits(rate: float, hold_s: float, connections: int) -> Waits:
    """Return the waits of an M/M/c queue, first come, first served.

    With Erlang's C the mean is C h / (c - a), and a wait is longer than t with probability C exp(-(c - a) t / h)
    (Cooper 1981, chapter 3), a being the offered load and h the mean hold time.

    Args:
        rate: Requests per second.
        hold_s: Mean time a request holds a connection, in seconds.
        connections: Connections of the pool.

    Raises:
        UnstableQueue: If connections are not enough.
    """
    spare = connections * (1.0 - utilisation(rate, hold_s, connections))
    probability = erlang_c(rate * hold_s, connections)
    p99_s = hold_s / spare * math.log(probability / 0.01) if probability > 0.01 else 0.0
    return Waits(probability, probability * hold_s / spare, p99_s)


def cosmetatos(rate: float, hold_s: float, connections: int) -> float:
    """Return the mean wait of an M/D/c queue in seconds, approximately.

    Half of the wait in the M/M/c queue, times 1 + (1 - u) (c - 1) (sqrt(4 + 5 c) - 2) / (16 u c) (Cosmetatos 1975,
    "Approximate explicit formulae for the average queueing time in the processes (M/D/r) and (D/M/r)", INFOR 13). The
    half alone is what Allen and Cunneen's approximation for any hold time gives where it is constant (Allen 1990,
    "Probability, Statistics, and Queueing Theory", chapter 5).

    Args:
        rate: Requests per second.
        hold_s: Time a request holds a connection, in seconds.
        connections: Connections of the pool.

    Raises:
        UnstableQueue: If connections are not enough.
    """
    used = utilisation(rate, hold_s, connections)
    more = (1.0 - used) * (connections - 1) * (math.sqrt(4.0 + 5.0 * connections) - 2.0) / (16.0 * used * connections)
    return 0.5 * exponential_waits(rate, hold_s, connections).mean_s * (1.0 + more)


def constant_waits(rate: float, hold_s: float, connections: int) -> Waits:
    """Return the waits of an M/D/c queue, first come, first served; exact.

    Who is in the system one hold time from now is who waits now and who arrives until then, which gives equations for
    the numbers in the system (Crommelin 1932, "Delay probability formulas when the holding times are constant"); from
    these come the waits (Franx 2001, "A simple solution for the M/D/c waiting time distribution", Operations Research
    Letters 29): for (k - 1) h <= t < k h a wait is at most t with probability
    sum over j < kc of Q(kc - 1 - j) times the probability of j arrivals in kh - t, Q(i) being the probability that at
    most i wait. All terms are positive, so nothing cancels. Far out the probabilities fall geometrically (Tijms 2003,
    "A First Course in Stochastic Models", section 9.6).

    Args:
        rate: Requests per second.
        hold_s: Time a request holds a connection, in seconds.
        connections: Connections of the pool.

    Raises:
        UnstableQueue: If connections are not enough.
    """
    utilisation(rate, hold_s, connections)
    offered = rate * hold_s
    present, decay = _present(offered, connections)
    waiting = present[connections:]
    last = float(waiting[-1])
    # The tail beyond what was solved for: last times decay, decay squared, ...
    most = len(waiting) - 1
    tail = last * decay / (1.0 - decay)
    probability = float(waiting.sum()) + tail
    mean_queue = float(np.arange(most + 1) @ waiting) + tail * (most + 1.0 / (1.0 - decay))
    at_most = 1.0 - probability + np.cumsum(waiting)

    def no_longer_than(wait_holds: float) -> float:
        steps = math.floor(wait_holds) + 1
        places = steps * connections
        arrivals = _poisson(offered * (steps - wait_holds), places)
        queued = _at_most(at_most, last, decay, places)
        return float(arrivals @ queued[::-1][: len(arrivals)])

    p99_s = 0.0 if no_longer_than(0.0) >= 0.99 else _root(lambda wait: no_longer_than(wait) - 0.99) * hold_s
    return Waits(probability, mean_queue / rate, p99_s)


def _present(offered: float, connections: int) -> tuple[Floats, float]:
    """Return the probabilities of 0, 1, 2, ... in an M/D/c system, and the factor by which they fall from the last on.

    The factor is 1 / z, with z > 1 the root of z^c = exp(a (z - 1)), that is of log z = u (z - 1).
    """
    used = offered / connections
    root = _root(lambda over: used * over - math.log1p(over), start=(1.0 - used) / used) + 1.0
    decay = 1.0 / root
    # The next root's share falls by exp(-sqrt(2 pi / c)) more with every step: below 1e-10 at the last.
    most = connections + math.ceil(10.0 * math.sqrt(connections)) + 30
    arrivals = _poisson(offered, most + 1)
    arrivals = np.concatenate([arrivals, np.zeros(most + 1 - len(arrivals))])
    # Column i: where i in the system lead to, one hold time later.
    step = np.zeros((most + 1, most + 1))
    for now in range(most + 1):
        left = max(0, now - connections)
        step[left:, now] = arrivals[: most + 1 - left]
    for beyond in range(1, connections + 1):
        left = most + beyond - connections
        step[left:, most] += decay**beyond * arrivals[: most + 1 - left]
    equations = step - np.eye(most + 1)
    # One equation follows from the others; in its place: they add up to 1, the tail included.
    equations[-1] = 1.0
    equations[-1, -1] = 1.0 / (1.0 - decay)
    known = np.zeros(most + 1)
    known[-1] = 1.0
    found: Floats = np.maximum(np.linalg.solve(equations, known), 0.0)
    return found, decay


def _poisson(mean: float, count: int) -> Floats:
    """Return the Poisson probabilities of 0, 1, 2, ...; at most so many, those left out that are next to nothing."""
    count = min(count, math.ceil(mean + 12.0 * math.sqrt(mean) + 40.0))
    numbers = np.arange(count)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, count)))])
    found: Floats = np.exp(numbers * math.log(mean) - mean - factorials)
    return found


def _at_most(solved: Floats, last: float, decay: float, places: int) -> Floats:
    """Return the probabilities that at most 0, 1, 2, ... wait, continued by the tail."""
    if places <= len(solved):
        return solved[:places]
    steps = np.arange(1, places - len(solved) + 1)
    beyond = solved[-1] + last * decay * (1.0 - decay**steps) / (1.0 - decay)
    return np.concatenate([solved, beyond])


def _root(function: Callable[[float], float], start: float = 1.0) -> float:
    """Return where a function that is negative above 0 and grows in the end becomes positive, by bisection."""
    low, high = 0.0, start
    while function(high) < 0.0:
        low, high = high, 2.0 * high
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if function(middle) < 0.0 else (low, middle)
        if high - low <= 1e-12 * high:
            break
    return high


def waits(rate: float, hold_s: float, connections: int, holds: Holds) -> Waits:
    """Return the waits for a pool, whichever kind of hold times there are.

    Args:
        rate: Requests per second.
        hold_s: Mean time a request holds a connection, in seconds.
        connections: Connections of the pool.
        holds: How hold times scatter.

    Raises:
        UnstableQueue: If connections are not enough.
    """
    return (constant_waits if holds == "constant" else exponential_waits)(rate, hold_s, connections)


def simulate(arrivals_s: Sequence[float], holds_s: Sequence[float], connections: int) -> list[float]:
    """Return how long each request waits, first come, first served, in seconds.

    Each takes the connection that is free first (Kiefer and Wolfowitz 1955, "On the theory of queues with many
    servers").

    Args:
        arrivals_s: When each arrives, ascending.
        holds_s: How long each holds its connection.
        connections: Connections of the pool.
    """
    free_s = [-math.inf] * connections
    found = []
    for arrival_s, hold_s in zip(arrivals_s, holds_s, strict=True):
        start_s = max(arrival_s, heapq.heappop(free_s))
        heapq.heappush(free_s, start_s + hold_s)
        found.append(start_s - arrival_s)
    return found


def observed(waits_s: Sequence[float]) -> Waits:
    """Return what measured or simulated waits say.

    Raises:
        ValueError: If there is none.
    """
    if not waits_s:
        raise ValueError("'waits_s' must hold at least one value (got none)")
    return Waits(
        sum(each > 0.0 for each in waits_s) / len(waits_s), sum(waits_s) / len(waits_s), percentile(waits_s, 0.99)
    )
