"""Part d: our load client and wrk on one service, in interleaved slices, until the intervals say enough.

Slices come in fours, ours, wrk's, wrk's, ours or the other way round, so that what drifts falls on both alike; two
neighbours are a pair. All services are up meanwhile and take turns, so that pairs that one no longer needs are left to
the others. After ever more pairs (8, 12, 18, ...) it is looked at whether every figure of a service is decided. Each
look is one more chance to stop on luck, so they are few: of 300 simulated runs of clients that differ by exactly the
bound 1 to 5 in 100 were said to agree with 32 pairs (normal noise, bursts), and 4 to 10 in 100 with 96.
"""

import random
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from time import monotonic
from typing import Literal

import numpy as np

from shared.config import Edition
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from shared.lab.services.process import running
from shared.lab.statistics import Ratio
from shared.lab.validity import pace
from shared.lab.validity import wrk
from shared.lab.validity.clients import BothClients
from shared.lab.validity.plan import SCENARIOS
from shared.lab.validity.plan import Sizes
from shared.lab.validity.typical import pairs_needed
from shared.lab.validity.typical import typical_ratio
from shared.lab.validity.verdict import Verdict
from shared.lab.validity.wrk_result import Agreement
from shared.lab.validity.wrk_result import AgreementFigure
from shared.lab.validity.wrk_result import WrkPart

Figure = Literal["rps", "p50", "p99"]

# What most requests are like. Of cheaper ones each client has a rate of its own, as the measurement of the pace shows.
CELLS: tuple[tuple[Edition, Scenario], ...] = (("asgi", SCENARIOS[1]), ("wsgi", SCENARIOS[1]))
BOUNDS: Mapping[Figure, float] = {"rps": 0.05, "p50": 0.1, "p99": 0.1}
CORRECTED: Mapping[Figure, Callable[[wrk.Figures], float]] = {
    "rps": lambda figures: figures.rps,
    "p50": lambda figures: figures.p50_s,
    "p99": lambda figures: figures.p99_s,
}
PLAIN: Mapping[Figure, Callable[[wrk.Figures], float]] = {
    "rps": lambda figures: figures.rps,
    "p50": lambda figures: figures.plain_p50_s,
    "p99": lambda figures: figures.plain_p99_s,
}
# From one look at the intervals to the next, so many times as many pairs.
LOOK_FACTOR = 1.5
# Two pairs, which are run together, with what is between them.
FOUR_SLICES = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: a slice of each client.

    Attributes:
        ours: Our client's figures, computed as wrk does.
        wrks: wrk's.
        ours_cpu_s: CPU seconds that the service used for each answer to ours.
        wrks_cpu_s: The same for wrk.
    """

    ours: wrk.Figures
    wrks: wrk.Figures
    ours_cpu_s: float
    wrks_cpu_s: float


def verdict_of(ratio: Ratio, bound: float) -> Verdict:
    """Return whether two clients agree within a bound, as an equivalence test does.

    They do if the whole interval lies within 1 / (1 + bound) to 1 + bound (two one-sided tests, D. J. Schuirmann 1987,
    "A comparison of the two one-sided tests procedure and the power approach"), and do not if it lies outside.
    """
    low, high = 1 / (1 + bound), 1 + bound
    if low <= ratio.low and ratio.high <= high:
        return "holds"
    return "fails" if ratio.high < low or ratio.low > high else "undecided"


def figures(pairs: Sequence[Pair]) -> tuple[AgreementFigure, ...]:
    """Return every figure of ours over wrk's with its interval and verdict; needs six pairs."""
    found = []
    for name, bound in BOUNDS.items():
        # wrk's own are corrected already, so the uncorrected ratio has ours alone without.
        wrks = [CORRECTED[name](pair.wrks) for pair in pairs]
        ratio = typical_ratio([CORRECTED[name](pair.ours) for pair in pairs], wrks)
        plain = typical_ratio([PLAIN[name](pair.ours) for pair in pairs], wrks)
        verdict = verdict_of(ratio, bound)
        needed = pairs_needed(ratio, bound) if verdict == "undecided" else None
        found.append(AgreementFigure(name, bound, ratio, plain, verdict, needed))
    return tuple(found)


