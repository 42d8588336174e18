"""Part b: each edition against itself, two processes of one program under the instrument of `make compare`.

Every pair of processes is started anew: two starts of one program differ in memory layout and hash seed (T. Mytkowicz
et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009). That difference is in no scatter
of rounds, so an interval from rounds does not hold it; how large it is comes out of this part, too.
"""

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from time import monotonic

from shared.config import Edition
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.results.record import Measure
from shared.lab.results.summary import VALUE_OF
from shared.lab.services.process import edition_spec
from shared.lab.validity import anew
from shared.lab.validity import coverage
from shared.lab.validity.plan import SCENARIOS
from shared.lab.validity.plan import Sizes
from shared.lab.validity.result import SameComparison
from shared.lab.validity.result import SamePart
from shared.lab.validity.verdict import Verdict


def run(*, environ: Mapping[str, str], manifest: Manifest, sizes: Sizes, progress: Callable[[str], None]) -> SamePart:
    """Compare each edition with itself, with new processes again and again.

    Args:
        environ: Environment variables for every service; DATABASE_URL among them.
        manifest: Where this is made; its seed fixes order and resampling.
        sizes: How much is run.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If a service answers with nothing but failures.
    """
    began = monotonic()
    found: list[SameComparison] = []
    for start in range(sizes.same_starts):
        for edition in anew.EDITIONS:
            progress(f"b: {edition} against itself, start {start + 1} of {sizes.same_starts}")
            found += compare_start(edition, start, environ=environ, manifest=manifest, sizes=sizes)
    coverages = coverage.judge(found, seed=manifest.seed)
    foreign = median(each.foreign_cores for each in found)
    return SamePart(
        verdict=coverage.despite(_worst([each.verdict for each in coverages]), foreign),
        coverages=coverages,
        foreign_cores=foreign,
        comparisons=tuple(found),
        seconds=monotonic() - began,
    )


def compare_start(
    edition: Edition,
    start: int,
    *,
    environ: Mapping[str, str],
    manifest: Manifest,
    sizes: Sizes,
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> list[SameComparison]:
    """Start an edition twice and compare the two processes in each scenario.

    Args:
        edition: Which.
        start: Number of the pair of starts.
        environ: Environment variables for both.
        manifest: Its seed, together with the number, fixes order and resampling.
        sizes: How much is run.
        scenarios: What is sent.

    Raises:
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If a service answers with nothing but failures.
    """
    spec = edition_spec(edition, environ)
    again = f"{edition} again"
    specs = [spec, replace(spec, name=again)]
    measured = anew.compared(specs, scenarios, number=start, manifest=manifest, timing=sizes.same_timing)
    return [_of_scenario(measured, edition, again, scenario.name, start) for scenario in scenarios]


def _of_scenario(measured: Comparison, edition: Edition, again: str, scenario: str, start: int) -> SameComparison:
    load = LOADS[0]
    above, below = (measured.cell(scenario, load, name) for name in (again, edition))
    assert above is not None
    assert below is not None
    return SameComparison(
        edition=edition,
        scenario=scenario,
        start=start,
        rps=anew.ratio_of(measured, scenario, again, "rps"),
        cpu=anew.ratio_of(measured, scenario, again, "cpu"),
        rps_logs=_logs(above, below, "rps"),
        cpu_logs=_logs(above, below, "cpu"),
        foreign_cores=anew.foreign_cores(measured, scenario),
    )


def _logs(above: CellSummary, below: CellSummary, measure: Measure) -> tuple[float, ...]:
    value_of = VALUE_OF[measure]
    pairs = [(value_of(a), value_of(b)) for a, b in zip(above.rounds, below.rounds, strict=True)]
    return tuple(math.log(a / b) for a, b in pairs if a and b)


def _worst(verdicts: list[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("fails", "undecided", "not run", "holds")
    return min(verdicts, key=order.index)
