"""Commands that compare: the editions under load, and two recorded results."""

import sys
from typing import Annotated
from typing import Literal

import typer

from .. import config
from ..errors import CheckFailed
from ..errors import NotComparable
from ..errors import UsageError
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress


def compare(
    scenario: Annotated[list[str] | None, typer.Option(help="Groups, endpoints or targets, comma separated")] = None,
    concurrency: Annotated[list[str] | None, typer.Option(help="Connections under load, such as 1,8,32,128")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds; more make narrower intervals")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a measured window")] = None,
    seed: Annotated[int, typer.Option(help="Fixes the order of slices and the resampling")] = 1,
    profile: Annotated[Literal["quick", "full"], typer.Option(help="Values of options not given")] = "quick",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be measured, and start nothing")] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit 1 if this holds: 'asgi:/db:p99>50ms', 'asgi_over_wsgi:/db@32:rps<0.9'"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of the table")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of the table")] = False,
) -> None:
    """Check that both editions answer alike, then load both in interleaved rounds and compare."""
    from ..lab import editions
    from ..lab.parity import check as parity
    from ..lab.planning.profiles import make_plan
    from ..lab.results import thresholds
    from ..report import export
    from ..report.parity import print_parity
    from ..report.plan import print_plan
    from ..report.table import print_comparison
    from ..report.thresholds import line

    # What is typed wrongly must not show after two minutes.
    exported = export.choose(wants_json=as_json, wants_csv=as_csv, wants_markdown=as_markdown)
    if dry_run and exported is not None:
        raise UsageError("--dry-run prints a plan, which has no other format", hint="leave one of the two options out")
    wanted = [thresholds.parse(text) for text in fail_if or ()]
    settings = config.load()
    plan = make_plan(
        profile, lab=settings.lab, seed=seed, words=scenario, connections=concurrency, rounds=rounds, window_s=seconds
    )
    thresholds.require_known(wanted, editions.names(plan))
    if dry_run:
        print_plan(plan, editions.EDITIONS, sys.stdout)
        return
    result = parity.run(settings, None, progress, scope="quick")
    if not result.is_equal:
        print_parity(result, sys.stdout if exported is None else sys.stderr)
        raise NotComparable("The two editions do not answer alike, so nothing was timed", hint="make check")
    with database(settings) as url:
        measured, path = editions.compare_editions(settings, url, plan, directory=RESULTS, progress=progress)
    if exported is None:
        print_comparison(measured, sys.stdout)
    else:
        print(exported(measured), end="")
    sys.stdout.flush()
    messages.print(f"Raw samples and manifest: {path}", markup=False)
    judged = thresholds.judge(measured, wanted)
    missed = [judgement for judgement in judged if not judgement.is_met]
    for judgement in missed:
        messages.print(line(judgement), markup=False)
    if missed:
        raise CheckFailed(f"Of {len(judged)} thresholds {len(missed)} not met", hint=f"The result is in {path}")


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Result file, or latest: below the line")],
    b: Annotated[str, typer.Argument(metavar="B", help="Result file, or latest: above the line")],
    any_environment: Annotated[
        bool, typer.Option("--any-environment", help="Even if more than the program differs")
    ] = False,
) -> None:
    """Compare two recorded results: figures and ratios of B over those of A, with intervals."""
    from ..lab.results import difference
    from ..lab.results import files as result_file
    from ..report.difference import print_difference

    paths = [result_file.find(word, RESULTS) for word in (a, b)]
    older, newer = (result_file.load(path, with_samples=False) for path in paths)
    found = difference.between(older, newer, any_environment=any_environment)
    for name, path in zip("AB", paths, strict=True):
        progress(f"{name}: {path}")
    print_difference(found, sys.stdout)
