"""What is run and in which order; nothing here reads a clock, opens a socket or starts a process."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Closed: a connection sends when its last answer is complete. Open: requests fall due on a schedule. Two questions.
LoadModel = Literal["closed", "open"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One request, sent over and over.

    Attributes:
        name: Label in results and tables.
        target: Path and query as they stand in the request line.
        method: HTTP method; HEAD is refused, because a response parser cannot know that no body follows.
        body: Bytes of the request body.
        content_type: Content type sent along with a body.
    """

    name: str
    target: str
    method: str = "GET"
    body: bytes = b""
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        """Refuse what could not be sent as one valid request."""
        if self.method == "HEAD":
            raise ValueError("'method' must not be HEAD: its response cannot be told from a truncated one")
        if not self.target.startswith("/") or any(ord(c) <= 32 or ord(c) > 126 for c in self.target):
            raise ValueError(f"'target' must be a percent-encoded path that begins with '/' (got {self.target!r})")

    def request_bytes(self, host: str) -> bytes:
        """Return the whole request as it goes on the wire."""
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\n"
        if self.body or self.method in {"POST", "PUT", "PATCH"}:
            head += f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode("ascii") + b"\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing under load: an edition or a control.

    Attributes:
        name: Label in results and tables.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One subject under one scenario."""

    scenario: Scenario
    subject: Subject


@dataclass(frozen=True, slots=True)
class Round:
    """One slice of every cell of a scenario, in order; the unit that intervals are made from.

    Attributes:
        index: Number of the round within its scenario, from 0.
        cells: The slices to run, each cell once.
    """

    index: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long and how hard each slice loads its subject.

    Attributes:
        rounds: Rounds per scenario.
        ramp_s: Load before the window of a slice, in seconds; its samples are kept, but not summarised.
        window_s: Measured window of a slice, in seconds.
        response_timeout_s: A response that takes longer, in seconds, is an error of kind timeout.
        warm_up_slice_s: Length of one warm-up slice, in seconds.
        warm_up_slices: Upper bound on warm-up slices per cell.
        concurrency: Connections, each with at most one request in flight.
    """

    rounds: int = 10
    ramp_s: float = 0.1
    window_s: float = 0.4
    response_timeout_s: float = 5.0
    warm_up_slice_s: float = 0.2
    warm_up_slices: int = 6
    concurrency: int = 32

    def __post_init__(self) -> None:
        """Refuse values that no plan can be made from."""
        for name, least in (("rounds", 3), ("concurrency", 1), ("warm_up_slices", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"'{name}' must be at least {least} (got {getattr(self, name)!r})")
        for name in ("window_s", "response_timeout_s", "warm_up_slice_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"'{name}' must be more than 0 seconds (got {getattr(self, name)!r})")
        if self.ramp_s < 0:
            raise ValueError(f"'ramp_s' must not be negative (got {self.ramp_s!r})")

    def scenario_s(self, subjects: int) -> float:
        """Return the load time of one scenario, in seconds, when every warm-up uses its bound."""
        slices = self.rounds * (self.ramp_s + self.window_s)
        return subjects * (slices + self.warm_up_slices * self.warm_up_slice_s)


def make_rounds(scenario: Scenario, subjects: Sequence[Subject], *, rounds: int, seed: int) -> tuple[Round, ...]:
    """Return the rounds of one scenario in interleaved, seeded random order.

    Rounds come in mirrored pairs, A B then B A, and the order of each pair is drawn anew: a drift that is linear over a
    pair touches all subjects alike, and no subject keeps the first place. An odd last round is drawn by itself.

    Args:
        scenario: What every slice sends.
        subjects: What is loaded; their names must differ.
        rounds: Number of rounds.
        seed: Together with the scenario's name it fixes the order.

    Raises:
        ValueError: If there is no subject, or two share a name.
    """
    if not subjects or len({subject.name for subject in subjects}) != len(subjects):
        raise ValueError(f"subjects must be named, each differently (got {[s.name for s in subjects]!r})")
    # Seeded by text, so that adding a scenario leaves the order of the others as it was.
    generator = random.Random(f"{seed}/{scenario.name}")
    planned: list[Round] = []
    while len(planned) < rounds:
        order = [Cell(scenario, subject) for subject in subjects]
        generator.shuffle(order)
        planned.append(Round(len(planned), tuple(order)))
        if len(planned) < rounds:
            planned.append(Round(len(planned), tuple(reversed(order))))
    return tuple(planned)
