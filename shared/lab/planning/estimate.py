"""How long a plan will take, before anything is started; nothing here reads a clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Workload

# Reading what the server used, before and after a slice.
READING_S = 0.04
# Not part of a plan, and as they were on one machine with two processors: the quick parity check with its services and
# its databases; the start of both editions; the load client's own limits; between two slices; and the last answers of a
# slice, which take the longer the more connections wait (0.07 to 0.11 s with 32, the mean of six scenarios). Under open
# load few wait while the server keeps up; one that does not takes up to two windows more.
PARITY_S = 8.0
# Of two services.
START_S = 3.0
LIMITS_S = 1.5
GAP_S = 0.02
LAST_ANSWERS_S_PER_CONNECTION = 0.003
LAST_ANSWERS_S_OPEN = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a comparison will take, in seconds.

    Attributes:
        parity_s: The parity check before it.
        start_s: Starting the services, and measuring the load client.
        workloads_s: Each scenario at each level, every warm-up at its bound.
    """

    parity_s: float
    start_s: float
    workloads_s: Mapping[Workload, float]

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.parity_s + self.start_s + self.measured_s

    @property
    def measured_s(self) -> float:
        """Warm-ups and rounds of all workloads."""
        return sum(self.workloads_s.values())


def estimate(plan: Plan, subjects: int, checks: int = 1) -> Estimate:
    """Return how long a plan will take with so many subjects, after so many parity checks."""
    slices = subjects * (plan.timing.rounds + plan.timing.warm_up_slices)
    return Estimate(
        parity_s=PARITY_S * checks,
        start_s=START_S * subjects / 2 + LIMITS_S,
        workloads_s={
            workload: plan.timing.workload_s(workload.load, subjects)
            + subjects * plan.timing.rounds * READING_S
            + slices * _between_s(workload.load)
            for workload in plan.workloads
        },
    )


def _between_s(load: Load) -> float:
    """Return how long it takes from the end of a window to the next slice, in seconds."""
    if load.model == "open":
        return GAP_S + LAST_ANSWERS_S_OPEN
    return GAP_S + LAST_ANSWERS_S_PER_CONNECTION * load.connections
