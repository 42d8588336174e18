"""Part a: the load client on a scripted server whose delays are known."""

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from time import monotonic
from time import perf_counter
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from shared.errors import EnvironmentFailure
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import probe
from shared.lab.statistics import percentile
from shared.lab.validity import known
from shared.lab.validity.result import DelaysPart
from shared.lab.validity.result import Known
from shared.lab.validity.result import StallSeen

CLOSED = Load(8)
# More connections than requests fall due in the stall: nothing waits for one, so what is measured is the stall alone.
OPEN = Load(256, 200.0, "poisson")
OPEN_STALL = Load(256, 200.0, "constant")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

STALLED = "constant 5 ms, one stall of 1 s"
CONSTANT_S = 0.005
UNIFORM_S = (0.005, 0.015)
STALL_S = 1.0
# At its end 200 answers are due at one moment, which are given one after the other.
TOGETHER_S = 0.02
# Seconds of load before the stall, and after its end: so many requests that p99 of the closed model lies outside it.
BEFORE_STALL_S = 0.5
AFTER_STALL_S = 1.0
RAMP_S = 0.1
TIMEOUT_S = 5.0

LATENESS_REQUESTS = 100


@dataclass(slots=True)
class _Run:
    """Part a under way."""

    service: Service
    client: LoadClient
    seed: int

    def load(
        self, target: str, load: Load, window_s: float, *, before: Callable[[], None] | None = None
    ) -> ClientSlice:
        """Load a target for one slice, and do something just before: on a busy machine connecting takes a while."""
        self.client.prepare(HOST, self.service.port, connections=load.connections, fresh=True)
        if before is not None:
            before()
        request = Scenario(target, target).request_bytes(f"{HOST}:{self.service.port}")
        piece = self.client.run(
            HOST,
            self.service.port,
            request,
            ramp_s=RAMP_S,
            window_s=window_s,
            timeout_s=TIMEOUT_S,
            pattern=Pattern(rate=load.rate, is_constant=load.arrivals == "constant", seed=f"{self.seed}/{target}"),
        )
        if len(piece.errors) or not len(piece.samples):
            raise EnvironmentFailure(
                "the scripted server was not measured",
                why=f"{len(piece.samples)} responses to {target}, {len(piece.errors)} requests without one",
                hint=f"see {self.service.log_path}",
            )
        return piece

    def quantiles(self, what: str, load: Load, piece: ClientSlice, expected_s: dict[str, float]) -> list[Known]:
        """Return measured percentiles beside the known ones; the machine's tolerance is not in them yet."""
        times_s = due_in_window_s(piece)
        return [
            Known(what, load, name, expected, percentile(times_s, QUANTILES[name]), 0.0)
            for name, expected in expected_s.items()
        ]

    def stall(self, load: Load) -> ClientSlice:
        """Load the constant delay while the server stalls once."""
        target = f"/constant?ms={CONSTANT_S * 1e3:g}"
        return self.load(target, load, BEFORE_STALL_S + STALL_S + AFTER_STALL_S, before=self._arm)

    def _arm(self) -> None:
        after_s = RAMP_S + BEFORE_STALL_S
        status = probe(self.service.port, "/stall?" + urlencode({"after": after_s, "for": STALL_S}))
        if status != "200":
            raise EnvironmentFailure("the scripted server does not stall", why=f"GET /stall: {status}")


