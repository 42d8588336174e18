"""Comparisons as tables: rich on a terminal, plain aligned lines elsewhere; doubts stand by what they touch."""

import textwrap
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import Measure
from shared.lab.results.record import RatioSummary
from shared.lab.results.record import Stop
from shared.lab.statistics import Ratio
from shared.lab.tracing.result import RecorderCost
from shared.lab.tracing.result import TraceBench
from shared.report import format
from shared.report import load
from shared.report import terms

NO_DIFFERENCE = "no difference shown"
PLAIN_WIDTH = 100
GAP = "  "
# What tracing may cost a request that nobody traces.
LITTLE = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """One line of figures, and the doubts that touch them."""

    cells: tuple[str, ...]
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before it is drawn.

    Attributes:
        title: What it answers.
        heads: Column heads; the first two columns are text, all others numbers.
        rows: Its lines.
        doubts: Doubts that touch all of it.
        notes: Lines below it.
        shows_loads: Whether a doubt must say its load to be found in the table.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    doubts: tuple[Doubt, ...]
    notes: tuple[str, ...]
    shows_loads: bool = False


def print_bench(comparisons: Sequence[Comparison], stream: TextIO) -> None:
    """Print the tables of `make bench-services`, one per interface."""
    for comparison in comparisons:
        draw(bench_sheet(comparison), stream)


def print_trace_bench(bench: TraceBench, stream: TextIO) -> None:
    """Print the tables of `make bench-trace`: what tracing costs those who do not ask for it, and those who do."""
    draw(hook_sheet(bench), stream)
    draw(recorder_sheet(bench.costs), stream)


def hook_sheet(bench: TraceBench) -> Sheet:
    """Return the table of what tracing costs requests that nobody traces."""
    rows = [
        Row(
            (
                f"{cost.edition} {cost.target}" if cost.ratio is None else "",
                cost.service,
                format.microseconds(cost.cpu_s),
                "" if cost.ratio is None else _interval(cost.ratio, places=3),
                "" if cost.ratio is None else ("yes" if cost.ratio.high < 1 + LITTLE else "not shown"),
            ),
            (),
        )
        for cost in bench.hooks
    ]
    heads = ("request", "service", "CPU us", "CPU over no hooks", f"below {LITTLE:.0%} more")
    manifest = bench.manifest
    notes = (
        f"{bench.starts} starts of each service, {bench.seconds:g} s of volleys of {bench.volley} requests each, all "
        f"services in turn, seed {manifest.seed}; {manifest.cpu_model}, {manifest.cores} cores, {manifest.python}, "
        f"{manifest.time_utc}.",
        "Baseline: the same edition with the hooks taken out of its source, the geometric mean of both services. The "
        "same code again is over the first of them, and shows what can be resolved. Interval: 95 %, from starts, since "
        "each start has a memory layout of its own, and a hash seed that its services share; more of them (--starts) "
        "make it narrower.",
    )
    return Sheet("What tracing costs while nobody asks for it", heads, tuple(rows), (), notes)


def recorder_sheet(costs: Sequence[RecorderCost]) -> Sheet:
    """Return the table of what a trace costs the request that asks for it."""
    rows = [
        Row(
            (
                cost.target,
                cost.edition,
                format.count(cost.stages),
                format.microseconds(cost.per_stage_ns / 1e9),
                format.microseconds(cost.per_request_ns / 1e9),
                f"{cost.share:.1%}",
            ),
            (),
        )
        for cost in costs
    ]
    heads = ("target", "edition", "stages", "us per stage", "us per request", "of the request")
    notes = (
        "Medians of traced requests, one at a time. The recorder's time lies between the stages, so no stage includes "
        "it; each trace says how much of every gap it is.",
    )
    return Sheet("What recording took, as the traces themselves tell", heads, tuple(rows), (), notes)


