"""Stopping the server once nobody uses it, at the latest by the keeper: a process that waits for that."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from fcntl import LOCK_EX
from fcntl import LOCK_NB
from fcntl import LOCK_SH
from fcntl import flock
from pathlib import Path

from shared.errors import EnvironmentFailure
from shared.postgres.home import Home
from shared.postgres.home import pid_file_lines
from shared.postgres.locks import POLL_S
from shared.postgres.locks import is_file
from shared.postgres.locks import is_free
from shared.postgres.locks import try_lock
from shared.postgres.locks import wait_lock
from shared.postgres.start import open_log

_FAST_STOP_S = 30.0  # then an immediate stop: nothing durable is lost, the next start recovers from the log
_IMMEDIATE_STOP_S = 10.0


@contextmanager
def sole_use(home: Home) -> Iterator[bool]:
    """Keep new users out while the block runs; yields False when there are users.

    A user in the middle of starting counts; one in the middle of stopping is waited for.
    """
    deadline = time.monotonic() + _FAST_STOP_S + _IMMEDIATE_STOP_S
    start_fd = wait_lock(home.lock("start"), LOCK_EX, deadline)
    users_fd = None
    try:
        while start_fd is not None:
            users_fd = try_lock(home.lock("users"), LOCK_EX)
            if users_fd is not None:
                break
            # Refused by users, or by a keeper that is stopping the server? Only the second one refuses a reader too.
            shared_fd = try_lock(home.lock("users"), LOCK_SH)
            if shared_fd is not None:
                # Granted, but perhaps because that keeper ended in between: then nobody stands in the way now.
                with suppress(BlockingIOError):
                    flock(shared_fd, LOCK_EX | LOCK_NB)
                    users_fd = shared_fd
                if users_fd is None:
                    os.close(shared_fd)
                break
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        yield users_fd is not None
    finally:
        for fd in (users_fd, start_fd):
            if fd is not None:
                os.close(fd)


def stop(home: Home) -> None:
    """Stop whatever runs and wait for its end, orphans of a killed server included."""
    for stop_signal, limit_s in ((signal.SIGINT, _FAST_STOP_S), (signal.SIGQUIT, _IMMEDIATE_STOP_S)):
        deadline = time.monotonic() + limit_s
        is_told = False
        while not is_free(home.lock("server")):
            # The held lock vouches for the pid; a server that is just starting has not written it yet.
            lines = pid_file_lines(home)
            if lines and not is_told:
                with suppress(ProcessLookupError):
                    os.kill(int(lines[0]), stop_signal)
                is_told = True
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        else:
            return
    raise EnvironmentFailure(
        "the embedded PostgreSQL does not stop",
        why=f"after {_FAST_STOP_S + _IMMEDIATE_STOP_S:.0f} s its processes still hold {home.lock('server')}",
        hint=f"see {home.log}",
    )


def ensure_keeper(home: Home, deadline: float) -> None:
    """Start the keeper unless there is one; before the server, so that nobody's death orphans it."""
    if not is_free(home.lock("keeper")):
        return
    sources = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    log_fd = open_log(home)
    try:
        subprocess.run(
            [sys.executable, "-m", "shared.postgres", "keep", str(home.data_dir)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sources))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_fd,
            cwd="/",
            start_new_session=True,
            check=True,
            timeout=max(1.0, deadline - time.monotonic()),
        )
    finally:
        os.close(log_fd)


def end_keeper(home: Home) -> None:
    """End the keeper of a server that is stopped already; needs sole use."""
    deadline = time.monotonic() + _IMMEDIATE_STOP_S
    if not is_free(home.lock("keeper")):
        with suppress(ProcessLookupError):
            os.kill(int(home.lock("keeper").read_text()), signal.SIGTERM)
        while not is_free(home.lock("keeper")) and time.monotonic() < deadline:
            time.sleep(POLL_S)


def keep(data_dir: Path) -> None:
    """Wait for the last user's end, then stop the server; returns once that is in hand.

    Forks, so that the process that asked for a keeper has no child to reap.
    """
    home = Home.of(data_dir)
    keeper_fd = try_lock(home.lock("keeper"), LOCK_EX)
    if keeper_fd is None:
        return
    users_fd = os.open(home.lock("users"), os.O_RDWR | os.O_CREAT, 0o600)
    if pid := os.fork():
        os.ftruncate(keeper_fd, 0)
        os.pwrite(keeper_fd, str(pid).encode(), 0)
        return
    flock(users_fd, LOCK_EX)
    if is_file(users_fd, home.lock("users")):  # else the files were removed under us, and may be somebody's new ones
        stop(home)
    # In this order: whoever becomes a user next must not take this keeper for one that will watch over it.
    os.close(keeper_fd)
    os._exit(0)  # at once, and with users.lock: whoever waits for that finds no keeper left
