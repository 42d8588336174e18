"""What a measurement of the queue for connections found, beside its prediction; and all as a document."""

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass

from shared.config import Edition
from shared.lab.results.record import Manifest
from shared.lab.sizing.queueing import Waits
from shared.lab.sizing.rules import Report
from shared.lab.student_t import student_t_quantile

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value with its 95 % interval."""

    value: float
    low: float
    high: float

    def error(self, predicted: float) -> float | None:
        """Return by which share it is more than predicted; None where nothing was to be expected."""
        return self.value / predicted - 1.0 if predicted else None


@dataclass(frozen=True, slots=True)
class Measured:
    """One edition's queue, predicted and measured.

    Attributes:
        edition: Which.
        requests: How many requests, warm-up left out.
        rounds: In how many slices.
        rate: Requests that came per second.
        hold_s: Mean time that each held its connection, in seconds; the database's sleep and all around it.
        hold_scatter: Standard deviation of these times over their mean.
        most_in_flight: Most requests at once, as the client saw it.
        places: Threads, and connections of the client.
        asked: The prediction for the rate and the sleep that were asked for.
        expected: The prediction for the rate and the hold time that were measured.
        approximate_mean_s: The mean wait by Cosmetatos's approximation for these; None where hold times scatter.
        other: The prediction for these if hold times scattered otherwise.
        simulated: First come, first served, with the very arrivals and hold times that were measured.
        probability: Share of requests that waited.
        mean_s: Mean wait.
        p99_s: 99th percentile.
    """

    edition: Edition
    requests: int
    rounds: int
    rate: float
    hold_s: float
    hold_scatter: float
    most_in_flight: int
    places: int
    asked: Waits
    expected: Waits
    approximate_mean_s: float | None
    other: Waits
    simulated: Waits
    probability: Value
    mean_s: Value
    p99_s: Value


def jackknifed(groups: Sequence[Sequence[float]], statistic: Callable[[Sequence[float]], float]) -> Value:
    """Return a statistic of all values together, with an interval from groups that are independent.

    The jackknife over groups (Tukey 1958, "Bias and confidence in not quite large samples"): how much the statistic
    changes when one group is left out says how much it scatters; Student's t with one degree less than there are
    groups. For percentiles groups must be large (Shao and Wu 1989, "A general theory for jackknife variance
    estimation"), as those of hundreds of requests are. The value itself is left as it is. Nothing is less than 0: waits
    and shares of them are meant.

    Args:
        groups: Values by round.
        statistic: Of values.

    Raises:
        ValueError: If there are fewer than two groups.
    """
    count = len(groups)
    if count < 2:
        raise ValueError(f"at least two groups are needed (got {count})")
    whole = statistic([value for group in groups for value in group])
    without = [
        statistic([value for number, group in enumerate(groups) if number != left_out for value in group])
        for left_out in range(count)
    ]
    mean = sum(without) / count
    error = math.sqrt((count - 1) / count * sum((each - mean) ** 2 for each in without))
    reach = student_t_quantile(0.975, count - 1) * error
    return Value(whole, max(0.0, whole - reach), whole + reach)


def document(report: Report, measured: Sequence[Measured], manifest: Manifest | None) -> dict[str, object]:
    """Return everything as a JSON object."""
    found: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "size",
        "sizings": [asdict(sizing) for sizing in report.sizings],
        "limits": None if report.limits is None else {**asdict(report.limits), "usable": report.limits.usable},
        "checks": [asdict(check) for check in report.checks],
        "predictions": [asdict(prediction) for prediction in report.predictions],
        "measured": [{**asdict(each), "errors": errors(each)} for each in measured],
        "manifest": None if manifest is None else asdict(manifest),
    }
    return found


def errors(measured: Measured) -> Mapping[str, float | None]:
    """Return by which share each measured value is more than predicted for the measured rate and hold time."""
    expected = measured.expected
    return {
        "probability": measured.probability.error(expected.probability),
        "mean_s": measured.mean_s.error(expected.mean_s),
        "p99_s": measured.p99_s.error(expected.p99_s),
    }
