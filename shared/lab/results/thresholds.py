"""Thresholds on a comparison, written as one text each; they are read before anything runs and judged afterwards."""

import math
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from operator import ge
from operator import gt
from operator import le
from operator import lt

from shared.errors import UsageError
from shared.lab.planning.plan import Load
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.statistics import Ratio

OVER = "_over_"
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
# Seconds of one unit.
UNITS_S: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
TIMES = ("p50", "p90", "p99", "p99.9", "max", "cpu")
COUNTS = ("rps", "errors")
FIGURES = (*COUNTS, *TIMES)
RATIO_MEASURES: Mapping[str, Measure] = {"rps": "rps", "p50": "p50", "p99": "p99", "cpu": "cpu"}
FORMS = "'asgi:/db:p99>50ms', 'asgi:/db@32:p99>50ms' or 'asgi_over_wsgi:/db:rps<0.9'"
# Written in one way only, so that every threshold prints back as it was read.
LOAD = re.compile(r"[1-9][0-9]{0,8}|[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?/s( constant)?")
LOADLIKE = re.compile(r"[0-9.]+(/s.*)?$")
# A variant may hold colons: asgi[asgi:loop=asyncio].
VARIANT = re.compile(r"(?P<subject>[^:\[\]]+)\[(?P<variant>[^\[\]]+)\]:")
# The longer operator first, or >= would be read as > and a value that begins with =.
CONDITION = re.compile(r"(?P<measure>[^<>=]+)(?P<operator>>=|<=|>|<)(?P<number>[0-9]*\.?[0-9]+)(?P<unit>.*)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition that a figure must not fulfil.

    Attributes:
        subject: Name of the subject, or those of two with `_over_` between them, for a ratio.
        scenario: Name of the scenario.
        load: Short name of the only load that it is about; None for every load of the comparison.
        measure: One of FIGURES; of RATIO_MEASURES for a ratio.
        operator: One of OPERATORS.
        number: The bound as it was written.
        unit: Its unit, one of UNITS_S; empty for a number without one.
        variant: Name of the only variant that it is about in a comparison of factors; None for every one.
    """

    subject: str
    scenario: str
    load: str | None
    measure: str
    operator: str
    number: str
    unit: str
    variant: str | None = None

    def __str__(self) -> str:
        """Return the text it was read from."""
        subject = self.subject if self.variant is None else f"{self.subject}[{self.variant}]"
        load = "" if self.load is None else f"@{self.load}"
        return f"{subject}:{self.scenario}{load}:{self.measure}{self.operator}{self.number}{self.unit}"

    @property
    def is_ratio(self) -> bool:
        """Whether it is about one subject over another."""
        return OVER in self.subject

    @property
    def bound(self) -> float:
        """The bound: seconds for times, a plain number for all else."""
        return float(self.number) * UNITS_S.get(self.unit, 1.0)


@dataclass(frozen=True, slots=True)
class Names:
    """What the thresholds on one comparison may name.

    Attributes:
        subjects: Names of its subjects.
        baseline: The subject below the line of every ratio.
        scenarios: Names of its scenarios.
        loads: Loads under each of which every scenario is measured.
        variants: Names of what a comparison of factors measures the subjects as; none in any other.
    """

    subjects: tuple[str, ...]
    baseline: str
    scenarios: tuple[str, ...]
    loads: tuple[Load, ...]
    variants: tuple[str, ...] = ()

    @property
    def ratios(self) -> tuple[str, ...]:
        """Names of its ratios."""
        return tuple(f"{name}{OVER}{self.baseline}" for name in self.subjects if name != self.baseline)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a threshold at one load.

    Attributes:
        threshold: The condition; it names its load where the comparison has several.
        value: The figure, in seconds for times; None if it was not measured.
        interval: Value and interval of a ratio; None for all else.
        is_met: Whether the figure was measured and does not fulfil the condition to fail on. A ratio is judged by its
            value, not by its interval.
    """

    threshold: Threshold
    value: float | None
    interval: Ratio | None
    is_met: bool

    @property
    def is_certain(self) -> bool | None:
        """Whether the interval of a ratio excludes the bound; None where there is no interval."""
        return None if self.interval is None else self.interval.excludes(self.threshold.bound)


def parse(text: str) -> Threshold:
    """Return the threshold that a text means.

    The subject ends at the first colon, or behind the variant that it names in brackets; the measure begins after the
    last one: what lies between is the scenario, which may hold colons itself. A number after its last @ is the load, so
    a scenario whose own name ends like that can be named only together with its load.

    Raises:
        UsageError: If the text is no threshold, or its measure, unit or value cannot be.
    """
    subject, variant, rest = _head(text)
    scenario, _, condition = rest.rpartition(":")
    if not subject or not scenario:
        raise _malformed(text, "it needs a subject, a scenario and a condition with colons between them")
    found = CONDITION.fullmatch(condition)
    if found is None:
        why = f"{condition!r} is no measure, operator ({' '.join(OPERATORS)}) and value, one after the other"
        raise _malformed(text, why)
    name, load = _parts(text, scenario)
    threshold = replace(Threshold(subject, name, load, *found.groups()), variant=variant)
    measures = tuple(RATIO_MEASURES) if threshold.is_ratio else FIGURES
    if threshold.measure not in measures:
        kind = "ratio" if threshold.is_ratio else "figure"
        why = f"{threshold.measure!r} is no measure of a {kind}"
        raise UsageError(_unreadable(text), why=why, hint=f"use one of {', '.join(measures)}")
    _require_unit(threshold)
    if not math.isfinite(threshold.bound):
        raise _malformed(text, "its value is too large to be a number")
    return threshold


def require_known(thresholds: Iterable[Threshold], names: Names) -> None:
    """Refuse thresholds on what a comparison does not hold.

    Raises:
        UsageError: If a subject, a ratio, a scenario or a load is not among the names.
    """
    for threshold in thresholds:
        subjects = names.ratios if threshold.is_ratio else names.subjects
        for what, name, known in (
            ("ratio" if threshold.is_ratio else "subject", threshold.subject, subjects),
            ("scenario", threshold.scenario, names.scenarios),
            ("load", threshold.load, tuple(map(str, names.loads))),
            ("variant", threshold.variant, names.variants),
        ):
            if name is not None and name not in known:
                raise UsageError(
                    f"The threshold {str(threshold)!r} is about nothing in this comparison",
                    why=f"there is no {what} {name!r}",
                    hint=f"use one of {', '.join(map(str, known))}" if known else f"there is no {what} here at all",
                )


def judge(comparison: Comparison, thresholds: Iterable[Threshold]) -> tuple[Judgement, ...]:
    """Return what became of each threshold; of one that names no load, at each load of the comparison.

    Raises:
        UsageError: If one names what the comparison does not hold.
    """
    chosen = tuple(thresholds)
    scenarios = tuple(scenario.name for scenario in comparison.scenarios)
    require_known(chosen, Names(comparison.subjects, comparison.baseline, scenarios, comparison.loads))
    return tuple(
        _judge(comparison, shown, load)
        for threshold in chosen
        for shown, load in _at_loads(threshold, comparison.loads)
    )


def _at_loads(threshold: Threshold, loads: tuple[Load, ...]) -> Iterable[tuple[Threshold, Load]]:
    """Yield the threshold with each load that it is judged at; it comes to name the load where there are several."""
    for load in loads:
        if threshold.load in (None, str(load)):
            yield (replace(threshold, load=str(load)) if len(loads) > 1 else threshold), load


def _judge(comparison: Comparison, threshold: Threshold, load: Load) -> Judgement:
    interval = None
    if threshold.is_ratio:
        above = threshold.subject.removesuffix(OVER + comparison.baseline)
        interval = comparison.ratio(threshold.scenario, load, above, RATIO_MEASURES[threshold.measure])
        value = None if interval is None else interval.value
    else:
        cell = comparison.cell(threshold.scenario, load, threshold.subject)
        value = None if cell is None else _figure(cell, threshold.measure)
    # A figure that is missing may be missing because of what the threshold is to find.
    is_met = value is not None and not OPERATORS[threshold.operator](value, threshold.bound)
    return Judgement(threshold, value, interval, is_met)


def _figure(cell: CellSummary, measure: str) -> float | None:
    """Return a cell's figure, in seconds for times; None if it was not measured."""
    if measure == "rps":
        return cell.achieved_rps
    if measure == "errors":
        return cell.error_count + cell.rejected_count
    return cell.server_cpu_s_per_request if measure == "cpu" else cell.percentiles_s.get(measure)


def _head(text: str) -> tuple[str, str | None, str]:
    """Return the subject of a threshold's text, the variant that it names, and what follows the colon behind them."""
    named = VARIANT.match(text)
    if named is not None:
        return named["subject"], named["variant"], text[named.end() :]
    subject, _, rest = text.partition(":")
    return subject, None, rest


def _parts(text: str, scenario: str) -> tuple[str, str | None]:
    """Return a scenario's name and load as they stand in a threshold's text."""
    name, _, load = scenario.rpartition("@")
    if not (name and LOADLIKE.match(load)):
        return scenario, None
    if LOAD.fullmatch(load) is None:
        raise _malformed(text, f"{load!r} is no number of connections, and no rate")
    return name, load


def _require_unit(threshold: Threshold) -> None:
    units = tuple(UNITS_S) if threshold.measure in TIMES and not threshold.is_ratio else ("",)
    if threshold.unit in units:
        return
    if units == ("",):
        what = "a ratio" if threshold.is_ratio else threshold.measure
        why, hint = f"{what} has no unit (got {threshold.unit!r})", f"leave {threshold.unit!r} out"
    else:
        seen = f"got {threshold.unit!r}" if threshold.unit else "got none"
        why, hint = f"{threshold.measure} is a time and needs its unit ({seen})", f"use one of {', '.join(units)}"
    raise UsageError(_unreadable(str(threshold)), why=why, hint=hint)


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(_unreadable(text), why=why, hint=f"write it as in {FORMS}")


def _unreadable(text: str) -> str:
    return f"Cannot read the threshold {text!r}"
