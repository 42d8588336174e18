"""What tracing costs: CPU per request with and without it, against the same edition whose hooks were taken out.

Per edition four services are compared: the one without hooks as the baseline, the same again, which says how small a
difference this machine can show today, and the edition with tracing off and on. No request asks for a trace; what one
that asks costs is told by the traces themselves, stage by stage.
"""

import sys
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from statistics import median
from time import monotonic
from time import sleep

from shared.errors import EnvironmentFailure
from shared.lab import compare
from shared.lab.compare import Progress
from shared.lab.compare import RunningSubject
from shared.lab.load import LoadClient
from shared.lab.parity.transport import Address
from shared.lab.plan import Scenario
from shared.lab.plan import Timing
from shared.lab.process import HOST
from shared.lab.process import Edition
from shared.lab.process import Service
from shared.lab.process import ServiceSpec
from shared.lab.process import choose_cores
from shared.lab.process import edition_spec
from shared.lab.process import probe
from shared.lab.process import running
from shared.lab.result import Comparison
from shared.lab.result import Manifest
from shared.lab.result_file import result_path
from shared.lab.tracing.exchange import Connection
from shared.lab.tracing.result import RecorderCost
from shared.lab.tracing.result import TraceBench
from shared.lab.tracing.services import get
from shared.trace.document import TraceDocument

SCENARIOS = (Scenario("plaintext", "/plaintext"), Scenario("db", "/db"))
# Many short slices: a difference of one per cent is smaller than what this machine's speed changes by in a second.
TIMING = Timing(rounds=60, ramp_s=0.02, window_s=0.12, concurrency=16)
# Traced requests of which the recorder's own cost is told.
TRACED = 30
FIRST_ANSWER_S = 60.0

WITHOUT = "no hooks"
OFF = "TRACE=0"
ON = "TRACE=1"
# The stored trace is there within moments of its answer.
STORED_WITHIN_S = 5.0


def specs(edition: Edition, environ: Mapping[str, str]) -> tuple[ServiceSpec, ...]:
    """Return how to start an edition without hooks, twice, with tracing off, and with tracing on."""
    own = {**environ, "HOST": HOST, f"{edition.upper()}_PORT": "{port}"}
    argv = (sys.executable, "-m", "shared.lab.controls.unhooked", edition)
    served = edition_spec(edition, environ)
    return (
        ServiceSpec(WITHOUT, argv, own),
        ServiceSpec(f"{WITHOUT}, again", argv, own),
        ServiceSpec(OFF, served.argv, {**served.environ, "TRACE": "0"}),
        ServiceSpec(ON, served.argv, {**served.environ, "TRACE": "1"}),
    )


def run(
    *,
    environ: Mapping[str, str],
    make_manifest: Callable[[], Manifest],
    editions: Sequence[Edition] = ("wsgi", "asgi"),
    scenarios: Sequence[Scenario] = SCENARIOS,
    timing: Timing = TIMING,
    directory: Path | None = None,
    progress: Progress = lambda _: None,
) -> TraceBench:
    """Compare each edition with itself without hooks, one edition after the other.

    Args:
        environ: Environment variables for every service; DATABASE_URL among them.
        make_manifest: Called before each edition's services start.
        editions: Which editions.
        scenarios: What is sent.
        timing: Rounds, windows, connections.
        directory: Where results are written; nowhere if None.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    cores = choose_cores()
    comparisons: list[Comparison] = []
    costs: list[RecorderCost] = []
    for edition in editions:
        manifest = make_manifest()
        progress(f"starting {edition}: without hooks twice, tracing off, tracing on")
        started = specs(edition, environ)
        with running(started, cores=cores.server) as services, LoadClient(cores=cores.client) as client:
            for service in services:
                _have_data(service)
            comparisons.append(
                compare.run(
                    [RunningSubject.of_service(service) for service in services],
                    scenarios,
                    client=client,
                    manifest=manifest,
                    baseline=WITHOUT,
                    kind="bench-trace",
                    timing=timing,
                    path=directory and result_path(directory, f"bench-trace-{edition}", manifest.time_utc),
                    progress=progress,
                )
            )
            costs += [_recorder_cost(edition, services[-1], scenario.target) for scenario in scenarios]
    return TraceBench(tuple(comparisons), tuple(costs))


def _have_data(service: Service) -> None:
    """Ask for a row once: the first service creates the tables, and every pool connects."""
    answer = probe(service.port, "/db", timeout_s=FIRST_ANSWER_S)
    if answer != "200":
        raise EnvironmentFailure(
            f"{service.spec.name} gave no row of its database", why=f"GET /db: {answer}", hint=f"see {service.log_path}"
        )


def _recorder_cost(edition: Edition, service: Service, target: str) -> RecorderCost:
    address = Address.of(service.url)
    request = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nX-Trace: 1\r\n\r\n".encode()
    with Connection(address) as connection:
        ids = [connection.exchange(request).headers["x-trace-id"] for _ in range(TRACED)]
    documents = [_stored(address, trace_id) for trace_id in ids]
    return RecorderCost(
        edition=edition,
        target=target,
        requests=len(documents),
        stages=round(median(len(document["stages"]) for document in documents)),
        per_stage_ns=round(median(stage["recorder_ns"] for document in documents for stage in document["stages"])),
        per_request_ns=round(median(document["recorder_ns"] for document in documents)),
        share=median(document["recorder_ns"] / document["duration_ns"] for document in documents),
    )


def _stored(address: Address, trace_id: str) -> TraceDocument:
    deadline = monotonic() + STORED_WITHIN_S
    while True:
        status, document = get(address, f"/traces/{trace_id}", None)
        if status == HTTPStatus.OK:
            found: TraceDocument = document
            return found
        if monotonic() > deadline:
            raise EnvironmentFailure(f"The trace {trace_id} was not stored", why=f"GET /traces: {status}")
        sleep(0.02)
