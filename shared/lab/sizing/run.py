"""The measurement of the queue for connections, from settings to a written result."""

from collections.abc import Callable
from pathlib import Path

from shared.config import Settings
from shared.lab import databases
from shared.lab.claims.bench import Bench
from shared.lab.editions import make_manifest
from shared.lab.results import directory as results
from shared.lab.results.record import Manifest
from shared.lab.services.process import choose_cores
from shared.lab.sizing import measure as measurement
from shared.lab.sizing.measure import Trial
from shared.lab.sizing.result import Measured
from shared.lab.sizing.result import document
from shared.lab.sizing.rules import Report

NAME = "size"
# Under this name whoever comes later knows databases that a killed command left behind.
DATABASES = "claims"


def measure(
    settings: Settings, url: str, trial: Trial, report: Report, *, directory: Path, progress: Callable[[str], None]
) -> tuple[tuple[Measured, ...], Manifest, Path]:
    """Measure both editions on databases of their own; return what was found, and where it was written.

    Args:
        settings: Settings in force, for the manifest.
        url: A database of the server to use, without a driver.
        trial: What is measured.
        report: What the rules say, written along with it.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        CheckFailed: If a request failed, or the line was not at the pool.
        EnvironmentFailure: If a service or the load client fails, or the result cannot be written.
        UsageError: If the role in the URL may not create databases.
    """
    databases.require_right(url, "A measurement of the queue")
    cores = choose_cores()
    manifest = make_manifest(settings, url, trial.seed, cores, {"LAB": "1", **measurement.TIMEOUTS})
    own = databases.new_pair(url, DATABASES)
    with results.opened(directory, NAME, manifest.time_utc) as place, databases.created(url, own):
        measured = measurement.measure(Bench({"wsgi": own[0], "asgi": own[1]}, cores, progress), trial)
        path = place / results.RESULT
        results.write_json(path, document(report, measured, manifest))
    return measured, manifest, path
