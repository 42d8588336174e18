"""The measurements of the two editions, from settings to result: which services, which load, which manifest."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path

from sqlalchemy import create_engine

from shared.config import Edition
from shared.config import Settings
from shared.config import mask
from shared.engine import engine_url
from shared.lab import compare
from shared.lab.benchmarks import services as bench_services
from shared.lab.benchmarks import tracing as bench_trace
from shared.lab.compare import Progress
from shared.lab.compare import RunningSubject
from shared.lab.environment import manifest
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Plan
from shared.lab.results.files import result_path
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.results.thresholds import Names
from shared.lab.services.process import CoreRoles
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from shared.lab.services.process import running
from shared.lab.tracing.result import TraceBench
from shared.statements import SERVER_VERSION

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")
BASELINE: Edition = "wsgi"


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
    cores = choose_cores()
    made = _manifest(settings, url, plan.seed, cores)
    path = result_path(directory, "compare", made.time_utc)
    environ = _environ(url)
    specs = [edition_spec(edition, environ) for edition in EDITIONS]
    progress("starting both editions")
    with running(specs, cores=cores.server) as services, LoadClient(cores=cores.client) as client:
        result = compare.run(
            [RunningSubject.of_service(service) for service in services],
            plan.scenarios,
            client=client,
            manifest=made,
            baseline=BASELINE,
            loads=plan.loads,
            timing=plan.timing,
            path=path,
            progress=progress,
        )
    return result, path


def bench_editions(
    settings: Settings,
    url: str,
    *,
    seed: int,
    rounds: int | None,
    directory: Path,
    progress: Progress,
) -> tuple[Comparison, ...]:
    """Compare each edition with a raw driver under the same server.

    Args:
        settings: Settings of both editions.
        url: The database, without a driver.
        seed: Fixes order and resampling.
        rounds: Rounds per scenario; None for the default.
        directory: Where the results are written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    timing = bench_services.TIMING
    return bench_services.run(
        environ=_environ(url),
        make_manifest=lambda: _manifest(settings, url, seed, choose_cores()),
        control_database_url=url,
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
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    made = _manifest(settings, url, seed, choose_cores())
    result = bench_trace.run(
        environ={"DATABASE_URL": url},
        manifest=made,
        starts=starts or bench_trace.STARTS,
        editions=(edition,) if edition else ("wsgi", "asgi"),
        progress=progress,
    )
    path = result_path(directory, "bench-trace", made.time_utc).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return result, path


def _environ(url: str) -> dict[str, str]:
    """Return the environment of services that are timed: on a database, and without the hooks of tracing."""
    return {"DATABASE_URL": url, "TRACE": "0"}


def _manifest(settings: Settings, url: str, seed: int, cores: CoreRoles) -> Manifest:
    shown: Mapping[str, str] = {
        **{name.upper(): mask(name, getattr(settings, name)) for name in Settings.model_fields},
        "TRACE": "0",
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
