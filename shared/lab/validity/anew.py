"""Processes started anew for one comparison by the instrument of `make compare`, as parts b and c need them."""

from collections.abc import Sequence
from dataclasses import replace

from shared.config import Edition
from shared.errors import NotComparable
from shared.lab import compare
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.results.record import Measure
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject
from shared.lab.statistics import Ratio

EDITIONS: tuple[Edition, ...] = ("wsgi", "asgi")


def compared(
    specs: Sequence[ServiceSpec], scenarios: Sequence[Scenario], *, number: int, manifest: Manifest, timing: Timing
) -> Comparison:
    """Start services, compare them under the default load, and stop them.

    Args:
        specs: How to start them; the first one is the baseline.
        scenarios: What is sent.
        number: Of these starts. Who is started first changes with it, so that the place is no difference between them.
        manifest: Its seed, together with the number, fixes order and resampling.
        timing: Rounds and windows.

    Raises:
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If a service answers with nothing but failures.
    """
    cores = choose_cores()
    order = specs if number % 2 == 0 else specs[::-1]
    with running(order, cores=cores.server) as services, LoadClient(cores=cores.client) as client:
        return compare.run(
            [RunningSubject.of_service(service) for service in services],
            scenarios,
            client=client,
            manifest=replace(manifest, seed=manifest.seed + number),
            baseline=specs[0].name,
            loads=LOADS,
            timing=timing,
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
