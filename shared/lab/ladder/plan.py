"""What a ladder run does and in which order; nothing here reads a clock, opens a socket or starts a process."""

import random
from dataclasses import dataclass

from shared.config import Edition
from shared.errors import UsageError
from shared.lab.ladder.rungs import RUNGS
from shared.lab.statistics import MINIMUM_ROUNDS

STARTS = 8
SECONDS = 10.0
# Beyond this a round of all rungs may not fit into a start, or nobody waits for it.
SECONDS_RANGE = (1.0, 600.0)
# Requests of a volley: as many as the smaller pool of threads and connections serves without waiting.
VOLLEY = 8
WARM_UP_VISITS = 6

# Not part of a plan, and as they were on one machine with two processors: the check of all answers with its services,
# and starting and stopping both services.
CHECK_S = 5.0
START_S = 3.0
# One visit to every rung of one edition.
VISITS_S = 0.25


@dataclass(frozen=True, slots=True)
class Cell:
    """One rung of one edition.

    Attributes:
        edition: Which edition.
        rung: Place in RUNGS, counted from 0.
    """

    edition: Edition
    rung: int


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """What is measured.

    Attributes:
        editions: Which editions.
        starts: How often their services are started anew; the unit of every interval.
        seconds: Of rounds for each start.
        seed: Fixes the order.
        volley: Requests of one volley.
        warm_up_visits: Visits to every rung before the first round of a start.
    """

    editions: tuple[Edition, ...] = ("wsgi", "asgi")
    starts: int = STARTS
    seconds: float = SECONDS
    seed: int = 1
    volley: int = VOLLEY
    warm_up_visits: int = WARM_UP_VISITS

    def __post_init__(self) -> None:
        """Refuse a plan of which no interval could come.

        Raises:
            UsageError: If it has too few starts, or starts of no useful length.
        """
        if self.starts < MINIMUM_ROUNDS:
            raise UsageError(
                f"--starts must be at least {MINIMUM_ROUNDS} (got {self.starts})", why="intervals come from starts"
            )
        low, high = SECONDS_RANGE
        if not low <= self.seconds <= high:
            raise UsageError(f"--seconds must be between {low:g} and {high:g} (got {self.seconds:g})")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every rung of every edition, in table order."""
        return tuple(Cell(edition, place) for edition in self.editions for place in range(len(RUNGS)))

    @property
    def estimated_s(self) -> float:
        """About how long it takes, in seconds."""
        warm_up_s = self.warm_up_visits * VISITS_S * len(self.editions)
        return CHECK_S + self.starts * (START_S + warm_up_s + self.seconds)

    def orders(self, start: int) -> "Orders":
        """Return the endless sequence of a start's rounds."""
        return Orders(self.cells, f"{self.seed}/{start}")


class Orders:
    """Rounds without end: every cell in random order, then in the reverse one.

    What drifts evenly while a round lasts then touches all of its cells alike.

    Args:
        cells: What each round visits, twice.
        seed: Fixes the orders.
    """

    def __init__(self, cells: tuple[Cell, ...], seed: str) -> None:
        self._cells = cells
        self._generator = random.Random(seed)

    def __iter__(self) -> "Orders":
        return self

    def __next__(self) -> tuple[Cell, ...]:
        order = self._generator.sample(self._cells, len(self._cells))
        return (*order, *reversed(order))
