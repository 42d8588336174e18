"""make itself: the set-up, with a Python that only notes what it is asked for."""

import shutil
import subprocess
import sys
from pathlib import Path

from .test_commands import ROOT

# Stands for python3 and for the virtual environment's own; it runs what is given on the command line, as the lock is.
NOTING_PYTHON = f"""#!{sys.executable}
import os, pathlib, shutil, sys, time
if sys.argv[1] == "-c":
    sys.argv = sys.argv[1:]
    exec(sys.argv.pop(1))
    sys.exit()
with open({{log!r}}, "a") as log:
    print("begin", file=log, flush=True)
    if sys.argv[1:3] == ["-m", "venv"]:
        os.makedirs(".venv/bin", exist_ok=True)
        shutil.copy(sys.argv[0], ".venv/bin/python")
    time.sleep(0.2)
    print("end", file=log, flush=True)
"""


def test_two_first_commands_set_up_one_after_the_other(tmp_path: Path) -> None:
    """The second finds everything done."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python, log = tmp_path / "python", tmp_path / "log"
    python.write_text(NOTING_PYTHON.format(log=str(log)))
    python.chmod(0o755)
    command = ["make", f"PYTHON={python}", ".venv/.ready"]
    both = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    messages = [started.communicate(timeout=30)[1] for started in both]
    assert [started.returncode for started in both] == [0, 0], messages
    # The environment, what it holds, and the project in it.
    assert log.read_text().split() == ["begin", "end"] * 3
    assert "".join(messages).count("Setting up .venv (once, about a minute) ...\n") == 1
