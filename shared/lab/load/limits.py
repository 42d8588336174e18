"""What the load client can do on this machine: its highest rate, and how punctual it is.

Measured in about a second before a comparison, so that a result can be told from the client's own limit. The other side
is a responder on the servers' processor that does next to nothing. The client's CPU share tells which of the two was
the limit: well below 1 the client can do more than was measured.
"""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from shared.errors import EnvironmentFailure
from shared.lab import statistics
from shared.lab.load.driver import LoadClient
from shared.lab.load.responder import HOST
from shared.lab.load.schedule import Pattern
from shared.lab.planning.plan import Scenario
from shared.lab.results.client import ClientLimits
from shared.lab.results.record import WAITED
from shared.lab.services.process import CoreRoles

CONNECTIONS = 32
RAMP_S = 0.05
WINDOW_S = 0.4
TIMEOUT_S = 5.0
START_TIMEOUT_S = 10.0
# About what small services answer; at most this share of the highest rate, where that is low.
TIMING_RATE = 500.0
TIMING_SHARE = 0.25


def measure(client: LoadClient, cores: CoreRoles) -> ClientLimits:
    """Return what a started load client can do.

    Args:
        client: The load client.
        cores: Its responder gets those of the servers.

    Raises:
        EnvironmentFailure: If the responder does not start, or nothing is answered.
    """
    with _responder(cores.server) as port:
        request = Scenario("limits", "/").request_bytes(f"{HOST}:{port}")
        client.prepare(HOST, port, connections=CONNECTIONS)
        closed = client.run(HOST, port, request, ramp_s=RAMP_S, window_s=WINDOW_S, timeout_s=TIMEOUT_S)
        done_ns = closed.samples.done_ns
        inside = (done_ns >= closed.window_start_ns) & (done_ns < closed.window_end_ns)
        highest_rps = int(inside.sum()) / WINDOW_S
        if not highest_rps:
            raise EnvironmentFailure(
                "the load client got no answer from its own test server",
                why=f"{len(closed.errors)} requests failed on {HOST}:{port}",
                hint="look for a firewall on the loopback interface, or a machine out of processors",
            )
        rate = min(TIMING_RATE, TIMING_SHARE * highest_rps)
        client.prepare(HOST, port, connections=CONNECTIONS, opens=False)
        pattern = Pattern(rate=rate, seed="limits")
        timed = client.run(
            HOST, port, request, ramp_s=RAMP_S, window_s=WINDOW_S, timeout_s=TIMEOUT_S, pattern=pattern
        ).samples
    punctual = timed.flags & WAITED == 0
    late_s = np.asarray(timed.sent_ns[punctual] - timed.intended_ns[punctual]) / 1e9
    return ClientLimits(
        processes=client.processes,
        highest_rps=highest_rps,
        cpu_share=closed.client_cpu_s / closed.elapsed_s,
        timing_rate=rate,
        timing_error_s={name: statistics.percentile(late_s, q) for name, q in (("p50", 0.5), ("p99", 0.99))}
        if len(late_s)
        else {},
    )


@contextmanager
def _responder(cores: frozenset[int]) -> Iterator[int]:
    """Yield the port of a responder that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shared.lab.load.responder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if key != "PYTHONASYNCIODEBUG"},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if cores:
            os.sched_setaffinity(process.pid, cores)
        ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
        line = process.stdout.readline() if ready else b""
        if not line.strip().isdigit():
            raise EnvironmentFailure(
                "the load client's own test server did not start",
                why=f"it said {line!r} within {START_TIMEOUT_S:g} s",
                hint="the reason is in its standard error above, if there is any",
            )
        yield int(line)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
