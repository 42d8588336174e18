"""A comparison of factors in tables and words: what each swap changes, the editions' gap then, where curves cross."""

from collections.abc import Callable
from collections.abc import Iterator
from typing import TextIO

from shared.lab.factors.catalogue import BY_NAME
from shared.lab.factors.catalogue import CATALOGUE
from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.catalogue import Factor
from shared.lab.factors.result import AS_THEY_ARE
from shared.lab.factors.result import Crossing
from shared.lab.factors.result import FactorStudy
from shared.lab.planning.plan import Workload
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Doubt
from shared.lab.results.record import Measure
from shared.lab.statistics import Ratio
from shared.report import format
from shared.report.load import loads_text
from shared.report.table import NO_DIFFERENCE
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw
from shared.report.table import stops

GAP_MEASURES: tuple[Measure, ...] = ("rps", "p50", "p99", "cpu")
# What a curve's measure is called in a sentence: the thing that the edition ahead has more of.
MORE_OF: dict[Measure, str] = {"rps": "the higher throughput", "p50": "the longer median response time"}


def print_study(study: FactorStudy, stream: TextIO) -> None:
    """Print everything that a comparison of factors found."""
    draw(share_sheet(study), stream)
    draw(gap_sheet(study), stream)


def share_sheet(study: FactorStudy) -> Sheet:
    """Return the table of what each swap changes in its edition: the variant over the edition as it is."""
    comparison = study.comparison
    shows_loads = len(comparison.loads) > 1
    rows = [
        Row(
            (
                workload.scenario.name if is_first else "",
                cell.subject,
                *([str(workload.load)] if shows_loads else ()),
                format.rate(cell.achieved_rps),
                format.milliseconds(cell.percentiles_s.get("p50")),
                format.milliseconds(cell.percentiles_s.get("p99")),
                format.count(cell.error_count + cell.rejected_count),
                format.microseconds(cell.server_cpu_s_per_request),
                *(_share(study, workload, cell, measure) for measure in ("rps", "cpu")),
            ),
            doubts,
        )
        for workload, cell, is_first, doubts in _lines(study)
    ]
    load_heads = ("load",) if shows_loads else ()
    heads = (
        *("scenario", "service", *load_heads, "rps", "p50 ms", "p99 ms", "errors", "CPU us"),
        *("rps over own", "CPU over own"),
    )
    timing, manifest = comparison.timing, comparison.manifest
    rounds = timing.rounds if comparison.until is None else f"at least {timing.rounds}"
    compared = sum(share.measure in ("rps", "cpu") for share in study.shares)
    notes = (
        f"{rounds} interleaved rounds of {timing.window_s:g} s; {loads_text(comparison.loads)}; "
        f"seed {manifest.seed}; {manifest.cpu_model}, {manifest.cores} cores, {manifest.python}, "
        f"{manifest.time_utc}.",
        *stops(comparison),
        "over own: the variant over the same edition as it is, from the same rounds, with a 95 % interval; "
        f"{NO_DIFFERENCE}: the interval holds 1. {compared} such ratios were looked at, and one in twenty of those "
        "without a difference shows one by chance. CPU us: CPU microseconds of the server per request.",
    )
    about_all = tuple(doubt for doubt in comparison.doubts if doubt.scenario is None)
    return Sheet("What each swap changes", heads, tuple(rows), about_all, notes, shows_loads)


def gap_sheet(study: FactorStudy) -> Sheet:
    """Return the table of how far apart the editions are, as they are and in each variant."""
    shows_loads = len(study.comparison.loads) > 1
    rows = []
    for workload in study.comparison.workloads:
        for label in ("", *(variant.label for variant in study.variants)):
            ratios = [study.gap(workload.scenario.name, workload.load, label, measure) for measure in GAP_MEASURES]
            name = workload.scenario.name if not label else ""
            load = [str(workload.load)] if shows_loads else []
            rows.append(Row((name, label or AS_THEY_ARE, *load, *map(_text, ratios)), ()))
    load_heads = ("load",) if shows_loads else ()
    heads = ("scenario", "editions", *load_heads, "rps", "p50", "p99", "CPU per request")
    notes = (
        "asgi_over_wsgi: the ASGI edition over the WSGI edition, with a 95 % interval from the same rounds.",
        *(crossing_words(crossing, study.curve) for crossing in study.crossings),
        *_remarks(study),
    )
    return Sheet("asgi_over_wsgi, before and after", heads, tuple(rows), (), notes, shows_loads)


