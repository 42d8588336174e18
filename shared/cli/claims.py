"""The command that puts claims to the test."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from .. import config
from ..errors import CheckFailed
from ..errors import UsageError
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress

if TYPE_CHECKING:
    from ..lab.claims.result import Claims

PAGE = "claims.html"


def claims(
    name: Annotated[list[str] | None, typer.Argument(help="Which claims, as C16; all without a name")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change an option of a claim, as pool_size=5")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print what was done and every figure")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the verdicts as a Markdown table")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Print claims, rules and options, and run nothing")] = False,
) -> None:
    """Put what is said about engines, pools, sessions and async to the test on both editions."""
    from ..lab import editions
    from ..lab.claims import run as claims_run
    from ..lab.claims.catalogue import find
    from ..report import claims as report
    from ..report import claims_export

    if as_json + as_markdown + listed > 1 or (verbose and (as_json or as_markdown or listed)):
        raise UsageError(
            "Only one way to print can be chosen", hint="give one of --verbose, --json, --markdown, --list"
        )
    chosen = find(name or [])
    options = claims_run.chosen_options(chosen, set_ or [])
    if listed:
        report.print_claims(chosen, sys.stdout)
        return
    settings = config.load()
    with database(settings, postgresql_for="An experiment") as url:
        found, path = editions.examine_claims(settings, url, chosen, options, directory=RESULTS, progress=progress)
    if as_json:
        print(json.dumps(found.document()))
    elif as_markdown:
        print(claims_export.as_markdown(found), end="")
    else:
        if verbose or name:
            for outcome in found.outcomes:
                report.print_outcome(outcome, sys.stdout, is_verbose=verbose)
        if len(found.outcomes) != 1 or found.failures:
            report.print_verdicts(found, sys.stdout)
    sys.stdout.flush()
    messages.print(f"Page: {write_page(found, path)}", markup=False)
    messages.print(f"Every figure and the manifest: {path}", markup=False)
    if found.failures:
        names = [failure.claim.name for failure in found.failures]
        raise CheckFailed(
            f"Not done: {', '.join(names)}",
            why="; ".join(f"{failure.claim.name}: {failure.why}" for failure in found.failures),
            hint=found.failures[0].command if len(names) == 1 else f"wsgi-vs-asgi claims {' '.join(names)}",
        )


def write_page(found: "Claims", path: Path) -> Path:
    """Write the page of claims beside their result and return where it is.

    Args:
        found: What was found.
        path: Its result.json.
    """
    from ..lab.results import directory as results
    from ..report.claims_page.page import page

    place = path.parent / PAGE
    results.write_text(place, page(found))
    return place
