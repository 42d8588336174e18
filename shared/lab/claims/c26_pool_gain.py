"""C26: the pool is a performance optimiser."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace
from random import Random

from shared.config import Edition
from shared.errors import CheckFailed
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.births import births
from shared.lab.claims.births import typical
from shared.lab.claims.claim import Bar
from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.claims.client import together
from shared.lab.claims.server import OwnServer
from shared.lab.claims.server import Road
from shared.lab.claims.server import own_server
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import edition_spec
from shared.lab.statistics import paired_ratio

WAYS: tuple[Road, ...] = ("socket", "tcp")
WORDS: dict[Road, str] = {"socket": "a Unix socket", "tcp": "TCP"}
TARGET = "/db"
RAMP_S = 0.15
RESPONSE_TIMEOUT_S = 10.0
# Processes in which connections are timed, and engines of each.
PROCESSES = 3
ENGINES = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """One service under load.

    Attributes:
        edition: Which.
        way: How it reaches the database.
        has_pool: Whether it keeps connections.
    """

    edition: Edition
    way: Road
    has_pool: bool

    @property
    def name(self) -> str:
        """Its name, for figures."""
        return f"{'pool' if self.has_pool else 'no_pool'}_{self.way}"


def measure(bench: Bench, options: Options) -> Finding:
    """Load every edition with and without its pool, over both ways, in interleaved rounds."""
    cells = [Cell(edition, way, has_pool) for way in WAYS for edition in EDITIONS for has_pool in (True, False)]
    rates: dict[Cell, list[float]] = {cell: [] for cell in cells}
    with ExitStack() as stack:
        server = stack.enter_context(own_server())
        figures: dict[Subject, list[Figure]] = {each: list(_connections(bench, server, each)) for each in EDITIONS}
        client = stack.enter_context(LoadClient(cores=bench.cores.client))
        services = {}
        for cell in cells:
            bench.progress(f"C26: starting {cell.edition} {cell.name}")
            spec = _spec(bench, server, cell, int(options["pool_size"]))
            services[cell] = stack.enter_context(Service(spec, cores=bench.cores.server))
            # The tables are made with the first request, and the pool's connections with the next.
            together(services[cell], [TARGET])
            together(services[cell], [TARGET] * int(options["users"]))
        generator = Random(1)
        for number in range(int(options["rounds"])):
            bench.progress(f"C26: round {number + 1} of {int(options['rounds'])}")
            for cell in generator.sample(cells, len(cells)):
                rates[cell].append(_rate(client, services[cell], options))
    for edition in EDITIONS:
        figures[edition] += _gains(edition, rates)
    measured: dict[Subject, Figures] = {subject: Figures(tuple(each)) for subject, each in figures.items()}
    bars = tuple(
        Bar(
            f"{cell.edition}, {WORDS[cell.way]}",
            "pool" if cell.has_pool else "no pool",
            figure.number(f"rps_{cell.name}"),
        )
        for cell in cells
        for figure in (measured[cell.edition],)
    )
    notes = (f"The database is {server.version}, on this machine, of the experiment's own; TCP is its loopback.",)
    return Finding(measured, (Bars("Requests with and without a pool", "requests per second", bars),), notes)


def _spec(bench: Bench, server: OwnServer, cell: Cell, pool_size: int) -> ServiceSpec:
    own = replace(bench, urls=server.urls[cell.way])
    environ = own.environ(cell.edition, {"POOL_SIZE": str(pool_size), "WSGI_THREADS": str(pool_size)})
    spec = edition_spec(cell.edition, environ)
    if cell.has_pool:
        return spec
    command = (sys.executable, "-m", "shared.lab.controls.variant", cell.edition, "--pool", "null")
    return replace(spec, name=f"{cell.edition} without pool", argv=command)


def _rate(client: LoadClient, service: Service, options: Options) -> float:
    client.prepare(HOST, service.port, connections=int(options["users"]))
    window_s = float(options["window"])
    found = client.run(
        HOST,
        service.port,
        Scenario("db", TARGET).request_bytes(HOST),
        ramp_s=RAMP_S,
        window_s=window_s,
        timeout_s=RESPONSE_TIMEOUT_S,
    )
    samples = found.samples
    bad = int((samples.status != 200).sum()) + len(found.errors)
    if bad:
        raise CheckFailed(
            f"{service.spec.name}: {bad} requests failed",
            why="rates are compared of requests that all succeed",
            hint="fewer --set users",
        )
    is_inside = (samples.done_ns >= found.window_start_ns) & (samples.done_ns < found.window_end_ns)
    return max(1.0, float(is_inside.sum())) / window_s


def _connections(bench: Bench, server: OwnServer, edition: Edition) -> Iterator[Figure]:
    bench.progress(f"C26: {edition}, connections one at a time")
    runs = [births(bench, server, edition, WAYS, later=ENGINES) for _ in range(PROCESSES)]
    for way in WAYS:
        steps = [run.later[way] for run in runs]
        new, kept = ([step[name] for step in steps] for name in ("another_connection", "second_checkout"))
        yield typical(f"new_connection_{way}", f"new connection over {WORDS[way]}", new)
        yield typical(f"kept_connection_{way}", f"checkout of a kept connection over {WORDS[way]}", kept)


def _gains(edition: Edition, rates: dict[Cell, list[float]]) -> Iterator[Figure]:
    for way in WAYS:
        kept, anew = rates[Cell(edition, way, True)], rates[Cell(edition, way, False)]
        ratio = paired_ratio(kept, anew, seed=1)
        for name, words, values in (("pool", "with", kept), ("no_pool", "without", anew)):
            found = paired_ratio(values, [1.0] * len(values), seed=1)
            label = f"requests {words} a pool over {WORDS[way]}"
            yield Figure(f"rps_{name}_{way}", label, found.value, "/s", len(values), found.low, found.high)
        label = f"with over without a pool, {WORDS[way]}"
        yield Figure(f"gain_{way}", label, ratio.value, "", ratio.rounds, ratio.low, ratio.high)


def rule(figures: Figures) -> Ruling:
    """Hold the ratio of rates with and without a pool against 1, over each way."""
    gains = {way: figures[f"gain_{way}"] for way in WAYS}
    said = ", ".join(f"{float(each.value):.3g} times the requests over {WORDS[way]}" for way, each in gains.items())
    verdicts = set()
    for each in gains.values():
        low = float(each.value) if each.low is None else each.low
        high = float(each.value) if each.high is None else each.high
        verdicts.add("more" if low > 1.0 else "fewer" if high < 1.0 else "open")
    if "open" in verdicts:
        return Ruling("undecided", f"an interval holds 1: {said}")
    if len(verdicts) > 1:
        return Ruling("depends", f"on the way to the database: {said}")
    return Ruling("confirmed" if verdicts == {"more"} else "refuted", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        for way in WAYS:
            parts.append(
                f"{edition} over {WORDS[way]}: {figures.number(f'rps_pool_{way}'):,.0f} requests per second with the "
                f"pool and {figures.number(f'rps_no_pool_{way}'):,.0f} without; a new connection took "
                f"{figures.number(f'new_connection_{way}'):.3g} ms, a checkout of a kept one "
                f"{figures.number(f'kept_connection_{way}'):.2g} ms."
            )
    return (
        f"{' '.join(parts)} Without a pool each request pays for a connection of its own: PostgreSQL starts a process "
        "for every session, and both sides go through the start-up messages. A pool keeps connections in memory and "
        "hands them on. It is also the bound on how many there are, which the variant without a pool keeps as well, "
        "so that nothing else differs."
    )


CLAIM = Claim(
    number=26,
    statement="The pool is a performance optimiser.",
    prediction="More requests per second with the pool than without it, over a Unix socket and over TCP.",
    method=(
        f"Each edition as it is and with a pool that keeps nothing (as many places, each request connects anew), over "
        f"a Unix socket and over TCP without password and TLS, to a PostgreSQL of the experiment's own: {TARGET} under "
        "closed load, all eight services in seeded random order in every round. Ratios from paired rounds with 95 % "
        "intervals. Beside it new connections and checkouts of kept ones, one at a time in fresh processes."
    ),
    rule_words=(
        "Confirmed if the interval of the ratio of rates, with over without, lies above 1 over both ways; refuted if "
        "it lies below 1 over both; depends if above over one and below over the other; undecided if one holds 1."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=35,
    options=(
        Option("rounds", 6, "slices of each service", 3, 100),
        Option("window", 0.25, "measured length of a slice, in seconds", 0.1, 30),
        Option("users", 16, "connections of the client", 1, 200),
        Option("pool_size", 10, "connections of a pool, and threads", 1, 100),
    ),
    sources=(
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
        Source("PostgreSQL: How Connections Are Established", "https://www.postgresql.org/docs/18/connect-estab.html"),
        Source(
            "PostgreSQL: Message Flow, Start-up",
            "https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP",
        ),
    ),
    depends_on_machine=True,
)