def crossing_words(crossing: Crossing, name: str) -> str:
    """Return in a sentence where two curves cross, or that they do not.

    Args:
        crossing: What was found.
        name: The factor whose levels they are.
    """
    numbers = BY_NAME[name].numbers
    assert numbers is not None
    unit = numbers.unit
    where = f"{crossing.scenario} at {crossing.load}, {crossing.measure}"
    measured = f"between {name} {crossing.levels[0]:g} and {crossing.levels[-1]:g} {unit}"
    more, other = MORE_OF[crossing.measure], next(each for each in EDITIONS if each != crossing.ahead)
    if crossing.verdict == "apart":
        return f"{where}: the curves do not cross in what was measured; {crossing.ahead} has {more} {measured}."
    if crossing.verdict == "cross":
        again = " They cross again farther on." if crossing.is_repeated else ""
        return (
            f"{where}: the curves cross at {name} {_place(crossing)} {unit}; below it {crossing.ahead} has {more}, "
            f"above it {other}.{again}"
        )
    seen = "" if crossing.at is None else f"; the measured ones do at {_place(crossing)} {unit}"
    return (
        f"{where}: whether the curves cross {measured} is not shown; in {crossing.probability:.0%} of resampled rounds "
        f"they do{seen}."
    )


def print_catalogue(missing: Callable[[Factor, str], str], stream: TextIO) -> None:
    """Print every factor.

    Args:
        missing: Tells which extra a value needs that is not installed; empty if nothing is missing.
        stream: Where it is printed.
    """
    draw(catalogue_sheet(missing), stream)


def catalogue_sheet(missing: Callable[[Factor, str], str]) -> Sheet:
    """Return the table of all factors: what each edition has, what it can be given, and what is not installed."""
    rows = []
    for factor in CATALOGUE:
        for edition in factor.editions:
            names = [_named(value, missing(factor, value)) for value in factor.values_of(edition)]
            numbers = factor.numbers
            if numbers is not None:
                names.append(f"{numbers.least:g} to {numbers.most:g} {numbers.unit}")
            is_first = edition == factor.editions[0]
            rows.append(
                Row((factor.name if is_first else "", edition, factor.own[edition].strip("()"), ", ".join(names)), ())
            )
    notes = (
        "wsgi-vs-asgi compare --factor NAME=VALUE swaps a thing wherever it can be; --factor asgi:NAME=VALUE in one "
        "edition; --factor latency=0,1,10,100 draws a curve. Several --factor are swapped together.",
        *(f"{factor.name}: {factor.summary}." for factor in CATALOGUE),
    )
    return Sheet("What can be swapped", ("factor", "edition", "has", "can have"), tuple(rows), (), notes)


def _named(value: str, extra: str) -> str:
    return f"{value} (needs the extra {extra}: .venv/bin/pip install -e '.[{extra}]')" if extra else value


def _place(crossing: Crossing) -> str:
    if crossing.at is None or crossing.low is None or crossing.high is None:
        return format.NOTHING
    return f"{crossing.at:.3g} [{crossing.low:.3g}, {crossing.high:.3g}]"


def _lines(study: FactorStudy) -> Iterator[tuple[Workload, CellSummary, bool, tuple[Doubt, ...]]]:
    """Yield each service in table order, whether it opens its workload, and the doubts to print below it."""
    comparison = study.comparison
    # Each edition's variants stand below it; sorting keeps their order.
    names = sorted(comparison.subjects, key=lambda name: EDITIONS.index(name.partition(" ")[0]))
    for workload in comparison.workloads:
        scenario, load = workload.scenario.name, workload.load
        cells = [cell for name in names if (cell := comparison.cell(scenario, load, name))]
        for cell in cells:
            subjects = {cell.subject, None} if cell is cells[-1] else {cell.subject}
            found = [d for d in comparison.doubts if (d.scenario, d.load) == (scenario, load) and d.subject in subjects]
            yield workload, cell, cell is cells[0], tuple(found)


def _share(study: FactorStudy, workload: Workload, cell: CellSummary, measure: Measure) -> str:
    if cell.subject in EDITIONS:
        return ""
    for variant in study.variants:
        for side in variant.sides:
            if side.subject == cell.subject:
                ratio = study.share(workload.scenario.name, workload.load, variant.label, side.edition, measure)
                return _text(ratio)
    return ""


def _text(ratio: Ratio | None) -> str:
    if ratio is None:
        return "no ratio"
    return format.ratio(ratio.value, ratio.low, ratio.high) if ratio.difference_shown else NO_DIFFERENCE


def _remarks(study: FactorStudy) -> Iterator[str]:
    """Yield what else differs, and what was let pass in the parity check, once however many variants share it."""
    told: set[str] = set()
    for variant in study.variants:
        for side in variant.sides:
            if side.parity is None:
                continue
            label = (study.curve and f"{study.curve}=...") or variant.label
            differs = "".join(f"; differs also in: {text}" for text in side.also)
            excepted = "".join(f"; let pass: {text}" for text in side.parity.excepted)
            line = f"{side.edition} {label}: {side.parity.cases} parity cases passed{excepted}{differs}."
            if line not in told:
                told.add(line)
                yield line
