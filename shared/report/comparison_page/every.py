"""Every workload by itself: all its figures, its percentile spectrum, its doubts, and the command that repeats it."""

from collections.abc import Iterable

from shared.lab.planning.plan import Workload
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import Slice
from shared.lab.results.spectrum import spectrum
from shared.report import commands
from shared.report import format
from shared.report import words
from shared.report.comparison_page import figures
from shared.report.page.charts.lines import Reading
from shared.report.page.charts.lines import Series
from shared.report.page.charts.lines import spectrum_chart
from shared.report.page.content import Block
from shared.report.page.content import Command
from shared.report.page.content import Details
from shared.report.page.content import Figure
from shared.report.page.content import Notice
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Table

# Up to so many are open from the start; of more, the first.
FEW = 8
# Of more subjects than this beside the baseline the ratios are opened when wanted.
MANY = 2
SHOWN = ("50", "90", "99", "99.9", "99.99")


def every(comparison: Comparison) -> Section:
    """Return each workload's part of the page."""
    pieces: dict[tuple[str, object, str], list[Slice]] = {}
    for piece in comparison.slices:
        pieces.setdefault((piece.scenario, piece.load, piece.subject), []).append(piece)
    measured = [w for w in comparison.workloads if list(_cells(comparison, w))]
    blocks: list[Block] = [
        Details(
            words.label(comparison, workload.scenario.name, workload.load),
            tuple(_workload(comparison, workload, pieces)),
            is_open=not number or len(measured) <= FEW,
            on_paper=len(measured) <= figures.MANY,
        )
        for number, workload in enumerate(measured)
    ]
    hint = "Response times over percentiles are of all rounds together, up to the slowest answer of all."
    return Section("every", "Every scenario", blocks, hint)


def notice(comparison: Comparison, doubt: Doubt) -> Notice:
    """Return a doubt as the page shows it."""
    where = ""
    if doubt.scenario is not None:
        where = doubt.scenario if doubt.load is None else words.label(comparison, doubt.scenario, doubt.load)
    where = ", ".join(part for part in (where, doubt.subject) if part) or "all figures"
    return Notice(doubt.code, where, f"{doubt.message}.", f"{doubt.next_step}.")


def _workload(
    comparison: Comparison, workload: Workload, pieces: dict[tuple[str, object, str], list[Slice]]
) -> Iterable[Block]:
    name, load = workload.scenario.name, workload.load
    cells = list(_cells(comparison, workload))
    ratios = _statements(comparison, workload)
    many = len(figures.others(comparison)) > MANY
    yield Details(f"Every subject over {comparison.baseline}", (ratios,)) if many else ratios
    series = [
        Series(cell.subject, tuple(Reading(q, s) for q, s in spectrum(pieces.get((name, load, cell.subject), ()))))
        for cell in cells
    ]
    if any(line.readings for line in series):
        series = [line for line in series if line.readings]
        title = "Response times over percentiles"
        yield Figure(
            title,
            spectrum_chart(series, title="response time", unit=figures.seconds, across="percentile of requests"),
            _table(cells),
            tuple(line.name for line in series),
            "lines",
        )
    else:
        yield _table(cells)
    for doubt in comparison.doubts:
        if (doubt.scenario, doubt.load or load) == (name, load):
            yield notice(comparison, doubt)
    yield Command(commands.again(comparison, workload.scenario, load), "Measure this again:")


def _statements(comparison: Comparison, workload: Workload) -> Points:
    name, load = workload.scenario.name, workload.load
    points: list[Point] = []
    for above in figures.others(comparison):
        for measure in ("rps", "p50", "p99", "cpu"):
            ratio = comparison.ratio(name, load, above, measure)
            if ratio is not None:
                wording = words.WORDINGS[measure]
                text = words.change(ratio, measure)
                points.append(
                    Point(text, f"{wording.name[0].upper() + wording.name[1:]}, {above} over {comparison.baseline}:")
                )
    request = f"{workload.scenario.method} {workload.scenario.target}"
    kind = "closed model" if load.model == "closed" else f"open model, at most {load.connections} connections"
    amount = f"{load} connections" if load.model == "closed" else str(load)
    return Points((Point(f"{request}; {amount}, {kind}.", "Sent:"), *points))


def _table(cells: list[CellSummary]) -> Table:
    """Return all figures of a workload, a line each and a column for each subject."""

    def row(name: str, *values: str) -> tuple[str, ...]:
        return (name, *values)

    percentiles = [
        row(f"{name} ms", *(format.milliseconds(cell.percentiles_s.get(name)) for cell in cells))
        for name in ("p50", "p90", "p99", "p99.9", "max")
    ]
    rows = (
        row("requests per second", *(format.rate(cell.achieved_rps) for cell in cells)),
        *percentiles,
        row("samples", *(format.count(cell.samples) for cell in cells)),
        row("responses, ramps included", *(format.count(cell.responses) for cell in cells)),
        row("statuses", *(_counted(cell.statuses) for cell in cells)),
        row("no response", *(_counted(cell.errors) for cell in cells)),
        *_arrivals(cells),
        row("reconnects", *(format.count(cell.reconnects) for cell in cells)),
        row("CPU µs per request", *(format.microseconds(cell.server_cpu_s_per_request) for cell in cells)),
        row("peak memory MiB", *(_mebibytes(cell.server_peak_bytes) for cell in cells)),
        row("load client's CPU", *(f"{cell.client_cpu_share:.0%}" for cell in cells)),
        row("warm-up slices", *(f"{cell.warm_up_slices}{'' if cell.steady else ', not steady'}" for cell in cells)),
    )
    return Table(("figure", *(cell.subject for cell in cells)), rows, "All figures")


def _arrivals(cells: list[CellSummary]) -> Iterable[tuple[str, ...]]:
    """Yield how an open model's requests fell due, and what the clients gave up."""
    found = [cell.arrivals for cell in cells if cell.arrivals is not None]
    if len(found) == len(cells):
        yield ("requests due per second", *(format.rate(each.offered_rps) for each in found))
        yield ("waited for a connection", *(f"{each.waited_share:.1%}" for each in found))
        yield ("most that waited at one time", *(format.count(each.backlog_max) for each in found))
        lateness = (format.milliseconds(each.timing_error_s.get("p99")) for each in found)
        yield ("load client late, p99 ms", *lateness)
    if any(cell.aborted for cell in cells):
        yield ("given up by the client, by plan", *(format.count(cell.aborted) for cell in cells))


def _counted(counted: object) -> str:
    assert isinstance(counted, dict)
    return ", ".join(f"{count:,} x {name}" for name, count in counted.items()) or "0"


def _mebibytes(size: int | None) -> str:
    return format.NOTHING if size is None else f"{size / 2**20:,.0f}"


def _cells(comparison: Comparison, workload: Workload) -> Iterable[CellSummary]:
    for subject in comparison.subjects:
        cell = comparison.cell(workload.scenario.name, workload.load, subject)
        if cell is not None:
            yield cell
