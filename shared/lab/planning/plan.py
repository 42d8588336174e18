"""What is run and in which order; nothing here reads a clock, opens a socket or starts a process."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.lab.planning.stopping import Until

# Closed: a connection sends when its last answer is complete. Open: requests fall due on a schedule. Two questions.
LoadModel = Literal["closed", "open"]

# How the requests of an open model fall due: at equal distances, or at random as those of many independent users.
Arrivals = Literal["constant", "poisson"]
# Up to so many connections the ramp is as stated; beyond, it grows with them. With a tenth of a second for 128 equal
# sleeps of 50 ms behind ten connections of a pool, the window would tell of a third more answers than there are.
RAMP_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Part:
    """One of several requests that make a mix, a GET.

    Attributes:
        target: Path and query as they stand in the request line.
        weight: How often it is sent, relative to the others.
    """

    target: str
    weight: int

    def __post_init__(self) -> None:
        """Refuse what could not be sent."""
        _require_target(self.target)
        if self.weight < 1:
            raise ValueError(f"'weight' must be at least 1 (got {self.weight!r})")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the clients do that is not polite.

    Attributes:
        abort_share: Share of the requests whose client leaves, by a reset at a random moment before the answer is
            complete; they are recorded apart, neither as throughput nor as errors.
        slow_share: Share of the connections whose client reads slowly; the times of their answers are left out.
        slow_bytes_per_s: How fast these read.
    """

    abort_share: float = 0.0
    slow_share: float = 0.0
    slow_bytes_per_s: int = 65_536

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name in ("abort_share", "slow_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"'{name}' must be 0 to 1 (got {getattr(self, name)!r})")
        if self.slow_bytes_per_s < 1:
            raise ValueError(f"'slow_bytes_per_s' must be at least 1 (got {self.slow_bytes_per_s!r})")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One request, sent over and over, or a mix of several.

    Attributes:
        name: Label in results and tables.
        target: Path and query as they stand in the request line; of a mix, those of its first part.
        method: HTTP method; HEAD is refused, because a response parser cannot know that no body follows.
        body: Bytes of the request body.
        content_type: Content type sent along with a body.
        parts: The requests of a mix; none if the request above is all.
        behaviour: What the clients do that is not polite.
    """

    name: str
    target: str
    method: str = "GET"
    body: bytes = b""
    content_type: str = "application/json"
    parts: tuple[Part, ...] = ()
    behaviour: Behaviour = Behaviour()

    def __post_init__(self) -> None:
        """Refuse what could not be sent as one valid request."""
        if self.method == "HEAD":
            raise ValueError("'method' must not be HEAD: its response cannot be told from a truncated one")
        _require_target(self.target)
        if self.parts and (self.target, self.method, self.body) != (self.parts[0].target, "GET", b""):
            raise ValueError(f"'target' of a mix must be that of its first part (got {self.target!r})")

    @property
    def weights(self) -> tuple[int, ...]:
        """Weight of each request, in the order of `requests`."""
        return tuple(part.weight for part in self.parts) or (1,)

    def requests(self, host: str) -> tuple[bytes, ...]:
        """Return every request as it goes on the wire."""
        if not self.parts:
            return (self.request_bytes(host),)
        return tuple(Scenario(part.target, part.target).request_bytes(host) for part in self.parts)

    def request_bytes(self, host: str) -> bytes:
        """Return the whole request as it goes on the wire; of a mix, the first."""
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: {host}\r\n"
        if self.body or self.method in {"POST", "PUT", "PATCH"}:
            head += f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode("ascii") + b"\r\n" + self.body


def _require_target(target: str) -> None:
    if not target.startswith("/") or any(ord(c) <= 32 or ord(c) > 126 for c in target):
        raise ValueError(f"'target' must be a percent-encoded path that begins with '/' (got {target!r})")


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing under load: an edition or a control.

    Attributes:
        name: Label in results and tables.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Load:
    """How much is sent: over so many connections as fast as answers come, or so many requests a second.

    Attributes:
        connections: Connections, each with at most one request in flight; in the open model at most so many.
        rate: Requests due per second; None in the closed model.
        arrivals: How they fall due; None in the closed model.
    """

    connections: int
    rate: float | None = None
    arrivals: Arrivals | None = None

    def __post_init__(self) -> None:
        """Refuse a load with which nothing is sent."""
        if self.connections < 1:
            raise ValueError(f"'connections' must be at least 1 (got {self.connections!r})")
        if (self.rate is None) != (self.arrivals is None):
            raise ValueError(f"'rate' and 'arrivals' belong together (got {self.rate!r} and {self.arrivals!r})")
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"'rate' must be more than 0 per second (got {self.rate!r})")

    @property
    def model(self) -> LoadModel:
        """Closed or open."""
        return "closed" if self.rate is None else "open"

    def __str__(self) -> str:
        """Return its short name: 32 for so many connections, 500/s for a rate, 500/s constant for an even one."""
        if self.rate is None:
            return str(self.connections)
        return f"{self.rate:g}/s" + (" constant" if self.arrivals == "constant" else "")


# Loads of a comparison that names none.
LOADS = (Load(32),)


@dataclass(frozen=True, slots=True)
class Workload:
    """One scenario under one load: what is measured, summarised, compared and doubted by itself.

    Attributes:
        scenario: What is sent.
        load: How much of it.
    """

    scenario: Scenario
    load: Load


@dataclass(frozen=True, slots=True)
class Cell:
    """One subject under one workload."""

    workload: Workload
    subject: Subject


@dataclass(frozen=True, slots=True)
class Round:
    """One slice of every cell of a workload, in order; the unit that intervals are made from.

    Attributes:
        index: Number of the round within its workload, from 0.
        cells: The slices to run, each cell once.
    """

    index: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """How often and how long each slice loads its subject.

    Attributes:
        rounds: Rounds per workload.
        ramp_s: Load before the window of a slice, in seconds, for up to RAMP_CONNECTIONS connections; its samples are
            kept, but not summarised.
        window_s: Measured window of a slice, in seconds.
        response_timeout_s: A response that takes longer, in seconds, is an error of kind timeout.
        warm_up_slice_s: Length of one warm-up slice, in seconds.
        warm_up_slices: Upper bound on warm-up slices per cell.
    """

    rounds: int = 10
    ramp_s: float = 0.1
    window_s: float = 0.4
    response_timeout_s: float = 5.0
    warm_up_slice_s: float = 0.2
    warm_up_slices: int = 6

    def __post_init__(self) -> None:
        """Refuse values that no plan can be made from."""
        for name, least in (("rounds", 3), ("warm_up_slices", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"'{name}' must be at least {least} (got {getattr(self, name)!r})")
        for name in ("window_s", "response_timeout_s", "warm_up_slice_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"'{name}' must be more than 0 seconds (got {getattr(self, name)!r})")
        if self.ramp_s < 0:
            raise ValueError(f"'ramp_s' must not be negative (got {self.ramp_s!r})")

    def ramp_of(self, load: Load) -> float:
        """Return how long a load runs before a window, in seconds.

        Load begins on all connections at once, so the first answers come out of a queue that is still filling. It is
        full when each connection has had its turn, which takes the longer the more there are. Under open load no such
        wave has to pass.
        """
        if load.model == "open":
            return self.ramp_s
        return self.ramp_s * max(1.0, load.connections / RAMP_CONNECTIONS)

    def workload_s(self, load: Load, subjects: int) -> float:
        """Return the load time of one workload, in seconds, when every warm-up uses its bound."""
        slices = self.rounds * (self.ramp_of(load) + self.window_s)
        return subjects * (slices + self.warm_up_slices * self.warm_up_slice_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one comparison runs.

    Attributes:
        scenarios: What is sent, in table order.
        loads: Loads under which each scenario is measured, in table order.
        timing: Rounds and windows of each of them.
        seed: Fixes the order of slices, what the clients draw, and the resampling.
        clients: Processes of the load client.
        until: When to run no more rounds; None: after those that timing says. With it those are the fewest.
    """

    scenarios: tuple[Scenario, ...]
    loads: tuple[Load, ...]
    timing: Timing
    seed: int
    clients: int = 1
    until: Until | None = None

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Every scenario under every load, in the order in which they are run."""
        return make_workloads(self.scenarios, self.loads)


def make_workloads(scenarios: Sequence[Scenario], loads: Sequence[Load]) -> tuple[Workload, ...]:
    """Return every scenario under every load, all loads of a scenario together."""
    return tuple(Workload(scenario, load) for scenario in scenarios for load in loads)


def make_rounds(workload: Workload, subjects: Sequence[Subject], *, rounds: int, seed: int) -> tuple[Round, ...]:
    """Return the rounds of one workload in interleaved, seeded random order.

    Rounds come in mirrored pairs, A B then B A, and the order of each pair is drawn anew: a drift that is linear over a
    pair touches all subjects alike, and no subject keeps the first place. An odd last round is drawn by itself.

    Args:
        workload: What every slice sends, and over how many connections.
        subjects: What is loaded; their names must differ.
        rounds: Number of rounds.
        seed: Together with the scenario's name and the load it fixes the order.

    Raises:
        ValueError: If there is no subject, or two share a name.
    """
    if not subjects or len({subject.name for subject in subjects}) != len(subjects):
        raise ValueError(f"subjects must be named, each differently (got {[s.name for s in subjects]!r})")
    # Seeded by text, so that adding a scenario or a load leaves the order of the others as it was.
    generator = random.Random(f"{seed}/{workload.scenario.name}/{workload.load}")
    planned: list[Round] = []
    while len(planned) < rounds:
        order = [Cell(workload, subject) for subject in subjects]
        generator.shuffle(order)
        planned.append(Round(len(planned), tuple(order)))
        if len(planned) < rounds:
            planned.append(Round(len(planned), tuple(reversed(order))))
    return tuple(planned)
