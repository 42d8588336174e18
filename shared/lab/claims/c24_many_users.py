"""C24: many users, one engine; database sessions as users grow."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.bench import Watched
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
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.watch.agreement import disagreements
from shared.lab.watch.events import occupancies
from shared.lab.watch.sessions import Look
from shared.lab.watch.sessions import Sessions
from shared.lab.watch.sessions import most

# Each step is about three times the one before, up to the most users asked for.
STEPS = (1, 3, 10, 30, 100, 300, 1_000)
TARGET = "/db"
# Beside the first answers of all users, which come in during the ramp.
RAMP_S = 0.2
ANSWER_TIMEOUT_S = 20.0
# Beside a socket for each user: libraries, logs, and the connections of the pool.
SPARE_DESCRIPTORS = 256
# A thousand users of ten connections wait in line: the ladder of waits is stretched so that nobody is sent away.
PATIENCE = {"POOL_TIMEOUT": "16", "STATEMENT_TIMEOUT": "17", "REQUEST_TIMEOUT": "18", "GRACEFUL_TIMEOUT": "19"}


def measure(bench: Bench, options: Options) -> Finding:
    """Let more and more users ask, and count database sessions meanwhile."""
    steps = user_steps(int(options["users"]))
    measured: dict[Subject, Figures] = {}
    lines = []
    size, overflow, workers = int(options["pool_size"]), int(options["overflow"]), int(options["workers"])
    settings = {
        "POOL_SIZE": str(size),
        "POOL_MAX_OVERFLOW": str(overflow),
        "WSGI_THREADS": str(int(options["threads"])),
        "WSGI_WORKERS": str(workers),
        "ASGI_WORKERS": str(workers),
        **PATIENCE,
    }
    with descriptors(steps[-1] + SPARE_DESCRIPTORS), LoadClient(cores=bench.cores.client) as client:
        for edition in EDITIONS:
            with bench.watched(edition, **settings) as watched, bench.sessions(edition) as sessions:
                figures, points = _climb(bench, edition, client, watched, sessions, steps, float(options["seconds"]))
            measured[edition] = Figures(
                (
                    Figure("limit", "connections that one engine may open", size + overflow),
                    Figure("users", "most users", steps[-1]),
                    *figures,
                )
            )
            lines.append(Line(edition, points, is_step=True))
    lines.append(
        Line("one engine's limit", ((1.0, float(size + overflow)), (float(steps[-1]), float(size + overflow))))
    )
    picture = Diagram("Database sessions as users grow", "users", "sessions", tuple(lines), is_log_x=True)
    return Finding(measured, (picture,))


def user_steps(users: int) -> tuple[int, ...]:
    """Return with how many users is measured, up to so many."""
    return (*(step for step in STEPS if step < users), users)


@contextmanager
def descriptors(needed: int) -> Iterator[None]:
    """Let whatever is started meanwhile open so many files, sockets included.

    Raises:
        EnvironmentFailure: If this user may not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise EnvironmentFailure(
                f"{needed} open files are needed, for a socket of each user",
                why=f"this user may open {hard} (ulimit -Hn)",
                hint=f"--set users={max(1, hard - SPARE_DESCRIPTORS)}, or raise the limit",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _climb(
    bench: Bench,
    edition: Edition,
    client: LoadClient,
    watched: Watched,
    sessions: Sessions,
    steps: tuple[int, ...],
    window_s: float,
) -> tuple[list[Figure], tuple[tuple[float, float], ...]]:
    port = watched.service.port
    request = Scenario("many users", TARGET).request_bytes(f"{HOST}:{port}")
    figures: list[Figure] = []
    points = []
    seen: list[Look] = []
    answered = failed = 0
    for users in steps:
        bench.progress(f"C24: {edition}, {users} users")
        with sessions.sampled() as looks:
            unopened = client.prepare(HOST, port, connections=users, fresh=True)
            piece = client.run(HOST, port, request, ramp_s=RAMP_S, window_s=window_s, timeout_s=ANSWER_TIMEOUT_S)
        is_good = piece.samples.status == 200
        answered += int(is_good.sum())
        failed += len(unopened) + len(piece.errors) + int((~is_good).sum())
        seen += looks
        points.append((float(users), float(most(looks))))
        figures.append(Figure(f"sessions_{users}", f"most database sessions with {users:,} users", most(looks)))
    events = watched.events()
    stood = occupancies(events)
    opened = [event.process for event in events if event.kind == "connect"]
    counts = {
        "sessions": ("most database sessions with any number of users", most(seen)),
        "held": ("most connections checked out at once", max((each.held for each in stood), default=0)),
        "waiting": ("most requests that waited for one at once", max((each.waiting for each in stood), default=0)),
        "connects": ("connections opened in all", len(opened)),
        "engines": ("processes that opened one, each with its engine", len({*opened})),
        "answered": ("requests answered", answered),
        "failed": ("requests that failed", failed),
        "looks": ("looks at the database's sessions", len(seen)),
        "disagreements": ("sessions that only one of pool and database knew", len(disagreements(events, seen))),
    }
    figures += [Figure(name, label, value) for name, (label, value) in counts.items()]
    return figures, tuple(points)


def rule(figures: Figures) -> Ruling:
    """Hold the most sessions against what one engine may open."""
    sessions, limit = figures.number("sessions"), figures.number("limit")
    users, engines = figures.number("users"), figures.number("engines")
    said = f"{users:,.0f} users had {sessions:g} sessions of {engines:g} engine{'' if engines == 1 else 's'}"
    if figures.number("disagreements") or not figures.number("looks"):
        return Ruling("undecided", f"{said}; pool and database disagree, or nobody has looked")
    if sessions > limit * engines:
        return Ruling("refuted", f"{said}, more than {limit:g} for each engine")
    if figures.number("failed") or not figures.number("answered"):
        return Ruling("undecided", f"{said}; {figures.number('failed'):g} requests failed")
    if engines > 1:
        return Ruling("depends", f"{said}: one engine for each process, up to {limit:g} connections each")
    if users <= limit:
        return Ruling("undecided", f"{said}; fewer users than connections tell nothing")
    return Ruling("confirmed", f"{said}, which may open {limit:g}")


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        grown = ", ".join(
            f"{figure.value} with {int(figure.name.removeprefix('sessions_')):,}"
            for figure in figures.figures
            if figure.name.startswith("sessions_")
        )
        parts.append(
            f"{edition}: database sessions by users: {grown}; {figures.number('connects'):g} connections were opened "
            f"for {figures.number('answered'):,.0f} answers, and up to {figures.number('waiting'):g} requests waited "
            "for one."
        )
    return (
        f"{' '.join(parts)} A connection is taken for the time of a request, not of a user, and one pool gives out at "
        "most pool_size + max_overflow; whoever comes then waits. The pool belongs to an engine and an engine to a "
        "process, so that several worker processes have as many pools: the number of sessions follows processes and "
        "pool size, never users."
    )


CLAIM = Claim(
    number=24,
    statement="Many users, one engine.",
    prediction=(
        "Database sessions grow with users up to the size of the pool and stay there, up to 1,000 users; nobody is "
        "turned away. Several worker processes have an engine each."
    ),
    method=(
        "1 to 1,000 clients, each on a connection of its own, ask for /db again as soon as they are answered, with "
        "POOL_SIZE=10, no overflow and more threads than connections, so that not the threads but the pool is what "
        "bounds. The database is asked every 10 ms which sessions there are; the pool writes down what it does."
    ),
    rule_words=(
        "Undecided if pool and database disagree about any session, if requests fail, or with no more users than "
        "connections. Otherwise confirmed if there were never more sessions than one engine's pool_size + "
        "max_overflow; depends (on the number of processes) if several processes had an engine each and none had "
        "more; refuted if there were more than that."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=20,
    options=(
        Option("users", 1_000, "most users; the steps below it stay", 1, 1_000),
        Option("pool_size", 10, "connections that the pool keeps", 1, 50),
        Option("overflow", 0, "connections beyond them", 0, 50),
        Option("threads", 32, "threads of each WSGI process", 1, 200),
        Option("workers", 1, "processes of an edition", 1, 8),
        Option("seconds", 0.5, "how long each number of users asks, in seconds", 0.1, 30),
    ),
    sources=(
        Source(
            "SQLAlchemy: Connection Pooling, QueuePool",
            "https://docs.sqlalchemy.org/en/21/core/pooling.html#sqlalchemy.pool.QueuePool",
        ),
        Source(
            "SQLAlchemy: Working with Engines and Connections",
            "https://docs.sqlalchemy.org/en/21/core/connections.html",
        ),
    ),
)
