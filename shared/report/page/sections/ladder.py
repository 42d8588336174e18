"""A ladder on a page: what each layer of a request costs each edition, stacked, and where the difference comes from."""

from collections.abc import Mapping
from typing import Any

from shared.report import format
from shared.report.page.charts.bars import Bar
from shared.report.page.charts.bars import Group
from shared.report.page.charts.bars import Part
from shared.report.page.charts.bars import bar_chart
from shared.report.page.content import Block
from shared.report.page.content import Details
from shared.report.page.content import Figure
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text
from shared.report.page.sections.reading import doubt_point

UNIT = f"{format.NO_BREAK}µs"


def section(document: Mapping[str, Any]) -> Section | None:
    """Return the section of a ladder's document; None where it has no level."""
    levels = document["levels"]
    if not levels:
        return None
    editions = [str(edition) for edition in document["editions"]]
    rungs = list(dict.fromkeys(str(level["rung"]) for level in levels))
    at = {(str(level["edition"]), str(level["rung"])): level for level in levels}
    bars = []
    for edition in editions:
        steps = [(series, at[edition, rung]) for series, rung in enumerate(rungs) if (edition, rung) in at]
        top = steps[-1][1]["cpu_s"]
        parts = tuple(Part(series, max(float(level["step_s"]["value"]), 0.0)) for series, level in steps)
        bars.append(Bar(edition, parts, f"{_interval(top)}{UNIT}", float(top["low"]), float(top["high"])))
    title = "Processor time of a request, layer by layer"
    chart = bar_chart([Group("", tuple(bars))], title=title, unit=_microseconds, names=rungs)
    gaps = {str(gap["rung"]): gap for gap in document["gaps"]}
    rows = tuple(
        (
            rung,
            *(
                _interval(at[edition, rung]["step_s"]) if (edition, rung) in at else format.NOTHING
                for edition in editions
            ),
            *((_interval(gaps[rung]["step_s"], signed=True),) if rung in gaps else (format.NOTHING,)),
            *((_interval(gaps[rung]["cpu_s"], signed=True),) if rung in gaps else (format.NOTHING,)),
        )
        for rung in rungs
    )
    heads = ("layer", *(f"{edition} µs [95 %]" for edition in editions), "asgi more by µs", "in all so far µs")
    blocks: list[Block] = [
        Figure(title, chart, None, tuple(rungs), note="Whiskers: 95 % interval of the whole, over starts."),
        Table(heads, rows, "What each layer costs"),
    ]
    largest = max(gaps.values(), key=lambda gap: abs(float(gap["step_s"]["value"])), default=None)
    if largest is not None:
        step = largest["step_s"]
        shown = "" if not float(step["low"]) <= 0 <= float(step["high"]) else ", which is not shown to differ from 0"
        text = f"{largest['rung']}: {_interval(step, signed=True)}{UNIT} on asgi over wsgi{shown}."
        blocks.insert(0, Text(f"The largest step between the editions is {text}"))
    if document["doubts"]:
        points = tuple(map(doubt_point, document["doubts"]))
        blocks.append(Details(f"Doubts about it: {len(points)}", (Points(points),)))
    hint = "Each layer is a path of its own in the same service; a layer's cost is what its path costs more."
    return Section("ladder", "Where the difference comes from", blocks, hint)


def _interval(found: Mapping[str, Any], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value, low, high = (float(found[name]) * 1e6 for name in ("value", "low", "high"))
    return f"{value:{sign},.1f} [{low:{sign},.1f}, {high:{sign},.1f}]"


def _microseconds(value: float) -> str:
    return f"{value * 1e6:,.0f}{UNIT}"
