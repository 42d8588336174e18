"""Validations as files, and the newest one that was made on this machine."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from shared.errors import UsageError
from shared.lab.results import directory as results
from shared.lab.results.record import Manifest
from shared.lab.validity.document import parse
from shared.lab.validity.result import Validation

NAME = "validate"


def write(found: Validation, path: Path) -> None:
    """Write a validation, whole or not at all.

    Raises:
        EnvironmentFailure: If the file cannot be written.
    """
    results.write_json(path, asdict(found))


def load(path: Path) -> Validation:
    """Read a validation back.

    Raises:
        UsageError: If the file cannot be read, is no validation, or one of another schema version.
    """
    document = results.read_json(path)
    try:
        return parse(document)
    except (ValueError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path} is no validation", why=why, hint="make validate") from error


def newest(root: Path, manifest: Manifest) -> Validation | None:
    """Return the newest whole validation that was made on the machine of a manifest; None if there is none.

    Whole: the full form with every part that this project has; the one that needs wrk may be left out. A file that
    cannot be read is none.
    """
    return next((found for found in _readable(root) if _is_whole(found) and _is_of(found, manifest)), None)


def _readable(root: Path) -> Iterator[Validation]:
    # Their names begin with the time, so the newest is the last.
    for path in sorted(root.glob(f"*-{NAME}*/{results.RESULT}"), reverse=True):
        try:
            yield load(path)
        except UsageError:
            continue


def _is_whole(found: Validation) -> bool:
    return not found.is_quick and None not in (found.delays, found.same, found.planted, found.wrk)


def _is_of(found: Validation, manifest: Manifest) -> bool:
    theirs = found.manifest
    return (theirs.cpu_model, theirs.cores) == (manifest.cpu_model, manifest.cores)
