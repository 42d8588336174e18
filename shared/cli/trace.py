"""The command that follows one request through both editions, and the files it can leave."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import config
from ..errors import UsageError
from .app import messages
from .app import progress


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
    from ..lab.tracing import session
    from ..lab.tracing.repeat import typical
    from ..lab.tracing.request import Request
    from ..report.pipeline.drawing import print_trace
    from ..report.pipeline.json_text import trace_json
    from ..report.pipeline.perfetto import trace_events
    from ..report.trace_page.page import page

    if repeat == 2:
        raise typer.BadParameter("two requests have no interval: give --repeat 3 or more")
    request = Request.of_words(tuple(words or ()), tuple(header or ()), body)
    for path in filter(None, (perfetto, html)):
        _require_writable(path)
    traced = session.run(config.load(), session.Wanted(request, repeat, under_load, values), progress)
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
    messages.print(f"Written: {path}", markup=False)
