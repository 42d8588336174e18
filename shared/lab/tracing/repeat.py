"""What many traces of one request say together: medians per stage, and the pair that is most like them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from shared.config import Edition
from shared.lab.statistics import Ratio
from shared.lab.tracing.medians import Interval
from shared.lab.tracing.medians import median_interval
from shared.lab.tracing.medians import median_ratio
from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.trace.document import TraceDocument
from shared.trace.recorder import STAGES

# Beside the stages: what no stage accounts for, the whole in the service, and what the client waited for.
GAPS = "gaps"
WHOLE = "whole"
CLIENT = "client"


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage over all repetitions; several stages of one name in a request are added up.

    Attributes:
        name: The stage, "gaps", "whole" or "client".
        wsgi: Nanoseconds; None where the edition never has it.
        asgi: Nanoseconds; None where the edition never has it.
        ratio: ASGI over WSGI; None where one of them is missing or 0.
    """

    name: str
    wsgi: Interval | None
    asgi: Interval | None
    ratio: Ratio | None


def stage_figures(pairs: Sequence[TracePair], *, seed: int = 1) -> tuple[StageFigures, ...]:
    """Return the figures of every stage, in the common order, from three pairs on.

    Stages that hold others count without them, so that stages and gaps add up to the whole.

    Raises:
        ValueError: If there are fewer than three pairs.
    """
    spent: dict[Edition, list[dict[str, float]]] = {
        "wsgi": [_spent(pair.wsgi) for pair in pairs],
        "asgi": [_spent(pair.asgi) for pair in pairs],
    }
    found = []
    for name in (*STAGES, GAPS, WHOLE, CLIENT):
        wsgi = _values(spent["wsgi"], name)
        asgi = _values(spent["asgi"], name)
        if wsgi is None and asgi is None:
            continue
        found.append(
            StageFigures(
                name,
                None if wsgi is None else median_interval(wsgi, seed=seed),
                None if asgi is None else median_interval(asgi, seed=seed),
                None if wsgi is None or asgi is None else median_ratio(asgi, wsgi, seed=seed),
            )
        )
    return tuple(found)


def typical(pairs: Sequence[TracePair]) -> TracePair:
    """Return the pair whose two durations are nearest to the medians."""
    middle = [median(request.document["duration_ns"] for request in side) for side in _sides(pairs)]

    def distance(pair: TracePair) -> float:
        both = (pair.wsgi.document["duration_ns"], pair.asgi.document["duration_ns"])
        return sum(abs(math.log(max(own, 1) / max(mid, 1))) for own, mid in zip(both, middle, strict=True))

    return min(pairs, key=distance)


def own_times(document: TraceDocument) -> dict[str, int]:
    """Return the nanoseconds of each stage without the stages inside it, and of all gaps."""
    spent: dict[str, int] = {}
    for stage in document["stages"]:
        spent[stage["name"]] = spent.get(stage["name"], 0) + stage["own_ns"]
    spent[GAPS] = sum(gap["duration_ns"] for gap in document["gaps"])
    return spent


def _spent(request: TracedRequest) -> dict[str, float]:
    client = request.client
    return {
        **own_times(request.document),
        WHOLE: request.document["duration_ns"],
        CLIENT: client.last_byte_ns - client.sent_start_ns,
    }


def _values(spent: list[dict[str, float]], name: str) -> list[float] | None:
    """Return a stage's nanoseconds in every request, 0 where it was not needed; None if it never was."""
    return [each.get(name, 0.0) for each in spent] if any(name in each for each in spent) else None


def _sides(pairs: Sequence[TracePair]) -> tuple[list[TracedRequest], list[TracedRequest]]:
    return [pair.wsgi for pair in pairs], [pair.asgi for pair in pairs]