def comparison_sheet(comparison: Comparison) -> Sheet:
    """Return the table of `make compare`: two editions, and the ratio of their throughput.

    The load has a column only where there are several.
    """
    shows_loads = len(comparison.loads) > 1
    above = next(name for name in comparison.subjects if name != comparison.baseline)
    ratio_head = f"{above}_over_{comparison.baseline}"
    rows = [
        Row(
            (
                cell.scenario if is_first else "",
                cell.subject,
                *([str(cell.load)] if shows_loads else ()),
                format.rate(cell.achieved_rps),
                format.milliseconds(cell.percentiles_s.get("p50")),
                format.milliseconds(cell.percentiles_s.get("p99")),
                format.count(cell.error_count + cell.rejected_count),
                format.cpu_s_per_thousand(cell.server_cpu_s_per_request),
                _ratio(comparison, cell, "rps") + _mark(comparison, cell),
            ),
            doubts,
        )
        for cell, is_first, doubts in _lines(comparison)
    ]
    load_heads = ("load",) if shows_loads else ()
    heads = (
        *(
            "scenario",
            "edition" if comparison.terms is None else "subject",
            *load_heads,
            "rps",
            "p50 ms",
            "p99 ms",
            "errors",
            "CPU s/1k",
        ),
        f"{ratio_head} rps",
    )
    notes = (
        _how(comparison),
        "errors: no response, or a status other than 2xx; neither counts as throughput. CPU s/1k: CPU seconds of the "
        "server per 1,000 requests. Interval: 95 %, from rounds."
        + ("" if not _has_servers(comparison) else " What the servers used besides: --verbose."),
        *load.notes(comparison),
        *(() if comparison.terms is None else terms.notes(comparison.terms)),
        *_together(comparison),
        *stops(comparison),
    )
    title = load.title(comparison.loads, "editions" if comparison.terms is None else "subjects")
    return Sheet(title, heads, tuple(rows), _about_all(comparison), notes, shows_loads)


def bench_sheet(comparison: Comparison) -> Sheet:
    """Return the table of `make bench-services`: CPU per request as a multiple of the raw driver's."""
    rows = [
        Row(
            (
                cell.scenario if is_first else "",
                cell.subject,
                format.microseconds(cell.server_cpu_s_per_request),
                format.rate(cell.achieved_rps),
                format.count(cell.error_count + cell.rejected_count),
                _ratio(comparison, cell, "cpu", shows_equal=True),
                _ratio(comparison, cell, "rps", shows_equal=True),
            ),
            doubts,
        )
        for cell, is_first, doubts in _lines(comparison)
    ]
    heads = ("scenario", "service", "CPU us", "rps", "errors", "CPU over raw", "rps over raw")
    notes = (
        _how(comparison),
        f"CPU us: CPU microseconds of the server per request. Baseline: {comparison.baseline}; the same code again "
        "shows what this machine can resolve. Interval: 95 %, from rounds of one start; each start has a memory layout "
        "and a hash seed of its own, which move a ratio by another per cent or so.",
    )
    title = f"CPU per request over the limit, {comparison.baseline}"
    return Sheet(title, heads, tuple(rows), _about_all(comparison), notes)


def draw(sheet: Sheet, stream: TextIO) -> None:
    """Print a table: with rich on a terminal, as plain aligned lines elsewhere."""
    if stream.isatty():
        _draw_rich(sheet, Console(file=stream))
    else:
        stream.write("\n".join(plain_lines(sheet)) + "\n\n")


def plain_lines(sheet: Sheet, width: int = PLAIN_WIDTH) -> list[str]:
    """Return a table as aligned lines; only notes and doubts are wrapped."""
    grid = [sheet.heads, *(row.cells for row in sheet.rows)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        *((sheet.title, "") if sheet.title else ()),
        _align(sheet.heads, widths),
        GAP.join("-" * wide for wide in widths),
    ]
    for row in sheet.rows:
        lines.append(_align(row.cells, widths))
        for doubt in row.doubts:
            lines += _wrap(f"! {doubt.code}: {doubt.message}", width, indent="    ")
    lines.append("")
    for doubt in sheet.doubts:
        lines += _wrap(f"! {doubt.code}: {doubt.message}", width, indent="")
    for advice in _advice(sheet):
        lines += _wrap(advice, width, indent="")
    for note in sheet.notes:
        lines += _wrap(note, width, indent="")
    return lines


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = [
        text.ljust(wide) if place < 2 else text.rjust(wide)
        for place, (text, wide) in enumerate(zip(cells, widths, strict=True))
    ]
    return GAP.join(texts).rstrip()


