"""Under which conditions a workload was measured: what others took from the machine, and why it ended."""

from dataclasses import dataclass
from typing import Literal

from shared.lab.planning.plan import Load

# All planned rounds were run, or the interval was narrow enough, or the time was up.
StopReason = Literal["planned", "narrow", "time"]


@dataclass(frozen=True, slots=True)
class ForeignLoad:
    """What others took from the machine while one scenario was measured under one load.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        cores: CPU seconds per second of other programs.
        stolen_cores: CPU seconds per second that the hypervisor gave to others while this machine wanted them.
        throttled: Share of the time in which this program's control group was stopped; None where no limit is told.
        clock_drop: By what share the servers' processors were slower in the slowest slice than in the fastest; None
            where the kernel does not tell clocks.
    """

    scenario: str
    load: Load
    cores: float
    stolen_cores: float = 0.0
    throttled: float | None = None
    clock_drop: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why no more rounds of a scenario under a load were run.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        rounds: How many were run.
        reason: Why it ended.
        half_width: Half width of the widest interval of a throughput ratio at that time, as a share; None if a ratio
            is missing.
    """

    scenario: str
    load: Load
    rounds: int
    reason: StopReason
    half_width: float | None
