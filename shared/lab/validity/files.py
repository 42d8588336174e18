"""Validations as files, and the newest one that was made on this machine."""

from collections.abc import Collection
from collections.abc import Iterator
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path

from shared.errors import UsageError
from shared.lab.results import directory as results
from shared.lab.results.record import Manifest
from shared.lab.validity.document import parse
from shared.lab.validity.result import PARTS
from shared.lab.validity.result import PartName
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


def with_earlier(found: Validation, root: Path, parts: Collection[PartName]) -> Validation:
    """Return a validation that is about to be run, with what an earlier one of its commit says of all other parts.

    So a part that was undecided can be repeated alone, with more time, and the outcome is a whole one again. Nothing is
    taken over where files differ from the commit, or from or to a short form.

    Args:
        found: The validation, without any part.
        root: Where results are.
        parts: The parts that will be run.
    """
    manifest = found.manifest
    if found.is_quick or manifest.git_commit is None or manifest.git_dirty:
        return found
    for before in _readable(root):
        theirs = before.manifest
        if before.is_quick or theirs.git_dirty or theirs.git_commit != manifest.git_commit:
            continue
        if not _is_of(before, manifest):
            continue
        kept: list[PartName] = [name for name in PARTS if name not in parts and before.parts[name] is not None]
        return replace(
            found,
            delays=before.delays if "a" in kept else None,
            same=before.same if "b" in kept else None,
            planted=before.planted if "c" in kept else None,
            wrk=before.wrk if "d" in kept else None,
            earlier={name: before.earlier.get(name, theirs.time_utc) for name in kept},
        )
    return found


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
