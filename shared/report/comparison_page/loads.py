"""Throughput and tail against how much is sent: connections in the closed model, requests offered in the open one."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import pairwise

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import LoadModel
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.results.spectrum import own_interval
from shared.lab.statistics import Ratio
from shared.report import format
from shared.report.comparison_page import figures
from shared.report.page.charts.lines import Reading
from shared.report.page.charts.lines import Series
from shared.report.page.charts.lines import line_chart
from shared.report.page.charts.plot import Band
from shared.report.page.content import Beside
from shared.report.page.content import Block
from shared.report.page.content import Figure
from shared.report.page.content import Section
from shared.report.page.content import Table

MODELS: tuple[tuple[LoadModel, str], ...] = (("closed", "connections"), ("open", "requests offered per second"))
HINT = (
    "Each point is the geometric mean over rounds with its own 95 % interval. What rounds have in common, such as a "
    "busy machine, widens it; in the ratios above that cancels. Lines are said to cross only between two amounts where "
    "the intervals of the ratio lie on different sides of 1."
)


def by_load(comparison: Comparison) -> Section | None:
    """Return figures against how much was sent, where there are several loads of a kind; None where there are not."""
    blocks: list[Block] = []
    for model, across in MODELS:
        places = {load: load.rate or float(load.connections) for load in comparison.loads if load.model == model}
        if len(set(places.values())) < 2:
            continue
        for scenario in comparison.scenarios:
            found = {
                subject: [
                    (place, cell)
                    for load, place in places.items()
                    if (cell := comparison.cell(scenario.name, load, subject))
                ]
                for subject in comparison.subjects
            }
            if any(len(cells) > 1 for cells in found.values()):
                blocks.append(_pair(comparison, scenario.name, across, places, found))
    return Section("load", "Against how much is sent", blocks, HINT) if blocks else None


def crossings(ratios: Iterable[tuple[float, Ratio | None]]) -> Iterator[tuple[float, float]]:
    """Yield the places between which a ratio passes 1, as far as intervals show it.

    Places whose interval holds 1 decide nothing; they lie inside what is yielded.

    Args:
        ratios: Place and ratio, in any order; None where there is no ratio.
    """
    decided = sorted((x, ratio.value > 1) for x, ratio in ratios if ratio is not None and ratio.difference_shown)
    for (left, was_above), (right, is_above) in pairwise(decided):
        if was_above != is_above:
            yield left, right


def _pair(
    comparison: Comparison,
    scenario: str,
    across: str,
    places: Mapping[Load, float],
    found: Mapping[str, Sequence[tuple[float, CellSummary]]],
) -> Beside:
    """Return throughput and tail beside each other."""
    seed = comparison.manifest.seed
    is_open = across != MODELS[0][1]
    what = "the offered rate" if is_open else across
    rates = [Series(name, tuple(_reading(x, cell, "rps", seed) for x, cell in cells)) for name, cells in found.items()]
    slow = [
        Series(name, tuple(_reading(x, cell, "p99", seed) for x, cell in cells if "p99" in cell.percentiles_s))
        for name, cells in found.items()
    ]
    left = Figure(
        f"{scenario}: {'answers' if is_open else 'requests'} per second against {what}",
        line_chart(
            rates,
            title="answers per second" if is_open else "requests per second",
            across=across,
            unit="{:,.0f}".format,
            bands=_bands(comparison, scenario, "rps", places),
            reference=float if is_open else None,
        ),
        _table(scenario, across, rates, slow),
        comparison.subjects,
        "lines",
        "Thin and grey: as many answers as requests were offered." if is_open else "",
    )
    parts: list[Block] = [left]
    if any(line.readings for line in slow):
        chart = line_chart(
            slow,
            title="p99 of response times",
            across=across,
            unit=figures.seconds,
            is_log=True,
            bands=_bands(comparison, scenario, "p99", places),
        )
        title = f"{scenario}: 99th percentile of response times against {what}"
        parts.append(Figure(title, chart, None, comparison.subjects, "lines"))
    return Beside(tuple(parts))


def _bands(comparison: Comparison, scenario: str, measure: Measure, places: Mapping[Load, float]) -> list[Band]:
    """Return where the line of a subject crosses that of the baseline."""
    others = figures.others(comparison)
    bands: list[Band] = []
    for above in others:
        who = "" if len(others) == 1 else f" of {above} and {comparison.baseline}"
        ratios = [(place, comparison.ratio(scenario, load, above, measure)) for load, place in places.items()]
        bands += [Band(low, high, f"lines{who} cross between {low:g} and {high:g}") for low, high in crossings(ratios)]
    return bands


def _table(scenario: str, across: str, rates: Sequence[Series], slow: Sequence[Series]) -> Table:
    heads = (across, *(f"{line.name} {what}" for what in ("rps", "p99 ms") for line in rates))
    rows = tuple(
        (
            f"{x:g}",
            *(_told(line, x, format.rate) for line in rates),
            *(_told(line, x, format.milliseconds) for line in slow),
        )
        for x in sorted({reading.x for line in rates for reading in line.readings})
    )
    return Table(heads, rows, f"{scenario} against {across}")


def _told(line: Series, x: float, unit: Callable[[float], str]) -> str:
    """Return a line's reading at a place with its interval."""
    for reading in line.readings:
        if reading.x == x:
            if reading.low is None or reading.high is None:
                return unit(reading.y)
            return f"{unit(reading.y)} [{unit(reading.low)}, {unit(reading.high)}]"
    return format.NOTHING


def _reading(x: float, cell: CellSummary, measure: Measure, seed: int) -> Reading:
    """Return a figure as the geometric mean of rounds with its interval; without one, as it is over all rounds."""
    own = own_interval(cell, measure, seed=seed)
    if own is not None:
        return Reading(x, own.value, own.low, own.high)
    return Reading(x, cell.achieved_rps if measure == "rps" else cell.percentiles_s[measure])
