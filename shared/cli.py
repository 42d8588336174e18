"""The console script: every command behind the Makefile's targets.

Exit codes: 0 fine, 1 a check or threshold failed, 2 usage, 3 environment, 4 what was to be compared is not comparable.
A traceback is shown only with --debug.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Annotated
from typing import Literal

import typer
from rich.console import Console

from . import config
from .config import Edition
from .errors import AppError
from .errors import CheckFailed
from .errors import CommandError
from .errors import EnvironmentFailure
from .errors import NotComparable
from .errors import UsageError

RESULTS = Path("results")
INTERRUPTED = 130

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_messages = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the console script."""
    is_debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        cli()
    except AppError as error:
        if is_debug:
            raise
        sys.exit(_explain(error))
    except BrokenPipeError:
        # Whoever read the output has enough; what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _explain(error: AppError) -> int:
    if isinstance(error, CommandError):
        for label, text in (("Failed", error.what), ("Why", error.why), ("Next", error.hint)):
            if text:
                lines = text.replace("\n", "\n" + " " * 8)
                _messages.print(f"{label + ':':8}{lines}", markup=False)
    else:
        _messages.print(f"Failed: {error}", markup=False)
    return error.exit_code


def _progress(text: str) -> None:
    _messages.print(text, markup=False, style="dim")


@contextmanager
def _database(settings: config.Settings) -> Iterator[str]:
    """Hold the database for as long as a command uses it; yields its URL."""
    from sqlalchemy.exc import DBAPIError

    from . import engine

    source = engine.locate(settings)
    try:
        yield source.url
    except DBAPIError as error:
        raise EnvironmentFailure(
            "The database cannot be used",
            # No driver puts a password into its messages.
            why=str(error.orig).strip(),
            hint="Check DATABASE_URL (make config shows it), or unset it to use the embedded PostgreSQL",
        ) from error
    finally:
        source.release()


@cli.command()
def run(edition: Annotated[str, typer.Argument(help="wsgi or asgi")]) -> None:
    """Serve an edition until Ctrl-C or SIGTERM."""
    if edition not in ("wsgi", "asgi"):
        raise typer.BadParameter(f"expected wsgi or asgi, got {edition}")
    os.execv(sys.executable, [sys.executable, "-m", f"{edition}_app"])


@cli.command()
def check(
    urls: Annotated[list[str] | None, typer.Argument(help="URLs of a running WSGI and a running ASGI service")] = None,
) -> None:
    """Prove that both editions answer the same bytes; started here, or running under two URLs."""
    from .lab.parity import check as parity
    from .report.parity import print_parity

    if urls and len(urls) != 2:
        raise typer.BadParameter(f"give two URLs, WSGI first, or none (got {len(urls)})")
    pair = (urls[0], urls[1]) if urls else None
    result = parity.run(config.load(), pair, _progress)
    print_parity(result, sys.stdout)
    if not result.is_equal:
        raise CheckFailed("The two editions do not answer alike", hint="Run a curl line above to see it yourself")


@cli.command()
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
    from .lab import editions
    from .lab.parity import check as parity
    from .lab.planning.profiles import make_plan
    from .lab.results import thresholds
    from .report import export
    from .report.parity import print_parity
    from .report.plan import print_plan
    from .report.table import print_comparison
    from .report.thresholds import line

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
    result = parity.run(settings, None, _progress, scope="quick")
    if not result.is_equal:
        print_parity(result, sys.stdout if exported is None else sys.stderr)
        raise NotComparable("The two editions do not answer alike, so nothing was timed", hint="make check")
    with _database(settings) as url:
        measured, path = editions.compare_editions(settings, url, plan, directory=RESULTS, progress=_progress)
    if exported is None:
        print_comparison(measured, sys.stdout)
    else:
        print(exported(measured), end="")
    sys.stdout.flush()
    _messages.print(f"Raw samples and manifest: {path}", markup=False)
    judged = thresholds.judge(measured, wanted)
    missed = [judgement for judgement in judged if not judgement.is_met]
    for judgement in missed:
        _messages.print(line(judgement), markup=False)
    if missed:
        raise CheckFailed(f"Of {len(judged)} thresholds {len(missed)} not met", hint=f"The result is in {path}")


