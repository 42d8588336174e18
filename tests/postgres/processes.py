"""What the tests of the embedded server share: its processes, its users, a question to it."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO
from typing import Any

import psutil
import psycopg2

ROOT = Path(__file__).parents[2]
BOUND_S = 20.0

# A user in a process of its own: says its URL, waits for a line or a signal, releases.
USER = """
import sys
from pathlib import Path
from shared import postgres
with postgres.acquire(Path(sys.argv[1])) as lease:
    print(lease.url, flush=True)
    sys.stdin.readline()
"""


def processes(data_dir: Path) -> list[psutil.Process]:
    """Return the keeper and the postmaster of a data directory; zombies are gone already."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            arguments = process.cmdline()
            is_server = str(data_dir / "postgres" / "data") in arguments
            # What the server has just forked bears its name for a moment.
            is_child = (parent := process.parent()) is not None and parent.cmdline() == arguments
            if (is_server and not is_child) or arguments[-2:] == ["keep", str(data_dir)]:
                found.append(process)
    return found


def keeper(data_dir: Path) -> psutil.Process:
    # It has its name only after it was forked and has become a program of its own.
    wait_until(lambda: any("keep" in process.cmdline() for process in processes(data_dir)))
    (found,) = [process for process in processes(data_dir) if "keep" in process.cmdline()]
    return found


def postmaster(data_dir: Path) -> psutil.Process:
    (found,) = [process for process in processes(data_dir) if "keep" not in process.cmdline()]
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, "not within the bound"
        time.sleep(0.02)


def kill(process: psutil.Process) -> None:
    """Kill, and wait until its locks are free: its memory, and with it its name, goes before its open files do."""
    process.kill()
    with suppress(psutil.NoSuchProcess):
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE)


def query(url: str, statement: str) -> Any:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.close()


class User:
    """A process that holds a lease."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        options.setdefault("executable", sys.executable)
        self.process = subprocess.Popen(
            [options.pop("executable"), "-c", USER, str(data_dir)],
            **{"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **options},
        )

    def url(self) -> str:
        line = self._stream(self.process.stdout).readline().strip()
        assert line, "the process ended without a lease"
        return line

    def end(self) -> int:
        with suppress(BrokenPipeError):
            self._stream(self.process.stdin).write("\n")
            self._stream(self.process.stdin).flush()
        return self.process.wait(BOUND_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(BOUND_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                self._stream(stream).close()

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream
