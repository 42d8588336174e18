"""Where an experiment takes place: editions as processes, programs inside an edition, and a database of their own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.services.process import HOST
from shared.lab.services.process import CoreRoles
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import edition_spec
from shared.lab.watch.events import PoolEvent
from shared.lab.watch.events import read
from shared.lab.watch.sessions import Sessions

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")
PROBE_TIMEOUT_S = 120.0
# Where a watched edition writes what its pool does; read by `shared.lab.controls.watched` alone.
EVENTS_KEY = "WATCHED_EVENTS_FILE"


@dataclass(frozen=True, slots=True)
class Watched:
    """A service whose pool writes down what it does.

    Attributes:
        service: The service.
        path: File with one event in each line.
    """

    service: Service
    path: Path

    def events(self) -> list[PoolEvent]:
        """Return what has happened until now, in order of time."""
        return read(self.path)


@dataclass(frozen=True, slots=True)
class Bench:
    """What an experiment is given.

    Attributes:
        urls: Each edition's database, without a driver; nobody else uses it.
        cores: Processors of services and of load clients.
        progress: Called with one line at each step.
    """

    urls: Mapping[Edition, str]
    cores: CoreRoles
    progress: Callable[[str], None]

    def environ(self, edition: Edition, settings: Mapping[str, str]) -> dict[str, str]:
        """Return an edition's environment: the lab's endpoints, no tracing, its database, and these settings."""
        return {"DATABASE_URL": self.urls[edition], "TRACE": "0", "LAB": "1", **settings}

    @contextmanager
    def service(self, edition: Edition, **settings: str) -> Iterator[Service]:
        """Run an edition.

        Args:
            edition: Which.
            settings: Its settings, as POOL_SIZE="5".

        Raises:
            EnvironmentFailure: If it does not start, or does not stop.
        """
        with Service(edition_spec(edition, self.environ(edition, settings)), cores=self.cores.server) as service:
            yield service

    @contextmanager
    def variant(self, edition: Edition, *options: str, **settings: str) -> Iterator[Service]:
        """Run an edition with something swapped that no setting reaches.

        Args:
            edition: Which.
            options: Of `shared.lab.controls.variant`, as on its command line; none for the edition as it stands.
            settings: Its settings, as POOL_SIZE="5".

        Raises:
            EnvironmentFailure: If it does not start, or does not stop.
        """
        spec = edition_spec(edition, self.environ(edition, settings))
        command = (sys.executable, "-m", "shared.lab.controls.variant", edition, *options)
        spec = replace(spec, name=" ".join((edition, *options)), argv=command)
        with Service(spec, cores=self.cores.server) as service:
            yield service

    @contextmanager
    def watched(
        self, edition: Edition, *, control: str = "shared.lab.controls.watched", **settings: str
    ) -> Iterator[Watched]:
        """Run an edition whose pool writes down what it does.

        Args:
            edition: Which.
            control: Module that starts it; another than the default has more about it changed.
            settings: Its settings, as POOL_SIZE="5".

        Raises:
            EnvironmentFailure: If it does not start, or does not stop.
        """
        with tempfile.TemporaryDirectory(prefix="watched-") as directory:
            path = Path(directory) / "events.jsonl"
            path.touch()
            own = {"HOST": HOST, f"{edition.upper()}_PORT": "{port}", EVENTS_KEY: str(path)}
            command = (sys.executable, "-m", control, edition)
            spec = ServiceSpec(f"{edition} watched", command, {**self.environ(edition, settings), **own})
            with Service(spec, cores=self.cores.server) as service:
                yield Watched(service, path)

    def sessions(self, edition: Edition) -> Sessions:
        """Return the database's own view of an edition's sessions; close it, or use it as a context manager.

        Raises:
            EnvironmentFailure: If the database cannot be reached.
        """
        return Sessions(self.urls[edition])

    def run_inside(
        self, edition: Edition, program: str, *, settings: Mapping[str, str] | None = None, **arguments: object
    ) -> dict[str, Any]:
        """Run a program with an edition's own modules in a process of its own, and return what it says.

        Args:
            edition: Whose modules.
            program: Name of a module in `shared.lab.controls.programs`.
            settings: Environment variables beside the bench's.
            arguments: Its keyword arguments; values that JSON can hold.

        Raises:
            EnvironmentFailure: If it fails; the end of what it printed is in the message.
        """
        return run_program(
            (sys.executable, "-m", "shared.lab.controls.inside", edition, program, json.dumps(arguments)),
            self.environ(edition, settings or {}),
        )


def run_program(command: Sequence[str], environ: Mapping[str, str], *, directory: Path | None = None) -> dict[str, Any]:
    """Run a program to its end and return the JSON object in its last line.

    Raises:
        EnvironmentFailure: If it fails, takes too long, or says nothing.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environ},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentFailure(
            f"{' '.join(command[1:5])} did not end", why=f"{PROBE_TIMEOUT_S:g} s have passed"
        ) from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        tail = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise EnvironmentFailure(f"{' '.join(command[1:5])} failed", why=f"exit code {done.returncode}:\n{tail}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
