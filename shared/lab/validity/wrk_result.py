"""The record of part d: our load client beside wrk."""

from dataclasses import dataclass
from typing import Literal

from shared.config import Edition
from shared.lab.statistics import Ratio
from shared.lab.validity.verdict import Verdict


@dataclass(frozen=True, slots=True)
class AgreementFigure:
    """One figure of our load client over wrk's.

    Attributes:
        figure: rps, p50 or p99.
        bound: By how much the two may differ, as a share.
        ratio: Ours over wrk's, from pairs of slices; response times with wrk's correction.
        uncorrected: The same without the correction; the same as the ratio for rps.
        verdict: Holds if the interval lies within the bound, fails if it lies outside.
        needed: About how many pairs would decide it; None if it is decided, or if it lies too near to the bound.
    """

    figure: Literal["rps", "p50", "p99"]
    bound: float
    ratio: Ratio
    uncorrected: Ratio
    verdict: Verdict
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Our load client and wrk on one service.

    Attributes:
        edition: The service.
        scenario: What both sent.
        connections: Over how many connections each.
        slice_s: Length of a slice, in seconds.
        wrk_rps: wrk's geometric mean of requests per second.
        server_cpu: CPU time that the service used for an answer to ours over that for one to wrk, by the kernel's
            account. Not the instrument's doing: where it is not 1, the two clients make the service work differently.
        figures: What was compared.
    """

    edition: Edition
    scenario: str
    connections: int
    slice_s: float
    wrk_rps: float
    server_cpu: Ratio
    figures: tuple[AgreementFigure, ...]


@dataclass(frozen=True, slots=True)
class PaceRatios:
    """What a client gets of a service over what wrk gets.

    Attributes:
        rps: Requests per second.
        server_cpu: CPU time that the service used for an answer.
    """

    rps: Ratio
    server_cpu: Ratio


@dataclass(frozen=True, slots=True)
class Pace:
    """How much a client's own pace changes a service whose answers are cheap.

    Attributes:
        edition: The service.
        scenario: What was sent.
        pause_s: How long wrk computes at each answer where it is paused, in seconds.
        ours: Our client over wrk.
        paused: wrk with that pause over wrk without.
    """

    edition: Edition
    scenario: str
    pause_s: float
    ours: PaceRatios
    paused: PaceRatios


@dataclass(frozen=True, slots=True)
class WrkPart:
    """Part d: agreement with wrk.

    Attributes:
        verdict: Whether every figure agrees.
        wrk: The line in which wrk tells its version; what is missing where it was not run.
        agreements: Each service.
        pace: What no agreement can be asked for; None where it was not run.
        seconds: How long this part took.
    """

    verdict: Verdict
    wrk: str
    agreements: tuple[Agreement, ...]
    pace: Pace | None
    seconds: float
