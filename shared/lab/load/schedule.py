"""When requests fall due, which of several is sent, and which are given up: all drawn from a seed before a slice.

Both subjects of a round are sent the same draws, so neither has the easier ones. Pure functions; the load client
imports this module, so it needs the standard library only.
"""

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

# Draws of a slice are repeated from the start after so many; more than a slice of half a second sends.
DRAWS = 4_096


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a slice sends when, beside the bytes of its requests.

    Attributes:
        weights: How often each request is sent, relative to the others.
        rate: Requests due per second; None in the closed model.
        is_constant: Whether they are due at equal distances, and not at random as those of many independent users.
        abort_share: Share of the requests that are given up before their answer is complete, 0 to 1.
        seed: Fixes every draw.
    """

    weights: tuple[int, ...] = (1,)
    rate: float | None = None
    is_constant: bool = False
    abort_share: float = 0.0
    seed: str = "0"


def due_offsets_ns(
    rate: float, span_s: float, *, is_constant: bool, seed: str, member: int = 0, members: int = 1
) -> "array[int]":
    """Return when requests fall due, in nanoseconds after the start, ascending and all before the end.

    Poisson arrivals have exponential gaps (Kingman, *Poisson Processes*, 1993, section 4.1); those of several client
    processes are independent streams of a lower rate each, which together are a stream of the whole rate
    (superposition, section 2.2). Constant arrivals are dealt out in turn.

    Args:
        rate: Requests per second of all members together.
        span_s: Length of the slice in seconds, ramp included.
        is_constant: Equal distances instead of Poisson arrivals.
        seed: Fixes the gaps.
        member: Which client process, from 0.
        members: How many there are.
    """
    offsets = array("q")
    if is_constant:
        number = member
        # Each from its number instead of from its predecessor, so that no rounding adds up.
        while number / rate < span_s:
            offsets.append(int(number / rate * 1e9))
            number += members
        return offsets
    generator = random.Random(f"{seed}/due/{member}")
    due_s = 0.0
    while (due_s := due_s + generator.expovariate(rate / members)) < span_s:
        offsets.append(int(due_s * 1e9))
    return offsets


def request_order(weights: Sequence[int], seed: str) -> list[int]:
    """Return which request is sent first, second and so on, as indices into the weights.

    They are dealt from shuffled decks that hold each request as often as its weight says, divided by the weights'
    common divisor. So every stretch of a deck's length holds exactly the shares, where independent draws would leave
    short slices with mixes that differ by chance.

    Args:
        weights: Whole numbers of at least 1.
        seed: Fixes the order.
    """
    common = gcd(*weights)
    deck = [number for number, weight in enumerate(weights) for _ in range(weight // common)]
    if len(weights) == 1:
        return deck
    generator = random.Random(f"{seed}/order")
    order: list[int] = []
    while len(order) < DRAWS:
        generator.shuffle(deck)
        order += deck
    return order


def abort_draws(share: float, seed: str) -> tuple[list[bool], list[float]]:
    """Return which requests are given up, and for every request when: a share of an answer's usual time.

    Args:
        share: Share of requests that are given up; with 0 both lists are empty.
        seed: Fixes the draws.
    """
    if not share:
        return [], []
    generator = random.Random(f"{seed}/abort")
    moments = [generator.random() for _ in range(DRAWS)]
    return [generator.random() < share for _ in range(DRAWS)], moments


def slow_indices(connections: int, share: float) -> frozenset[int]:
    """Return which connections read slowly: so many of them, at least one of a share above 0, evenly spread."""
    count = max(1, round(connections * share)) if share else 0
    return frozenset(number * connections // count for number in range(count))
