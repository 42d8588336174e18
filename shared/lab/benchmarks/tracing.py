"""What tracing costs: CPU per request with and without it, against the same edition whose hooks were taken out.

Per edition four services are compared: the one without hooks, the same again, which says how small a difference can be
shown today, and the edition with tracing off and on, over the geometric mean of the first two. No request asks for a
trace; what one that asks costs is told by the traces themselves, stage by stage.
"""

import math
import random
import sys
from collections.abc import Mapping
from collections.abc import Sequence
from http import HTTPStatus
from statistics import median
from time import monotonic
from time import sleep

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.benchmarks import volleys
from shared.lab.compare import Progress
from shared.lab.controls.unhooked import WITH_HOOKS
from shared.lab.parity.transport import Address
from shared.lab.results.record import Manifest
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import probe
from shared.lab.services.process import running
from shared.lab.statistics import paired_ratio
from shared.lab.tracing.exchange import Connection
from shared.lab.tracing.result import HookCost
from shared.lab.tracing.result import RecorderCost
from shared.lab.tracing.result import TraceBench
from shared.lab.tracing.services import get
from shared.trace.document import TraceDocument

TARGETS = ("/plaintext", "/db")
STARTS = 6
SECONDS = 4.0
VOLLEY = 16
# Traced requests of which the recorder's own cost is told.
TRACED = 30
FIRST_ANSWER_S = 60.0

SERVICES = ("no hooks", "no hooks, again", "TRACE=0", "TRACE=1")
AGAIN = 1
# The stored trace is there within moments of its answer.
STORED_WITHIN_S = 5.0


def specs(edition: Edition, environ: Mapping[str, str]) -> tuple[ServiceSpec, ...]:
    """Return how to start an edition without hooks, twice, with tracing off, and with tracing on.

    All of them load their modules in the one way, so that nothing differs but the hooks.
    """
    off = {**environ, "HOST": HOST, f"{edition.upper()}_PORT": "{port}", "TRACE": "0"}
    without = (sys.executable, "-m", "shared.lab.controls.unhooked", edition)
    return (
        ServiceSpec(SERVICES[0], without, off),
        ServiceSpec(SERVICES[1], without, off),
        ServiceSpec(SERVICES[2], (*without, WITH_HOOKS), off),
        ServiceSpec(SERVICES[3], (*without, WITH_HOOKS), {**off, "TRACE": "1"}),
    )


def run(
    *,
    environ: Mapping[str, str],
    manifest: Manifest,
    starts: int = STARTS,
    seconds: float = SECONDS,
    editions: Sequence[Edition] = ("wsgi", "asgi"),
    targets: Sequence[str] = TARGETS,
    progress: Progress = lambda _: None,
) -> TraceBench:
    """Compare each edition with itself without hooks, in services that are started anew again and again.

    Args:
        environ: Environment variables for every service; DATABASE_URL among them.
        manifest: Where this is made; its seed fixes order and resampling.
        starts: How often each service is started; the unit of the intervals.
        seconds: Of volleys for each start and target.
        editions: Which editions.
        targets: What is requested.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service does not start, or ends.
    """
    measured: dict[tuple[Edition, str], list[list[tuple[float, float]]]] = {}
    costs: list[RecorderCost] = []
    for start in range(starts):
        for edition in editions:
            progress(f"{edition}: start {start + 1} of {starts}")
            # The place in the order of starting moves the figures by some tenths of a per cent.
            order = random.Random(f"{manifest.seed}/{start}/{edition}").sample(range(len(SERVICES)), len(SERVICES))
            # Equal in all services: where it puts the entries of dictionaries moves the figures by one per cent.
            hash_seed = str(random.Random(f"{manifest.seed}/{start}/{edition}/hash").randrange(2**32))
            planned = specs(edition, {**environ, "PYTHONHASHSEED": hash_seed})
            with running([planned[place] for place in order], cores=choose_cores().server) as started:
                services = [started[order.index(place)] for place in range(len(SERVICES))]
                for service in started:
                    _have_data(service)
                for target in targets:
                    found = volleys.measure(
                        services,
                        target,
                        size=VOLLEY,
                        seconds=seconds,
                        seed=f"{manifest.seed}/{start}/{edition}/{target}",
                        cores=choose_cores().client,
                    )
                    measured.setdefault((edition, target), []).append(found)
                if start == starts - 1:
                    costs += [_recorder_cost(edition, services[-1], target) for target in targets]
    hooks = [
        _hook_cost(edition, target, place, found, manifest.seed)
        for (edition, target), found in measured.items()
        for place in range(len(SERVICES))
    ]
    return TraceBench(manifest, starts, seconds, VOLLEY, tuple(hooks), tuple(costs))


def _hook_cost(
    edition: Edition,
    target: str,
    place: int,
    found: Sequence[Sequence[tuple[float, float]]],
    seed: int,
) -> HookCost:
    # Both services without hooks are one baseline, of which half the luck of a start is left; but not to themselves.
    ratios = [start[place][1] / (math.sqrt(start[AGAIN][1]) if place > AGAIN else 1.0) for start in found]
    return HookCost(
        edition=edition,
        target=target,
        service=SERVICES[place],
        cpu_s=median(start[place][0] for start in found),
        ratios=tuple(ratios),
        ratio=paired_ratio(ratios, [1.0] * len(ratios), seed=seed) if place else None,
    )


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
