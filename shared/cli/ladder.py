"""The command that climbs the ladder: where the difference between the editions comes from."""

import json
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


def ladder(
    starts: Annotated[int | None, typer.Option(help="Starts of the services; more make narrower intervals")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of the rounds of each start")] = None,
    edition: Annotated[Edition | None, typer.Option(help="Only this edition")] = None,
    seed: Annotated[int, typer.Option(help="Fixes the order of rungs")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be measured, and start nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object")] = False,
) -> None:
    """Climb from a constant answer to a written row in both editions: CPU per request, rung by rung."""
    from ..lab import editions
    from ..lab.ladder.plan import SECONDS
    from ..lab.ladder.plan import STARTS
    from ..lab.ladder.plan import VOLLEY
    from ..lab.ladder.plan import LadderPlan
    from ..report.ladder import print_ladder
    from ..report.ladder import print_plan

    if dry_run and as_json:
        raise UsageError("--dry-run prints a plan, which has no other format", hint="leave one of the two options out")
    settings = config.load()
    plan = LadderPlan(
        editions=editions.EDITIONS if edition is None else (edition,),
        starts=STARTS if starts is None else starts,
        seconds=SECONDS if seconds is None else seconds,
        seed=seed,
        # With more at a time, requests would wait for a thread or a connection.
        volley=min(VOLLEY, settings.wsgi_threads, settings.pool_size),
    )
    if dry_run:
        print_plan(plan, sys.stdout)
        return
    with database(settings, postgresql_for="The ladder") as url:
        measured, path = editions.climb_ladder(settings, url, plan, directory=RESULTS, progress=progress)
    if as_json:
        print(json.dumps(measured.document()))
    else:
        print_ladder(measured, sys.stdout)
    sys.stdout.flush()
    messages.print(f"Every round's figures, and manifest: {path}", markup=False)
