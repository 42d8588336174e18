"""Where results stand: one directory for each, named by time and command, and a word for the newest comparison.

`results/20261122T134501Z-compare/` holds `result.json`, raw samples, and `report.html` where there is one;
`results/latest` leads to the newest comparison. Files appear whole or not at all.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from typing import BinaryIO

from shared.errors import EnvironmentFailure
from shared.errors import UsageError

RESULT = "result.json"
REPORT = "report.html"
# The word for the newest comparison, and the name of what leads to it.
LATEST = "latest"
WHERE = "give a directory under results/, or latest"


def open_directory(root: Path, name: str, time_utc: str) -> Path:
    """Make the directory of one result and return it, such as results/20261122T134501Z-compare.

    A second one of the same name and second becomes ...-compare-2.

    Args:
        root: Directory of all results; made where it is missing.
        name: Which command made it, such as compare or bench-wsgi.
        time_utc: Its start, ISO 8601.

    Raises:
        EnvironmentFailure: If it cannot be made.
    """
    moment = datetime.fromisoformat(time_utc)
    # A time that names no zone is UTC already.
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    stem = f"{moment:%Y%m%dT%H%M%SZ}-{name}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = root / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise _unwritable(root, error) from error
    raise AssertionError("count() does not end")


@contextmanager
def opened(root: Path, name: str, time_utc: str) -> Iterator[Path]:
    """Hold a result's directory while it is measured, and remove it where nothing came of it.

    Raises:
        EnvironmentFailure: If it cannot be made.
    """
    path = open_directory(root, name, time_utc)
    try:
        yield path
    finally:
        if not any(path.iterdir()):
            path.rmdir()


def newest(root: Path, name: str) -> Path | None:
    """Return the newest directory of a command that holds a result, or None."""
    form = re.compile(rf"(\d{{8}}T\d{{6}}Z)-{re.escape(name)}(?:-(\d+))?")
    found = (
        ((match[1], int(match[2] or 1)), result.parent)
        for result in root.glob(f"*/{RESULT}")
        if (match := form.fullmatch(result.parent.name))
    )
    return max(found, default=(None, None))[1]


def mark_latest(directory: Path) -> None:
    """Let `latest`, beside a directory, lead to it: a relative link, or a file that names it where links cannot be.

    Raises:
        EnvironmentFailure: If it cannot be written.
    """
    place = directory.parent / LATEST
    link = place.with_name(f".{LATEST}.{os.getpid()}")
    try:
        try:
            link.symlink_to(directory.name, target_is_directory=True)
        except OSError:
            write_atomically(place, lambda handle: handle.write(f"{directory.name}\n".encode()))
        else:
            link.replace(place)
    except OSError as error:
        link.unlink(missing_ok=True)
        raise _unwritable(place, error) from error


def find(word: str, root: Path) -> Path:
    """Return the result.json that a word names: a directory, the file itself, or `latest` for the newest comparison.

    Raises:
        UsageError: If there is no comparison yet.
    """
    if word != LATEST:
        path = Path(word)
        return path / RESULT if path.is_dir() else path
    found = _latest(root) or newest(root, "compare")
    if found is None:
        raise UsageError(f"There is no {LATEST} comparison", why=f"{root}/ holds none", hint="make compare")
    return found / RESULT


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object of a result of any kind.

    Raises:
        UsageError: If it cannot be read, or is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read {path}", why=error.strerror or str(error), hint=WHERE) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a result", why=f"{type(error).__name__}: {error}", hint=WHERE) from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is not a result", why="it holds no JSON object", hint=WHERE)
    return document


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Write one JSON object.

    Raises:
        EnvironmentFailure: If the file cannot be written.
    """
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8.

    Raises:
        EnvironmentFailure: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda handle: handle.write(text.encode("utf-8", "backslashreplace")))
    except OSError as error:
        raise _unwritable(path, error) from error


def write_atomically(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place and move it there when it is whole.

    Raises:
        OSError: If it cannot be written; what stood there before is left as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            fill(handle)
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _latest(root: Path) -> Path | None:
    """Return the directory that `latest` leads to, if it holds a result."""
    place = root / LATEST
    try:
        name = os.readlink(place) if place.is_symlink() else place.read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    # Only a neighbour: a name with a path in it was not written here.
    found = root / Path(name).name
    return found if (found / RESULT).is_file() else None


def _unwritable(path: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"Cannot write {error.filename or path}",
        why=error.strerror or str(error),
        hint="make room or allow writing there, and run again",
    )
