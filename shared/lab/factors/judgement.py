"""Thresholds on a comparison of factors: each is judged for the editions as they are and in every variant."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace

from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.result import AS_THEY_ARE
from shared.lab.factors.result import FactorStudy
from shared.lab.planning.plan import Plan
from shared.lab.results import thresholds
from shared.lab.results.record import Comparison
from shared.lab.results.record import RatioSummary
from shared.lab.results.thresholds import Judgement
from shared.lab.results.thresholds import Names
from shared.lab.results.thresholds import Threshold

WSGI, ASGI = EDITIONS


def names(plan: Plan, labels: Sequence[str]) -> Names:
    """Return what a study will hold, before there is one.

    Args:
        plan: What is measured.
        labels: Names of the variants.
    """
    scenarios = tuple(scenario.name for scenario in plan.scenarios)
    return Names(EDITIONS, WSGI, scenarios, plan.loads, (AS_THEY_ARE, *labels))


def judge(study: FactorStudy, wanted: Iterable[Threshold]) -> tuple[Judgement, ...]:
    """Return what became of each threshold, in each variant where it names none; each judgement names its variant.

    In a variant that leaves an edition as it is, that edition's figures are not judged a second time.

    Raises:
        UsageError: If one names what the study does not hold.
    """
    return tuple(judgement for threshold in wanted for judgement in _judged(study, threshold))


def pair(study: FactorStudy, label: str) -> Comparison:
    """Return a variant as a comparison of the two editions, without slices; that of an empty label is of both as is."""
    comparison = study.comparison
    cells = [
        replace(cell, subject=edition)
        for workload in comparison.workloads
        for edition in EDITIONS
        if (cell := comparison.cell(workload.scenario.name, workload.load, study.subject(label, edition))) is not None
    ]
    ratios = [
        RatioSummary(gap.scenario, gap.load, gap.measure, ASGI, WSGI, gap.ratio)
        for gap in study.gaps
        if gap.label == label
    ]
    return replace(
        comparison, subjects=EDITIONS, baseline=WSGI, slices=(), cells=tuple(cells), ratios=tuple(ratios), doubts=()
    )


def _judged(study: FactorStudy, threshold: Threshold) -> Iterator[Judgement]:
    labels = ("", *(variant.label for variant in study.variants))
    names_one = threshold.variant is not None
    chosen = [label for label in labels if threshold.variant in (None, label or AS_THEY_ARE)]
    if not chosen:
        comparison = study.comparison
        scenarios = tuple(scenario.name for scenario in comparison.scenarios)
        known = (AS_THEY_ARE, *labels[1:])
        thresholds.require_known([threshold], Names(EDITIONS, WSGI, scenarios, comparison.loads, known))
    for label in chosen:
        if label and not names_one and not _is_changed(study, label, threshold):
            continue
        for found in thresholds.judge(pair(study, label), [replace(threshold, variant=None)]):
            yield replace(found, threshold=replace(found.threshold, variant=label or AS_THEY_ARE))


def _is_changed(study: FactorStudy, label: str, threshold: Threshold) -> bool:
    """Tell whether a threshold is about an edition in which something is swapped."""
    about = [each for each in EDITIONS if each in threshold.subject.split(thresholds.OVER)]
    return any(study.subject(label, each) != each for each in about)
