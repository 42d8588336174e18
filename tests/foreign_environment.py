"""A virtual environment with other people's frameworks and tools, made for the tests and never part of the project."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.twins import ROOT

REQUIREMENTS = ROOT / "tests" / "requirements-foreign.txt"
MAKE_TIMEOUT_S = 180


@pytest.fixture(scope="module")
def foreign_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment from tests/requirements-foreign.txt and return its directory of programs.

    Needs the package index once; without it the tests are left out, except where CI=true asks for all of them.
    """
    environment = tmp_path_factory.mktemp("foreign") / "environment"
    uv = Path(sys.executable).with_name("uv")
    steps = (
        [str(uv), "venv", "--quiet", "--python", sys.executable, str(environment)],
        [str(uv), "pip", "install", "--quiet", "--python", str(environment / "bin/python"), "-r", str(REQUIREMENTS)],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, timeout=MAKE_TIMEOUT_S, check=False)
        if done.returncode:
            reason = f"no environment of other people's packages: {done.stderr.strip().splitlines()[-1:]}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
    return environment / "bin"
