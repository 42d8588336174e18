"""Thresholds that were not met, as one line each."""

from shared.lab.results.thresholds import UNITS_S
from shared.lab.results.thresholds import Judgement
from shared.report import format

NOT_MEASURED = "not measured"


def line(judgement: Judgement) -> str:
    """Return what was measured against a threshold, and for a ratio whether its interval excludes the bound."""
    threshold, value = judgement.threshold, judgement.value
    if value is None:
        return f"{threshold}: {NOT_MEASURED}"
    if judgement.interval is not None:
        verb = "excludes" if judgement.is_certain else "does not exclude"
        interval = format.ratio(value, judgement.interval.low, judgement.interval.high, places=4)
        return f"{threshold}: measured {interval}, whose interval {verb} {threshold.number}"
    figure = format.exact(value / UNITS_S.get(threshold.unit, 1.0))
    return f"{threshold}: measured {figure} {threshold.unit}".rstrip()
