"""Two recorded comparisons beside each other: what else than the program differs, and every figure of B over A's.

Pure functions. The rounds of two runs are no pairs, so the intervals are those of two independent samples.
"""

import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass

from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab.planning.plan import Load
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.results.summary import VALUE_OF
from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.statistics import Ratio
from shared.lab.statistics import unpaired_ratio

# How the two runs' values stand in texts where one of them has none.
ABSENT = "absent"

# Scenario, load and subject of a cell.
Key = tuple[str, Load, str]

# What a table shows of a cell over all of its rounds; the ratios are made from single rounds.
FIGURE_OF: Mapping[Measure, Callable[[CellSummary], float | None]] = {
    "rps": lambda cell: cell.achieved_rps,
    "p50": lambda cell: cell.percentiles_s.get("p50"),
    "p99": lambda cell: cell.percentiles_s.get("p99"),
    "cpu": lambda cell: cell.server_cpu_s_per_request,
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that is not the program and differs.

    Attributes:
        item: What it is.
        a: Its value in A, as text.
        b: Its value in B.
    """

    item: str
    a: str
    b: str

    def __str__(self) -> str:
        """Return both values in one line."""
        return f"{self.item}: {self.a} in A, {self.b} in B"


@dataclass(frozen=True, slots=True)
class FigureChange:
    """One figure of one subject under one scenario under one load in both runs.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        subject: Name of the subject.
        measure: What was measured.
        a: In A, over all rounds: per second for rps, seconds for all else; None if it was not measured.
        b: The same in B.
        ratio: B over A; None where a round has no value.
    """

    scenario: str
    load: Load
    subject: str
    measure: Measure
    a: float | None
    b: float | None
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class RatioChange:
    """One ratio of a subject to the baseline under one load in both runs.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        subject: Subject above the line.
        measure: What is divided.
        a: Ratio to the baseline in A, from paired rounds; None if there is none.
        b: The same in B.
        ratio: B's ratio over A's; None where a round has no value.
    """

    scenario: str
    load: Load
    subject: str
    measure: Measure
    a: Ratio | None
    b: Ratio | None
    ratio: Ratio | None


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Two comparisons and how they differ.

    Attributes:
        a: The comparison below the line.
        b: The comparison above it.
        mismatches: What is not the program and differs.
        figures: Every figure that both have, in the table order of A.
        ratios: Every ratio that both have; none if they have not the same baseline.
        only_a: Scenario, load and subject of what only A measured.
        only_b: The same for B.
    """

    a: Comparison
    b: Comparison
    mismatches: tuple[Mismatch, ...]
    figures: tuple[FigureChange, ...]
    ratios: tuple[RatioChange, ...]
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]

    @property
    def shows_loads(self) -> bool:
        """Whether a cell must say its load to be told from another."""
        return _has_loads(self.a, self.b)


def between(a: Comparison, b: Comparison, *, any_environment: bool = False) -> Difference:
    """Return how two comparisons differ.

    Args:
        a: The comparison below the line, usually the older one.
        b: The comparison above it.
        any_environment: Whether to go on when more than the program differs.

    Raises:
        NotComparable: If more than the program differs.
        UsageError: If they have no scenario, load and subject in common.
    """
    mismatches = tuple(find_mismatches(a, b))
    if mismatches and not any_environment:
        raise NotComparable(
            "The two results differ in more than the program",
            why="\n".join(map(str, mismatches)),
            hint="measure both under the same conditions, or add --any-environment to see them nevertheless",
        )
    in_a, in_b = _cells(a), _cells(b)
    common = [key for key in in_a if key in in_b]
    if not common:
        names = [
            ", ".join(cell_name(key, shows_load=_has_loads(a, b)) for key in keys) or "none" for keys in (in_a, in_b)
        ]
        raise UsageError(
            "The two results have no scenario, load and subject in common",
            why=f"A has {names[0]}, B has {names[1]}",
            hint="give two results of the same command",
        )
    return Difference(
        a=a,
        b=b,
        mismatches=mismatches,
        figures=tuple(_figures(((in_a[key], in_b[key]) for key in common), seed=b.manifest.seed)),
        ratios=tuple(_ratios(a, b, common)),
        only_a=tuple(key for key in in_a if key not in in_b),
        only_b=tuple(key for key in in_b if key not in in_a),
    )


