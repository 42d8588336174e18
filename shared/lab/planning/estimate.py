"""How long a plan will take, before anything is started; nothing here reads a clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Workload

# Not part of a plan, and as they were on one machine with two processors: the quick parity check with its services and
# its databases; the start of both editions; between two slices; and the last answers of a slice, which take the longer
# the more connections wait (0.07 to 0.11 s with 32, the mean of six scenarios).
PARITY_S = 8.0
START_S = 3.0
GAP_S = 0.02
LAST_ANSWERS_S_PER_CONNECTION = 0.003


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a comparison will take, in seconds.

    Attributes:
        parity_s: The parity check before it.
        start_s: Starting the services.
        workloads_s: Each scenario at each level, every warm-up at its bound.
    """

    parity_s: float
    start_s: float
    workloads_s: Mapping[Workload, float]

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.parity_s + self.start_s + sum(self.workloads_s.values())


def estimate(plan: Plan, subjects: int) -> Estimate:
    """Return how long a plan will take with so many subjects."""
    slices = subjects * (plan.timing.rounds + plan.timing.warm_up_slices)
    return Estimate(
        parity_s=PARITY_S,
        start_s=START_S,
        workloads_s={
            workload: plan.timing.workload_s(workload.load, subjects)
            + slices * (GAP_S + LAST_ANSWERS_S_PER_CONNECTION * workload.load.connections)
            for workload in plan.workloads
        },
    )
