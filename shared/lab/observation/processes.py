"""What a tree of processes has used so far, read from the kernel's /proc; Linux.

Read before and after a slice, never within it.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.lab.results.server import ProcessFigures


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """What one process has used since it began, and has now; units as in ProcessFigures."""

    user_s: float
    system_s: float
    voluntary_switches: int
    involuntary_switches: int
    threads: int
    open_files: int
    resident_bytes: int


def read(pids: Iterable[int]) -> dict[int, ProcessReading]:
    """Return what each process that lives, and may be looked at, has used."""
    found: dict[int, ProcessReading] = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            times = process.cpu_times()
            voluntary, involuntary = switches(pid)
            found[pid] = ProcessReading(
                user_s=times.user,
                system_s=times.system,
                voluntary_switches=voluntary,
                involuntary_switches=involuntary,
                threads=process.num_threads(),
                open_files=process.num_fds(),
                resident_bytes=process.memory_info().rss,
            )
    return found


def switches(pid: int) -> tuple[int, int]:
    """Return the voluntary and the involuntary context switches of a process's threads, as far as they live.

    The process's own file, which psutil reads, counts those of its first thread only.

    Raises:
        OSError: If there is no such process.
    """
    voluntary = involuntary = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in (task / "status").read_bytes().splitlines():
                if line.startswith(b"voluntary_ctxt_switches:"):
                    voluntary += int(line.split()[1])
                elif line.startswith(b"nonvoluntary_ctxt_switches:"):
                    involuntary += int(line.split()[1])
    return voluntary, involuntary


def between(before: dict[int, ProcessReading], after: dict[int, ProcessReading]) -> ProcessFigures | None:
    """Return what was used between two readings; None if no process is left.

    A process that ended in between counts as nothing, one that began in between from its start. A thread that ended
    takes its context switches along, so their number never falls below zero here.
    """
    if not after:
        return None
    nothing = ProcessReading(0.0, 0.0, 0, 0, 0, 0, 0)
    pairs = [(before.get(pid, nothing), now) for pid, now in after.items()]
    return ProcessFigures(
        user_s=sum(now.user_s - then.user_s for then, now in pairs),
        system_s=sum(now.system_s - then.system_s for then, now in pairs),
        voluntary_switches=sum(max(0, now.voluntary_switches - then.voluntary_switches) for then, now in pairs),
        involuntary_switches=sum(max(0, now.involuntary_switches - then.involuntary_switches) for then, now in pairs),
        threads=sum(now.threads for _, now in pairs),
        open_files=sum(now.open_files for _, now in pairs),
        resident_bytes=sum(now.resident_bytes for _, now in pairs),
    )