def cell_name(key: Key, *, shows_load: bool) -> str:
    """Return a cell's name, such as /db at 32 asgi."""
    scenario, load, subject = key
    return f"{scenario} at {load} {subject}" if shows_load else f"{scenario} {subject}"


def find_mismatches(a: Comparison, b: Comparison) -> Iterable[Mismatch]:
    """Yield what is not the program and differs; commit, time, seed, loads and the number of rounds may."""
    scenarios = {s.name for s in a.scenarios} & {s.name for s in b.scenarios}
    # The settings of a subject that only one of them has say nothing about the others.
    alone = set(a.subjects) ^ set(b.subjects)
    facts_a, facts_b = _facts(a, scenarios, alone), _facts(b, scenarios, alone)
    for item in {**facts_a, **facts_b}:
        one, other = facts_a.get(item, ABSENT), facts_b.get(item, ABSENT)
        if one != other:
            yield Mismatch(item, one, other)


def _facts(comparison: Comparison, scenarios: set[str], alone: set[str]) -> dict[str, str]:
    """Return what must be equal, as texts by name."""
    manifest = comparison.manifest
    facts: dict[str, object] = {
        "kind": comparison.kind,
        "processor": manifest.cpu_model,
        "number of processors": manifest.cores,
        "governor": manifest.governor,
        "memory in bytes": manifest.memory_bytes,
        "kernel": manifest.kernel,
        "Python": manifest.python,
        "database version": manifest.database_version,
    }
    facts |= {f"processors, {role}": value for role, value in manifest.core_roles.items()}
    facts |= {f"timing, {name}": value for name, value in asdict(comparison.timing).items() if name != "rounds"}
    facts |= {f"package {name}": version for name, version in manifest.packages.items()}
    for subject, settings in manifest.settings.items():
        if subject not in alone:
            facts |= {f"setting of {subject}, {key}": value for key, value in settings.items()}
    for scenario in comparison.scenarios:
        if scenario.name in scenarios:
            facts |= {f"scenario {scenario.name}, {key}": value for key, value in asdict(scenario).items()}
    return {item: str(value) for item, value in facts.items()}


def _cells(comparison: Comparison) -> dict[Key, CellSummary]:
    return {(cell.scenario, cell.load, cell.subject): cell for cell in comparison.cells}


def _has_loads(a: Comparison, b: Comparison) -> bool:
    return len({*a.loads, *b.loads}) > 1


def _figures(pairs: Iterable[tuple[CellSummary, CellSummary]], *, seed: int) -> Iterable[FigureChange]:
    for a, b in pairs:
        for measure, figure in FIGURE_OF.items():
            above, below = _round_values(b, measure), _round_values(a, measure)
            ratio = _over(above, below, seed=seed)
            yield FigureChange(a.scenario, a.load, a.subject, measure, figure(a), figure(b), ratio)


def _ratios(a: Comparison, b: Comparison, common: Iterable[Key]) -> Iterable[RatioChange]:
    if a.baseline != b.baseline:
        return
    for key in common:
        if key[-1] == a.baseline:
            continue
        for measure in FIGURE_OF:
            ratio = _over(_round_ratios(b, key, measure), _round_ratios(a, key, measure), seed=b.manifest.seed)
            yield RatioChange(*key, measure, a.ratio(*key, measure), b.ratio(*key, measure), ratio)


def _over(above: list[float], below: list[float], *, seed: int) -> Ratio | None:
    if min(len(above), len(below)) < MINIMUM_ROUNDS:
        return None
    return unpaired_ratio(above, below, seed=seed)


def _round_ratios(comparison: Comparison, key: Key, measure: Measure) -> list[float]:
    """Return a subject's ratio to the baseline in each round, in which the machine's state has cancelled."""
    scenario, load, _ = key
    above, below = comparison.cell(*key), comparison.cell(scenario, load, comparison.baseline)
    if above is None or below is None:
        return []
    pairs = zip(_round_values(above, measure), _round_values(below, measure), strict=False)
    return [one / other for one, other in pairs]


def _round_values(cell: CellSummary, measure: Measure) -> list[float]:
    """Return a figure's value in each round; none at all if a round has no value to divide.

    Leaving only that round out would flatter the run that failed in it.
    """
    values = [VALUE_OF[measure](values) for values in cell.rounds]
    usable = [value for value in values if value is not None and value > 0 and math.isfinite(value)]
    return usable if len(usable) == len(values) else []
