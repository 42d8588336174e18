"""C14: the pool is empty until it is needed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from shared.config import Edition
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
from shared.lab.claims.client import ask
from shared.lab.claims.client import together
from shared.lab.services.process import Service
from shared.lab.watch.agreement import disagreements
from shared.lab.watch.sessions import Sessions

# How long each request keeps its connection, in seconds: long enough that all that are sent together overlap.
HOLD_S = 0.25


@dataclass(frozen=True, slots=True)
class Step:
    """How many connections there were after a step.

    Attributes:
        name: The step, in words.
        needed: The most that were needed at once until then.
        pool: By /pool: in the pool and taken.
        taken: By /pool: taken.
        server: Sessions that the database shows.
    """

    name: str
    needed: int
    pool: int
    taken: int
    server: int


def measure(bench: Bench, options: Options) -> Finding:
    """Ask each edition for more and more connections at once, and count them on both sides after each step."""
    measured: dict[Subject, Figures] = {}
    lines = []
    for edition in EDITIONS:
        bench.progress(f"C14: {edition}")
        steps, differences, looks = _grow(bench, edition, int(options["pool_size"]), int(options["requests"]))
        measured[edition] = Figures(tuple(_figures(steps, differences, looks, int(options["requests"]))))
        for side, counts in (("/pool", [s.pool for s in steps]), ("pg_stat_activity", [s.server for s in steps])):
            points = tuple((float(place), float(count)) for place, count in enumerate(counts))
            lines.append(Line(f"{edition}, {side}", points, is_step=True))
    needed = tuple((float(place), float(step.needed)) for place, step in enumerate(steps))
    lines.append(Line("needed at once until then", needed, is_step=True))
    names = ", ".join(step.name for step in steps)
    return Finding(measured, (Diagram("Connections after each step", f"step: {names}", "connections", tuple(lines)),))


def _grow(bench: Bench, edition: Edition, size: int, requests: int) -> tuple[list[Step], int, int]:
    """Return the counts after each step, and how often the two views differed in how many looks."""
    threads = {"WSGI_THREADS": str(max(10, size))}
    steps = []
    with (
        bench.watched(edition, POOL_SIZE=str(size), POOL_MAX_OVERFLOW="0", **threads) as watched,
        bench.sessions(edition) as sessions,
        sessions.sampled() as looks,
        bench.sessions(edition) as counting,
    ):
        service = watched.service
        steps.append(_look(service, counting, "start", 0))
        for _ in range(requests):
            ask(service, "/plaintext")
        steps.append(_look(service, counting, f"{requests} requests without need", 0))
        ask(service, "/db")
        most = 1
        steps.append(_look(service, counting, "1 request", most))
        for count in (*_growing(size), 1):
            together(service, [f"/sleep?seconds={HOLD_S}"] * count)
            most = max(most, count)
            steps.append(_look(service, counting, f"{count} at once", most))
        seen = list(looks)
        events = watched.events()
    return steps, len(disagreements(events, seen)), len(seen)


def _growing(size: int) -> list[int]:
    """Return how many requests are sent at once, growing to the pool's size."""
    return sorted({2, 5, size} & set(range(2, size + 1)))


def _look(service: Service, sessions: Sessions, name: str, needed: int) -> Step:
    found = json.loads(ask(service, "/pool").body)
    pool = int(found["idle"]) + int(found["checked_out"])
    return Step(name, needed, pool, int(found["checked_out"]), sessions.settled_count(pool))


def _figures(steps: Sequence[Step], differences: int, looks: int, requests: int) -> list[Figure]:
    early = [step for step in steps if not step.needed]
    later = [step for step in steps if step.needed]
    return [
        Figure("early_pool", "most connections by /pool before any was needed", max(s.pool for s in early),
               trials=requests),
        Figure("early_server", "most database sessions before any was needed", max(s.server for s in early),
               trials=requests),
        Figure("beyond_need", "most connections beyond what was needed at once until then",
               max(max(s.pool, s.server) - s.needed for s in later), trials=len(later)),
        Figure("short_of_need", "most connections fewer than that", max(s.needed - s.pool for s in later),
               trials=len(later)),
        Figure("growth", "connections by /pool after each step", ", ".join(str(s.pool) for s in steps)),
        Figure("taken", "most connections still taken after a step", max(s.taken for s in steps), trials=len(steps)),
        Figure("sides_differ", "steps after which /pool and the database differed",
               sum(s.pool != s.server for s in steps), trials=len(steps)),
        Figure("views_differ", "sessions that only one of pool and database knew of, all looks", differences,
               trials=looks),
    ]  # fmt: skip


def rule(figures: Figures) -> Ruling:
    """Judge by what there was before any need, and by how it grew with it."""
    early = max(figures.number("early_pool"), figures.number("early_server"))
    said = (
        f"{early:g} connections before any was needed, then {figures.text('growth')} after each step, at most "
        f"{figures.number('beyond_need'):g} beyond need"
    )
    if figures.number("sides_differ") or figures.number("views_differ"):
        return Ruling("undecided", f"the pool's account and the database's differ: {said}")
    if early or figures.number("beyond_need") > 0:
        return Ruling("refuted", said)
    if figures.number("short_of_need") > 0:
        return Ruling("undecided", f"the requests that were sent at once did not overlap: {said}")
    return Ruling("confirmed", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: connections after each step were {figures.text('growth')}, the same on both sides; in "
            f"{figures['views_differ'].trials} looks at pg_stat_activity, compared with what the pool had written "
            f"down, {figures.number('views_differ'):g} sessions were known to one side only."
        )
    return (
        f"{' '.join(parts)} SQLAlchemy's documentation says of the pool's size that the pool begins with no "
        "connections, and that once this number has been requested, this number will remain: it grows with the most "
        "that was needed at once, and does not shrink when less is needed."
    )


CLAIM = Claim(
    number=14,
    statement="The pool is empty until it is needed.",
    prediction=(
        "After the start, and after requests that need no database, /pool and pg_stat_activity both show 0 "
        "connections; then both show as many as were needed at once so far, and no more."
    ),
    method=(
        "A service is started, asked for what needs no database, then for one row, then for 2, 5 and as many slow "
        "queries at once as the pool may have connections, and in the end for one again. After each step /pool and "
        "pg_stat_activity are read. All the while pg_stat_activity is read every 10 ms and compared with what the pool "
        "writes down: every connect and close."
    ),
    rule_words=(
        "Undecided if the two sides differed after a step or in a look. Refuted if there was a connection before any "
        "was needed, or there were ever more than the most that were needed at once until then. Undecided if there "
        "were fewer, because then requests did not overlap as they should. Else confirmed."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=7,
    options=(
        Option("pool_size", 10, "most connections of the pool", 1, 90),
        Option("requests", 100, "requests that need no database", 1, 100_000),
    ),
    sources=(
        Source(
            "SQLAlchemy: Connection Pooling, QueuePool",
            "https://docs.sqlalchemy.org/en/21/core/pooling.html#sqlalchemy.pool.QueuePool",
        ),
        Source(
            "PostgreSQL: pg_stat_activity",
            "https://www.postgresql.org/docs/18/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW",
        ),
    ),
)
