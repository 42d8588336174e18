"""From the options of `compare` to its plan: a profile's values, and what is asked for instead."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.errors import UsageError
from shared.lab.planning import scenarios
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Timing
from shared.lab.statistics import MINIMUM_ROUNDS

ProfileName = Literal["quick", "full"]

# No database, one row, many statements, a transaction, a page, a slow query.
COMPARED = ("plaintext", "db", "queries", "updates", "fortunes", "sleep")

MAX_ROUNDS = 1_000
MIN_WINDOW_S = 0.05
MAX_WINDOW_S = 60.0
MAX_CONNECTIONS = 1_000
# What the generators of random numbers take.
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Values for whatever the command line leaves open.

    Attributes:
        scenarios: Words that name scenarios.
        loads: Loads of each scenario.
        timing: Rounds and windows.
    """

    scenarios: tuple[str, ...]
    loads: tuple[Load, ...]
    timing: Timing


PROFILES: Mapping[ProfileName, Profile] = {
    "quick": Profile(COMPARED, LOADS, Timing()),
    "full": Profile((scenarios.EVERYTHING,), tuple(map(Load, (1, 8, 32, 128))), Timing(rounds=12)),
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

    Raises:
        UsageError: If a value is out of bounds, or a word names no scenario.
    """
    base = PROFILES[profile]
    timing = Timing(
        rounds=base.timing.rounds if rounds is None else int(_within("--rounds", rounds, MINIMUM_ROUNDS, MAX_ROUNDS)),
        window_s=base.timing.window_s
        if window_s is None
        else _within("--seconds", window_s, MIN_WINDOW_S, MAX_WINDOW_S),
    )
    return Plan(
        scenarios=scenarios.choose(base.scenarios if words is None else _parts(words), lab=lab),
        loads=base.loads if connections is None else tuple(dict.fromkeys(map(_closed, _parts(connections)))),
        timing=timing,
        seed=int(_within("--seed", seed, 0, MAX_SEED)),
    )


def _parts(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",")]


def _closed(text: str) -> Load:
    if not (text.isascii() and text.isdigit()):
        raise UsageError("--concurrency takes whole numbers", why=f"got {text!r}", hint="As in --concurrency 1,8,32")
    # A number too long to be one of connections need not be read whole.
    return Load(int(_within("--concurrency", int(text[:9]), 1, MAX_CONNECTIONS)))


def _within(option: str, value: float, least: float, most: float) -> float:
    # Written so that NaN is refused, too.
    if not least <= value <= most:
        raise UsageError(f"{option} {value} is out of bounds", why=f"it can be {least} to {most}")
    return value
