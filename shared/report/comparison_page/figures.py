"""What was measured, as charts and tables: rates, response times, and what a request costs."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence

from shared.lab.planning.plan import Load
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.results.spectrum import own_interval
from shared.lab.statistics import Ratio
from shared.report import format
from shared.report import words
from shared.report.page.charts.bars import Bar
from shared.report.page.charts.bars import Group
from shared.report.page.charts.bars import Part
from shared.report.page.charts.bars import bar_chart
from shared.report.page.charts.intervals import Interval
from shared.report.page.charts.intervals import interval_plot
from shared.report.page.content import Beside
from shared.report.page.content import Block
from shared.report.page.content import Figure
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text

# Workloads that one chart shows; with more, and several loads, each load has its own. Of more, paper shows only what is
# open.
MANY = 16
VERDICTS = {"above": "yes", "below": "yes", "equal": "no difference shown", "none": "no ratio"}


def rates(comparison: Comparison) -> Section:
    """Return who answered how many requests per second."""
    blocks: list[Block] = []
    for above in others(comparison):
        blocks += _ratios(comparison, above, "rps")
        blocks.append(_table_of_rates(comparison, above))
    hint = "Each ratio with its 95 % interval over rounds. A hollow mark: the interval holds 1, no difference is shown."
    return Section("rates", "Requests per second", blocks, hint)


def times(comparison: Comparison) -> Section:
    """Return how long answers took."""
    blocks: list[Block] = [
        Beside((*_ratios(comparison, above, "p50"), *_ratios(comparison, above, "p99"))) for above in others(comparison)
    ]
    blocks.append(_table_of_times(comparison))
    hint = (
        "From the moment a request was due until its answer was complete. In the closed model a request is due when "
        "the answer before it is complete, so these times follow from the rates above and say nothing of an offered "
        "load."
    )
    return Section("times", "Response times", blocks, hint)


def cost(comparison: Comparison) -> Section:
    """Return what a request costs the server: processor time and memory."""
    blocks: list[Block] = []
    for above in others(comparison):
        if _has(comparison, above, "cpu"):
            blocks += _ratios(comparison, above, "cpu")
    blocks += _bars_of_cost(comparison)
    if not blocks:
        blocks.append(Text("The servers' processes are not ours to look at, so this was not measured."))
    hint = (
        "Of the server's whole process tree, per answer with a 2xx status. Memory: sum of the peaks of its processes."
    )
    return Section("cost", "Processor time and memory", blocks, hint)


def others(comparison: Comparison) -> tuple[str, ...]:
    """Return the subjects that are compared with the baseline."""
    return tuple(name for name in comparison.subjects if name != comparison.baseline)


def readings(ratio: Ratio | None) -> str:
    """Return a ratio with its interval, or that there is none."""
    return "no ratio" if ratio is None else format.ratio(ratio.value, ratio.low, ratio.high)


def seconds(value: float) -> str:
    """Return a length of time with the unit that suits it, for an axis."""
    return format.round_span(round(value * 1e9)) if value else "0"


def _ratios(comparison: Comparison, above: str, measure: Measure) -> tuple[Block, ...]:
    """Return the ratios of a measure: one chart, or one for each load beside each other where they are many."""
    name, below = words.WORDINGS[measure].name, comparison.baseline
    found = words.findings(comparison, above, measure)
    title = f"{name[0].upper() + name[1:]}: {above} over {below}"
    reach = [value for f in found if f.ratio for value in (f.ratio.low, f.ratio.high)]
    charts = [
        _chart_of_ratios([f for f in found if f.load in loads], comparison, above, measure, each, reach)
        for each, loads in _by_load(comparison, title)
    ]
    return (charts[0] if len(charts) == 1 else Beside(tuple(charts)),)


def _chart_of_ratios(
    found: Sequence[words.Finding],
    comparison: Comparison,
    above: str,
    measure: Measure,
    title: str,
    reach: Sequence[float],
) -> Figure:
    below, subjects = comparison.baseline, comparison.subjects
    rows = [
        Interval(f.label, readings(f.ratio), *((f.ratio.value, f.ratio.low, f.ratio.high) if f.ratio else ()))
        for f in found
    ]
    # On either side stands who is better there: more requests, less time, less cost.
    left, right = (below, above) if measure == "rps" else (above, below)
    word = {"rps": "answers more", "cpu": "costs less"}.get(measure, "answers sooner")
    svg = interval_plot(
        rows,
        title=title,
        below=f"{left} {word}",
        above=f"{right} {word}",
        series=(subjects.index(left), subjects.index(right)),
        reach=reach,
    )
    numbers = None if measure == "rps" else _table_of_ratios(found, above, below, words.WORDINGS[measure].name)
    return Figure(title, svg, numbers)


def _table_of_ratios(found: Sequence[words.Finding], above: str, below: str, name: str) -> Table:
    rows = tuple((f.label, readings(f.ratio), VERDICTS[f.verdict]) for f in found)
    return Table(("work", f"{above} over {below} [95 %]", "difference shown"), rows, f"Ratios of {name}")


def _table_of_rates(comparison: Comparison, above: str) -> Table:
    below = comparison.baseline
    rows: list[tuple[str, ...]] = []
    for finding in words.findings(comparison, above, "rps"):
        cells = [comparison.cell(finding.scenario, finding.load, name) for name in (below, above)]
        rates = [format.NOTHING if cell is None else format.rate(cell.achieved_rps) for cell in cells]
        bad = sum(cell.error_count + cell.rejected_count for cell in cells if cell)
        count = format.count(bad)
        rows.append((finding.label, *rates, readings(finding.ratio), VERDICTS[finding.verdict], count))
    heads = ("work", below, above, f"{above} over {below} [95 %]", "difference shown", "errors")
    return Table(heads, tuple(rows), "Requests per second")


def _table_of_times(comparison: Comparison) -> Table:
    names = ("p50", "p90", "p99", "p99.9", "max")
    rows = tuple(
        (
            words.label(comparison, cell.scenario, cell.load),
            cell.subject,
            *(format.milliseconds(cell.percentiles_s.get(name)) for name in names),
            format.count(cell.samples),
        )
        for cell in _cells(comparison)
    )
    heads = ("work", "subject", *(f"{name} ms" for name in names), "samples")
    return Table(heads, rows, "Percentiles of response times", words=2)


def _bars_of_cost(comparison: Comparison) -> Iterable[Block]:
    cells = list(_cells(comparison))
    if any(cell.server_cpu_s_per_request is not None for cell in cells):
        reach = max(bar.high or bar.value for group in _groups(comparison, comparison.loads) for bar in group.bars)
        charts = [
            Figure(
                title,
                bar_chart(groups, title=title, unit=_microseconds, names=comparison.subjects, reach=reach),
                _table_of_cost(comparison, [cell for cell in cells if cell.load in loads]),
                comparison.subjects,
                note="Whiskers: 95 % interval over rounds of each by itself.",
            )
            for title, loads in _by_load(comparison, "Processor time per request")
            if (groups := _groups(comparison, loads))
        ]
        yield charts[0] if len(charts) == 1 else Beside(tuple(charts))
    peaks = [
        (subject, max((c.server_peak_bytes for c in cells if c.subject == subject and c.server_peak_bytes), default=0))
        for subject in comparison.subjects
    ]
    if any(peak for _, peak in peaks):
        title = "Memory of the server's processes at their peak"
        bars = (
            Bar(subject, (Part(series, peak / 2**20),) if peak else (), _mebibytes(peak / 2**20))
            for series, (subject, peak) in enumerate(peaks)
        )
        chart = bar_chart([Group("", tuple(bars))], title=title, unit=_mebibytes, names=comparison.subjects)
        note = (
            "Over the whole comparison, since the processes live through it. Pages that processes share count in each."
        )
        yield Figure(title, chart, note=note)


def _by_load(comparison: Comparison, title: str) -> list[tuple[str, tuple[Load, ...]]]:
    """Return the charts to draw, each with title and loads: one of all, or one for each load where they are many."""
    if len(comparison.workloads) <= MANY or len(comparison.loads) == 1:
        return [(title, comparison.loads)]
    return [(f"{title}, at {load}", (load,)) for load in comparison.loads]


def _groups(comparison: Comparison, loads: Collection[Load]) -> list[Group]:
    """Return the processor time of a request of each subject, for each piece of work under these loads."""
    groups: list[Group] = []
    for workload in comparison.workloads:
        if workload.load not in loads:
            continue
        bars: list[Bar] = []
        for series, subject in enumerate(comparison.subjects):
            cell = comparison.cell(workload.scenario.name, workload.load, subject)
            if cell is None:
                continue
            value = cell.server_cpu_s_per_request
            own = own_interval(cell, "cpu", seed=comparison.manifest.seed)
            parts = () if value is None else (Part(series, value),)
            text = format.NOTHING if value is None else _microseconds(value)
            bars.append(Bar(subject, parts, text, own.low if own else None, own.high if own else None))
        if bars:
            groups.append(Group(words.label(comparison, workload.scenario.name, workload.load), tuple(bars)))
    return groups


def _table_of_cost(comparison: Comparison, cells: Sequence[CellSummary]) -> Table:
    rows = tuple(
        (
            words.label(comparison, cell.scenario, cell.load),
            cell.subject,
            format.microseconds(cell.server_cpu_s_per_request),
            format.NOTHING if cell.server_peak_bytes is None else _mebibytes(cell.server_peak_bytes / 2**20),
            f"{cell.client_cpu_share:.0%}",
        )
        for cell in cells
    )
    heads = ("work", "subject", "CPU µs per request", "peak memory", "load client's CPU")
    return Table(heads, rows, "Cost of a request", words=2)


def _cells(comparison: Comparison) -> Iterable[CellSummary]:
    """Yield each cell in table order."""
    for workload in comparison.workloads:
        for subject in comparison.subjects:
            cell = comparison.cell(workload.scenario.name, workload.load, subject)
            if cell is not None:
                yield cell


def _has(comparison: Comparison, above: str, measure: Measure) -> bool:
    return any(f.ratio is not None for f in words.findings(comparison, above, measure))


def _microseconds(value: float) -> str:
    return f"{format.microseconds(value)}{format.NO_BREAK}µs"


def _mebibytes(value: float) -> str:
    return f"{value:,.0f}{format.NO_BREAK}MiB"
