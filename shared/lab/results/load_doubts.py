"""Doubts that the load itself raises: a client at its limit, requests sent late, a queue that only grew. Pure."""

from math import sqrt

from shared.lab.results.client import ClientLimits
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Doubt

CLIENT_SHARE_LIMIT = 0.9
# Of the highest rate that the client could offer: nearer to it, its own queueing shows in response times.
CLIENT_RATE_LIMIT = 0.8
# The client's lateness is part of every response time of the open model; above this share of one it is no detail.
LATE_SHARE = 0.2
# More came than were answered: by so much of what was due, and by more than three standard deviations of a Poisson
# count, so that a window with chance arrivals at its end raises no doubt.
SURPLUS_SHARE = 0.05
SURPLUS_DEVIATIONS = 3.0


def of_load(cell: CellSummary, limits: ClientLimits | None) -> list[Doubt]:
    """Return the doubts that the load of a cell raises."""
    return [*_of_client(cell, limits), *_of_lateness(cell), *_of_backlog(cell)]


def _of_client(cell: CellSummary, limits: ClientLimits | None) -> list[Doubt]:
    next_step = "compare CPU per request instead of throughput, or give the client more processes (--clients)"
    if cell.client_cpu_share > CLIENT_SHARE_LIMIT:
        message = (
            f"the load client used {cell.client_cpu_share:.0%} of its core, so this may be its limit and not the "
            "server's"
        )
        return [_doubt(cell, "client_bottleneck", message, next_step, cell.client_cpu_share)]
    if limits is not None and cell.achieved_rps > CLIENT_RATE_LIMIT * limits.highest_rps:
        share = cell.achieved_rps / limits.highest_rps
        message = (
            f"{share:.0%} of the highest rate that the load client reached on this machine ({limits.highest_rps:,.0f} "
            "per second), so this may be its limit and not the server's"
        )
        return [_doubt(cell, "client_bottleneck", message, next_step, share)]
    return []


def _of_lateness(cell: CellSummary) -> list[Doubt]:
    if cell.arrivals is None:
        return []
    late_s = cell.arrivals.timing_error_s
    shares = {name: late_s[name] / cell.percentiles_s[name] for name in late_s if cell.percentiles_s.get(name)}
    name = max(shares, key=shares.__getitem__, default=None)
    if name is None or shares[name] <= LATE_SHARE:
        return []
    message = (
        f"the load client sent requests late, {name} {late_s[name] * 1e3:.2f} ms, which is {shares[name]:.0%} of the "
        f"{name} of the response times that it is part of"
    )
    return [
        _doubt(cell, "late_client", message, "quieten the machine, or give the client a core of its own", shares[name])
    ]


def _of_backlog(cell: CellSummary) -> list[Doubt]:
    arrivals = cell.arrivals
    if arrivals is None or arrivals.surplus <= max(
        SURPLUS_SHARE * arrivals.due, SURPLUS_DEVIATIONS * sqrt(arrivals.due)
    ):
        return []
    message = (
        f"saturated: {arrivals.surplus:,} more requests came than were answered, with {arrivals.due:,} due in the "
        "windows: the queue grew throughout, and response times tell how long a window was, not how fast an answer is"
    )
    return [_doubt(cell, "backlog", message, "offer a lower rate, and read only throughput here", arrivals.surplus)]


def _doubt(cell: CellSummary, code: str, message: str, next_step: str, value: float) -> Doubt:
    return Doubt(code, message, next_step, value, cell.scenario, cell.load, cell.subject)
