"""Commands that hand the scenarios to other tools."""

import shlex
import sys
from pathlib import Path
from typing import Annotated
from typing import Literal

import typer

from .. import config
from ..errors import UsageError
from .app import messages


def export(
    tool: Annotated[Literal["locust"], typer.Argument(help="For which tool")],
    scenario: Annotated[list[str] | None, typer.Option(help="Groups, endpoints or targets, comma separated")] = None,
    output: Annotated[Path | None, typer.Option(help="File to write; standard output if left out")] = None,
) -> None:
    """Write the scenarios as a locustfile, to load a service from several machines."""
    from ..lab.planning import scenarios
    from ..report import locust

    words = [word.strip() for text in scenario or [scenarios.EVERYTHING] for word in text.split(",")]
    chosen = scenarios.choose(words, lab=config.load().lab)
    named = () if scenario is None else ("--scenario", ",".join(words))
    command = shlex.join(("wsgi-vs-asgi", "export", tool, *named))
    text = locust.locustfile(chosen, command=command, file=output.name if output else "locustfile.py")
    if output is None:
        sys.stdout.write(text)
        return
    try:
        if output.exists() and not output.read_text(encoding="utf-8").startswith(locust.MARK):
            raise UsageError(f"{output} is there already", why="it was not made by this command", hint="Move it away")
        output.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "what is there is no text"
        raise UsageError(f"Cannot write {output}", why=why) from error
    messages.print(f"{len(chosen)} scenarios written to {output}", markup=False)
