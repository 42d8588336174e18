"""The page of a recorded comparison, or of recorded claims."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from ..errors import UsageError
from . import claims
from .app import RESULTS
from .app import progress

if TYPE_CHECKING:
    from ..lab.results.record import Comparison
    from ..report.comparison_page.companions import Companion

# The word for the newest result of claims, as latest is for that of a comparison.
CLAIMS = "claims"


def report(
    result: Annotated[
        str, typer.Argument(metavar="RESULT", help="Directory of a comparison or of claims; or latest, or claims")
    ] = "latest",
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print its table as Markdown instead")] = False,
) -> None:
    """Make the HTML page of a recorded comparison anew, with the newest ladder, factors and validation beside it.

    Of a comparison of factors, the page of what each swap changes.

    Of claims, the page of their verdicts and figures; claims without a directory are the newest ones.
    """
    from ..lab.claims import files as claims_file
    from ..lab.results import directory as results
    from ..lab.results import files as result_file
    from ..report import claims_export
    from ..report import export

    path = claims_file.newest(RESULTS) if result == CLAIMS else results.find(result, RESULTS)
    progress(f"reading {path}")
    if results.read_json(path).get("kind") == claims_file.NAME:
        found = claims_file.load(path)
        if as_markdown:
            print(claims_export.as_markdown(found), end="")
        else:
            print(claims.write_page(found, path))
        return
    comparison = result_file.load(path)
    if as_markdown:
        print(export.as_markdown(comparison), end="")
    else:
        print(write_report(comparison, path), file=sys.stdout)


def write_report(comparison: "Comparison", path: Path) -> Path:
    """Write the page of a comparison, of the editions or of factors, beside its result and return where it is.

    Args:
        comparison: With its slices.
        path: Its result.json; results of other commands are looked for beside its directory.
    """
    from ..lab.results import directory as results
    from ..report.comparison_page import page
    from ..report.comparison_page import swaps

    companions = _companions(path.resolve().parent.parent)
    if comparison.kind == "factors":
        validity = next((each for each in companions if each.kind == page.VALIDITY), None)
        text = swaps.page(comparison, results.read_json(path.parent / results.RESULT), validity)
    else:
        text = page.page(comparison, companions)
    place = path.parent / results.REPORT
    results.write_text(place, text)
    return place


def _companions(root: Path) -> "list[Companion]":
    """Return the newest result of each other command that a page shows."""
    from ..lab.results import directory as results
    from ..report.comparison_page.companions import Companion
    from ..report.page.sections import SECTIONS

    companions: list[Companion] = []
    for kind in SECTIONS:
        found = results.newest(root, kind)
        if found is None:
            continue
        try:
            companions.append(Companion(kind, found.name, results.read_json(found / results.RESULT)))
        except UsageError as error:
            companions.append(Companion(kind, found.name, None, error.why or error.what))
    return companions