def run(*, seed: int, window_s: float, progress: Callable[[str], None]) -> DelaysPart:
    """Measure known delays and a stall.

    Args:
        seed: Of the drawn delays and arrivals.
        window_s: Length of the slices without a stall, in seconds.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If the server or the load client ends, or an answer is missing.
    """
    began = monotonic()
    cores = choose_cores()
    argv = (sys.executable, "-m", "shared.lab.validity.scripted", "{port}", str(seed))
    found: list[Known] = []
    stalls: list[StallSeen] = []
    with (
        Service(ServiceSpec("scripted", argv, {}), cores=cores.server) as service,
        LoadClient(cores=cores.client) as client,
    ):
        progress("a: how late this machine answers")
        late_s = _lateness_s(service.port)
        state = _Run(service, client, seed)
        for load in (CLOSED, OPEN):
            progress(f"a: {load.model} model, constant and drawn delays")
            piece = state.load(f"/constant?ms={CONSTANT_S * 1e3:g}", load, window_s)
            found += state.quantiles("constant 5 ms", load, piece, dict.fromkeys(QUANTILES, CONSTANT_S))
            low_s, high_s = UNIFORM_S
            piece = state.load(f"/uniform?low={low_s * 1e3:g}&high={high_s * 1e3:g}", load, window_s)
            drawn = {name: known.uniform_quantile_s(low_s, high_s, q) for name, q in QUANTILES.items()}
            found += state.quantiles("evenly 5 to 15 ms", load, piece, drawn)
            progress(f"a: {load.model} model, a stall of {STALL_S:g} s")
            stalled, seen = _closed_stall(state) if load is CLOSED else _open_stall(state)
            found += stalled
            stalls.append(seen)
        # Before and after: what disturbed the slices in between is in one of the two, mostly.
        late_s += _lateness_s(service.port)
    tolerance_s = known.tolerance_s(percentile(late_s, 0.99))
    figures = tuple(replace(each, tolerance_s=each.tolerance_s + tolerance_s) for each in found)
    return DelaysPart(
        verdict=known.judge(figures, stalls, tolerance=tolerance_s),
        lateness_p50_s=percentile(late_s, 0.5),
        lateness_p99_s=percentile(late_s, 0.99),
        tolerance_s=tolerance_s,
        known=figures,
        stalls=tuple(stalls),
        seconds=monotonic() - began,
    )


def _open_stall(state: _Run) -> tuple[list[Known], StallSeen]:
    """Return what the open model says: all that fell due in the stall is late, which p99 shows."""
    load = OPEN_STALL
    assert load.rate is not None
    times_s = due_in_window_s(state.stall(load))
    seconds = BEFORE_STALL_S + STALL_S + AFTER_STALL_S
    expected_s = known.open_times_s(
        np.arange(int(seconds * load.rate)) / load.rate,
        connections=load.connections,
        delay_s=CONSTANT_S,
        stall=(BEFORE_STALL_S, BEFORE_STALL_S + STALL_S),
    )
    play_s = 1 / load.rate + TOGETHER_S
    figures = [Known(STALLED, load, "p50", CONSTANT_S, percentile(times_s, 0.5), 0.0)]
    figures += [
        Known(STALLED, load, name, percentile(expected_s, q), percentile(times_s, q), play_s)
        for name, q in {"p90": 0.9, "p99": 0.99, "max": 1.0}.items()
    ]
    late = known.expected_late(times_s, STALL_S)
    expected = known.expected_late(expected_s, STALL_S)
    return figures, StallSeen(load, STALL_S, len(times_s), late, expected, percentile(times_s, 0.99))


def _closed_stall(state: _Run) -> tuple[list[Known], StallSeen]:
    """Return what the closed model says: one late answer on each connection, and nothing of it in p99."""
    load = CLOSED
    times_s = due_in_window_s(state.stall(load))
    figures = [Known(STALLED, load, name, CONSTANT_S, percentile(times_s, QUANTILES[name]), 0.0) for name in QUANTILES]
    # What was sent within one delay before the stall waits for its end: between the stall and one delay more.
    longest = Known(STALLED, load, "max", STALL_S + CONSTANT_S / 2, float(times_s.max()), CONSTANT_S / 2)
    late = known.expected_late(times_s, STALL_S)
    seen = StallSeen(load, STALL_S, len(times_s), late, load.connections, percentile(times_s, 0.99))
    return [*figures, longest], seen


def due_in_window_s(piece: ClientSlice) -> npt.NDArray[np.float64]:
    """Return the response times of requests that were due in the window, in seconds."""
    samples = piece.samples
    due = (samples.intended_ns >= piece.window_start_ns) & (samples.intended_ns < piece.window_end_ns)
    return (samples.done_ns[due] - samples.intended_ns[due]) / 1e9


def _lateness_s(port: int) -> list[float]:
    """Return how much later than its delay each of some answers came, one at a time, in seconds.

    By a blocking socket in this process, which has nothing in common with the load client.
    """
    request = f"GET /constant?ms={CONSTANT_S * 1e3:g} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    late_s = []
    with socket.create_connection((HOST, port), TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(LATENESS_REQUESTS):
            began = perf_counter()
            connection.sendall(request)
            read = b""
            while not read.endswith(b"ok"):
                part = connection.recv(1024)
                if not part:
                    raise EnvironmentFailure("the scripted server closed a connection")
                read += part
            late_s.append(perf_counter() - began - CONSTANT_S)
    return late_s
