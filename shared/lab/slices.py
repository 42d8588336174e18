"""One slice: a running subject under a workload, loaded until it is warm or measured once, as a record."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

from shared.errors import EnvironmentFailure
from shared.errors import NotComparable
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.observation import machine
from shared.lab.observation.observer import Observer
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Timing
from shared.lab.planning.plan import Workload
from shared.lab.planning.steadiness import is_steady
from shared.lab.planning.steadiness import warm_up_load
from shared.lab.results.record import Slice
from shared.lab.services import usage
from shared.lab.services.process import HOST
from shared.lab.services.process import Service


@dataclass(frozen=True, slots=True)
class RunningSubject:
    """A subject that answers: where, and which processes its CPU time is read from.

    Attributes:
        subject: Its name.
        port: Port on the numeric host.
        host: Numeric address.
        pids: Returns the server's processes; None if they are not ours to look at.
        host_field: Value of the Host field; "" for host and port.
    """

    subject: Subject
    port: int
    host: str = HOST
    pids: Callable[[], list[int]] | None = None
    host_field: str = ""

    @classmethod
    def of_service(cls, service: Service) -> "RunningSubject":
        """Return the subject that a started service is."""
        return cls(Subject(service.spec.name), service.port, pids=service.pids)

    def read_cpu(self) -> dict[int, float] | None:
        """Return the CPU seconds of each of its processes, or None."""
        return None if self.pids is None else usage.cpu_by_process(self.pids())


@dataclass(slots=True)
class Slicer:
    """What loads subjects and keeps what came of it.

    Attributes:
        client: The load client, started.
        timing: Windows, ramps and warm-up.
        seed: Fixes what is sent when.
        observer: What looks at services and database.
        server_cores: Processors of the services, whose clock is read after each slice.
        clocks_hz: What was read since it was last emptied.
    """

    client: LoadClient
    timing: Timing
    seed: int
    observer: Observer
    server_cores: tuple[int, ...]
    clocks_hz: list[float] = field(default_factory=list)

    def warm_up(self, running: RunningSubject, workload: Workload) -> tuple[bool, list[float]]:
        """Load until the rates of three slices in a row are steady, at most as often as the timing says.

        Always closed: in the open model the rate is the schedule's and tells nothing about the server.

        Returns:
            Whether that was reached, and the rate of each slice per second.

        Raises:
            EnvironmentFailure: If the service ended.
            NotComparable: If nothing it answered was a success; its speed at failing is of no interest.
        """
        workload = replace(workload, load=warm_up_load(workload.load))
        self._prepare(running, workload, fresh=True)
        rates: list[float] = []
        while len(rates) < self.timing.warm_up_slices and not is_steady(rates):
            seed = f"warm-up {len(rates) + 1}"
            piece = self._load(running, workload, seed, ramp_s=0.0, window_s=self.timing.warm_up_slice_s)
            _check_useful(running, workload.scenario, piece)
            rates.append(len(piece.samples) / piece.elapsed_s)
        return is_steady(rates), rates

    def measure(self, running: RunningSubject, workload: Workload, round_index: int, position: int) -> Slice:
        """Run one slice and return its record."""
        watch = self.observer.open(running.host, running.port)
        # Connections are opened before the reading, so that accepting them is no part of the cost of a request.
        self._prepare(running, workload, fresh=False)
        self.observer.begin(watch, running.pids and running.pids())
        before = running.read_cpu()
        ramp_s = self.timing.ramp_of(workload.load)
        # The same for every subject of a round: they are sent the same requests at the same moments.
        piece = self._load(running, workload, f"round {round_index}", ramp_s=ramp_s, window_s=self.timing.window_s)
        after = running.read_cpu()
        clock_hz = machine.clocks_hz(self.server_cores)
        if after is not None and not after:
            raise _ended(running, workload.scenario, piece)
        server = self.observer.end(watch, running.pids and running.pids())
        self.clocks_hz += [] if clock_hz is None else [clock_hz]
        return Slice(
            scenario=workload.scenario.name,
            load=workload.load,
            subject=running.subject.name,
            round=round_index,
            position=position,
            start_ns=piece.start_ns,
            window_start_ns=piece.window_start_ns,
            window_end_ns=piece.window_end_ns,
            samples=piece.samples,
            errors=piece.errors,
            reconnects=piece.reconnects,
            client_cpu_s=piece.client_cpu_s,
            elapsed_s=piece.elapsed_s,
            server_cpu_s=None if before is None or after is None else usage.cpu_between(before, after),
            server_peak_bytes=None if after is None else usage.peak_bytes(after),
            server=server,
        )

    def _prepare(self, running: RunningSubject, workload: Workload, *, fresh: bool) -> None:
        behaviour = workload.scenario.behaviour
        self.client.prepare(
            running.host,
            running.port,
            connections=workload.load.connections,
            fresh=fresh,
            opens=workload.load.model == "closed",
            slow_share=behaviour.slow_share,
            slow_bytes_per_s=behaviour.slow_bytes_per_s,
        )

    def _load(
        self, running: RunningSubject, workload: Workload, slice_name: str, *, ramp_s: float, window_s: float
    ) -> ClientSlice:
        scenario, load = workload.scenario, workload.load
        return self.client.run(
            running.host,
            running.port,
            scenario.requests(running.host_field or f"{running.host}:{running.port}"),
            ramp_s=ramp_s,
            window_s=window_s,
            timeout_s=self.timing.response_timeout_s,
            pattern=Pattern(
                weights=scenario.weights,
                rate=load.rate,
                is_constant=load.arrivals == "constant",
                abort_share=scenario.behaviour.abort_share,
                seed=f"{self.seed}/{scenario.name}/{load}/{slice_name}",
            ),
            # As long again as requests fell due: a server that has not caught up by then does not keep up.
            grace_s=window_s,
        )


def _check_useful(running: RunningSubject, scenario: Scenario, piece: ClientSlice) -> None:
    statuses = piece.samples.status
    if ((statuses >= 200) & (statuses < 300)).any():
        return
    if running.pids is not None and not running.pids():
        raise _ended(running, scenario, piece)
    seen = sorted(set(statuses.tolist()))
    raise NotComparable(
        f"{running.subject.name} never answered {scenario.target} with success",
        why=f"{len(statuses)} responses with status {seen}, {len(piece.errors)} requests without one",
        hint=f"try it by hand: curl -i 'http://{running.host}:{running.port}{scenario.target}'",
    )


def _ended(running: RunningSubject, scenario: Scenario, piece: ClientSlice) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"{running.subject.name} ended during {scenario.name}",
        why=f"none of its processes is left; {len(piece.errors)} requests got no response",
        hint="read its log",
    )