def judge(agreements: Sequence[Agreement]) -> Verdict:
    """Return whether every figure of every service agrees."""
    verdicts = {figure.verdict for each in agreements for figure in each.figures}
    return "fails" if "fails" in verdicts else "undecided" if "undecided" in verdicts else "holds"


def run(
    *, environ: Mapping[str, str], seed: int, sizes: Sizes, until: float, progress: Callable[[str], None]
) -> WrkPart:
    """Load services with both clients in turn.

    Args:
        environ: Environment variables for every service; DATABASE_URL among them.
        seed: Of the order.
        sizes: How much is run at most.
        until: When to end, on the monotonic clock in seconds; not before each service has had its first look.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service, the load client or wrk fails.
    """
    program = wrk.find()
    if program is None:
        progress(f"d: left out, wrk is not installed ({wrk.INSTALL_HINT})")
        return WrkPart("not run", f"wrk is not installed: {wrk.INSTALL_HINT}", (), None, 0.0)
    began = monotonic()
    cores = choose_cores()
    most = len(CELLS) * sizes.wrk_most_rounds
    specs = [edition_spec(edition, environ) for edition, _ in CELLS]
    with running(specs, cores=cores.server) as services, LoadClient(cores=cores.client) as client:
        turns = [
            _Turns(
                BothClients(service, scenario, client, program, sizes.wrk_slice_s, cores.client), sizes.wrk_least_rounds
            )
            for service, (_, scenario) in zip(services, CELLS, strict=True)
        ]
        for each in turns:
            each.clients.ours()  # warms the service up
        generator = random.Random(seed)
        paced = None
        if sizes.wrk_pace_rounds:
            paced = pace.run(
                CELLS[0][0],
                replace(turns[0].clients, scenario=SCENARIOS[0]),
                rounds=sizes.wrk_pace_rounds,
                generator=generator,
                progress=progress,
            )
        while waiting := [each for each in turns if not each.is_decided]:
            done = sum(len(each.pairs) for each in turns)
            is_looked_at = all(len(each.pairs) >= sizes.wrk_least_rounds for each in turns)
            if done + 2 > most or (is_looked_at and monotonic() > until - FOUR_SLICES * sizes.wrk_slice_s):
                break
            progress(f"d: pair {done + 1} of {most} at most")
            min(waiting, key=lambda each: len(each.pairs)).go_on(ours_first=generator.random() < 0.5)
    agreements = [
        Agreement(
            edition=edition,
            scenario=scenario.name,
            connections=LOADS[0].connections,
            slice_s=sizes.wrk_slice_s,
            wrk_rps=float(np.exp(np.mean([np.log(pair.wrks.rps) for pair in each.pairs]))),
            server_cpu=typical_ratio(
                [pair.ours_cpu_s for pair in each.pairs], [pair.wrks_cpu_s for pair in each.pairs]
            ),
            figures=figures(each.pairs),
        )
        for (edition, scenario), each in zip(CELLS, turns, strict=True)
    ]
    return WrkPart(judge(agreements), wrk.version(program), tuple(agreements), paced, monotonic() - began)


class _Turns:
    """One service's pairs so far.

    Args:
        clients: Both clients on it.
        least: Pairs before the first look at the intervals.

    Attributes:
        pairs: Every pair.
        is_decided: Whether the last look left nothing undecided.
    """

    def __init__(self, clients: BothClients, least: int) -> None:
        self.clients = clients
        self.pairs: list[Pair] = []
        self.is_decided = False
        self._next_look = least

    def go_on(self, *, ours_first: bool) -> None:
        """Run four slices, and look at the intervals if it is time to."""
        self.pairs += [self._pair(ours_first=ours_first), self._pair(ours_first=not ours_first)]
        if len(self.pairs) >= self._next_look:
            self._next_look = next_look(len(self.pairs))
            self.is_decided = all(figure.verdict != "undecided" for figure in figures(self.pairs))

    def _pair(self, *, ours_first: bool) -> Pair:
        """Run one slice of each."""
        both = self.clients
        if ours_first:
            ours, wrks = both.with_cpu(both.ours), both.with_cpu(both.wrks)
        else:
            wrks, ours = both.with_cpu(both.wrks), both.with_cpu(both.ours)
        return Pair(ours[0], wrks[0], ours[1], wrks[1])


def next_look(pairs: int) -> int:
    """Return after how many pairs to look again."""
    return int(pairs * LOOK_FACTOR)
