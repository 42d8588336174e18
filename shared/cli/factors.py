"""The command that lists the factors, and the comparison of factors behind `compare --factor`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from ..config import Settings
from ..errors import UsageError
from ..lab.planning.plan import Plan
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress


def factors() -> None:
    """List what `compare --factor` can swap, and what of it is not installed."""
    from ..lab.factors.catalogue import Factor
    from ..lab.factors.choice import missing_extra
    from ..report.factors import print_catalogue

    def missing(factor: Factor, value: str) -> str:
        found = missing_extra(factor, value, lambda module: find_spec(module) is not None)
        return found.extra if found else ""

    print_catalogue(missing, sys.stdout)


def compare_factors(
    settings: Settings,
    plan: Plan,
    words: Sequence[str],
    *,
    is_window_given: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare variants with both editions as they are; see the options of `compare`.

    Raises:
        UsageError: If a factor, a value or a combination cannot be.
    """
    from ..lab.factors import choice
    from ..lab.factors import parity
    from ..lab.factors import run
    from ..report.factors import print_json
    from ..report.factors import print_study
    from ..report.plan import print_plan

    variants = choice.choose(words, settings)
    planned = replace(plan, timing=run.fitted(plan.timing, variants, is_window_given=is_window_given))
    if dry_run:
        # The editions themselves are checked, too.
        print_plan(planned, run.subjects(variants), sys.stdout, checks=1 + len(parity.checked(variants)))
        return
    with database(settings) as url:
        study, path = run.compare_factors(settings, url, planned, variants, directory=RESULTS, progress=progress)
    (print_json if as_json else print_study)(study, sys.stdout)
    sys.stdout.flush()
    messages.print(f"Shares, gaps and manifest: {path}", markup=False)


def require_alone(**options: bool) -> None:
    """Refuse options of `compare` that a comparison of factors does not know.

    Args:
        options: Whether each was given, by its name.

    Raises:
        UsageError: If one was.
    """
    for name, is_given in options.items():
        if is_given:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} does not go with --factor",
                why="it is about the two editions alone",
                hint="Leave it out, or read result.json; --json prints it",
            )
