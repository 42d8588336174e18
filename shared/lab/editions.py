"""The measurements of the two editions, from settings to result: which services, which load, which manifest."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import create_engine

from shared.config import Edition
from shared.config import Settings
from shared.config import mask
from shared.engine import engine_url
from shared.lab import compare
from shared.lab.benchmarks import services as bench_services
from shared.lab.benchmarks import tracing as bench_trace
from shared.lab.claims import run as claims_run
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Options
from shared.lab.claims.result import Claims
from shared.lab.compare import Progress
from shared.lab.environment import manifest
from shared.lab.ladder import run as ladder_run
from shared.lab.ladder.plan import LadderPlan
from shared.lab.ladder.record import Ladder
from shared.lab.load.driver import LoadClient
from shared.lab.load.limits import measure as measure_limits
from shared.lab.observation.observer import Observer
from shared.lab.planning.plan import Plan
from shared.lab.results import directory as results
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.results.thresholds import Names
from shared.lab.services.process import CoreRoles
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject
from shared.lab.tracing.result import BENCH_SCHEMA_VERSION
from shared.lab.tracing.result import TraceBench
from shared.lab.validity import validate
from shared.lab.validity.result import PartName
from shared.lab.validity.result import Validation
from shared.statements import SERVER_VERSION

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")
BASELINE: Edition = "wsgi"
# Services that are compared tell how late their loop is, or how many of their threads are busy: fifty samples a second
# of some ten microseconds each.
SAMPLED: Mapping[str, str] = MappingProxyType({"SAMPLE_LOAD": "1"})


def names(plan: Plan) -> Names:
    """Return what a plan's comparison will hold, before there is one."""
    return Names(EDITIONS, BASELINE, tuple(scenario.name for scenario in plan.scenarios), plan.loads)


def compare_editions(
    settings: Settings,
    url: str,
    plan: Plan,
    *,
    directory: Path,
    progress: Progress,
) -> tuple[Comparison, Path]:
    """Start both editions, load them in interleaved rounds and return the result and where it was written.

    Args:
        settings: Settings of both services.
        url: The database, without a driver.
        plan: What is sent, over how many connections, how often and how long.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service or the load client ends.
        NotComparable: If an edition answers a scenario with nothing but failures.
    """
    cores = choose_cores(client_cores=plan.clients)
    made = make_manifest(settings, url, plan.seed, cores, SAMPLED)
    environ = {**_environ(url), **SAMPLED}
    specs = [edition_spec(edition, environ) for edition in EDITIONS]
    with (
        results.opened(directory, "compare", made.time_utc) as own,
        LoadClient(cores=cores.client, processes=plan.clients) as client,
    ):
        path = own / results.RESULT
        progress("measuring what the load client can do")
        limits = measure_limits(client, cores)
        progress("starting both editions")
        with running(specs, cores=cores.server) as services, Observer(url) as observer:
            result = compare.run(
                [RunningSubject.of_service(service) for service in services],
                plan.scenarios,
                client=client,
                manifest=made,
                baseline=BASELINE,
                loads=plan.loads,
                timing=plan.timing,
                until=plan.until,
                observer=observer,
                limits=limits,
                path=path,
                progress=progress,
            )
    results.mark_latest(path.parent)
    return result, path


def bench_editions(
    settings: Settings,
    url: str,
    *,
    seed: int,
    rounds: int | None,
    edition: Edition | None,
    scenarios: Collection[str],
    directory: Path,
    progress: Progress,
) -> tuple[Comparison, ...]:
    """Compare each edition with a raw driver under the same server.

    Args:
        settings: Settings of both editions.
        url: The database, without a driver.
        seed: Fixes order and resampling.
        rounds: Rounds per scenario; None for the default.
        edition: The only one to measure; None for both.
        scenarios: Names of what is sent.
        directory: Where the results are written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    timing = bench_services.TIMING
    return bench_services.run(
        environ=_environ(url),
        make_manifest=lambda: make_manifest(settings, url, seed, choose_cores()),
        control_database_url=url,
        editions=(edition,) if edition else ("wsgi", "asgi"),
        scenarios=[each for each in bench_services.SCENARIOS if each.name in scenarios],
        timing=timing if rounds is None else replace(timing, rounds=rounds),
        directory=directory,
        progress=progress,
    )


def bench_tracing(
    settings: Settings,
    url: str,
    *,
    seed: int,
    starts: int | None,
    edition: Edition | None,
    target: str | None,
    directory: Path,
    progress: Progress,
) -> tuple[TraceBench, Path]:
    """Compare each edition with itself without the hooks of tracing; return the result and where it was written.

    Args:
        settings: Settings of all services.
        url: The database, without a driver.
        seed: Fixes order and resampling.
        starts: How often each service is started; None for the default.
        edition: The only one to measure; None for both.
        target: What alone is requested; None for all.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    made = make_manifest(settings, url, seed, choose_cores())
    result = bench_trace.run(
        environ={"DATABASE_URL": url},
        manifest=made,
        starts=starts or bench_trace.STARTS,
        editions=(edition,) if edition else ("wsgi", "asgi"),
        targets=(target,) if target else bench_trace.TARGETS,
        progress=progress,
    )
    path = results.open_directory(directory, "bench-trace", made.time_utc) / results.RESULT
    results.write_json(path, {"schema_version": BENCH_SCHEMA_VERSION, "kind": "bench-trace", **asdict(result)})
    return result, path


