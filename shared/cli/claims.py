"""The command that puts claims to the test."""

import json
import sys
from typing import Annotated

import typer

from .. import config
from ..errors import CheckFailed
from ..errors import UsageError
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress


def claims(
    name: Annotated[list[str] | None, typer.Argument(help="Which claims, as C16; all without a name")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change an option of a claim, as pool_size=5")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print what was done and every figure")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Print claims, rules and options, and run nothing")] = False,
) -> None:
    """Put what is said about engines, pools, sessions and async to the test on both editions."""
    from ..lab import editions
    from ..lab.claims import run as claims_run
    from ..lab.claims.catalogue import find
    from ..report import claims as report

    if as_json and (verbose or listed):
        raise UsageError("--json prints everything already", hint="leave --verbose and --list out")
    chosen = find(name or [])
    options = claims_run.chosen_options(chosen, set_ or [])
    if listed:
        report.print_claims(chosen, sys.stdout)
        return
    settings = config.load()
    with database(settings) as url:
        found, path = editions.examine_claims(settings, url, chosen, options, directory=RESULTS, progress=progress)
    if as_json:
        print(json.dumps(found.document()))
    else:
        report.print_outcomes(found, sys.stdout, is_verbose=verbose or bool(name))
    sys.stdout.flush()
    messages.print(f"Every figure and the manifest: {path}", markup=False)
    if found.failures:
        raise CheckFailed(
            f"Not done: {', '.join(failure.claim.name for failure in found.failures)}",
            why="; ".join(failure.why for failure in found.failures),
            hint=f"wsgi-vs-asgi claims {' '.join(failure.claim.name for failure in found.failures)}",
        )
