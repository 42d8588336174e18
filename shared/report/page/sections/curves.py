"""How far apart the editions are at each level of a factor, such as an injected latency, as lines over the levels."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from shared.lab.factors.catalogue import BY_NAME
from shared.report.page.charts.lines import Reading
from shared.report.page.charts.plot import Band
from shared.report.page.charts.ratios import ratio_chart
from shared.report.page.content import Figure
from shared.report.page.content import Table
from shared.report.page.sections.reading import interval
from shared.report.page.sections.reading import load_text

AS_THEY_ARE = "as they are"
HINT = (
    "Where the line passes 1 the editions change places. Bars: 95 % intervals over rounds; a hollow mark: the interval "
    "holds 1. Between two levels the logarithm of the ratio is interpolated. A crossing is marked, with its interval, "
    "only where it is shown."
)
# By measure: what it is, what a ratio below 1 and above 1 means, and whether more of it is better.
MEASURES: dict[str, tuple[str, str, str, bool]] = {
    "rps": ("requests per second", "wsgi answers more", "asgi answers more", True),
    "p50": ("median response time", "asgi answers sooner", "wsgi answers sooner", False),
    "p99": ("99th percentile of response times", "asgi answers sooner", "wsgi answers sooner", False),
    "cpu": ("processor time per request", "asgi costs less", "wsgi costs less", False),
}


def figures(document: Mapping[str, Any]) -> list[Figure]:
    """Return a figure for each scenario, load and measure of a study with a curve; none with fewer than two levels.

    Args:
        document: What the command wrote.
    """
    levels = {variant["label"]: variant["level"] for variant in document["variants"] if variant["level"] is not None}
    gaps: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for gap in document["gaps"]:
        if gap["measure"] in MEASURES and (not gap["label"] or gap["label"] in levels):
            gaps.setdefault((gap["scenario"], load_text(gap["load"]), gap["measure"]), []).append(gap)
    crossings = {(c["scenario"], load_text(c["load"]), c["measure"]): c for c in document["crossings"]}
    found = [_figure(key, rows, levels, crossings.get(key), str(document["curve"])) for key, rows in gaps.items()]
    return [figure for figure in found if figure is not None]


def band(crossing: Mapping[str, Any] | None, unit: str) -> Band | None:
    """Return where curves cross as a chart marks it; None where it is not shown that they do, or not where.

    Args:
        crossing: As the command wrote it; None if it looked for none.
        unit: Of the levels.
    """
    if crossing is None or crossing["verdict"] != "cross" or crossing["at"] is None or crossing["low"] is None:
        return None
    at, low, high = (float(crossing[name]) for name in ("at", "low", "high"))
    return Band(low, high, f"cross at {at:.3g} [{low:.3g}, {high:.3g}]{unit}", at)


def _figure(
    key: tuple[str, str, str],
    rows: Sequence[Mapping[str, Any]],
    levels: Mapping[str, float],
    crossing: Mapping[str, Any] | None,
    curve: str,
) -> Figure | None:
    scenario, load, measure = key
    name, below, above, is_more_better = MEASURES[measure]
    readings = [
        Reading(float(levels[row["label"]]), *(float(row["ratio"][part]) for part in ("value", "low", "high")))
        for row in rows
        if row["label"] and row["ratio"] is not None
    ]
    if len(readings) < 2:
        return None
    factor = BY_NAME.get(curve)
    unit = f" {factor.numbers.unit}" if factor is not None and factor.numbers is not None else ""
    svg = ratio_chart(
        readings,
        title="asgi over wsgi",
        across=f"{curve}{f',{unit}' if unit else ''}",
        below=below,
        above=above,
        # Colours are those of whose side is the better one there.
        series=(0, 1) if is_more_better else (1, 0),
        crossed=band(crossing, unit),
    )
    told = [interval(row["label"] or AS_THEY_ARE, row["ratio"]) for row in rows]
    numbers = Table(("editions", "ratio [95 %]"), tuple((row.label, row.text) for row in told), name)
    return Figure(f"{name[0].upper()}{name[1:]} against {curve}: {scenario} at {load}", svg, numbers)
