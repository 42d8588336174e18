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
from shared.errors import NotComparable
from shared.lab import compare
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.results.record import Measure
from shared.lab.results.summary import VALUE_OF
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject
from shared.lab.statistics import Ratio
from shared.lab.validity import coverage
from shared.lab.validity.plan import SCENARIOS
from shared.lab.validity.plan import Sizes
from shared.lab.validity.result import SameComparison
from shared.lab.validity.result import SamePart
from shared.lab.validity.result import Verdict

EDITIONS: tuple[Edition, ...] = ("wsgi", "asgi")


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
        for edition in EDITIONS:
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
    cores = choose_cores()
    spec = edition_spec(edition, environ)
    again = f"{edition} again"
    specs = [spec, replace(spec, name=again)]
    # Who is started first changes with each pair, so that the place is no difference between the two.
    order = specs if start % 2 == 0 else specs[::-1]
    seed = manifest.seed + start
    with running(order, cores=cores.server) as services, LoadClient(cores=cores.client) as client:
        measured = compare.run(
            [RunningSubject.of_service(service) for service in services],
            scenarios,
            client=client,
            manifest=replace(manifest, seed=seed),
            baseline=edition,
            timing=sizes.same_timing,
        )
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
        rps=ratio_of(measured, scenario, again, "rps"),
        cpu=ratio_of(measured, scenario, again, "cpu"),
        rps_logs=_logs(above, below, "rps"),
        cpu_logs=_logs(above, below, "cpu"),
        foreign_cores=foreign_cores(measured, scenario),
    )


def foreign_cores(measured: Comparison, scenario: str) -> float:
    """Return how many processors other programs used while a scenario was measured."""
    return sum(each.cores for each in measured.foreign_load if each.scenario == scenario)


def ratio_of(measured: Comparison, scenario: str, subject: str, measure: Measure) -> Ratio:
    """Return a ratio that must be there.

    Raises:
        NotComparable: If a round has no successful answer.
    """
    ratio = measured.ratio(scenario, LOADS[0], subject, measure)
    if ratio is None:
        raise NotComparable(f"{subject} had a round without a success in {scenario}", hint="make check")
    return ratio


def _logs(above: CellSummary, below: CellSummary, measure: Measure) -> tuple[float, ...]:
    value_of = VALUE_OF[measure]
    pairs = [(value_of(a), value_of(b)) for a, b in zip(above.rounds, below.rounds, strict=True)]
    return tuple(math.log(a / b) for a, b in pairs if a and b)


def _worst(verdicts: list[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("fails", "undecided", "not run", "holds")
    return min(verdicts, key=order.index)
