"""Beside part d: what the client's own pace does to a service whose answers are cheap.

A service that sends an answer of some bytes in a tenth of a millisecond works differently for a client that takes it at
once and for one that takes it a little later: how often a sleeping client must be woken, and how many requests wait
when the service looks for them, are up to the client. wrk shows it alone, without any other client's counting: it is
run as it is, and with some microseconds of computing at each answer. Where the two get different rates of one service,
a rate is one of service and client together, and says nothing about whether a client counts right.
"""

import random
from collections.abc import Callable
from functools import partial

from shared.config import Edition
from shared.lab.validity.clients import BothClients
from shared.lab.validity.typical import typical_ratio
from shared.lab.validity.wrk import Figures
from shared.lab.validity.wrk_result import Pace
from shared.lab.validity.wrk_result import PaceRatios

# About what our client, in Python, takes longer over an answer than wrk, in C.
PAUSE_S = 25e-6


def run(
    edition: Edition,
    clients: BothClients,
    *,
    rounds: int,
    generator: random.Random,
    progress: Callable[[str], None],
) -> Pace:
    """Run a slice of our client, of wrk, and of wrk with pauses in each round, in random order.

    Args:
        edition: Which service they are on.
        clients: Both clients on it; it is warm.
        rounds: At least six.
        generator: Of the order.
        progress: Called with one line for each round.
    """
    clients.ours()  # warms this path up
    runs: dict[str, Callable[[], Figures]] = {
        "ours": clients.ours,
        "wrk": clients.wrks,
        "paused": partial(clients.wrks, PAUSE_S),
    }
    rps: dict[str, list[float]] = {name: [] for name in runs}
    cpu_s: dict[str, list[float]] = {name: [] for name in runs}
    for done in range(rounds):
        progress(f"d: the client's pace, round {done + 1} of {rounds}")
        for name in generator.sample(list(runs), len(runs)):
            figures, used_s = clients.with_cpu(runs[name])
            rps[name].append(figures.rps)
            cpu_s[name].append(used_s)

    def over_wrk(name: str) -> PaceRatios:
        return PaceRatios(typical_ratio(rps[name], rps["wrk"]), typical_ratio(cpu_s[name], cpu_s["wrk"]))

    return Pace(edition, clients.scenario.name, PAUSE_S, over_wrk("ours"), over_wrk("paused"))
