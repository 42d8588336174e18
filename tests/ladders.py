"""Ladders made by hand, for tests that need one without climbing."""

from collections.abc import Mapping
from collections.abc import Sequence

from shared.config import Edition
from shared.lab.ladder import steps
from shared.lab.ladder.record import Answered
from shared.lab.ladder.record import Climb
from shared.lab.ladder.record import Ladder
from shared.lab.ladder.rungs import RUNGS
from tests.lab_records import MANIFEST

NAMES = [rung.name for rung in RUNGS]
# Microseconds of a request by rung; the steps of asgi minus wsgi are -240, 0, 10, 20, 50, 0, 600, 0.
COSTS: dict[Edition, Sequence[float]] = {
    "wsgi": (300, 310, 350, 400, 600, 620, 2_020, 2_420),
    "asgi": (60, 70, 120, 190, 440, 460, 2_460, 2_860),
}


def make_climbs(
    costs: Mapping[Edition, Sequence[float]] = COSTS,
    *,
    factors: Sequence[float] = (1.0, 1.0, 1.0),
    database_us: float | None = 90.0,
) -> list[Climb]:
    """Return the figures of one start for each factor, two rounds in each, 1 us below and above the cost.

    Some nanoseconds are added, another pattern in each cell, that sum up to nothing over three starts.

    Args:
        costs: Microseconds of a request by edition and rung.
        factors: What a start multiplies all of them by.
        database_us: Microseconds of the database; None where they cannot be seen.
    """
    return [
        Climb(
            edition=edition,
            rung=name,
            start=start,
            cpu_s=tuple((cost * factor + _jitter_us(edition, place, start) + around) / 1e6 for around in (-1, 1)),
            database_cpu_s=None if database_us is None else (database_us / 1e6,) * 2,
            requests=64,
        )
        for edition, values in costs.items()
        for start, factor in enumerate(factors)
        for place, (name, cost) in enumerate(zip(NAMES, values, strict=True))
    ]


def _jitter_us(edition: Edition, place: int, start: int) -> float:
    return 0.003 * ((start * (1 if edition == "wsgi" else 2) + place) % 3 - 1)


def make_ladder(
    climbs: Sequence[Climb] | None = None, *, is_counted: bool = True, foreign_cores: float = 0.0
) -> Ladder:
    """Return the ladder that follows from figures."""
    found = make_climbs() if climbs is None else list(climbs)
    editions: tuple[Edition, ...] = tuple(dict.fromkeys(climb.edition for climb in found))
    levels = steps.levels(found, editions, NAMES)
    gaps = steps.gaps(found, NAMES) if len(editions) == 2 else ()
    return Ladder(
        manifest=MANIFEST,
        editions=editions,
        starts=len({climb.start for climb in found}),
        seconds=10.0,
        volley=8,
        rungs=RUNGS,
        answers=tuple(Answered(rung.name, 200, 27, rung.statements if is_counted else None) for rung in RUNGS),
        why_not_counted="" if is_counted else "no right to read it",
        climbs=tuple(found),
        levels=levels,
        gaps=gaps,
        foreign_cores=foreign_cores,
        doubts=steps.doubts(levels, gaps, foreign_cores),
    )
