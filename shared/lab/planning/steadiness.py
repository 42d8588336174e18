"""When a service is warm: judged from the rates of its warm-up slices; no clock is read here."""

from collections.abc import Sequence

from shared.lab.planning.plan import RAMP_CONNECTIONS
from shared.lab.planning.plan import Load

# So many slices in a row must agree. The last two alone agree by chance, and a slow rise looks steady from one to the
# next.
SLICES = 3
# The fastest of them may be faster than the slowest by this share; below the scatter of slices on a noisy machine.
STEADY_SPREAD = 0.1
# They may rise or fall throughout only by this share, from the first to the last. Three of which none is equal do so
# in one of three times without any trend, so the direction alone says nothing.
STEADY_TREND = 0.05


def is_steady(rates: Sequence[float]) -> bool:
    """Return whether warm-up may end: the last three slices lie within 10 % and do not rise or fall by over 5 %.

    Args:
        rates: Responses per second of every slice so far, in order.
    """
    last = list(rates[-SLICES:])
    if len(last) < SLICES or min(last) <= 0:
        return False
    if max(last) / min(last) - 1 > STEADY_SPREAD:
        return False
    is_monotone = last in (sorted(last), sorted(last, reverse=True))
    return not (is_monotone and abs(last[-1] / last[0] - 1) > STEADY_TREND)


def warm_up_load(load: Load) -> Load:
    """Return the closed load to warm up with: in the open model the rate is the schedule's, not the server's."""
    return load if load.model == "closed" else Load(min(load.connections, RAMP_CONNECTIONS))
