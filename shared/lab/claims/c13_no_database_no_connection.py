"""C13: routes that need no database cost no connection."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event

from shared.contract import endpoints
from shared.lab.claims import client
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Line
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.parity.transport import Address
from shared.lab.services.process import HOST
from shared.lab.tracing.exchange import Connection
from shared.lab.tracing.request import Request
from shared.lab.watch.sessions import Look
from shared.lab.watch.sessions import most

SEED = 1
# What each is asked; every entry of the contract that needs nothing is here (a test holds the two together).
REQUESTS: Mapping[str, Request] = {
    "plaintext": Request("GET", "/plaintext"),
    "json": Request("GET", "/json"),
    "wait": Request("GET", "/wait?seconds=0"),
    "cpu": Request("GET", "/cpu?iterations=10"),
    "blocking": Request("GET", "/blocking?seconds=0"),
    "echo": Request("POST", "/echo", (), b"echo"),
    "upload": Request("POST", "/upload", (), b"upload"),
    "pattern": Request("GET", "/bytes?size=100"),
    "livez": Request("GET", "/livez"),
    "docs": Request("HEAD", "/docs"),
}
# One that needs it: what is seen of it shows that the instruments see a connection at all.
NEEDS_DATABASE = "/db"


def names() -> tuple[str, ...]:
    """Return the contract's entries that need neither a session nor the database."""
    return tuple(endpoint.name for endpoint in endpoints(lab=True, trace=False) if endpoint.needs == "nothing")


def measure(bench: Bench, options: Options) -> Finding:
    """Send requests that need no database, then one that does, and count connections on both sides."""
    requests, lanes = int(options["requests"]), int(options["lanes"])
    measured: dict[Subject, Figures] = {}
    lines = []
    for edition in EDITIONS:
        bench.progress(f"C13: {edition}, {requests:,} requests to {len(REQUESTS)} routes")
        # Two views, because one of them belongs to the sampler's thread.
        with bench.watched(edition) as watched, bench.sessions(edition) as view, bench.sessions(edition) as sessions:
            port = watched.service.port
            with view.sampled() as looks:
                statuses = _send(port, requests, lanes)
                before = len(looks)
                events = watched.events()
                client.ask(watched.service, NEEDS_DATABASE)
                control_sessions = sessions.settled_count(1)
            control = watched.events()[len(events) :]
        measured[edition] = Figures(
            (
                Figure("requests", "requests sent", requests),
                Figure("routes", "routes that they went to", len(REQUESTS)),
                Figure("answered", "requests answered with 200", statuses[200], trials=requests),
                Figure(
                    "connects",
                    "connections that the pool opened meanwhile, by its own events",
                    sum(event.kind == "connect" for event in events),
                    trials=requests,
                ),
                Figure(
                    "checkouts",
                    "connections that it handed out meanwhile",
                    sum(event.kind == "checkout" for event in events),
                    trials=requests,
                ),
                Figure(
                    "sessions_most", "most sessions in pg_stat_activity meanwhile", most(looks[:before]), trials=before
                ),
                Figure("looks", "times that pg_stat_activity was read meanwhile", before),
                Figure(
                    "control_connects",
                    f"connections that the pool opened for one {NEEDS_DATABASE} afterwards",
                    sum(event.kind == "connect" for event in control),
                ),
                Figure(
                    "control_sessions", f"sessions in pg_stat_activity after that {NEEDS_DATABASE}", control_sessions
                ),
            )
        )
        lines.append(_line(edition, looks))
    title = f"Database sessions while {requests:,} requests need none, and then one needs one"
    return Finding(measured, (Diagram(title, "seconds", "sessions", tuple(lines)),))


