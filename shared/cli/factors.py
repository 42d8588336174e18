"""The command that lists the factors, and the comparison of factors behind `compare --factor`."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..config import Settings
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress
from .report import write_report
from .verdict import require_met

if TYPE_CHECKING:
    from ..lab.planning.plan import Plan
    from ..lab.results.thresholds import Threshold
    from ..report.export import Format


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
    plan: "Plan",
    words: Sequence[str],
    wanted: "Sequence[Threshold]",
    *,
    is_window_given: bool,
    dry_run: bool,
    exported: "Format | None",
    verbose: bool,
) -> None:
    """Compare variants with both editions as they are; see the options of `compare`.

    Raises:
        UsageError: If a factor, a value or a combination cannot be, or a threshold is about nothing here.
        CheckFailed: If a threshold is not met.
    """
    from ..lab.factors import choice
    from ..lab.factors import judgement
    from ..lab.factors import parity
    from ..lab.factors import run
    from ..lab.results import thresholds
    from ..report import factors_export
    from ..report.factors import print_study
    from ..report.plan import print_plan
    from ..report.servers import print_servers

    variants = choice.choose(words, settings)
    run.require_one_server(settings, variants)
    planned = replace(plan, timing=run.fitted(plan.timing, variants, is_window_given=is_window_given))
    thresholds.require_known(wanted, judgement.names(planned, [variant.label for variant in variants]))
    if dry_run:
        # The editions themselves are checked, too.
        print_plan(planned, run.subjects(variants), sys.stdout, checks=1 + len(parity.checked(variants)))
        return
    with database(settings, postgresql_for="A comparison of factors") as url:
        study, path = run.compare_factors(settings, url, planned, variants, directory=RESULTS, progress=progress)
    if exported is None:
        print_study(study, sys.stdout)
        if verbose:
            print_servers(study.comparison, sys.stdout)
    else:
        print(factors_export.TEXT_OF[exported](study), end="")
    sys.stdout.flush()
    messages.print(f"Shares, gaps and manifest: {path}", markup=False)
    messages.print(f"Report: {write_report(study.comparison, path)}", markup=False)
    require_met(judgement.judge(study, wanted), path)
