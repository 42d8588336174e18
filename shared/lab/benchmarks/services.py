"""How near each edition is to its limit: CPU per request against the raw driver under the same server.

Per interface three services are compared: the edition, a raw-driver control as the baseline, and the same control
again. The last one is identical code, so its ratio says how small a difference this machine can show today.
"""

import sys
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab import compare
from shared.lab.compare import Progress
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.results import directory as results
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from shared.lab.services.process import probe
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject

SCENARIOS = (
    Scenario("plaintext", "/plaintext"),
    Scenario("json", "/json"),
    Scenario("db", "/db"),
    Scenario("queries-20", "/queries?queries=20"),
    Scenario("updates-5", "/updates?queries=5"),
    Scenario("fortunes", "/fortunes"),
)
TIMING = Timing(rounds=10, ramp_s=0.1, window_s=0.3)
CONNECTIONS = 32

WSGI_THREADS = "10"
POOL_SIZE = "10"
# Longer than any wait between slices of one subject, so that keep-alive is no factor. The editions' own setting
# differs at most in when an idle connection ends, which the load client forestalls.
KEEP_ALIVE_S = "5"
# The first request may create schema and seed data.
FIRST_ANSWER_S = 60.0


def baseline_of(edition: Edition) -> str:
    """Return the name of an edition's raw-driver control."""
    return f"raw {edition}"


def control_spec(edition: Edition, name: str, environ: Mapping[str, str]) -> ServiceSpec:
    """Return how to start an interface's raw-driver control, under the server and the settings of the edition."""
    threads = environ.get("WSGI_THREADS", WSGI_THREADS)
    servers: dict[Edition, tuple[str, ...]] = {
        "wsgi": (
            *("-m", "gunicorn", "--bind", f"{HOST}:{{port}}", "--workers", "1"),
            *("--worker-class", "gthread", "--threads", threads, "--keep-alive", KEEP_ALIVE_S),
            *("--http-parser", "fast", "--no-control-socket", "--log-level", "warning"),
            "shared.lab.controls.raw_wsgi:app",
        ),
        "asgi": (
            *("-m", "uvicorn", "--host", HOST, "--port", "{port}", "--workers", "1"),
            *("--loop", "uvloop", "--http", "httptools", "--timeout-keep-alive", KEEP_ALIVE_S),
            *("--no-access-log", "--no-proxy-headers", "--ws", "none", "--log-level", "warning", "--lifespan", "on"),
            "shared.lab.controls.raw_asgi:app",
        ),
    }
    own = {"POOL_SIZE": environ.get("POOL_SIZE", POOL_SIZE)}
    return ServiceSpec(name, (sys.executable, *servers[edition]), {**environ, **own})


def _have_data(edition: Service) -> None:
    """Ask the edition for a row once: it creates the tables that the controls read."""
    answer = probe(edition.port, "/db", timeout_s=FIRST_ANSWER_S)
    if answer != "200":
        raise EnvironmentFailure(
            f"{edition.spec.name} gave no row of its database", why=f"GET /db: {answer}", hint=f"see {edition.log_path}"
        )


def run(
    *,
    environ: Mapping[str, str],
    make_manifest: Callable[[], Manifest],
    control_database_url: str,
    editions: Sequence[Edition] = ("wsgi", "asgi"),
    scenarios: Sequence[Scenario] = SCENARIOS,
    timing: Timing = TIMING,
    directory: Path | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Comparison, ...]:
    """Compare each edition with its limit, one interface after the other.

    Args:
        environ: Environment variables for every service; DATABASE_URL among them.
        make_manifest: Called before each interface's services start.
        control_database_url: Database URL as libpq and asyncpg read it, without a driver's name.
        editions: Which interfaces.
        scenarios: What is sent.
        timing: Rounds and windows.
        directory: Where results are written; nowhere if None.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    cores = choose_cores()
    comparisons: list[Comparison] = []
    for edition in editions:
        manifest = make_manifest()
        baseline = baseline_of(edition)
        for_controls = {**environ, "DATABASE_URL": control_database_url}
        specs = (
            control_spec(edition, baseline, for_controls),
            control_spec(edition, f"{baseline} again", for_controls),
            edition_spec(edition, environ),
        )
        progress(f"starting {', '.join(spec.name for spec in specs)}")
        with (
            results.opened(directory, f"bench-{edition}", manifest.time_utc) if directory else nullcontext() as own,
            running(specs, cores=cores.server) as services,
            LoadClient(cores=cores.client) as client,
        ):
            _have_data(services[-1])
            comparisons.append(
                compare.run(
                    [RunningSubject.of_service(service) for service in services],
                    scenarios,
                    client=client,
                    manifest=manifest,
                    baseline=baseline,
                    kind="bench-services",
                    loads=(Load(CONNECTIONS),),
                    timing=timing,
                    path=own and own / results.RESULT,
                    progress=progress,
                )
            )
    return tuple(comparisons)