def _wrap(text: str, width: int, *, indent: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  ")


def _draw_rich(sheet: Sheet, console: Console) -> None:
    gap = 2 if console.width >= PLAIN_WIDTH else 1
    table = Table(title=sheet.title or None, title_justify="left", box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for place, head in enumerate(sheet.heads):
        table.add_column(head, justify="left" if place < 2 else "right", no_wrap=place > 1, overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(text) for text in row.cells))
    console.print(table)
    # A doubt inside a cell would widen its column beyond the terminal; it names its number instead.
    for doubt in (*sheet.doubts, *(doubt for row in sheet.rows for doubt in row.doubts)):
        at_load = f"at {doubt.load}" if sheet.shows_loads and doubt.load else ""
        where = " ".join(part for part in (doubt.scenario, at_load, doubt.subject) if part)
        console.print(Text(f"! {where + ', ' if where else ''}{doubt.code}: {doubt.message}", style="yellow"))
    for advice in _advice(sheet):
        console.print(Text(advice, style="yellow"))
    for note in sheet.notes:
        console.print(Text(note, style="dim"))


def _advice(sheet: Sheet) -> list[str]:
    """Return what to do about each kind of doubt, once however often it arose."""
    doubts = (*sheet.doubts, *(doubt for row in sheet.rows for doubt in row.doubts))
    return [f"On {code}: {step}." for code, step in {doubt.code: doubt.next_step for doubt in doubts}.items()]


def _lines(comparison: Comparison) -> Iterable[tuple[CellSummary, bool, tuple[Doubt, ...]]]:
    """Yield each cell in table order, whether it opens its workload, and the doubts to print below it."""
    for workload in comparison.workloads:
        name = workload.scenario.name
        found_cells = (comparison.cell(name, workload.load, subject) for subject in comparison.subjects)
        cells = [cell for cell in found_cells if cell is not None]
        for cell in cells:
            # What touches the workload as a whole stands below its last line.
            subjects = {cell.subject, None} if cell is cells[-1] else {cell.subject}
            touching = [d for d in comparison.doubts if (d.scenario, d.load) == (name, workload.load)]
            found = [doubt for doubt in touching if doubt.subject in subjects]
            yield cell, cell is cells[0], tuple(found)


def _about_all(comparison: Comparison) -> tuple[Doubt, ...]:
    return tuple(doubt for doubt in comparison.doubts if doubt.scenario is None)


def _ratio(comparison: Comparison, cell: CellSummary, measure: Measure, *, shows_equal: bool = False) -> str:
    """Return the ratio to the baseline as text; nothing for the baseline itself."""
    if cell.subject == comparison.baseline:
        return ""
    ratio = comparison.ratio(cell.scenario, cell.load, cell.subject, measure)
    if ratio is None:
        return "no ratio"
    return NO_DIFFERENCE if not (ratio.difference_shown or shows_equal) else _interval(ratio)


def _mark(comparison: Comparison, cell: CellSummary) -> str:
    """Return what tells a difference that is still shown when all are judged together from the others."""
    family = _family(comparison)
    key = (cell.scenario, cell.load, cell.subject)
    own = [each for each in family if (each.scenario, each.load, each.numerator) == key]
    if len(family) < 2 or not own or own[0].ratio is None or not own[0].ratio.difference_shown:
        return ""
    return " *" if own[0].survives_holm else "  "


def _family(comparison: Comparison) -> list[RatioSummary]:
    """Return the ratios whose intervals the table shows."""
    return [each for each in comparison.ratios if each.measure == "rps" and each.ratio is not None]


def _has_servers(comparison: Comparison) -> bool:
    return any(cell.server is not None for cell in comparison.cells)


def _together(comparison: Comparison) -> tuple[str, ...]:
    """Return what so many intervals mean together."""
    ratios = _family(comparison)
    if len(ratios) < 2:
        return ()
    return (
        f"{len(ratios)} intervals at 95 %: {format.expected(len(ratios) * 0.05)} would exclude 1 by chance. *: shown "
        "when all are judged together (Holm).",
    )


def stops(comparison: Comparison) -> tuple[str, ...]:
    """Return how rounds ended where their number was not fixed."""
    if comparison.until is None or not comparison.stops:
        return ()
    late = [stop for stop in comparison.stops if stop.reason != "narrow"]
    names = ", ".join(_workload_name(comparison, stop) for stop in late)
    rounds = [stop.rounds for stop in comparison.stops]
    return (
        f"Rounds were run until intervals were within {format.percentage(comparison.until)}: {min(rounds)} to "
        f"{max(rounds)}." + (f" The time was up before that for {names}." if late else ""),
    )


def _workload_name(comparison: Comparison, stop: Stop) -> str:
    name = f"{stop.scenario} at {stop.load}" if len(comparison.loads) > 1 else stop.scenario
    return name if stop.half_width is None else f"{name} ({format.percentage(round(stop.half_width, 3))})"


def _interval(ratio: Ratio, places: int = 2) -> str:
    return format.ratio(ratio.value, ratio.low, ratio.high, places)


def _how(comparison: Comparison) -> str:
    timing, manifest = comparison.timing, comparison.manifest
    rounds = timing.rounds if comparison.until is None else f"at least {timing.rounds}"
    return (
        f"{rounds} interleaved rounds of {timing.window_s:g} s, {load.loads_text(comparison.loads)}, "
        f"seed {manifest.seed}; {manifest.cpu_model}, {manifest.cores} cores, "
        f"{manifest.python}, {manifest.time_utc}."
    )
