"""Commands that time an edition against something else than the other edition."""

import sys
from typing import Annotated

import typer

from .. import config
from ..config import Edition
from ..errors import UsageError
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress

OneEdition = Annotated[Edition | None, typer.Option(help="Only this edition")]
Seed = Annotated[int, typer.Option(help="Fixes the order of slices and the resampling")]


def bench_services(
    rounds: Annotated[int | None, typer.Option(min=3, help="Rounds; more make narrower intervals")] = None,
    edition: OneEdition = None,
    scenario: Annotated[str | None, typer.Option(help="Only these scenarios, as db,fortunes")] = None,
    seed: Seed = 1,
) -> None:
    """Compare each edition's CPU per request with a raw driver's under the same server."""
    from ..lab import editions
    from ..lab.benchmarks.services import SCENARIOS
    from ..report.table import print_bench

    names = [each.name for each in SCENARIOS]
    chosen = names if scenario is None else scenario.split(",")
    for each in chosen:
        if each not in names:
            raise UsageError(f"There is no scenario {each!r} here", why=f"there are {', '.join(names)}")
    settings = config.load()
    with database(settings, postgresql_for="A comparison with raw drivers") as url:
        measured = editions.bench_editions(
            settings,
            url,
            seed=seed,
            rounds=rounds,
            edition=edition,
            scenarios=chosen,
            directory=RESULTS,
            progress=progress,
        )
    print_bench(measured, sys.stdout)


def bench_trace(
    starts: Annotated[int | None, typer.Option(min=3, help="Starts of each service; more narrow the intervals")] = None,
    edition: OneEdition = None,
    target: Annotated[str | None, typer.Option(help="Only this request: /plaintext or /db")] = None,
    seed: Seed = 1,
) -> None:
    """Compare each edition's CPU per request with its own without the hooks of tracing."""
    from ..lab import editions
    from ..lab.benchmarks.tracing import TARGETS
    from ..report.table import print_trace_bench

    if target not in (None, *TARGETS):
        raise UsageError(f"What tracing costs {target} is not measured", why=f"it can be {' or '.join(TARGETS)}")
    settings = config.load()
    with database(settings, postgresql_for="The measurement of what tracing costs") as url:
        measured, path = editions.bench_tracing(
            settings,
            url,
            seed=seed,
            starts=starts,
            edition=edition,
            target=target,
            directory=RESULTS,
            progress=progress,
        )
    print_trace_bench(measured, sys.stdout)
    messages.print(f"Ratio of every start, and manifest: {path}", markup=False)
