"""A comparison of factors: both editions as they are and every variant under the same interleaved load."""

from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import text

from shared.config import Edition
from shared.config import Settings
from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab import compare
from shared.lab import databases
from shared.lab import editions
from shared.lab.compare import Progress
from shared.lab.factors import distance
from shared.lab.factors import parity
from shared.lab.factors import shares
from shared.lab.factors import variants as starting
from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.choice import Variant
from shared.lab.factors.result import FactorStudy
from shared.lab.factors.result import Measured
from shared.lab.factors.result import Passed
from shared.lab.factors.result import Side
from shared.lab.load.driver import LoadClient
from shared.lab.load.limits import measure as measure_limits
from shared.lab.parity import check
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Timing
from shared.lab.results import directory as results
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject

COMPARISON = "comparison.json"
# A window holds at least so many round trips of the farthest database, and a ramp so many: ten connections of a pool
# under 32 clients let a request of one statement take three or four.
WINDOW_TRIPS = 10
RAMP_TRIPS = 5
# Connections to the database beside those of the services: kept for administrators, the lab's own, a person's.
SPARE_CONNECTIONS = 10


def subjects(variants: Sequence[Variant]) -> tuple[str, ...]:
    """Return the names of what is loaded: both editions, and each edition of each variant in which it is changed."""
    changed = [variant.subject(edition) for variant in variants for edition in variant.editions]
    return (*EDITIONS, *dict.fromkeys(changed))


def curve_of(variants: Sequence[Variant]) -> str:
    """Return the name of the factor of which several numbers are compared; empty without one."""
    levels = [variant for variant in variants if variant.level is not None]
    if len(levels) < 2:
        return ""
    values = [each for variant in levels for swapped in variant.swapped.values() for each in swapped.items()]
    words = {name for name, value in values for level in levels if value == f"{level.level:g}"}
    varying = [name for name in words if len({value for key, value in values if key == name}) > 1]
    return next(iter(sorted(varying)), "")


def fitted(timing: Timing, variants: Sequence[Variant], *, is_window_given: bool) -> Timing:
    """Return a timing whose windows are long enough for the farthest database.

    Args:
        timing: As planned.
        variants: What is measured.
        is_window_given: Whether the length of the window was asked for, and so is left as it is.
    """
    trips_ms = [float(each["latency"]) for v in variants for each in v.swapped.values() if "latency" in each]
    trip_s = max(trips_ms, default=0.0) / 1_000
    window_s = timing.window_s if is_window_given else max(timing.window_s, WINDOW_TRIPS * trip_s)
    return replace(timing, window_s=window_s, ramp_s=max(timing.ramp_s, RAMP_TRIPS * trip_s))


def require_one_server(settings: Settings, variants: Sequence[Variant]) -> None:
    """Check that the configured database can be put farther away, if a variant does that.

    Raises:
        UsageError: If its URL names several servers.
    """
    if _latencies(variants) and settings.database_url is not None:
        distance.target_of(settings.database_url.get_secret_value())


def require_connections(settings: Settings, variants: Sequence[Variant], allowed: int) -> None:
    """Check that all services together stay below what a database allows.

    Args:
        settings: Settings of the editions as they are.
        variants: What runs beside them.
        allowed: The server's max_connections.

    Raises:
        UsageError: If they might not.
    """
    total = 0
    for variant, changed in ((parity.AS_IT_IS, EDITIONS), *((v, v.editions) for v in variants)):
        for edition in changed:
            values: Mapping[str, str] = variant.swapped.get(edition, {})
            size = values.get("pool", "null")
            each = settings.pool_size if size == "null" else int(size)
            total += (each + settings.pool_max_overflow) * int(values.get("processes", settings.workers(edition)))
    if total > allowed - SPARE_CONNECTIONS:
        raise UsageError(
            f"These variants need up to {total} connections to the database at once",
            why=f"all services run at the same time, and the server allows {allowed}, of which some are kept",
            hint="Compare fewer values, or set a smaller POOL_SIZE for all of them",
        )


