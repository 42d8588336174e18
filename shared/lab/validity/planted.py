"""Part c: an edition against itself with a known amount of work more in every request."""

import sys
from collections.abc import Callable
from collections.abc import Mapping
from statistics import median
from time import monotonic

from shared.config import Edition
from shared.errors import NotComparable
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.results.record import Manifest
from shared.lab.services.process import HOST
from shared.lab.services.process import ServiceSpec
from shared.lab.validity import anew
from shared.lab.validity import resolution
from shared.lab.validity.coverage import despite
from shared.lab.validity.plan import PLANTED
from shared.lab.validity.plan import SCENARIOS
from shared.lab.validity.plan import Sizes
from shared.lab.validity.result import PlantedComparison
from shared.lab.validity.result import PlantedPart

PLAIN = "plain"
# Rounds against itself, to know what a request costs before some per cent of it are planted.
CALIBRATION = Timing(rounds=3, ramp_s=0.1, window_s=0.4)


def spec(edition: Edition, name: str, extra_s: float, environ: Mapping[str, str]) -> ServiceSpec:
    """Return how to start an edition that burns so many CPU seconds more in every request."""
    own = {"HOST": HOST, f"{edition.upper()}_PORT": "{port}"}
    argv = (sys.executable, "-m", "shared.lab.controls.planted", edition, f"{extra_s * 1e9:.0f}")
    return ServiceSpec(name, argv, {**environ, **own})


def run(
    *, environ: Mapping[str, str], manifest: Manifest, sizes: Sizes, progress: Callable[[str], None]
) -> PlantedPart:
    """Compare each edition with itself that does more, by several amounts, with new processes again and again.

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
    found: list[PlantedComparison] = []
    for edition in anew.EDITIONS:
        for scenario, repetitions in zip(SCENARIOS, sizes.repetitions, strict=True):
            progress(f"c: what {edition} {scenario.name} costs")
            cost_s = cpu_per_request_s(edition, scenario, environ=environ, manifest=manifest)
            for repetition in range(repetitions):
                progress(f"c: {edition} {scenario.name}, repetition {repetition + 1} of {repetitions}")
                found += compare_planted(
                    edition,
                    scenario,
                    repetition,
                    cost_s=cost_s,
                    environ=environ,
                    manifest=manifest,
                    timing=sizes.planted_timing,
                )
    by_cpu, by_rps = resolution.resolutions(found)
    foreign = median(each.foreign_cores for each in found)
    return PlantedPart(
        verdict=despite(resolution.judge(found, by_cpu), foreign),
        detections=resolution.detections(found),
        resolution_cpu=by_cpu,
        resolution_rps=by_rps,
        median_error=median(resolution.error(each) for each in found),
        foreign_cores=foreign,
        comparisons=tuple(found),
        seconds=monotonic() - began,
    )


def cpu_per_request_s(edition: Edition, scenario: Scenario, *, environ: Mapping[str, str], manifest: Manifest) -> float:
    """Return the CPU seconds that a request costs an edition under the default load.

    Raises:
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If it answers with nothing but failures.
    """
    specs = [spec(edition, PLAIN, 0.0, environ)]
    measured = anew.compared(specs, [scenario], number=0, manifest=manifest, timing=CALIBRATION)
    cost_s = measured.cells[0].server_cpu_s_per_request
    if not cost_s:
        raise NotComparable(f"{edition} gave no CPU time for {scenario.name}", hint="make check")
    return cost_s


def compare_planted(
    edition: Edition,
    scenario: Scenario,
    repetition: int,
    *,
    cost_s: float,
    environ: Mapping[str, str],
    manifest: Manifest,
    timing: Timing,
    planted: tuple[float, ...] = PLANTED,
) -> list[PlantedComparison]:
    """Compare an edition with itself that does more by several amounts, all started anew and in the same rounds.

    Args:
        edition: Which.
        scenario: What is sent.
        repetition: Number of the starts.
        cost_s: CPU seconds of a request, of which the planted ones are shares.
        environ: Environment variables for every service.
        manifest: Its seed, together with the number, fixes order and resampling.
        timing: Rounds and windows.
        planted: The shares.

    Raises:
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If a service answers with nothing but failures, or its CPU time cannot be read.
    """
    names = {f"+{share:.0%}": share for share in planted}
    specs = [spec(edition, PLAIN, 0.0, environ)]
    specs += [spec(edition, name, share * cost_s, environ) for name, share in names.items()]
    measured = anew.compared(specs, [scenario], number=repetition, manifest=manifest, timing=timing)
    plain = measured.cell(scenario.name, LOADS[0], PLAIN)
    if plain is None or not plain.server_cpu_s_per_request:
        raise NotComparable(f"{edition} gave no CPU time for {scenario.name}", hint="make check")
    return [
        PlantedComparison(
            edition=edition,
            scenario=scenario.name,
            repetition=repetition,
            planted=share,
            extra_s=share * cost_s,
            base_s=plain.server_cpu_s_per_request,
            rps=anew.ratio_of(measured, scenario.name, name, "rps"),
            cpu=anew.ratio_of(measured, scenario.name, name, "cpu"),
            foreign_cores=anew.foreign_cores(measured, scenario.name),
        )
        for name, share in names.items()
    ]
