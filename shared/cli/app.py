"""What every command needs: the application, its messages, and the database for as long as it is used."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from .. import config
from ..errors import AppError
from ..errors import CommandError
from ..errors import EnvironmentFailure
from ..errors import UsageError

RESULTS = Path("results")
# As shells count a command that SIGINT ended; typer leaves with it, and without a word.
INTERRUPTED = 128 + signal.SIGINT

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
# What a command finds goes to standard output, all that is said about it goes here.
messages = Console(stderr=True, highlight=False, soft_wrap=True)


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
    except SystemExit as end:
        if end.code == INTERRUPTED and _is_by_interrupt(end):
            messages.print("Interrupted: everything that was started for this has been stopped", markup=False)
        raise
    except BrokenPipeError:
        # Whoever read the output has enough; what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _explain(error: AppError) -> int:
    if isinstance(error, CommandError):
        for label, text in (("Failed", error.what), ("Why", error.why), ("Next", error.hint)):
            if text:
                lines = text.replace("\n", "\n" + " " * 8)
                messages.print(f"{label + ':':8}{lines}", markup=False)
    else:
        messages.print(f"Failed: {error}", markup=False)
    return error.exit_code


def _is_by_interrupt(end: SystemExit) -> bool:
    """Tell whether Ctrl-C is behind the end of a command, and not the exit code of something that it ran."""
    cause: BaseException | None = end
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def progress(text: str) -> None:
    """Say how far a command is."""
    messages.print(text, markup=False, style="dim")


@contextmanager
def database(settings: config.Settings, *, postgresql_for: str = "") -> Iterator[str]:
    """Hold the database for as long as a command uses it; yields its URL.

    Args:
        settings: The project's settings.
        postgresql_for: What is done with it, as the beginning of a sentence, where only a PostgreSQL will do.

    Raises:
        UsageError: If only a PostgreSQL will do, and it is another.
        EnvironmentFailure: If it cannot be used.
    """
    from sqlalchemy.exc import DBAPIError

    from .. import engine

    own = settings.database_url
    if postgresql_for and own is not None and engine.is_mariadb(own.get_secret_value()):
        raise UsageError(
            f"{postgresql_for} takes place on PostgreSQL",
            why="DATABASE_URL is of a MariaDB",
            hint="Unset DATABASE_URL to use the embedded PostgreSQL; services, make check and make compare take both",
        )
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