def compare_factors(
    settings: Settings,
    url: str,
    plan: Plan,
    variants: Sequence[Variant],
    *,
    directory: Path,
    progress: Progress,
) -> tuple[FactorStudy, Path]:
    """Check every variant, measure all of them beside both editions, and return what was found and where it is.

    Args:
        settings: Settings of the editions as they are.
        url: The database, without a driver.
        plan: What is sent, how much of it, how often and how long.
        variants: What is swapped.
        directory: Where the result's directory is made.
        progress: Called with one line at each step.

    Raises:
        UsageError: If they need more connections than the database allows.
        EnvironmentFailure: If a service, a proxy or the load client does not start, or ends.
        NotComparable: If the editions or a variant do not answer alike, or one answers a scenario with failures only.
    """
    require_connections(settings, variants, _allowed_connections(url))
    if not check.run(settings, None, progress, scope="quick").is_equal:
        raise NotComparable("The two editions do not answer alike, so nothing was timed", hint="make check")
    passed = parity.check_variants(settings, url, variants, progress)
    server_cores = max((_processes(settings, variant) for variant in variants), default=1)
    cores = choose_cores(server_cores, client_cores=plan.clients)
    made = editions.make_manifest(settings, url, plan.seed, cores)
    with ExitStack() as stack:
        own = stack.enter_context(results.opened(directory, "factors", made.time_utc))
        far = {level: stack.enter_context(distance.at(url, level)) for level in _latencies(variants)}
        specs = _specs(url, variants, {level: place.url for level, place in far.items()})
        client = stack.enter_context(LoadClient(cores=cores.client, processes=plan.clients))
        progress("measuring what the load client can do")
        limits = measure_limits(client, cores)
        progress(f"starting {len(specs)} services")
        services = stack.enter_context(running(specs, cores=cores.server))
        measured = _measured(variants, passed)
        comparison = compare.run(
            [RunningSubject.of_service(service) for service in services],
            plan.scenarios,
            client=client,
            manifest=made,
            baseline=EDITIONS[0],
            kind="factors",
            loads=plan.loads,
            timing=plan.timing,
            until=plan.until,
            widest=partial(shares.widest_interval, variants=measured, seed=plan.seed),
            limits=limits,
            path=own / COMPARISON,
            progress=progress,
            helpers=[place.pid for place in far.values()],
        )
        study = shares.study(comparison, measured, curve=curve_of(variants))
        results.write_json(own / results.RESULT, study.document(COMPARISON))
    return study, own / results.RESULT


def _allowed_connections(url: str) -> int:
    with databases.administration(url) as connection:
        return int(connection.execute(text("SHOW max_connections")).scalar_one())


def _latencies(variants: Sequence[Variant]) -> list[float]:
    found = (values["latency"] for v in variants for values in v.swapped.values() if "latency" in values)
    return list(dict.fromkeys(map(float, found)))


def _processes(settings: Settings, variant: Variant) -> int:
    return max(int(variant.swapped.get(each, {}).get("processes", settings.workers(each))) for each in EDITIONS)


def _specs(url: str, variants: Sequence[Variant], far: Mapping[float, str]) -> list[ServiceSpec]:
    """Return how every subject is started, each once."""
    found: dict[str, ServiceSpec] = {
        edition: starting.spec(edition, parity.AS_IT_IS, _environ(url)) for edition in EDITIONS
    }
    for variant in variants:
        for edition in variant.editions:
            latency = variant.swapped[edition].get("latency")
            place = url if latency is None else far[float(latency)]
            made = starting.spec(edition, variant, _environ(place))
            found[made.name] = made
    return list(found.values())


def _environ(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "TRACE": "0"}


def _measured(variants: Sequence[Variant], passed: Mapping[tuple[str, Edition], Passed]) -> list[Measured]:
    def side(variant: Variant, edition: Edition) -> Side:
        return Side(
            edition=edition,
            subject=variant.subject(edition),
            swapped=variant.swapped.get(edition, {}),
            also=variant.also(edition),
            parity=passed.get((variant.label, edition)),
        )

    return [Measured(v.label, v.level, (side(v, EDITIONS[0]), side(v, EDITIONS[1]))) for v in variants]
