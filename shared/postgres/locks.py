"""Locks on files: taken without waiting for ever, and dropped by the kernel with their last holder."""

import os
import shlex
import time
from contextlib import suppress
from fcntl import LOCK_NB
from fcntl import LOCK_SH
from fcntl import flock
from pathlib import Path

from shared.errors import EnvironmentFailure

POLL_S = 0.01


def try_lock(path: Path, operation: int) -> int | None:
    """Return a descriptor that holds the lock, or None when somebody is in the way."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(fd, operation | LOCK_NB)
    except BlockingIOError:
        pass
    else:
        # `destroy` removes lock files, and a lock on a removed file excludes nobody.
        if is_file(fd, path):
            return fd
    os.close(fd)
    return None


def wait_lock(path: Path, operation: int, deadline: float) -> int | None:
    """Return what `try_lock` does, trying until the monotonic clock passes the deadline."""
    while (fd := try_lock(path, operation)) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return fd


def lock_by(deadline: float, path: Path, operation: int, holder: str) -> int:
    """Return a descriptor that holds the lock.

    Args:
        deadline: When to give up, on the monotonic clock.
        path: The lock file.
        operation: LOCK_SH or LOCK_EX.
        holder: Who is likely to be in the way, as the beginning of a sentence.

    Raises:
        EnvironmentFailure: If the deadline passed first.
    """
    fd = wait_lock(path, operation, deadline)
    if fd is None:
        raise EnvironmentFailure(
            "the embedded PostgreSQL did not become available in time",
            why=f"{holder} it, and still holds {path}",
            hint=f"`fuser -v {shlex.quote(str(path))}` names the processes to end; see {path.parent / 'server.log'}",
        )
    return fd


def is_free(path: Path) -> bool:
    """Tell whether nobody holds the lock exclusively."""
    fd = try_lock(path, LOCK_SH)
    if fd is not None:
        os.close(fd)
    return fd is not None


def is_file(fd: int, path: Path) -> bool:
    """Tell whether the descriptor still is the file at this path."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False
