"""Ctrl-C in a comparison of factors: one line, exit code 130, and nothing left of all that was started."""

import os
import signal
import subprocess
import sys

import pytest

from shared.twins import ROOT
from tests.leftovers import leftovers

PROGRAM = "from shared.cli import main; main()"
WORDS = ("compare", "--scenario", "db", "--factor", "latency=5", "--rounds", "50", "--seconds", "0.2")


@pytest.mark.slow
def test_interrupt_during_rounds_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Services, load client, proxy and a database of its own, which ends with the last who uses it."""
    # A short name, so that the database's socket is below it, too.
    place = tmp_path_factory.mktemp("i")
    mark = str(place / "data")
    temporary = place / "temporary"
    temporary.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": mark, "TMPDIR": str(temporary)}
    environ.pop("DATABASE_URL", None)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *WORDS],
        cwd=place,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        messages = ""
        for line in process.stderr:
            messages += line
            if "round 2 of 50" in line:
                break
        running = " ".join(leftovers(mark))
        os.killpg(process.pid, signal.SIGINT)
        output, rest = process.communicate(timeout=60)
    assert all(name in running for name in ("shared.lab.factors.proxy", "shared.lab.load.client", "postgres")), messages
    assert process.returncode == 130, messages + rest
    assert output == ""
    said = [line for line in rest.splitlines() if " of 50" not in line]
    assert said == ["Interrupted: everything that was started for this has been stopped"]
    assert leftovers(mark) == []
    assert [path.name for path in temporary.iterdir() if not path.name.endswith(".log")] == []
    assert list((place / "results").iterdir()) == []
