"""The command that validates the lab itself: what is known is shown to the instrument."""

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


def validate(
    part: Annotated[list[str] | None, typer.Option(help="Only this part: a, b, c or d; may be repeated")] = None,
    seed: Annotated[int, typer.Option(help="Fixes delays, order of slices and resampling")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A short form; too short to say how often")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be run, and start nothing")] = False,
) -> None:
    """Show the lab what is known: delays, itself, planted differences, wrk."""
    from ..lab import editions
    from ..lab.planning.profiles import MAX_SEED
    from ..lab.validity.plan import FULL
    from ..lab.validity.plan import QUICK
    from ..lab.validity.plan import make_plan
    from ..lab.validity.result import PARTS
    from ..report import validity as report

    words = part or list(PARTS)
    unknown = [word for word in words if word not in PARTS]
    if unknown:
        raise UsageError(f"There is no part {unknown[0]!r}", why=f"parts are {', '.join(PARTS)}")
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed {seed} is out of bounds", why=f"it can be 0 to {MAX_SEED}")
    parts = tuple(name for name in PARTS if name in words)
    plans = make_plan(QUICK if quick else FULL, parts)
    if dry_run:
        report.print_plan(plans, sys.stdout)
        return
    settings = config.load()
    with database(settings, postgresql_for="The validation") as url:
        found, path = editions.validate_lab(
            settings, url, parts, seed=seed, is_quick=quick, directory=RESULTS, progress=progress
        )
    report.print_validation(found, sys.stdout)
    sys.stdout.flush()
    messages.print(f"Every comparison and the manifest: {path}", markup=False)
    # The short form has too few comparisons to decide some parts.
    bad = ("fails",) if quick else ("fails", "undecided")
    missed = [name for name in parts if found.verdicts[name] in bad]
    if missed:
        raise CheckFailed(
            f"Not shown by this run: part {', '.join(missed)}",
            hint=f"{path} has every figure; on a busy machine repeat with --part {' --part '.join(missed)}",
        )
