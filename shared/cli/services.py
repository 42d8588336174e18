"""Commands that serve an edition, and that show, examine or clear what it needs."""

import os
import sys
from contextlib import suppress
from shutil import rmtree
from typing import Annotated

import typer

from .. import config
from ..config import Edition
from .app import database
from .app import messages


def run(edition: Annotated[str, typer.Argument(help="wsgi or asgi")]) -> None:
    """Serve an edition until Ctrl-C or SIGTERM."""
    if edition not in ("wsgi", "asgi"):
        raise typer.BadParameter(f"expected wsgi or asgi, got {edition}")
    os.execv(sys.executable, [sys.executable, "-m", f"{edition}_app"])


def show_config() -> None:
    """Show every setting in force, where it comes from, secrets masked."""
    rows = config.describe()
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("key", "value")]
    for row in rows:
        print(f"{row.key:{widths[0]}}  {row.value:{widths[1]}}  {row.source}")


def doctor() -> None:
    """Check what this machine offers, and say what is missing."""
    from .. import doctor as examination

    settings = config.load()
    findings = examination.examine(settings)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.level:5} {finding.subject:{width}}  {finding.text}")
        if finding.hint:
            print(f"{'':5} {'':{width}}  -> {finding.hint}")
    examination.verdict(findings)


def database_url() -> None:
    """Print the database's URL; the embedded PostgreSQL runs while a service or a command uses it."""
    from .. import postgres

    settings = config.load()
    if settings.database_url is not None:
        print(settings.database_url.get_secret_value())
        return
    url = postgres.running_url(settings.data_dir.resolve())
    if url is None:
        with database(settings) as started:
            print(started, flush=True)
        messages.print("The embedded PostgreSQL runs while a service does: make run-wsgi, then connect.")
    else:
        print(url)


def database_reset() -> None:
    """Drop the project's tables and seed them anew."""
    from sqlalchemy import create_engine

    from .. import engine
    from .. import seed

    settings = config.load()
    with database(settings) as url:
        wsgi: Edition = "wsgi"
        parsed = engine.engine_url(url, wsgi)
        options = engine.engine_options(settings, wsgi, parsed.get_driver_name())
        source = create_engine(parsed, connect_args=options["connect_args"], hide_parameters=True)
        try:
            with source.begin() as connection:
                seed.drop(connection)
                seed.create(connection)
        finally:
            source.dispose()
    print("The tables world, fortune, accounts and transfers are as new.")


def clean() -> None:
    """Stop the embedded PostgreSQL and remove its data and the traces; refused while something uses it."""
    from .. import postgres
    from ..trace.store import traces_directory

    settings = config.load()
    data_dir = settings.data_dir.resolve()
    postgres.destroy(data_dir)
    rmtree(traces_directory(settings), ignore_errors=True)
    with suppress(OSError):
        data_dir.rmdir()
