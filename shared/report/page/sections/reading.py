"""What sections read alike from the documents of results: ratios, loads and doubts."""

from collections.abc import Mapping
from typing import Any

from shared.lab.planning.plan import Load
from shared.report import format
from shared.report.page.charts.intervals import Interval
from shared.report.page.content import Point


def interval(label: str, ratio: Mapping[str, Any] | None) -> Interval:
    """Return a ratio as a chart draws it."""
    if ratio is None:
        return Interval(label, "no ratio")
    value, low, high = (float(ratio[name]) for name in ("value", "low", "high"))
    return Interval(label, format.ratio(value, low, high), value, low, high)


def load_text(load: Mapping[str, Any]) -> str:
    """Return a load by its short name."""
    return str(Load(**load))


def doubt_point(doubt: Mapping[str, Any]) -> Point:
    """Return a doubt as a point of a list."""
    where = ", ".join(str(doubt[name]) for name in ("scenario", "subject") if doubt.get(name))
    return Point(
        f"{doubt['message']}. Next: {doubt['next_step']}.", f"{doubt['code']}{f' ({where})' if where else ''}:"
    )
