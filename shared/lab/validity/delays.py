"""Part a: the load client on a scripted server whose delays are known, and which tells what it really did."""

import http.client
import random
import sys
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic
from urllib.parse import urlencode

import numpy as np

from shared.errors import EnvironmentFailure
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.load.schedule import due_offsets_ns
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import probe
from shared.lab.validity import known
from shared.lab.validity import served
from shared.lab.validity.result import DelaysPart
from shared.lab.validity.result import Known
from shared.lab.validity.result import StallSeen
from shared.lab.validity.served import Away
from shared.lab.validity.served import Round
from shared.lab.validity.served import Served
from shared.lab.validity.witness import Witness

CLOSED = Load(8)
OPEN = Load(32, 1_000.0, "poisson")
# Fewer connections than requests fall due in the stall: most of them wait for one, and a client that counts from the
# moment of sending instead of the moment due shows only what was in flight.
OPEN_STALL = Load(32, 200.0, "constant")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
STALL_QUANTILES = {**QUANTILES, "max": 1.0}

CONSTANT_S = 0.005
UNIFORM_S = (0.005, 0.015)
STALL_S = 1.0
# Seconds of load before the stall, and after its end: so many requests that p99 of the closed model lies outside it.
BEFORE_STALL_S = 0.3
AFTER_STALL_S = 0.7
RAMP_S = 0.05
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """What the server does under which load.

    Attributes:
        what: In words.
        load: The load.
        target: What is requested, without a number.
        window_s: Length of the window, in seconds.
        planned_s: Every figure as it should be, in seconds.
        stalls: Whether the server stalls once.
    """

    what: str
    load: Load
    target: str
    window_s: float
    planned_s: Mapping[str, float]
    stalls: bool = False

    @property
    def requests(self) -> int:
        """More than are sent in a slice, so that each can bear a number of its own."""
        span_s = RAMP_S + self.window_s
        if self.load.rate is None:
            return self.load.connections * (2 + int(span_s / CONSTANT_S))
        return int(2 * self.load.rate * span_s) + 100

    @property
    def quantiles(self) -> Mapping[str, float]:
        """The figures that are compared."""
        return STALL_QUANTILES if self.stalls else QUANTILES

    @property
    def tolerance_s(self) -> float:
        """By how much a figure may differ from the server's record, in seconds."""
        return known.STALL_TOLERANCE * STALL_S if self.stalls else known.TOLERANCE_S


def schedules(window_s: float) -> tuple[Schedule, ...]:
    """Return what is shown to the client, with windows of that length where there is no stall."""
    constant = f"/constant?ms={CONSTANT_S * 1e3:g}"
    uniform = f"/uniform?low={UNIFORM_S[0] * 1e3:g}&high={UNIFORM_S[1] * 1e3:g}"
    drawn = {name: known.uniform_quantile_s(*UNIFORM_S, q) for name, q in QUANTILES.items()}
    fixed = dict.fromkeys(QUANTILES, CONSTANT_S)
    stalled_s = BEFORE_STALL_S + STALL_S + AFTER_STALL_S
    what = "constant 5 ms, one stall of 1 s"
    # What was sent within one delay before the stall waits for its end: between the stall and one delay more.
    closed = {**fixed, "max": STALL_S + CONSTANT_S / 2}
    return (
        Schedule("constant 5 ms", CLOSED, constant, window_s, fixed),
        Schedule("evenly 5 to 15 ms", CLOSED, uniform, window_s, drawn),
        Schedule("constant 5 ms", OPEN, constant, window_s, fixed),
        Schedule("evenly 5 to 15 ms", OPEN, uniform, window_s, drawn),
        Schedule(what, CLOSED, constant, stalled_s, closed, stalls=True),
        Schedule(what, OPEN_STALL, constant, stalled_s, _open_stall_s(stalled_s), stalls=True),
    )


def _open_stall_s(seconds: float) -> dict[str, float]:
    rate = OPEN_STALL.rate
    assert rate is not None
    times_s = known.open_times_s(
        np.arange(int(seconds * rate)) / rate,
        connections=OPEN_STALL.connections,
        delay_s=CONSTANT_S,
        stall=(BEFORE_STALL_S, BEFORE_STALL_S + STALL_S),
    )
    return served.independent(times_s, STALL_QUANTILES)


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """One slice before it is judged: both records, and every moment at which a request was due in the open model."""

    piece: ClientSlice
    record: Served
    due_ns: "np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None"


def take(service: Service, client: LoadClient, schedule: Schedule, *, seed: str) -> _Taken:
    """Load the server for one slice, and take its record.

    Args:
        service: The scripted server.
        client: The load client.
        schedule: What the server does.
        seed: Of the arrivals, and of the order of numbers.

    Raises:
        EnvironmentFailure: If an answer is missing.
    """
    load = schedule.load
    address = f"{HOST}:{service.port}"
    client.prepare(HOST, service.port, connections=load.connections, fresh=True)
    requests = [
        Scenario("", f"{schedule.target}&n={number}").request_bytes(address) for number in range(schedule.requests)
    ]
    if schedule.stalls:
        # Just before the load: on a busy machine connecting takes a while.
        _arm(service)
    pattern = Pattern(weights=(1,) * len(requests), rate=load.rate, is_constant=load.arrivals == "constant", seed=seed)
    piece = client.run(
        HOST,
        service.port,
        requests,
        ramp_s=RAMP_S,
        window_s=schedule.window_s,
        timeout_s=TIMEOUT_S,
        pattern=pattern,
    )
    record = _record(service)
    if len(piece.errors) or not served.due_in_window(piece).any():
        raise EnvironmentFailure(
            "the scripted server was not measured",
            why=f"{len(piece.samples)} responses to {schedule.target}, {len(piece.errors)} requests without one",
            hint=f"see {service.log_path}",
        )
    if load.rate is None:
        return _Taken(piece, record, None)
    # Drawn again as the only client process draws them.
    offsets_ns = due_offsets_ns(
        load.rate, RAMP_S + schedule.window_s, is_constant=pattern.is_constant, seed=f"{seed}/0"
    )
    return _Taken(piece, record, piece.start_ns + np.array(offsets_ns, dtype=np.int64))