@cli.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Result file, or latest: below the line")],
    b: Annotated[str, typer.Argument(metavar="B", help="Result file, or latest: above the line")],
    any_environment: Annotated[
        bool, typer.Option("--any-environment", help="Even if more than the program differs")
    ] = False,
) -> None:
    """Compare two recorded results: figures and ratios of B over those of A, with intervals."""
    from .lab.results import difference
    from .lab.results import files as result_file
    from .report.difference import print_difference

    paths = [result_file.find(word, RESULTS) for word in (a, b)]
    older, newer = (result_file.load(path, with_samples=False) for path in paths)
    found = difference.between(older, newer, any_environment=any_environment)
    for name, path in zip("AB", paths, strict=True):
        _progress(f"{name}: {path}")
    print_difference(found, sys.stdout)


@cli.command("bench-services")
def bench_services(
    rounds: Annotated[int | None, typer.Option(min=3, help="Rounds; more make narrower intervals")] = None,
    seed: Annotated[int, typer.Option(help="Fixes the order of slices and the resampling")] = 1,
) -> None:
    """Compare each edition's CPU per request with a raw driver's under the same server."""
    from .lab import editions
    from .report.table import print_bench

    settings = config.load()
    with _database(settings) as url:
        measured = editions.bench_editions(
            settings, url, seed=seed, rounds=rounds, directory=RESULTS, progress=_progress
        )
    print_bench(measured, sys.stdout)


@cli.command("bench-trace")
def bench_trace(
    starts: Annotated[int | None, typer.Option(min=3, help="Starts of each service; more narrow the intervals")] = None,
    edition: Annotated[Edition | None, typer.Option(help="Only this edition")] = None,
    seed: Annotated[int, typer.Option(help="Fixes the order of slices and the resampling")] = 1,
) -> None:
    """Compare each edition's CPU per request with its own without the hooks of tracing."""
    from .lab import editions
    from .report.table import print_trace_bench

    settings = config.load()
    with _database(settings) as url:
        measured, path = editions.bench_tracing(
            settings, url, seed=seed, starts=starts, edition=edition, directory=RESULTS, progress=_progress
        )
    print_trace_bench(measured, sys.stdout)
    _messages.print(f"Ratio of every start, and manifest: {path}", markup=False)


@cli.command()
def trace(
    words: Annotated[list[str] | None, typer.Argument(metavar="[METHOD] TARGET", help="Request; GET /db")] = None,
    body: Annotated[str | None, typer.Option(help="Body of the request, as text")] = None,
    header: Annotated[list[str] | None, typer.Option(help="Header field of the request, 'Name: value'")] = None,
    repeat: Annotated[int, typer.Option(min=1, max=1_000, help="Requests to each edition; from 3 on, medians")] = 1,
    under_load: Annotated[int, typer.Option(min=0, max=500, help="Connections that load the edition meanwhile")] = 0,
    values: Annotated[bool, typer.Option("--values", help="Show values that are masked otherwise")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the drawing")] = False,
    perfetto: Annotated[Path | None, typer.Option(help="Write Trace Event JSON, for ui.perfetto.dev")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that needs no network")] = None,
) -> None:
    """Send one request to both editions and draw both pipelines side by side."""
    from .lab.tracing import session
    from .lab.tracing.repeat import typical
    from .lab.tracing.request import Request
    from .report.pipeline.drawing import print_trace
    from .report.pipeline.json_text import trace_json
    from .report.pipeline.perfetto import trace_events
    from .report.trace_page.page import page

    if repeat == 2:
        raise typer.BadParameter("two requests have no interval: give --repeat 3 or more")
    request = Request.of_words(tuple(words or ()), tuple(header or ()), body)
    for path in filter(None, (perfetto, html)):
        _require_writable(path)
    traced = session.run(config.load(), session.Wanted(request, repeat, under_load, values), _progress)
    pair = typical(traced.pairs)
    if as_json:
        print(trace_json(traced))
    else:
        print_trace(traced, sys.stdout)
    if perfetto is not None:
        _write(perfetto, trace_events(pair))
    if html is not None:
        _write(html, page(pair))


def _require_writable(path: Path) -> None:
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"Cannot write {path}", why="it is a folder" if path.is_dir() else _why_not(path))


def _why_not(path: Path) -> str:
    return "it may not be written" if path.parent.is_dir() else f"there is no folder {path.parent}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {path}", why=error.strerror or str(error)) from error
    _messages.print(f"Written: {path}", markup=False)


