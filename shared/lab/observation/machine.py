"""What keeps a machine from giving its full speed: stolen time, a throttled control group, a falling clock. Linux."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC = Path("/proc")
SYS = Path("/sys")


@dataclass(frozen=True, slots=True)
class MachineReading:
    """What the machine has counted so far.

    Attributes:
        stolen_s: CPU seconds that the hypervisor gave to others while this machine wanted them.
        throttled_s: Seconds in which this program's control group was stopped for having used up its share of the
            processors; None where no limit is told.
    """

    stolen_s: float
    throttled_s: float | None


def read(proc: Path = PROC, sys: Path = SYS) -> MachineReading:
    """Return what the machine has counted so far; proc and sys are where those file systems are mounted."""
    return MachineReading(float(psutil.cpu_times().steal), _throttled_s(proc, sys))


def clocks_hz(cores: Iterable[int], sys: Path = SYS) -> float | None:
    """Return the mean clock of processors now, in hertz; None where the kernel does not tell it."""
    found = []
    for core in cores:
        text = _text(sys / f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
        if text is None or not text.strip().isdigit():
            return None
        found.append(int(text) * 1e3)
    return sum(found) / len(found) if found else None


def _throttled_s(proc: Path, sys: Path) -> float | None:
    """Return how long this process's control group and those around it were stopped, in seconds.

    The second version counts microseconds (throttled_usec), the first nanoseconds (throttled_time).
    """
    total: float | None = None
    for line in (_text(proc / "self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = sys / "fs/cgroup" / (controllers and "cpu")
        own = root / path.strip("/")
        for group in (own, *own.parents):
            for name, value in _pairs(group / "cpu.stat"):
                if name in ("throttled_usec", "throttled_time"):
                    total = (total or 0.0) + value / (1e6 if name == "throttled_usec" else 1e9)
            if group == root:
                break
    return total


def _pairs(path: Path) -> list[tuple[str, int]]:
    rows = [line.split() for line in (_text(path) or "").splitlines()]
    return [(row[0], int(row[1])) for row in rows if len(row) == 2 and row[1].isdigit()]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
