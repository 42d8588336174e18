"""Small programs, written to a directory and run by a Python of their own: what python-dotenv does to a process.

python-dotenv looks at the file that calls it and at the environment of its process, so each question has both of its
own. What the programs print is what was asked for, and nothing else of the environment.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.lab.claims.bench import run_program
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source

# Where the project's own packages are, for programs that stand elsewhere.
ROOT = Path(__file__).resolve().parents[3]
README = Source("python-dotenv: README", "https://pypi.org/project/python-dotenv/")
SOURCE = Source("python-dotenv: its source", "https://github.com/theskumar/python-dotenv/blob/main/src/dotenv/main.py")
# What every program that uses the project's settings does first: a developer's own must not have a say.
WITHOUT_SETTINGS = """
from shared.config import Settings

for name in Settings.model_fields:
    os.environ.pop(name.upper(), None)
"""


@contextmanager
def directory() -> Iterator[Path]:
    """Make a temporary directory, by its real path, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="dotenv-") as name:
        yield Path(name).resolve()


def write(path: Path, text: str) -> Path:
    """Write a file, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def run(program: Path | str, *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a program and return the JSON object in the last line that it prints.

    Args:
        program: Its file, or its text, which then has no file.
        arguments: What it is started with.
        cwd: Its working directory.
        environ: Variables beside this process's own.

    Raises:
        EnvironmentFailure: If it fails.
    """
    start = [str(program)] if isinstance(program, Path) else ["-c", program]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {"PYTHONPATH": path, "PYTHON_DOTENV_DISABLED": "", **(environ or {})}
    return run_program((sys.executable, *start, *arguments), own, directory=cwd)


def figures(labels: Mapping[str, str], runs: Sequence[Mapping[str, bool]]) -> tuple[Figure, ...]:
    """Return for each question in how many runs the answer was yes, and the number of runs."""
    counts = [Figure(name, label, sum(run[name] for run in runs), trials=len(runs)) for name, label in labels.items()]
    return (Figure("trials", "times that everything was tried", len(runs)), *counts)


def all_or_refuted(labels: Mapping[str, str], counts: Mapping[str, float], trials: float, said: str) -> Ruling:
    """Return confirmed if every answer was yes in every run, and refuted with the others named."""
    wrong = [f"{labels[name]}: {count:g} of {trials:g} times" for name, count in counts.items() if count != trials]
    return (
        Ruling("refuted", "; ".join(wrong)) if wrong else Ruling("confirmed", f"{said}, {trials:g} of {trials:g} times")
    )