@cli.command()
def twins() -> None:
    """Show where the twin files differ, and fail if they are not the same program."""
    from . import twins as proof
    from .report.twins import print_twins

    checked = [(file, proof.compare(*proof.texts(file), file)) for file in proof.FILES if file.kind == "twin"]
    print_twins(proof.extents(), [(file, *proof.texts(file)) for file, _ in checked], sys.stdout)
    wrong = [(file, difference) for file, differences in checked for difference in differences]
    for file, difference in wrong:
        _messages.print(
            f"{file.name}:{difference.line}: expected {difference.expected!r}, found {difference.found!r}",
            markup=False,
        )
    if wrong:
        raise CheckFailed(
            "The twins are not the same program",
            why=f"{len(wrong)} differences beyond async, await and the closed table of names",
            hint="Change both editions together, the WSGI one first",
        )


@cli.command("config")
def show_config() -> None:
    """Show every setting in force, where it comes from, secrets masked."""
    rows = config.describe()
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("key", "value")]
    for row in rows:
        print(f"{row.key:{widths[0]}}  {row.value:{widths[1]}}  {row.source}")


@cli.command()
def doctor() -> None:
    """Check what this machine offers, and say what is missing."""
    from . import doctor as examination

    settings = config.load()
    findings = examination.examine(settings)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.level:5} {finding.subject:{width}}  {finding.text}")
        if finding.hint:
            print(f"{'':5} {'':{width}}  -> {finding.hint}")
    examination.verdict(findings)


@cli.command("database-url")
def database_url() -> None:
    """Print the database's URL; the embedded PostgreSQL runs while a service or a command uses it."""
    from . import postgres

    settings = config.load()
    if settings.database_url is not None:
        print(settings.database_url.get_secret_value())
        return
    url = postgres.running_url(settings.data_dir.resolve())
    if url is None:
        with _database(settings) as started:
            print(started, flush=True)
        _messages.print("The embedded PostgreSQL runs while a service does: make run-wsgi, then connect.")
    else:
        print(url)


@cli.command("database-reset")
def database_reset() -> None:
    """Drop the project's tables and seed them anew."""
    from sqlalchemy import create_engine

    from . import engine
    from . import seed

    settings = config.load()
    with _database(settings) as url:
        wsgi: Edition = "wsgi"
        parsed = engine.engine_url(url, wsgi)
        options = engine.engine_options(settings, wsgi, parsed.get_driver_name())
        database = create_engine(parsed, connect_args=options["connect_args"], hide_parameters=True)
        try:
            with database.begin() as connection:
                seed.drop(connection)
                seed.create(connection)
        finally:
            database.dispose()
    print("The tables world, fortune, accounts and transfers are as new.")


@cli.command()
def clean() -> None:
    """Stop the embedded PostgreSQL and remove its data and the traces; refused while something uses it."""
    from . import postgres
    from .trace.store import traces_directory

    settings = config.load()
    data_dir = settings.data_dir.resolve()
    postgres.destroy(data_dir)
    rmtree(traces_directory(settings), ignore_errors=True)
    with suppress(OSError):
        data_dir.rmdir()