def _send(port: int, count: int, lanes: int) -> Counter[int]:
    """Send requests over several connections at a time, and count the answers' status codes."""
    order = [*REQUESTS] * -(-count // len(REQUESTS))
    order = order[:count]
    Random(SEED).shuffle(order)
    address = Address(HOST, port)
    wires = {name: request.wire(str(address)) for name, request in REQUESTS.items()}

    is_over = Event()

    def run(lane: Sequence[str]) -> Counter[int]:
        found: Counter[int] = Counter()
        with Connection(address) as connection:
            for name in lane:
                if is_over.is_set():
                    break
                found[connection.exchange(wires[name]).status] += 1
        return found

    with ThreadPoolExecutor(lanes) as threads:
        try:
            return sum(threads.map(run, (order[lane::lanes] for lane in range(lanes))), Counter())
        finally:
            # Whoever interrupts this must not wait until all has been sent.
            is_over.set()


def _line(edition: str, looks: Sequence[Look]) -> Line:
    """Return the sessions over time, a point at each change."""
    points: list[tuple[float, float]] = []
    for place, look in enumerate(looks):
        count = float(len(look.sessions))
        if place in (0, len(looks) - 1) or points[-1][1] != count:
            points.append(((look.answered_ns - looks[0].answered_ns) / 1e9, count))
    return Line(edition, tuple(points), is_step=True)


def rule(figures: Figures) -> Ruling:
    """Confirmed by no connection on either side; undecided if that could not have been seen, or answers are missing."""
    requests, answered = figures.number("requests"), figures.number("answered")
    seen = [figures.number(name) for name in ("connects", "checkouts", "sessions_most")]
    said = f"{seen[0]:g} connections opened, {seen[1]:g} handed out, at most {seen[2]:g} database sessions"
    if any(seen):
        return Ruling("refuted", f"{said} in {requests:,.0f} requests")
    if answered != requests:
        return Ruling("undecided", f"{requests - answered:,.0f} of {requests:,.0f} requests were not answered with 200")
    if not (figures.number("control_connects") and figures.number("control_sessions") and figures.number("looks")):
        return Ruling("undecided", f"the one connection that {NEEDS_DATABASE} needs was not seen either")
    return Ruling("confirmed", f"{said} in {requests:,.0f} requests")


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = [
        f"{edition}: {figures.number('requests'):,.0f} requests to {figures.number('routes'):g} routes, "
        f"{figures.number('answered'):,.0f} of them answered with 200; the pool opened "
        f"{figures.number('connects'):g} connections and handed out {figures.number('checkouts'):g}; pg_stat_activity, "
        f"read {figures.number('looks'):,.0f} times meanwhile, showed at most {figures.number('sessions_most'):g} "
        f"sessions; one {NEEDS_DATABASE} after them: {figures.number('control_connects'):g} connection opened, "
        f"{figures.number('control_sessions'):g} session."
        for edition, figures in finding.measured.items()
    ]
    return (
        f"{' '.join(parts)} The service opens a session only around an endpoint whose entry in the contract says that "
        "it needs one, and by SQLAlchemy's documentation a pool opens a connection only when one is asked for: a "
        "route that does not ask costs none, however often it is called."
    )


CLAIM = Claim(
    number=13,
    statement="Routes that need no database cost no connection.",
    prediction=(
        "10,000 requests to such routes, and not one connection: by the pool's own events and in pg_stat_activity."
    ),
    method=(
        "In an edition whose pool writes down what it does: requests to every route of the contract that needs neither "
        f"a session nor the database ({', '.join(REQUESTS)}), in seeded random order over several connections of the "
        "client, while pg_stat_activity is read every 10 ms. After that one request that needs the database, which "
        "both instruments must see."
    ),
    rule_words=(
        "Refuted by any connection opened or handed out, or any session seen, before the request that needs one. "
        "Otherwise confirmed if every request was answered with 200 and the last one's connection was seen on both "
        "sides; undecided if not."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=18,
    options=(
        Option("requests", 10_000, "how many requests each edition gets", 10, 1_000_000),
        Option("lanes", 8, "client connections that send at the same time", 1, 64),
    ),
    sources=(
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
        Source(
            "PostgreSQL: pg_stat_activity",
            "https://www.postgresql.org/docs/18/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW",
        ),
    ),
)
