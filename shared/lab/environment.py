"""Where a result was made: versions, machine, commit, command. Reads only; nothing here is measured."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import UTC
from datetime import datetime
from importlib import metadata
from pathlib import Path

import psutil

from shared.lab.results.record import Manifest
from shared.lab.services.process import CoreRoles

# What can move a figure; a package that is not installed is left out.
PACKAGES = (
    "asyncpg",
    "granian",
    "greenlet",
    "gunicorn",
    "gunicorn_h1c",
    "h11",
    "httptools",
    "numpy",
    "orjson",
    "psycopg",
    "psycopg2-binary",
    "pydantic",
    "pydantic-core",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
)
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
GIT_TIMEOUT_S = 10.0


def manifest(
    *,
    seed: int,
    cores: CoreRoles,
    settings: Mapping[str, Mapping[str, str]],
    database_version: str | None = None,
    command: Sequence[str] | None = None,
    root: Path | None = None,
) -> Manifest:
    """Return the manifest of a result that begins now; call it before anything is started.

    Args:
        seed: Seed of order and resampling.
        cores: Which processors were given to whom.
        settings: Effective settings of each subject, with secrets masked already.
        database_version: What the database server calls its version.
        command: Command line; this process's own if None.
        root: Directory of the project; found from this file if None.
    """
    commit, dirty = _git(root or Path(__file__).resolve().parents[2])
    return Manifest(
        time_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command if command is not None else sys.argv),
        seed=seed,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=_packages(),
        cpu_model=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        core_roles={
            "server": _core_list(cores.server),
            "client": _core_list(cores.client),
            "apart": "yes" if cores.are_apart else "no",
        },
        governor=_governor(),
        memory_bytes=int(psutil.virtual_memory().total),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        load_average=os.getloadavg(),
        git_commit=commit,
        git_dirty=dirty,
        settings={subject: dict(values) for subject, values in settings.items()},
        database_version=database_version,
    )


def _packages() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _core_list(cores: frozenset[int]) -> str:
    return ",".join(str(core) for core in sorted(cores)) or "not pinned"


def _cpu_model() -> str:
    """Return the first model name the kernel gives, or the machine type where it gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _governor() -> str | None:
    try:
        return GOVERNOR.read_text(encoding="ascii").strip()
    except OSError:  # virtual machines have none
        return None


def _git(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit and whether tracked files differ from it; None for both without git or a repository."""
    outputs: list[str] = []
    for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments],
                capture_output=True,
                text=True,
                timeout=GIT_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None, None
        outputs.append(done.stdout.strip())
    return outputs[0], bool(outputs[1])
