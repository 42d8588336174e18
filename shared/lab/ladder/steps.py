"""From every round's figures to levels, steps, gaps and doubts; pure functions.

A start's figure is the mean of its rounds, so that the steps of an edition add up to what its top rung costs. The
intervals come from starts: a process's memory layout and hash seed alone move its figures by some per cent
(T. Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009), for all of its
rounds alike, and only another start shows by how much. A step is taken between paths of one process, in which most of
that cancels.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from statistics import fmean

from shared.config import Edition
from shared.lab.ladder.record import Climb
from shared.lab.ladder.record import Gap
from shared.lab.ladder.record import Level
from shared.lab.results.disturbances import FOREIGN_CORES
from shared.lab.results.record import Doubt
from shared.lab.statistics import Difference
from shared.lab.statistics import paired_difference

LOWER: Edition = "wsgi"
UPPER: Edition = "asgi"
# An unresolved step is doubtful from this share of its rung's level on: smaller ones are shown to be small.
WIDE_SHARE = 0.05


def levels(climbs: Iterable[Climb], editions: Sequence[Edition], rungs: Sequence[str]) -> tuple[Level, ...]:
    """Return what each rung costs each edition, and what it costs beyond the rung below.

    Raises:
        ValueError: If a rung has fewer than three starts.
    """
    found = list(climbs)
    made = []
    for edition in editions:
        below: list[float] | None = None
        for rung in rungs:
            mine = _of(found, edition, rung)
            costs = _means(mine)
            nothing = [0.0] * len(costs)
            made.append(
                Level(
                    edition=edition,
                    rung=rung,
                    cpu_s=paired_difference(costs, nothing),
                    step_s=paired_difference(costs, nothing if below is None else below),
                    database_cpu_s=_database(mine),
                )
            )
            below = costs
    return tuple(made)


def gaps(climbs: Iterable[Climb], rungs: Sequence[str]) -> tuple[Gap, ...]:
    """Return what each rung costs the ASGI edition more than the WSGI edition, in pairs of starts.

    Raises:
        ValueError: If a rung has fewer than three starts, or the editions have not as many.
    """
    found = list(climbs)
    made = []
    above_steps: list[float] = [0.0] * len(_of(found, UPPER, rungs[0]))
    below_steps = above_steps
    for rung in rungs:
        above, below = _means(_of(found, UPPER, rung)), _means(_of(found, LOWER, rung))
        made.append(
            Gap(
                rung=rung,
                cpu_s=paired_difference(above, below),
                step_s=paired_difference(_minus(above, above_steps), _minus(below, below_steps)),
            )
        )
        above_steps, below_steps = above, below
    return tuple(made)


def doubts(levels: Iterable[Level], gaps: Iterable[Gap], foreign_cores: float) -> tuple[Doubt, ...]:
    """Return every reason not to trust a ladder, those about all of it first."""
    found = [*_foreign(foreign_cores)]
    steps: dict[str, list[tuple[str, Difference]]] = {}
    costs: dict[str, float] = {}
    for level in levels:
        steps.setdefault(level.rung, []).append((level.edition, level.step_s))
        costs[level.rung] = max(costs.get(level.rung, 0.0), level.cpu_s.value)
        found += _negative(level)
    for gap in gaps:
        steps[gap.rung].append((f"{UPPER} - {LOWER}", gap.step_s))
    for rung, named in steps.items():
        found += _wide(rung, named, costs[rung])
    return tuple(found)


def _negative(level: Level) -> Iterator[Doubt]:
    if level.step_s.high < 0:
        yield Doubt(
            "negative_step",
            f"on {level.edition} the rung costs less than the one below, so it does not only add something to it",
            "read the two rungs as one step",
            level.step_s.value,
            level.rung,
            None,
            level.edition,
        )


def _wide(rung: str, steps: Sequence[tuple[str, Difference]], cost_s: float) -> Iterator[Doubt]:
    """Yield one doubt for all steps to a rung of which not even the sign is known."""
    wide = [(name, step) for name, step in steps if not step.difference_shown and step.half_width > WIDE_SHARE * cost_s]
    if wide:
        named = ", ".join(f"{name} ({step.half_width * 1e6:.0f} us)" for name, step in wide)
        yield Doubt(
            "wide_interval",
            f"steps that may be of either sign, by more than {WIDE_SHARE:.0%} of what the rung costs: {named} to "
            "either side",
            "repeat with more starts (--starts) on a quieter machine",
            max(step.half_width for _, step in wide),
            rung,
            None,
            None,
        )


def _foreign(cores: float) -> Iterator[Doubt]:
    if cores > FOREIGN_CORES:
        yield Doubt(
            "foreign_load",
            f"other programs used {cores:.2f} cores meanwhile: CPU time is not waiting time, but their use of caches "
            "and memory makes every request dearer",
            "stop them and run again",
            cores,
            None,
            None,
            None,
        )


def _of(climbs: Sequence[Climb], edition: Edition, rung: str) -> list[Climb]:
    """Return an edition's climbs to a rung, in the order of its starts."""
    mine = [climb for climb in climbs if (climb.edition, climb.rung) == (edition, rung)]
    return sorted(mine, key=lambda climb: climb.start)


def _means(climbs: Sequence[Climb]) -> list[float]:
    return [fmean(climb.cpu_s) for climb in climbs]


def _database(climbs: Sequence[Climb]) -> Difference | None:
    values = [fmean(climb.database_cpu_s) for climb in climbs if climb.database_cpu_s is not None]
    return paired_difference(values, [0.0] * len(values)) if len(values) == len(climbs) else None


def _minus(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(above, below, strict=True)]
