"""What a record holds about the load client: how its requests fell due, and what it can do here."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How an open model's requests fell due and found their connections, over all slices of a cell.

    Attributes:
        due: Requests due in the windows.
        offered_rps: The same per second.
        waited_share: Share of them that found no idle connection, those never sent included.
        backlog_max: Most requests that waited for a connection at one time.
        backlog_end: Most that still waited at the end of a window.
        surplus: Requests under way or waiting at the ends of the windows less those at their starts, summed: how many
            more came than were answered.
        timing_error_s: How late requests were sent that found an idle connection, in seconds, by "p50" and "p99";
            empty if none did. It is the client's doing, and part of the response times.
    """

    due: int
    offered_rps: float
    waited_share: float
    backlog_max: int
    backlog_end: int
    surplus: int
    timing_error_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What the load client could do on this machine before the comparison, against a server that does next to nothing.

    Attributes:
        processes: Processes of the client.
        highest_rps: Requests per second that it sent and had answered, closed model.
        cpu_share: CPU of its busiest process meanwhile, as a share of one core; below 1 the other side was the limit.
        timing_rate: Rate of Poisson arrivals at which its timing was measured, per second.
        timing_error_s: How late requests were sent at that rate, in seconds, by "p50" and "p99".
    """

    processes: int
    highest_rps: float
    cpu_share: float
    timing_rate: float
    timing_error_s: Mapping[str, float]
