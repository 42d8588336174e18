"""wrk as a client beside ours: how it is run, and how it corrects its response times.

wrk 4.1 (github.com/wg/wrk, src/stats.c and src/wrk.c at the tag 4.1.0), read for these facts: a response time runs from
just before the request is written until the response is complete, in whole microseconds; afterwards stats_correct adds
what it takes to be missing by coordinated omission, with the mean time between two answers on one connection as the
expected interval. wrk2 with its -R does something else, an open model.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import EnvironmentFailure
from shared.lab.services import supervisor

INSTALL_HINT = "apt-get install wrk"
# What wrk may take beyond the length of its slice, in seconds.
GRACE_S = 10.0
# Called by wrk at its end; everything it counts, in microseconds, as one line of JSON.
DONE = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
# Called by wrk at each answer: it computes until that many seconds of its processor time are over.
PAUSE = """
response = function()
  local ends = os.clock() + %s
  while os.clock() < ends do end
end
"""

Microseconds = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one client says of one slice.

    Attributes:
        answers: Complete answers.
        rps: Requests per second.
        p50_s: Median response time, corrected, in seconds.
        p99_s: 99th percentile, corrected, in seconds.
        plain_p50_s: Median without the correction; the corrected one where it is not known, as of wrk.
        plain_p99_s: The same, the 99th percentile.
    """

    answers: int
    rps: float
    p50_s: float
    p99_s: float
    plain_p50_s: float
    plain_p99_s: float


def find() -> str | None:
    """Return wrk's path; None if it is not installed."""
    return shutil.which("wrk")


def version(program: str) -> str:
    """Return the line in which wrk tells its version."""
    # It prints its usage and exits with 1.
    done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=GRACE_S, check=False)
    return (done.stdout + done.stderr).partition("\n")[0].partition(" Copyright")[0].strip()


def run(
    program: str, url: str, *, connections: int, seconds: int, cores: frozenset[int], pause_s: float = 0.0
) -> Figures:
    """Let wrk load a URL for one slice, on one thread, with new connections.

    Args:
        program: Its path.
        url: What is requested.
        connections: How many.
        seconds: How long; it takes whole seconds only.
        cores: Processors to pin it to; empty for none.
        pause_s: How long it computes at each answer, in seconds.

    Raises:
        EnvironmentFailure: If it fails, or counts an error.
    """
    where = ",".join(str(core) for core in sorted(cores)) or "-"
    with tempfile.TemporaryDirectory(prefix="wrk-") as directory:
        script = Path(directory) / "done.lua"
        script.write_text(DONE + (PAUSE % f"{pause_s:.9f}" if pause_s else ""), encoding="ascii")
        own = (program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url)
        # Under the supervisor, so that it ends with us, however that comes.
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, where, *own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            # Not communicate(), which would close the lifeline.
            assert process.stdout is not None
            code = process.wait(seconds + GRACE_S)
            output = process.stdout.read().decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise EnvironmentFailure("wrk did not end", why=f"{seconds + GRACE_S:g} s have passed") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    return parse(output, code)


def parse(output: str, code: int) -> Figures:
    """Return the figures in what wrk printed.

    Raises:
        EnvironmentFailure: If there are none, or errors among them.
    """
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if code or line is None:
        raise EnvironmentFailure("wrk failed", why=f"exit code {code}: {output.strip()[-500:]}", hint=INSTALL_HINT)
    found = json.loads(line)
    if found["errors"] or not found["requests"]:
        why = f"{found['errors']} errors, {found['requests']} requests"
        raise EnvironmentFailure("wrk met errors, so there is nothing to compare", why=why)
    p50_s, p99_s = found["p50_us"] / 1e6, found["p99_us"] / 1e6
    return Figures(found["requests"], found["requests"] / found["duration_us"] * 1e6, p50_s, p99_s, p50_s, p99_s)


def corrected(times_us: Microseconds, expected_us: int) -> Microseconds:
    """Return response times with those that wrk adds, in microseconds; stats_correct of wrk 4.1.

    For every time of at least twice the expected interval it adds that time less one interval, less two, and so on, as
    long as it stays above one interval: the requests that would have been sent meanwhile.

    Args:
        times_us: Measured times.
        expected_us: Mean time between two answers on one connection.

    Raises:
        ValueError: If the interval is not positive.
    """
    if expected_us <= 0:
        raise ValueError(f"'expected_us' must be positive (got {expected_us!r})")
    parts = [times_us]
    left = times_us[times_us >= 2 * expected_us] - expected_us
    while len(left := left[left > expected_us]):
        parts.append(left)
        left = left - expected_us
    return np.concatenate(parts)


def percentile_us(times_us: Microseconds, p: float) -> int:
    """Return a percentile as wrk does, in microseconds: the value of rank round(p / 100 * n + 0.5), from 1.

    Raises:
        ValueError: If there is no value.
    """
    if not len(times_us):
        raise ValueError("'times_us' must hold at least one value (got none)")
    # C's round: halves away from zero.
    rank = int(np.floor(p / 100 * len(times_us) + 0.5 + 0.5))
    ordered = np.sort(times_us)
    return int(ordered[min(max(rank, 1), len(ordered)) - 1])


def as_wrk_counts(times_us: Microseconds, *, elapsed_s: float, connections: int) -> Figures:
    """Return our client's figures, computed as wrk computes its own.

    Args:
        times_us: From just before each request was written until its response was complete, in microseconds.
        elapsed_s: From the begin of the load to its end, in seconds.
        connections: How many carried it.

    Raises:
        ValueError: If there are fewer responses than connections.
    """
    each = len(times_us) // connections
    if not each:
        raise ValueError(f"every connection needs a response (got {len(times_us)} for {connections})")
    fixed = corrected(times_us, int(elapsed_s * 1e6) // each)
    return Figures(
        answers=len(times_us),
        rps=len(times_us) / elapsed_s,
        p50_s=percentile_us(fixed, 50) / 1e6,
        p99_s=percentile_us(fixed, 99) / 1e6,
        plain_p50_s=percentile_us(times_us, 50) / 1e6,
        plain_p99_s=percentile_us(times_us, 99) / 1e6,
    )
