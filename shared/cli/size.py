"""The command that tells whether pools, threads, time-outs and the database's limit fit together."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from .. import config
from ..config import Edition
from ..config import Settings
from ..errors import CheckFailed
from ..errors import EnvironmentFailure
from ..errors import UsageError
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress

if TYPE_CHECKING:
    from ..lab.sizing.measure import Trial
    from ..lab.sizing.queueing import Holds
    from ..lab.sizing.rules import Limits
    from ..lab.sizing.rules import Load
    from ..lab.sizing.rules import Report

# Of what the pool can do at most, where --measure is given no rate: busy enough for a line, and far from growing.
UTILISATION = 0.8
HOLD_S = 0.05
Seconds = Annotated[float | None, typer.Option(min=0.001, max=3_600, help="Instead of the setting, in seconds")]


def size(
    edition: Annotated[Edition | None, typer.Option(help="Only this edition; both share the database")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes of one instance")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each WSGI process")] = None,
    pool: Annotated[int | None, typer.Option(min=1, max=1_000, help="Connections each process keeps")] = None,
    overflow: Annotated[int | None, typer.Option(min=0, help="Connections beyond them")] = None,
    instances: Annotated[int, typer.Option(min=1, help="Copies of each service on the same database")] = 1,
    in_flight: Annotated[int | None, typer.Option(min=1, help="Most requests at once in each process")] = None,
    max_connections: Annotated[int | None, typer.Option(min=1, help="Not asked of the database, but this")] = None,
    connect_timeout: Seconds = None,
    pool_timeout: Seconds = None,
    statement_timeout: Seconds = None,
    request_timeout: Seconds = None,
    graceful_timeout: Seconds = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Database requests per second of each edition")] = None,
    hold: Annotated[float | None, typer.Option(min=0.001, max=30, help="Seconds each holds its connection")] = None,
    holds: Annotated[str, typer.Option(help="How these scatter: constant or exponential")] = "constant",
    measure: Annotated[bool, typer.Option("--measure", help="Hold the prediction against both editions")] = False,
    rounds: Annotated[int, typer.Option(min=3, max=100, help="With --measure: slices of each edition")] = 8,
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="With --measure: length of a slice")] = 3.0,
    seed: Annotated[int, typer.Option(help="With --measure: fixes arrivals and order")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object")] = False,
) -> None:
    """Tell whether workers, threads, pools, time-outs and the database's limit fit together, and predict waits.

    Exit code 1 when a rule is broken, 3 when the database could not be asked for its limit.
    """
    from ..lab.sizing import plan
    from ..lab.sizing import rules

    kind = _kind(holds)
    settings = config.load()
    given = {
        "connect_timeout": connect_timeout,
        "pool_timeout": pool_timeout,
        "statement_timeout": statement_timeout,
        "request_timeout": request_timeout,
        "graceful_timeout": graceful_timeout,
    }
    sizings = plan.sizings(
        settings,
        (edition,) if edition else plan.EDITIONS,
        plan.Given(workers, threads, pool, overflow, _said(given)),
        instances=instances,
        in_flight=in_flight,
        load=_load(rate, hold, kind, is_measured=measure),
    )
    limits, why = _limits(settings, max_connections)
    report = rules.examine(sizings, limits, why)
    if not measure:
        _print(report, as_json=as_json)
        _require_kept(report, why)
        return
    if workers not in (None, 1) or instances != 1 or edition:
        raise UsageError(
            "--measure runs one process of each edition", hint="leave --workers, --instances, --edition out"
        )
    size_of_pool = sizings[0].pool
    hold_s = hold or HOLD_S
    trial = _trial(size_of_pool, rate or UTILISATION * size_of_pool / hold_s, hold_s, kind, rounds, seconds, seed)
    _measure(settings, report, trial, as_json=as_json)
    _require_kept(report, why)


def _kind(word: str) -> "Holds":
    from ..lab.sizing.queueing import HOLDS

    for kind in HOLDS:
        if word == kind:
            return kind
    raise UsageError(f"--holds {word} is no kind of hold times", why=f"there are {' and '.join(HOLDS)}")


def _said(given: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in given.items() if value is not None}


def _load(rate: float | None, hold: float | None, holds: "Holds", *, is_measured: bool) -> "Load | None":
    from ..lab.sizing.rules import Load

    if rate is None and hold is None:
        return None
    if rate is None or hold is None:
        if is_measured:
            return None
        raise UsageError("--rate and --hold belong together", why="a queue has arrivals, and time that each takes")
    return Load(rate, hold, holds)


def _limits(settings: Settings, max_connections: int | None) -> "tuple[Limits | None, str]":
    """Return what the database takes, or why nobody knows."""
    from ..lab.sizing import plan

    if max_connections is not None:
        return plan.given_limits(max_connections), ""
    try:
        with database(settings) as url:
            return plan.ask(url), ""
    except EnvironmentFailure as error:
        return None, error.why or error.what


def _trial(pool: int, rate: float, hold_s: float, holds: "Holds", rounds: int, seconds: float, seed: int) -> "Trial":
    from ..lab.sizing.measure import Trial
    from ..lab.sizing.queueing import UnstableQueue
    from ..lab.sizing.queueing import utilisation

    try:
        utilisation(rate, hold_s, pool)
    except UnstableQueue as error:
        most = pool / hold_s
        raise UsageError(
            "There is no wait to predict or to measure",
            why=str(error),
            hint=f"--rate below {most:g}, or a larger --pool",
        ) from None
    return Trial(pool, rate, hold_s, holds, rounds, seconds, seed)


def _measure(settings: Settings, report: "Report", trial: "Trial", *, as_json: bool) -> None:
    from ..lab.sizing import run
    from ..report.size import print_measured

    progress(f"about {trial.duration_s:.0f} s of load, at {trial.rate:g} requests a second")
    with database(settings) as url:
        measured, manifest, path = run.measure(settings, url, trial, report, directory=RESULTS, progress=progress)
    _print(report, as_json=as_json, path_text=path.read_text("utf-8"))
    if not as_json:
        print_measured(measured, manifest, sys.stdout)
    sys.stdout.flush()
    messages.print(f"Every figure and the manifest: {path}", markup=False)


def _print(report: "Report", *, as_json: bool, path_text: str = "") -> None:
    from ..lab.sizing.result import document
    from ..report.size import print_report

    if as_json:
        print(json.dumps(json.loads(path_text) if path_text else document(report, (), None)))
    else:
        print_report(report, sys.stdout)
    sys.stdout.flush()


def _require_kept(report: "Report", why_no_limits: str) -> None:
    broken = report.of("broken")
    if broken:
        raise CheckFailed(
            f"Of {len(report.checks)} rules {len(broken)} broken",
            why="; ".join(f"{check.subject}, {check.name}: {check.figures}" for check in broken),
            hint="Change the settings (make config shows them), or try others: wsgi-vs-asgi size --help",
        )
    if report.limits is None:
        raise EnvironmentFailure(
            "The database could not be asked for its limit", why=why_no_limits, hint="give --max-connections"
        )