def _arm(service: Service) -> None:
    status = probe(service.port, "/stall?" + urlencode({"after": RAMP_S + BEFORE_STALL_S, "for": STALL_S}))
    if status != "200":
        raise EnvironmentFailure("the scripted server does not stall", why=f"GET /stall: {status}")


def _record(service: Service) -> Served:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/record")
        return Served.parse(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EnvironmentFailure("the scripted server does not tell what it did", why=str(error)) from error
    finally:
        connection.close()


def judged(schedule: Schedule, taken: _Taken, *, server: Away, client: Away) -> Round:
    """Hold both records of a slice against each other."""
    return served.compare(
        taken.piece,
        taken.record,
        server=server,
        client=client,
        quantiles=schedule.quantiles,
        due_ns=taken.due_ns,
        counts_waiting=schedule.stalls and taken.due_ns is not None,
        late_s=STALL_S / 2,
    )


def run(
    *,
    seed: int,
    rounds: int,
    window_s: float,
    stall_rounds: int,
    progress: Callable[[str], None],
    shown: Sequence[Schedule] | None = None,
) -> DelaysPart:
    """Measure known delays and a stall, in rounds whose slices are in random order.

    Args:
        seed: Of the drawn delays, of arrivals and of the order.
        rounds: Rounds of slices without a stall.
        window_s: Length of these slices, in seconds.
        stall_rounds: Rounds of slices with one.
        progress: Called with one line at each step.
        shown: What is shown to the client; all of it if None.

    Raises:
        EnvironmentFailure: If the server, a witness or the load client ends, or an answer is missing.
    """
    began = monotonic()
    cores = choose_cores()
    argv = (sys.executable, "-m", "shared.lab.validity.scripted", "{port}", str(seed))
    shown = schedules(window_s) if shown is None else shown
    generator = random.Random(f"{seed}/order")
    slices: dict[Schedule, list[_Taken]] = {each: [] for each in shown}
    with (
        Service(ServiceSpec("scripted", argv, {}), cores=cores.server) as service,
        LoadClient(cores=cores.client) as client,
        Witness(cores.server) as server_witness,
        Witness(cores.client) as client_witness,
    ):
        for number in range(max(rounds, stall_rounds)):
            progress(f"a: round {number + 1} of {max(rounds, stall_rounds)}")
            now = [each for each in shown if number < (stall_rounds if each.stalls else rounds)]
            for schedule in generator.sample(now, len(now)):
                taken = take(service, client, schedule, seed=f"{seed}/{number}/{schedule.target}")
                slices[schedule].append(taken)
        server, client_away = server_witness.away(), client_witness.away()
    found = {
        schedule: [judged(schedule, each, server=server, client=client_away) for each in taken]
        for schedule, taken in slices.items()
    }
    return part_of(found, server_away=server.share, client_away=client_away.share, seconds=monotonic() - began)


def part_of(
    found: Mapping[Schedule, Sequence[Round]], *, server_away: float, client_away: float, seconds: float
) -> DelaysPart:
    """Return the figures of all rounds, and what they come to."""
    figures = tuple(_known(schedule, rounds, name) for schedule, rounds in found.items() for name in schedule.quantiles)
    stalls = tuple(_stall(schedule, rounds) for schedule, rounds in found.items() if schedule.stalls)
    rounds = [each for many in found.values() for each in many]
    return DelaysPart(
        verdict=known.judge(
            figures, stalls, faults=sum(each.faults for each in rounds), away=max(server_away, client_away)
        ),
        server_away=server_away,
        client_away=client_away,
        answers=sum(each.samples for each in rounds),
        missing=sum(each.missing for each in rounds),
        impossible=sum(each.impossible for each in rounds),
        misranked=sum(each.misranked for each in rounds),
        known=figures,
        stalls=stalls,
        seconds=seconds,
    )


def _known(schedule: Schedule, rounds: Sequence[Round], name: str) -> Known:
    return Known(
        schedule.what,
        schedule.load,
        name,
        planned_s=schedule.planned_s[name],
        served_s=median(each.served_s[name] for each in rounds),
        measured_s=median(each.measured_s[name] for each in rounds),
        error=known.median_of_rounds([each.measured_s[name] - each.served_s[name] for each in rounds]),
        tolerance_s=schedule.tolerance_s,
    )


def _stall(schedule: Schedule, rounds: Sequence[Round]) -> StallSeen:
    return StallSeen(
        schedule.load,
        STALL_S,
        rounds=len(rounds),
        samples=sum(each.samples for each in rounds),
        late=sum(each.late for each in rounds),
        expected_late=sum(each.served_late for each in rounds),
        p99_s=median(each.measured_s["p99"] for each in rounds),
    )