def validate_lab(
    settings: Settings,
    url: str,
    parts: Sequence[PartName],
    *,
    seed: int,
    is_quick: bool,
    directory: Path,
    progress: Progress,
) -> tuple[Validation, Path]:
    """Show the instrument what is known, and return what it said and where that was written.

    Args:
        settings: Settings of the services.
        url: The database, without a driver.
        parts: Which parts.
        seed: Fixes delays, order and resampling.
        is_quick: Whether to run the short form.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service, the load client or wrk fails.
        NotComparable: If a service answers with nothing but failures.
    """
    return validate.run(
        parts,
        environ=_environ(url),
        manifest=make_manifest(settings, url, seed, choose_cores()),
        is_quick=is_quick,
        directory=directory,
        progress=progress,
    )


def examine_claims(
    settings: Settings,
    url: str,
    chosen: Sequence[Claim],
    options: Mapping[int, Options],
    *,
    directory: Path,
    progress: Progress,
) -> tuple[Claims, Path]:
    """Run the experiments of claims, and return what they found and where that was written.

    Args:
        settings: Settings of the services, for the manifest.
        url: The database, without a driver.
        chosen: Which claims.
        options: Their options, by number.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If the database cannot be reached, or the result cannot be written.
        UsageError: If the role in the URL may not create databases.
    """
    made = make_manifest(settings, url, 1, choose_cores(), {"LAB": "1"})
    return claims_run.run(chosen, options, url=url, manifest=made, directory=directory, progress=progress)


def climb_ladder(
    settings: Settings,
    url: str,
    plan: LadderPlan,
    *,
    directory: Path,
    progress: Progress,
) -> tuple[Ladder, Path]:
    """Measure every rung of the ladder and return the result and where it was written.

    Args:
        settings: Settings of the services, which are one process each, whatever these say.
        url: The database, without a driver.
        plan: How often and how long.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        NotComparable: If a rung does not answer as it should, or unlike the other edition's.
        EnvironmentFailure: If a service does not start, or ends.
    """
    one_each = settings.model_copy(update={"wsgi_workers": 1, "asgi_workers": 1})
    made = make_manifest(one_each, url, plan.seed, choose_cores())
    with results.opened(directory, "ladder", made.time_utc) as own:
        result = ladder_run.run(plan, url=url, manifest=made, progress=progress)
        path = own / results.RESULT
        results.write_json(path, result.document())
    return result, path


def _environ(url: str) -> dict[str, str]:
    """Return the environment of services that are timed: on a database, and without the hooks of tracing."""
    return {"DATABASE_URL": url, "TRACE": "0"}


def make_manifest(
    settings: Settings, url: str, seed: int, cores: CoreRoles, environ: Mapping[str, str] = MappingProxyType({})
) -> Manifest:
    """Return the manifest of a measurement of the editions, with their settings; call it before they are started."""
    shown: Mapping[str, str] = {
        **{name.upper(): mask(name, getattr(settings, name)) for name in Settings.model_fields},
        "TRACE": "0",
        **environ,
    }
    return manifest(
        seed=seed, cores=cores, settings={"wsgi": shown, "asgi": shown}, database_version=_database_version(url)
    )


def _database_version(url: str) -> str:
    database = create_engine(engine_url(url, "wsgi"))
    try:
        with database.connect() as connection:
            return str(connection.scalar(SERVER_VERSION))
    finally:
        database.dispose()
