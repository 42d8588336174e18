"""`make compare` with a recorded comparison in the place of a measurement: nothing is started."""

import sys
from collections.abc import Iterator
from contextlib import chdir
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from shared.cli import compare
from shared.cli import main
from shared.lab import editions
from shared.lab.parity import check
from shared.lab.results.record import Comparison

PATH = Path("results/20261122T134501Z-compare/result.json")


def run_command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the console script in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["wsgi-vs-asgi", *words])
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def run_compare(monkeypatch: pytest.MonkeyPatch, measured: Comparison | None, *words: str) -> int:
    """Run `compare` and return its exit code; what is measured is given, and None forbids that it starts anything."""

    def started(*_: object, **__: object) -> tuple[Comparison, Path]:
        assert measured is not None, "the measurement was started"
        return measured, PATH

    def checked(*_: object, **__: object) -> SimpleNamespace:
        assert measured is not None, "the parity check was started"
        return SimpleNamespace(is_equal=True)

    @contextmanager
    def database(_: object) -> Iterator[str]:
        assert measured is not None, "the database was started"
        yield "postgresql://nowhere"

    monkeypatch.setattr(editions, "compare_editions", started)
    monkeypatch.setattr(check, "run", checked)
    monkeypatch.setattr(compare, "database", database)
    # The page of the comparison is written for good, to where nothing is kept.
    with TemporaryDirectory() as directory, chdir(directory):
        return run_command(monkeypatch, "compare", *words)
