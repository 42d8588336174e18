"""From the options of `compare` to its plan: a profile's values, and what is asked for instead."""

import math
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Literal

from shared.errors import UsageError
from shared.lab.planning import loads
from shared.lab.planning import scenarios
from shared.lab.planning import stopping
from shared.lab.planning.estimate import estimate
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Arrivals
from shared.lab.planning.plan import Behaviour
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Timing
from shared.lab.planning.stopping import MAX_ROUNDS
from shared.lab.planning.stopping import Until
from shared.lab.statistics import MINIMUM_ROUNDS

ProfileName = Literal["quick", "full"]

# No database, one row, many statements, a transaction, a page, a slow query.
COMPARED = ("plaintext", "db", "queries", "updates", "fortunes", "sleep")

# The two editions.
SUBJECTS = 2
MIN_WINDOW_S = 0.05
MAX_WINDOW_S = 60.0
# Below a tenth of a per cent no machine would ever get there; above half, the ratio says nothing.
MIN_HALF_WIDTH = 0.001
MAX_HALF_WIDTH = 0.5
MAX_TOTAL_S = 86_400.0
POLITE = Behaviour()
# What the generators of random numbers take.
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Values for whatever the command line leaves open.

    Attributes:
        scenarios: Words that name scenarios.
        loads: Loads of each scenario.
        timing: Rounds and windows.
        max_s: Longest time that rounds are added for, in seconds, where their number is not fixed.
    """

    scenarios: tuple[str, ...]
    loads: tuple[Load, ...]
    timing: Timing
    max_s: float


PROFILES: Mapping[ProfileName, Profile] = {
    "quick": Profile(COMPARED, LOADS, Timing(), max_s=120.0),
    "full": Profile((scenarios.EVERYTHING,), tuple(map(Load, (1, 8, 32, 128))), Timing(rounds=12), max_s=1_200.0),
}


def make_plan(
    profile: ProfileName,
    *,
    lab: bool,
    seed: int,
    words: Sequence[str] | None = None,
    connections: Sequence[str] | None = None,
    rounds: int | None = None,
    window_s: float | None = None,
    until: str | None = None,
    max_s: float | None = None,
    rates: Sequence[str] | None = None,
    arrivals: Arrivals | None = None,
    ceiling: str | None = None,
    behaviour: Behaviour = POLITE,
    clients: int = 1,
) -> Plan:
    """Return the plan of a comparison; what is None comes from the profile.

    Args:
        profile: Which profile.
        lab: Whether the services have the endpoints that need LAB=1.
        seed: Fixes the order of slices and the resampling.
        words: Groups, endpoints or targets, each text one or several with commas between them.
        connections: Connections under load, each text one number or several with commas between them.
        rounds: Rounds of each scenario at each level.
        window_s: Measured window of a slice, in seconds.
        until: Half width of the intervals at which no more rounds are run, such as 3%.
        max_s: Longest time for that, in seconds.
        rates: Requests per second of the open model, each text one number or several with commas between them. Without
            `connections` they are all the loads.
        arrivals: How these fall due; None for Poisson arrivals.
        ceiling: Requests of the open model in flight at most; None for the default.
        behaviour: What the clients do that is not polite.
        clients: Processes of the load client.

    Raises:
        UsageError: If a value is out of bounds, or a word names no scenario.
    """
    base = PROFILES[profile]
    ends = _until(until, max_s, base.max_s)
    fewest = MINIMUM_ROUNDS if ends is None else stopping.MINIMUM_ROUNDS
    if ends is not None and rounds is not None and rounds < fewest:
        raise UsageError(
            f"--rounds {rounds} is out of bounds",
            why=f"with --until it is the fewest rounds, {fewest} or more: fewer can lie close together by luck",
        )
    timing = Timing(
        rounds=max(base.timing.rounds, fewest if ends else 0)
        if rounds is None
        else int(loads.within("--rounds", rounds, fewest, MAX_ROUNDS)),
        window_s=base.timing.window_s
        if window_s is None
        else loads.within("--seconds", window_s, MIN_WINDOW_S, MAX_WINDOW_S),
    )
    if rates is None and (arrivals or ceiling):
        option = "--arrivals" if arrivals else "--connections"
        raise UsageError(f"{option} needs --rate", why="it is about the open model", hint="As in --rate 200,500")
    chosen = scenarios.choose(base.scenarios if words is None else loads.parts(words), lab=lab)
    plan = Plan(
        scenarios=tuple(replace(scenario, behaviour=behaviour) for scenario in chosen),
        loads=(
            *(() if connections is None else loads.closed_loads(connections)),
            *(
                ()
                if rates is None
                else loads.open_loads(rates, window_s=timing.window_s, arrivals=arrivals, connections=ceiling)
            ),
        )
        or base.loads,
        timing=timing,
        seed=int(loads.within("--seed", seed, 0, MAX_SEED)),
        clients=clients,
        until=ends,
    )
    _require_time(plan, SUBJECTS, max_s is not None)
    return plan


def _until(text: str | None, max_s: float | None, default_s: float) -> Until | None:
    if text is None:
        if max_s is not None:
            raise UsageError(
                "--max-seconds bounds --until, which is not given",
                why="without it the number of rounds is fixed",
                hint="As in --until 3% --max-seconds 300",
            )
        return None
    found = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,6})?)\s*%\s*", text, re.ASCII)
    if found is None:
        raise UsageError("--until takes a percentage", why=f"got {text!r}", hint="As in --until 3%")
    share = float(found[1]) / 100
    if not MIN_HALF_WIDTH <= share <= MAX_HALF_WIDTH:
        raise UsageError(
            f"--until {text.strip()} is out of bounds", why=f"it can be {MIN_HALF_WIDTH:.1%} to {MAX_HALF_WIDTH:.0%}"
        )
    return Until(share, default_s if max_s is None else loads.within("--max-seconds", max_s, 1.0, MAX_TOTAL_S))


def _require_time(plan: Plan, subjects: int, is_typed: bool) -> None:
    """Refuse a time in which not even the fewest rounds can be run.

    Raises:
        UsageError: If it is too short.
    """
    if plan.until is None:
        return
    needed_s = estimate(plan, subjects).measured_s
    if needed_s > plan.until.max_s:
        bound = f"--max-seconds {plan.until.max_s:g}" if is_typed else f"the profile's {plan.until.max_s:g} s"
        raise UsageError(
            f"{bound} is too short",
            why=f"{plan.timing.rounds} rounds of each of {len(plan.workloads)} workloads, the fewest, take about "
            f"{needed_s:.0f} s",
            hint=f"--max-seconds {math.ceil(needed_s * 1.5)}, or fewer scenarios or loads",
        )
