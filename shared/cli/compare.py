"""Commands that compare: the editions under load, and two recorded results."""

import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Literal
from typing import TextIO

import typer

from .. import config
from ..errors import NotComparable
from ..errors import UsageError
from . import foreign
from .app import RESULTS
from .app import database
from .app import messages
from .app import progress
from .factors import compare_factors
from .report import write_report
from .verdict import require_met

if TYPE_CHECKING:
    from ..lab.planning.plan import Plan
    from ..lab.results.record import Comparison


def compare(
    scenario: Annotated[list[str] | None, typer.Option(help="Groups, endpoints or targets, comma separated")] = None,
    concurrency: Annotated[list[str] | None, typer.Option(help="Connections under load, such as 1,8,32,128")] = None,
    rate: Annotated[list[str] | None, typer.Option(help="Open model: requests due per second, such as 200,500")] = None,
    arrivals: Annotated[
        Literal["poisson", "constant"] | None, typer.Option(help="How these fall due; poisson if not given")
    ] = None,
    connections: Annotated[str | None, typer.Option(help="Open model: requests in flight at most")] = None,
    clients: Annotated[int | None, typer.Option(help="Processes of the load client")] = None,
    abort: Annotated[str | None, typer.Option(help="Share of requests whose client leaves, such as 5%")] = None,
    slow_read: Annotated[str | None, typer.Option(help="Share of connections that read slowly, such as 10%")] = None,
    slow_rate: Annotated[int | None, typer.Option(help="Bytes per second that these read")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds; more make narrower intervals")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a measured window")] = None,
    until: Annotated[str | None, typer.Option(help="Run rounds until intervals are within this, such as 3%")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Longest time for --until; else the profile's")] = None,
    seed: Annotated[int, typer.Option(help="Fixes the order of slices and the resampling")] = 1,
    factor: Annotated[
        list[str] | None, typer.Option(help="Swap something: server=granian, asgi:loop=asyncio, latency=0,1,10,100")
    ] = None,
    profile: Annotated[Literal["quick", "full"], typer.Option(help="Values of options not given")] = "quick",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be measured, and start nothing")] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit 1 if this holds: 'asgi:/db:p99>50ms', 'asgi_over_wsgi:/db@32:rps<0.9'"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print what the servers used, too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of the table")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of the table")] = False,
    wsgi: foreign.Wsgi = None,
    asgi: foreign.Asgi = None,
    a: foreign.A = None,
    b: foreign.B = None,
    target: foreign.Target = None,
    app_dir: foreign.AppDir = None,
    python: foreign.Python = None,
    allow: foreign.Allow = None,
    ignore_json: foreign.IgnoreJson = None,
    i_may_load_this_host: foreign.MayLoad = False,
) -> None:
    """Check that both editions answer alike, then load both in interleaved rounds and compare.

    With --wsgi and --asgi, or --a and --b, any two applications or running services take the editions' place.
    """
    from ..lab import editions
    from ..lab.planning import loads
    from ..lab.planning.profiles import make_plan
    from ..lab.results import thresholds
    from ..lab.validity import files as validations
    from ..report import export
    from ..report import validity
    from ..report.plan import print_plan
    from ..report.servers import print_servers
    from ..report.summary import print_summary
    from ..report.table import PLAIN_WIDTH

    # What is typed wrongly must not show after two minutes.
    exported = export.choose(wants_json=as_json, wants_csv=as_csv, wants_markdown=as_markdown)
    if dry_run and exported is not None:
        raise UsageError("--dry-run prints a plan, which has no other format", hint="leave one of the two options out")
    wanted = [thresholds.parse(text) for text in fail_if or ()]
    others = foreign.wanted(
        foreign.Options(
            *(wsgi, asgi, a, b, tuple(target or ()), app_dir, python, tuple(allow or ()), tuple(ignore_json or ())),
            may_load=i_may_load_this_host,
        ),
        {"--scenario": scenario is not None, "--factor": bool(factor)},
    )
    settings = config.load()
    plan = make_plan(
        profile,
        lab=settings.lab,
        seed=seed,
        words=scenario,
        connections=concurrency,
        rounds=rounds,
        window_s=seconds,
        until=until,
        max_s=max_seconds,
        rates=rate,
        arrivals=arrivals,
        ceiling=connections,
        behaviour=loads.behaviour(abort=abort, slow_read=slow_read, slow_rate=slow_rate),
        clients=loads.processes(clients, len(os.sched_getaffinity(0))),
    )
    if others is not None:
        plan = others.plan(plan)
    if factor:
        compare_factors(
            *(settings, plan, factor, wanted),
            is_window_given=seconds is not None,
            dry_run=dry_run,
            exported=exported,
            verbose=verbose,
        )
        return
    thresholds.require_known(wanted, editions.names(plan) if others is None else others.names(plan))
    if dry_run:
        print_plan(plan, editions.EDITIONS if others is None else others.pair.names, sys.stdout)
        return
    differences = sys.stdout if exported is None else sys.stderr
    if others is not None:
        measured, path = others.measure(plan, settings, differences)
    else:
        measured, path = _measure_editions(plan, settings, differences)
    if exported is None:
        print_summary(measured, sys.stdout)
        if verbose:
            print_servers(measured, sys.stdout)
        text = validity.line(validations.newest(RESULTS, measured.manifest))
        print(textwrap.fill(text, PLAIN_WIDTH, subsequent_indent="  "))
    else:
        print(export.TEXT_OF[exported](measured), end="")
    sys.stdout.flush()
    messages.print(f"Report: {write_report(measured, path)}", markup=False)
    messages.print(f"Raw samples and manifest: {path}", markup=False)
    require_met(thresholds.judge(measured, wanted), path)


def _measure_editions(plan: "Plan", settings: config.Settings, differences: TextIO) -> "tuple[Comparison, Path]":
    """Check and load both editions; differences are printed before the failure is raised."""
    from ..lab import editions
    from ..lab.parity import check as parity
    from ..report.parity import print_parity

    result = parity.run(settings, None, progress, scope="quick")
    if not result.is_equal:
        print_parity(result, differences)
        raise NotComparable("The two editions do not answer alike, so nothing was timed", hint="make check")
    with database(settings) as url:
        return editions.compare_editions(settings, url, plan, directory=RESULTS, progress=progress)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Directory of a result, or latest: below the line")],
    b: Annotated[str, typer.Argument(metavar="B", help="Directory of a result, or latest: above the line")],
    any_environment: Annotated[
        bool, typer.Option("--any-environment", help="Even if more than the program differs")
    ] = False,
) -> None:
    """Compare two recorded results: figures and ratios of B over those of A, with intervals."""
    from ..lab.results import difference
    from ..lab.results import directory as results
    from ..lab.results import files as result_file
    from ..report.difference import print_difference

    paths = [results.find(word, RESULTS) for word in (a, b)]
    older, newer = (result_file.load(path, with_samples=False) for path in paths)
    found = difference.between(older, newer, any_environment=any_environment)
    for name, path in zip("AB", paths, strict=True):
        progress(f"{name}: {path}")
    print_difference(found, sys.stdout)
