"""A Python interpreter of somebody's virtual environment: what is installed there, and what its servers can be told."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import EnvironmentFailure
from shared.errors import UsageError

SERVERS = ("gunicorn", "uvicorn")
# What they are fast with; the editions have all of them.
ACCELERATORS = ("uvloop", "httptools", "gunicorn_h1c")
PROBE_TIMEOUT_S = 60.0
# Runs in the other interpreter, so it keeps to what every Python 3 has.
PROBE = """
import json, platform
from importlib import metadata

found = {"version": platform.python_implementation() + " " + platform.python_version(), "options": {}}
found["packages"] = {
    one.metadata["Name"].lower().replace("-", "_"): one.version
    for one in metadata.distributions()
    if one.metadata["Name"]
}
try:
    from gunicorn.config import KNOWN_SETTINGS
    found["options"]["gunicorn"] = [word for one in KNOWN_SETTINGS for word in one.cli or ()]
except ImportError:
    pass
try:
    from uvicorn.main import main
    found["options"]["uvicorn"] = [word for one in main.params for word in one.opts + one.secondary_opts]
except ImportError:
    pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What an interpreter said about itself.

    Attributes:
        path: As it is started.
        version: Implementation and version.
        packages: Version of each installed distribution, names in lower case with underscores.
        options: Command line options of each server that can be imported.
    """

    path: str
    version: str
    packages: Mapping[str, str]
    options: Mapping[str, frozenset[str]]

    def has(self, package: str) -> bool:
        """Tell whether a distribution is installed."""
        return package in self.packages

    def takes(self, server: str, option: str) -> bool:
        """Tell whether a server has a long option, given without its dashes."""
        return f"--{option}" in self.options[server]

    def install_line(self, packages: Sequence[str]) -> str:
        """Return the command that installs packages there, in their newest version."""
        return f"{self.path} -m pip install --upgrade {' '.join(packages)}"


def find(given: Path | None) -> str:
    """Return the interpreter that is meant: a path, a name on PATH, or our own.

    The path is not resolved: that of a virtual environment is a link, and it is the link that makes the environment.

    Raises:
        UsageError: If there is no such program.
    """
    if given is None:
        return sys.executable
    if given.is_dir():
        raise UsageError(
            f"--python {given} is a directory", hint=f"If it is an environment: --python {given}/bin/python"
        )
    found = shutil.which(given)
    if found is None:
        raise UsageError(f"--python {given} cannot be run", why="there is no such program")
    return str(Path(found).absolute())


def inspect(path: str, directory: Path | None) -> Interpreter:
    """Start an interpreter once, where the applications will start, and return what it says.

    Args:
        path: Program, as `find` returns it.
        directory: Working directory; None for this process's own.

    Raises:
        UsageError: If it is no usable Python.
        EnvironmentFailure: If it has not both servers.
    """
    try:
        done = subprocess.run(
            [path, "-c", PROBE],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        lines = done.stdout.splitlines()
        said = json.loads(lines[-1]) if done.returncode == 0 and lines else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{path} is no usable Python", why=str(error)) from error
    if said is None:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise UsageError(f"{path} is no usable Python", why=f"exit code {done.returncode}: {last}")
    options = {server: frozenset(words) for server, words in said["options"].items()}
    found = Interpreter(path, said["version"], said["packages"], options)
    missing = [server for server in SERVERS if server not in options or not found.has(server)]
    if missing:
        wanted = [name for name in (*SERVERS, *ACCELERATORS) if not found.has(name)] or missing
        raise EnvironmentFailure(
            f"{' and '.join(missing)} cannot be imported by {path}",
            why="applications are started by the servers of their own environment",
            hint=found.install_line(wanted),
        )
    return found
