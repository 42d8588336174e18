"""What a tree of processes, and the machine, has used: CPU seconds and peak memory. Linux, read from the kernel."""

import contextlib
import time
from collections.abc import Iterable

import psutil

# Names under which database servers run: they work for the services under load, so they are not foreign.
DATABASE_NAMES = frozenset({"postgres", "postmaster", "mysqld", "mariadbd"})


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds of one process, ended threads included.

    Read from the process's CPU clock, which counts nanoseconds; /proc counts hundredths of a second, too coarse for a
    slice of half a second. The clock's id is built from the pid as clock_getcpuclockid(3) does.

    Raises:
        ProcessLookupError: If there is no such process.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError as error:
        raise ProcessLookupError(f"process {pid} is gone") from error


def tree(pid: int) -> list[int]:
    """Return the process and all its descendants, as far as they live."""
    try:
        root = psutil.Process(pid)
        return [pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def cpu_by_process(pids: Iterable[int]) -> dict[int, float]:
    """Return the CPU seconds of each process that lives."""
    seconds: dict[int, float] = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            seconds[pid] = process_cpu_s(pid)
    return seconds


def cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    """Return the CPU seconds used between two readings; a process that ended in between counts as nothing."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def peak_bytes(pids: Iterable[int]) -> int:
    """Return the sum of the processes' peak resident sizes, in bytes; pages they share count in each."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) * 1024
    return total


def listens(pids: Iterable[int], port: int) -> bool:
    """Return whether one of the processes listens on a TCP port."""
    for pid in pids:
        # The kernel shows what a process that is ending has open to root alone, even before it says that it is gone.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for socket in psutil.Process(pid).net_connections("tcp"):
                if socket.status == psutil.CONN_LISTEN and socket.laddr.port == port:
                    return True
    return False


def database_pids() -> list[int]:
    """Return the processes of database servers on this machine."""
    return [p.pid for p in psutil.process_iter(["name"]) if p.info["name"] in DATABASE_NAMES]


def machine_busy_s() -> float:
    """Return the CPU seconds that this machine was busy since boot, without time stolen by the hypervisor."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)
