"""The record of a ladder: what each rung cost in every round, and what follows from it; it computes nothing."""

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from typing import Literal

from shared.config import Edition
from shared.lab.ladder.rungs import Rung
from shared.lab.results.record import Doubt
from shared.lab.results.record import Manifest
from shared.lab.statistics import Difference

# 1: first version.
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """What a rung answered when it was checked, equally in every edition.

    Attributes:
        rung: Its name.
        status: HTTP status.
        body_bytes: Length of the body.
        statements: SQL statements by first keyword, counted at the database; None where they could not be.
    """

    rung: str
    status: int
    body_bytes: int
    statements: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Climb:
    """One rung of one edition in one start: CPU seconds of a request, one value for each round.

    Attributes:
        edition: Which edition.
        rung: Its name.
        start: Which start, counted from 0.
        cpu_s: Of the service's processes.
        database_cpu_s: Of the database's processes that work for the service; None where they cannot be seen.
        requests: How many a round has.
    """

    edition: Edition
    rung: str
    start: int
    cpu_s: tuple[float, ...]
    database_cpu_s: tuple[float, ...] | None
    requests: int


@dataclass(frozen=True, slots=True)
class Level:
    """What a rung costs an edition, and what it costs beyond the rung below.

    Attributes:
        edition: Which edition.
        rung: Its name.
        cpu_s: CPU seconds of a request.
        step_s: The same minus the rung below's; the lowest rung's is all it costs.
        database_cpu_s: CPU seconds that the database spends on a request; None where they cannot be seen.
    """

    edition: Edition
    rung: str
    cpu_s: Difference
    step_s: Difference
    database_cpu_s: Difference | None


@dataclass(frozen=True, slots=True)
class Gap:
    """What a rung costs the ASGI edition more than the WSGI edition; negative: less.

    Attributes:
        rung: Its name.
        cpu_s: CPU seconds of a request, all rungs up to this one.
        step_s: Of this rung alone.
    """

    rung: str
    cpu_s: Difference
    step_s: Difference


@dataclass(frozen=True, slots=True)
class Ladder:
    """The result of `make ladder`.

    Attributes:
        manifest: Where, when and with what it was made.
        editions: Which editions, in table order.
        starts: How often the services were started: the unit of every interval.
        seconds: Of rounds for each start.
        volley: Requests of one volley.
        rungs: From the lowest up.
        answers: What each rung answered.
        why_not_counted: Why statements were not counted; "" if they were.
        climbs: Every figure.
        levels: What each rung costs each edition.
        gaps: What each costs the ASGI edition more; empty where one edition was measured.
        foreign_cores: CPU seconds per second that other programs took meanwhile.
        doubts: Reasons not to trust it.
        kind: Which command made it.
        schema_version: Version of this record.
    """

    manifest: Manifest
    editions: tuple[Edition, ...]
    starts: int
    seconds: float
    volley: int
    rungs: tuple[Rung, ...]
    answers: tuple[Answered, ...]
    why_not_counted: str
    climbs: tuple[Climb, ...]
    levels: tuple[Level, ...]
    gaps: tuple[Gap, ...]
    foreign_cores: float
    doubts: tuple[Doubt, ...]
    kind: Literal["ladder"] = "ladder"
    schema_version: int = SCHEMA_VERSION

    def document(self) -> dict[str, object]:
        """Return it as what its result.json holds."""
        return {"schema_version": self.schema_version, "kind": self.kind, **asdict(self)}

    def level(self, edition: Edition, rung: str) -> Level:
        """Return what a rung costs an edition.

        Raises:
            KeyError: If it was not measured.
        """
        for level in self.levels:
            if (level.edition, level.rung) == (edition, rung):
                return level
        raise KeyError((edition, rung))
