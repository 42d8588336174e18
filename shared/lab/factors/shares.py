"""From what was measured to shares, gaps and crossings; pure functions, nothing is rounded here."""

from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from shared.config import Edition
from shared.lab.factors import crossing
from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.result import Crossing
from shared.lab.factors.result import FactorStudy
from shared.lab.factors.result import Gap
from shared.lab.factors.result import Measured
from shared.lab.factors.result import Share
from shared.lab.planning.plan import Workload
from shared.lab.planning.stopping import half_width
from shared.lab.results import summary
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.statistics import MINIMUM_ROUNDS

# Of what the curves are whose crossing is looked for: throughput, and the time of most requests.
CURVES: tuple[Measure, ...] = ("rps", "p50")
WSGI, ASGI = EDITIONS


def study(comparison: Comparison, variants: Sequence[Measured], *, curve: str) -> FactorStudy:
    """Return what a comparison of variants found.

    Args:
        comparison: What was measured: the editions as they are and every variant's subjects.
        variants: What was swapped.
        curve: Name of the factor that has several numbers; empty without one.
    """
    shares: list[Share] = []
    gaps: list[Gap] = []
    crossings: list[Crossing] = []
    for workload in comparison.workloads:
        shares += _shares(comparison, workload, variants)
        gaps += _gaps(comparison, workload, variants)
        if curve:
            crossings += _crossings(comparison, workload, variants)
    return FactorStudy(comparison, tuple(variants), tuple(shares), tuple(gaps), tuple(crossings), curve)


def widest_interval(cells: Sequence[CellSummary], variants: Sequence[Measured], *, seed: int) -> float | None:
    """Return the half width, as a share, of the widest interval of throughput that is shown; None if one is missing.

    These are the shares, of what is swapped over the edition as it is, and the gaps between the editions.

    Args:
        cells: Those of every subject under one workload.
        variants: What was swapped.
        seed: Seed of the resampling.
    """
    by_subject = {cell.subject: cell for cell in cells}
    pairs: list[tuple[str, str]] = [(WSGI, ASGI)]
    for variant in variants:
        pairs += [(side.edition, side.subject) for side in variant.sides if side.subject != side.edition]
        pairs.append((variant.subject(WSGI), variant.subject(ASGI)))
    found = [
        each.ratio
        for below, above in dict.fromkeys(pairs)
        for each in summary.ratios([by_subject[below], by_subject[above]], baseline=below, seed=seed)
        if each.measure == "rps"
    ]
    return half_width(found)


def _cell(comparison: Comparison, workload: Workload, subject: str) -> CellSummary | None:
    return comparison.cell(workload.scenario.name, workload.load, subject)


def _shares(comparison: Comparison, workload: Workload, variants: Sequence[Measured]) -> Iterator[Share]:
    name, load, seed = workload.scenario.name, workload.load, comparison.manifest.seed
    for variant in variants:
        for side in variant.sides:
            above, below = (_cell(comparison, workload, subject) for subject in (side.subject, side.edition))
            if side.subject == side.edition or above is None or below is None:
                continue
            for found in summary.ratios([below, above], baseline=side.edition, seed=seed):
                yield Share(name, load, variant.label, side.edition, found.measure, found.ratio)


def _gaps(comparison: Comparison, workload: Workload, variants: Sequence[Measured]) -> Iterator[Gap]:
    name, load, seed = workload.scenario.name, workload.load, comparison.manifest.seed
    pairs: list[tuple[str, str, str]] = [("", WSGI, ASGI)]
    pairs += [(variant.label, variant.sides[0].subject, variant.sides[1].subject) for variant in variants]
    for label, wsgi, asgi in pairs:
        below, above = (_cell(comparison, workload, subject) for subject in (wsgi, asgi))
        if below is not None and above is not None:
            for found in summary.ratios([below, above], baseline=wsgi, seed=seed):
                yield Gap(name, load, label, found.measure, found.ratio)


def _crossings(comparison: Comparison, workload: Workload, variants: Sequence[Measured]) -> Iterator[Crossing]:
    points = sorted((v for v in variants if v.level is not None), key=lambda variant: variant.level or 0.0)
    if len(points) < 2:
        return
    levels = tuple(point.level or 0.0 for point in points)
    for measure in CURVES:
        value_of = summary.VALUE_OF[measure]
        columns: list[list[list[float]]] = []
        for place in range(len(EDITIONS)):
            cells = [_cell(comparison, workload, point.sides[place].subject) for point in points]
            values = [[value_of(values) or 0.0 for values in cell.rounds] if cell else [] for cell in cells]
            columns.append(values)
        lengths = {len(column) for side in columns for column in side}
        # Curves with a hole have no crossing; the doubts say which round had no answer.
        if len(lengths) != 1 or any(value <= 0 for side in columns for column in side for value in column):
            continue
        wsgi, asgi = (np.array(side, dtype=np.float64).T for side in columns)
        if len(wsgi) < MINIMUM_ROUNDS:
            continue
        found = crossing.find(asgi, wsgi, np.array(levels), seed=comparison.manifest.seed)
        ahead: Edition = ASGI if found.is_above else WSGI
        yield Crossing(
            scenario=workload.scenario.name,
            load=workload.load,
            measure=measure,
            levels=levels,
            verdict=found.verdict,
            at=found.at,
            low=found.low,
            high=found.high,
            probability=found.probability,
            ahead=ahead,
            is_repeated=found.is_repeated,
        )
