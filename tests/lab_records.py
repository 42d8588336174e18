"""Records of a comparison made by hand, for tests that need one without measuring."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.results import summary
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import Comparison
from shared.lab.results.record import ForeignLoad
from shared.lab.results.record import Manifest
from shared.lab.results.record import RequestErrors
from shared.lab.results.record import Samples
from shared.lab.results.record import Slice
from shared.lab.results.server import DatabaseFigures
from shared.lab.results.server import ProcessFigures
from shared.lab.results.server import ServerFigures
from shared.lab.results.server import ServiceFigures

MANIFEST = Manifest(
    time_utc="2026-11-22T13:45:01+00:00",
    command=("wsgi-vs-asgi", "compare"),
    seed=7,
    python="CPython 3.11.7",
    packages={"uvicorn": "0.54.0"},
    cpu_model="Test CPU",
    cores=2,
    core_roles={"server": "0", "client": "1", "apart": "yes"},
    governor=None,
    memory_bytes=2**33,
    kernel="Linux 6 x86_64",
    load_average=(0.1, 0.2, 0.3),
    git_commit="7ffba4f",
    git_dirty=True,
    settings={"wsgi": {"POOL_SIZE": "10"}},
    database_version="18.6",
)
SECOND_NS = 10**9


def make_slice(
    subject: str,
    *,
    rps: int,
    scenario: str = "db",
    connections: int = 32,
    round_index: int = 0,
    statuses: Sequence[int] = (200,),
    errors: Sequence[int] = (),
    time_s: float = 0.001,
    cpu_s: float | None = 0.5,
    reconnects: int = 0,
    client_cpu_s: float = 0.2,
    server: ServerFigures | None = None,
) -> Slice:
    """Return a slice with a window of one second and `rps` responses in it, evenly spread.

    Args:
        subject: Name of the subject.
        rps: How many responses.
        scenario: Name of the scenario.
        connections: Connections that carried the load.
        round_index: Number of the round.
        statuses: Given to the responses in turn.
        errors: Kind of each error.
        time_s: Response time of every response, in seconds.
        cpu_s: CPU seconds of the server.
        reconnects: Connections opened again.
        client_cpu_s: CPU seconds of the load client.
        server: What the server used besides.
    """
    start_ns = 5 * SECOND_NS
    done_ns = start_ns + (np.arange(1, rps + 1, dtype=np.int64) * SECOND_NS) // max(rps, 1)
    begun_ns = done_ns - int(time_s * SECOND_NS)
    samples = Samples(
        intended_ns=begun_ns,
        sent_ns=begun_ns,
        first_byte_ns=done_ns,
        done_ns=done_ns,
        status=np.resize(np.array(statuses, dtype=np.uint32), rps),
        size_bytes=np.full(rps, 100, dtype=np.uint32),
        connection=np.zeros(rps, dtype=np.uint32),
    )
    failed = RequestErrors(
        kind=np.array(errors, dtype=np.uint32),
        connection=np.zeros(len(errors), dtype=np.uint32),
        intended_ns=np.full(len(errors), start_ns, dtype=np.int64),
        at_ns=np.full(len(errors), start_ns, dtype=np.int64),
    )
    return Slice(
        scenario=scenario,
        load=Load(connections),
        subject=subject,
        round=round_index,
        position=0,
        start_ns=start_ns,
        window_start_ns=start_ns,
        window_end_ns=start_ns + SECOND_NS,
        samples=samples,
        errors=failed,
        reconnects=reconnects,
        client_cpu_s=client_cpu_s,
        elapsed_s=1.0,
        server_cpu_s=cpu_s,
        server_peak_bytes=50_000_000,
        server=server,
    )


def make_server_figures(subject: str, *, answers: int, pool_waits: int = 0) -> ServerFigures:
    """Return what a server used for so many answers: a statement and two rows each, in threads or on a loop.

    Args:
        subject: wsgi tells its busy threads, any other one how late its loop was.
        answers: How many answers it gave.
        pool_waits: Waits for a connection, of 4 ms each.
    """
    is_sync = subject == "wsgi"
    return ServerFigures(
        processes=ProcessFigures(
            user_s=answers * 300e-6,
            system_s=answers * 100e-6,
            voluntary_switches=answers * 3,
            involuntary_switches=answers // 2,
            threads=14 if is_sync else 5,
            open_files=47,
            resident_bytes=100 * 2**20,
        ),
        database=DatabaseFigures(
            sessions_held=10,
            sessions_in_use=7,
            sessions_in_use_mean=4.5,
            samples=5,
            statements=answers,
            rows=2 * answers,
        ),
        service=ServiceFigures(
            pool_waits=pool_waits,
            pool_wait_s=0.004 * pool_waits,
            pool_timeouts=0,
            loop_lag=None if is_sync else {"0.001": 90, "0.01": 100, "+Inf": 100},
            busy_threads=8.5 if is_sync else None,
        ),
    )


def make_comparison(
    slices: Sequence[Slice], *, subjects: Sequence[str] = ("wsgi", "asgi"), steady: bool = True
) -> Comparison:
    """Return the comparison that these slices make, with the first subject as the baseline."""
    names = list(dict.fromkeys(piece.scenario for piece in slices))
    loads = list(dict.fromkeys(piece.load for piece in slices))
    workloads = [(name, load) for name in names for load in loads]
    cells = [
        summary.cell_summary(
            [p for p in slices if (p.scenario, p.load, p.subject) == (name, load, subject)],
            steady=steady,
            warm_up_slices=2,
        )
        for name, load in workloads
        for subject in subjects
    ]
    ratios = [
        ratio
        for key in workloads
        for ratio in summary.ratios([c for c in cells if (c.scenario, c.load) == key], baseline=subjects[0], seed=7)
    ]
    comparison = Comparison(
        kind="compare",
        manifest=MANIFEST,
        timing=Timing(rounds=3, window_s=1.0),
        subjects=tuple(subjects),
        baseline=subjects[0],
        scenarios=tuple(Scenario(name, f"/{name}") for name in names),
        loads=tuple(loads),
        slices=tuple(slices),
        cells=tuple(cells),
        ratios=tuple(summary.judged_together(ratios)),
        foreign_load=tuple(ForeignLoad(name, load, 0.01) for name, load in workloads),
        doubts=(),
    )
    return replace(comparison, doubts=find_doubts(comparison))
