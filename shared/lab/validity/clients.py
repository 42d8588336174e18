"""Our load client and wrk on one service: a slice of each, counted in the same way."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.errors import EnvironmentFailure
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import LOADS
from shared.lab.planning.plan import Scenario
from shared.lab.services import usage
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.validity import wrk

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class BothClients:
    """Our load client and wrk, which load one service in turn, a slice each.

    Attributes:
        service: Which.
        scenario: What both send.
        client: Ours.
        program: wrk's path.
        seconds: Length of a slice, in seconds.
        cores: Processors for wrk; empty for all.
    """

    service: Service
    scenario: Scenario
    client: LoadClient
    program: str
    seconds: int
    cores: frozenset[int]

    def with_cpu(self, run: Callable[[], wrk.Figures]) -> tuple[wrk.Figures, float]:
        """Run one slice, and return what the service used for each of its answers, too, in CPU seconds."""
        pids = self.service.pids()
        before = usage.cpu_by_process(pids)
        found = run()
        return found, usage.cpu_between(before, usage.cpu_by_process(pids)) / found.answers

    def wrks(self, pause_s: float = 0.0) -> wrk.Figures:
        """Run one slice of wrk, which computes for so many seconds at each answer."""
        return wrk.run(
            self.program,
            f"{self.service.url}{self.scenario.target}",
            connections=LOADS[0].connections,
            seconds=self.seconds,
            cores=self.cores,
            pause_s=pause_s,
        )

    def ours(self) -> wrk.Figures:
        """Run one slice of our client as wrk runs its own: without a ramp, its connections opened as it begins.

        Opened before, they would spare the first requests the server's accepting, of which wrk's p99 is made where
        a slice has few requests.
        """
        connections = LOADS[0].connections
        port = self.service.port
        self.client.prepare(HOST, port, connections=connections, fresh=True, opens=False)
        request = self.scenario.request_bytes(f"{HOST}:{port}")
        piece = self.client.run(HOST, port, request, ramp_s=0.0, window_s=self.seconds, timeout_s=TIMEOUT_S)
        statuses = set(piece.samples.status.tolist())
        if len(piece.errors) or statuses != {200}:
            raise EnvironmentFailure(
                f"{self.service.spec.name} did not answer {self.scenario.target} as it should",
                why=f"{len(piece.errors)} requests without an answer, statuses {sorted(statuses)}",
                hint=f"see {self.service.log_path}",
            )
        samples = piece.samples
        times_us = ((samples.done_ns - samples.sent_ns) // 1_000).astype(np.int64)
        # wrk counts from its start to its end, and drops what is in flight then; ours waits for it.
        done = samples.done_ns <= piece.window_end_ns
        answers = int(done.sum())
        if answers < connections:
            raise EnvironmentFailure(
                f"{self.service.spec.name} is too slow to compare two clients on it",
                why=f"{answers} answers to {self.scenario.target} in {self.seconds} s on {connections} connections",
                hint="stop other programs and run again",
            )
        return wrk.as_wrk_counts(times_us[done], elapsed_s=self.seconds, connections=connections)
