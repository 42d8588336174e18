"""C9: SQLAlchemy does pooling, transaction isolation, concurrency safety and ORM; each of the four judged by itself."""

from collections.abc import Callable
from typing import Any
from typing import Literal

from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
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
from shared.lab.claims.claim import Verdict
from shared.lab.claims.lost_updates import LEVELS

# Whether SQLAlchemy does a part itself; cannot tell where the control failed as well.
Part = Literal["yes", "no", "cannot tell"]

POOL_SIZE = 5
# By the name under which the program plays them.
SCENES = {
    "nonrepeatable_read": "a row read twice differs",
    "lost_update": "an update is lost",
    "write_skew": "two accounts are emptied that together must not be",
}
ORM_COUNTS = {
    "selects_for_get": "SELECTs for the same row got twice",
    "updates_before_flush": "UPDATEs sent after three changes, before the flush",
    "updates_at_flush": "UPDATEs sent at the flush",
    "updates_at_second_flush": "UPDATEs sent after a second flush",
}
POOL_COUNTS = {
    "held_pool": "as many Sessions in use: connections in use, by the pool",
    "held_server": "as many Sessions in use: database sessions",
    "idle_pool": "all Sessions closed: idle connections, by the pool",
    "idle_server": "all Sessions closed: database sessions",
    "connects": "connections opened for all Sessions",
    "pids": "database processes that served all Sessions",
    "after_server": "database sessions after all Sessions",
    "unpooled_pids": "database processes that served as many connections of an engine without a pool",
    "mismatches": "Sessions served by another database process than the driver connected to",
}
SHARED_COUNTS = {
    "troubled": "trials with an error or a wrong balance",
    "erroneous": "trials with an error",
    "mixed": "trials with a wrong balance",
    "missing": "additions committed without an error, and not there",
    "surplus": "additions that are there, and that nobody committed",
    "committed": "additions committed without an error",
    "stranded": "database sessions left in a transaction",
}
SHARING = {"own": "a Session each", "shared": "one Session for all"}


def slug(level: str) -> str:
    """Return a level as part of a figure's name."""
    return level.lower().replace(" ", "_")


def measure(bench: Bench, options: Options) -> Finding:
    """Run one program for each of the four parts, with each edition's own modules."""
    trials, workers, additions = (int(options[name]) for name in ("trials", "workers", "additions"))
    sessions = int(options["sessions"])
    measured: dict[Subject, Figures] = {}
    anomalies, troubles = [], []
    for edition in EDITIONS:
        bench.progress(f"C9: {edition}, who pools")
        pooled = bench.run_inside(edition, "own_pool", settings={"POOL_SIZE": str(POOL_SIZE)}, sessions=sessions)
        bench.progress(f"C9: {edition}, who isolates")
        played = bench.run_inside(edition, "anomalies", scenes=list(SCENES), levels=LEVELS, trials=trials)
        bench.progress(f"C9: {edition}, {workers} workers with a Session each, and with one for all")
        size = {"POOL_SIZE": str(max(workers, POOL_SIZE))}
        wrote = bench.run_inside(
            edition, "shared_session", settings=size, trials=trials, workers=workers, additions=additions
        )
        bench.progress(f"C9: {edition}, what the ORM sends")
        mapped = bench.run_inside(edition, "orm_work", account=1)
        measured[edition] = Figures(
            (
                *_pool_figures(pooled, sessions),
                *_isolation_figures(played, trials),
                *_sharing_figures(wrote, trials),
                *_orm_figures(mapped),
            )
        )
        anomalies.append(
            Bars(
                f"What goes wrong when two transactions meet, {edition}",
                "meetings in which it did, %",
                tuple(
                    Bar(text, level, 100.0 * int(played[name][level]["appeared"]) / trials)
                    for name, text in SCENES.items()
                    for level in LEVELS
                ),
            )
        )
        troubles += [
            Bar(text, edition, 100.0 * int(wrote[name]["troubled"]) / trials) for name, text in SHARING.items()
        ]
    sharing = Bars(
        f"{workers} threads or tasks that write", "trials with an error or a wrong balance, %", tuple(troubles)
    )
    return Finding(measured, (*anomalies, sharing))


def _pool_figures(pooled: dict[str, Any], sessions: int) -> list[Figure]:
    total = POOL_SIZE + sessions
    return [
        Figure("pool_size", "connections that the pool keeps", POOL_SIZE),
        Figure("sessions", "Sessions one after the other", sessions),
        *(Figure(name, label, int(pooled[name]), trials=total) for name, label in POOL_COUNTS.items()),
    ]


def _isolation_figures(played: dict[str, Any], trials: int) -> list[Figure]:
    found = []
    codes: set[str] = set()
    for level in LEVELS:
        seen = str(played["seen"][level]).upper()
        found.append(Figure(f"seen_{slug(level)}", f"level that the server tells when asked for {level}", seen))
        for name, text in SCENES.items():
            tally = played[name][level]
            codes.update(tally["codes"])
            label = f"{text}, at {level}"
            found.append(Figure(f"{name}_{slug(level)}", label, int(tally["appeared"]), trials=trials))
            refused = f"{label}: a transaction was refused instead"
            found.append(Figure(f"{name}_{slug(level)}_refused", refused, int(tally["refused"]), trials=trials))
    found.append(Figure("codes", "SQLSTATEs by which the server refused", ", ".join(sorted(codes))))
    return found


def _sharing_figures(wrote: dict[str, Any], trials: int) -> list[Figure]:
    found = []
    for name, text in SHARING.items():
        for count, label in SHARED_COUNTS.items():
            found.append(Figure(f"{name}_{count}", f"{text}: {label}", int(wrote[name][count]), trials=trials))
        errors = sorted(wrote[name]["errors"].items())
        told = ", ".join(f"{kind} {count}" for kind, count in errors) or "none"
        found.append(Figure(f"{name}_errors", f"{text}: errors", told, trials=trials))
    return found


def _orm_figures(mapped: dict[str, Any]) -> list[Figure]:
    return [
        Figure("is_same", "the same row is the same object in a Session", bool(mapped["is_same"])),
        Figure("is_same_elsewhere", "and in another Session", bool(mapped["is_same_elsewhere"])),
        *(Figure(name, label, int(mapped[name])) for name, label in ORM_COUNTS.items()),
    ]


def pools(figures: Figures) -> Part:
    """Tell whether the pooling is SQLAlchemy's own."""
    counts = {name: figures.number(name) for name in POOL_COUNTS}
    # Without SQLAlchemy's pool each connection must have its own database process, or something else pools as well.
    if counts["mismatches"] > 0 or counts["unpooled_pids"] < figures.number("sessions"):
        return "cannot tell"
    own = {counts[name] for name in POOL_COUNTS.keys() - {"mismatches", "unpooled_pids"}}
    return "yes" if own == {figures.number("pool_size")} else "no"


def isolates(figures: Figures) -> Part:
    """Tell whether it is SQLAlchemy that keeps transactions apart."""
    by_level = [tuple(figures.number(f"{name}_{slug(level)}") > 0 for name in SCENES) for level in LEVELS]
    if not any(any(appeared) for appeared in by_level):
        return "yes"
    is_passed_on = all(figures.text(f"seen_{slug(level)}") == level for level in LEVELS)
    return "no" if is_passed_on and len(set(by_level)) > 1 else "cannot tell"


def is_safe_to_share(figures: Figures) -> Part:
    """Tell whether a Session may be used by several threads or tasks at once."""
    if figures.number("own_troubled") > 0:
        return "cannot tell"
    return "no" if figures.number("shared_troubled") > 0 else "yes"


def maps(figures: Figures) -> Part:
    """Tell whether there are an identity map and a unit of work."""
    counts = [figures.number(name) for name in ORM_COUNTS]
    is_identity = figures.is_true("is_same") and not figures.is_true("is_same_elsewhere")
    return "yes" if is_identity and counts == [1, 0, 1, 1] else "no"


PARTS: dict[str, Callable[[Figures], Part]] = {
    "pooling": pools,
    "transaction isolation": isolates,
    "concurrency safety": is_safe_to_share,
    "ORM": maps,
}


def rule(figures: Figures) -> Ruling:
    """Judge each part by itself: confirmed if all four hold, refuted if none does, else it depends on the part."""
    parts = {name: judge(figures) for name, judge in PARTS.items()}
    said = ", ".join(f"{name}: {part}" for name, part in parts.items())
    if "cannot tell" in parts.values():
        return Ruling("undecided", said)
    verdicts: dict[frozenset[Part], Verdict] = {frozenset({"yes"}): "confirmed", frozenset({"no"}): "refuted"}
    verdict = verdicts.get(frozenset(parts.values()), "depends")
    return Ruling(verdict, f"on the part: {said}" if verdict == "depends" else said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = [f"{edition}: {_told(figures)}" for edition, figures in finding.measured.items()]
    return (
        f"{' '.join(parts)} The pool lives in the service's process and hands out connections that the database keeps "
        "open; without it each Session costs a new one. The isolation level is passed on with the transaction, and "
        "what "
        "two transactions may do to each other is decided by the server: the Python code is the same at each level. "
        "SQLAlchemy's documentation says that a Session is not safe for use in concurrent threads, nor an AsyncSession "
        "in concurrent tasks: it is one transaction on one connection, so that one worker's commit or rollback takes "
        "the others' work with it. Safety comes of a Session for each. Within a Session the identity map keeps one "
        "object for each row, and the unit of work sends what has changed at the flush."
    )


def _told(figures: Figures) -> str:
    def count(name: str) -> str:
        return f"{figures.number(name):g}"

    seen = "; ".join(
        f"{level}: " + ", ".join(f"{count(f'{name}_{slug(level)}')} {name.replace('_', ' ')}" for name in SCENES)
        for level in LEVELS
    )
    meetings = figures[f"lost_update_{slug(LEVELS[0])}"].trials
    trials = figures["own_troubled"].trials
    return (
        f"{figures.number('sessions') + figures.number('pool_size'):g} Sessions were served by {count('pids')} "
        f"database processes, {count('sessions')} connections without the pool by {count('unpooled_pids')}. Of "
        f"{meetings} meetings of two transactions, so many went wrong: {seen} (refusals: {figures.text('codes')}). One "
        f"Session for all: trouble in {count('shared_troubled')} of {trials} trials ({figures.text('shared_errors')}), "
        f"{count('shared_missing')} additions missing and {count('shared_surplus')} there that nobody committed; a "
        f"Session each: trouble in {count('own_troubled')} of {trials}. ORM: three changes to one row made "
        f"{count('updates_before_flush')} UPDATEs before the flush and {count('updates_at_flush')} at it."
    )


CLAIM = Claim(
    number=9,
    statement="SQLAlchemy does pooling, transaction isolation, concurrency safety and ORM.",
    prediction=(
        "Pooling: as many database processes as the pool holds serve any number of Sessions, with no pooler between. "
        "Isolation: the server tells the level asked for, and what goes wrong between two transactions depends on "
        "that level alone, so it is set by SQLAlchemy and done by the database. Concurrency safety: one Session for "
        "several threads or tasks gives errors or wrong balances, a Session each gives none. ORM: one object for one "
        "row, one UPDATE at the flush. So it does two of the four."
    ),
    method=(
        "In processes with the edition's own modules: (1) as many Sessions at once as the pool holds, then many one "
        "after the other, counted by the pool and in pg_stat_activity, then as many connections of the same engine "
        "with NullPool; (2) two sessions play the same three scenes step by step at each isolation level, after SHOW "
        "transaction_isolation; (3) workers add 1 to an account of their own, half of them committing and half "
        "rolling back, with SQLAlchemy's Session (AsyncSession) each and with one for all, and the balances are "
        "compared with what was committed without an error; (4) SQLAlchemy's Session gets a row three times, changes "
        "it three times, and flushes twice, while the statements sent are counted."
    ),
    rule_words=(
        "Pooling: yes if the pool, the database and the number of connections opened all tell the pool's size "
        "throughout; cannot tell if without the pool processes are reused too, or the server's process is not the one "
        "connected to. Isolation: yes if nothing goes wrong at any level; no if the server tells each level as asked "
        "for and what goes wrong differs between levels; else cannot tell. Concurrency safety: no if a trial with one "
        "Session for all has an error or a wrong balance; cannot tell if one with a Session each has. ORM: yes if the "
        "row is one object in a Session and another in a second one, got by 1 SELECT, with 0 UPDATEs before the "
        "flush, 1 at it and none at the second. Confirmed if all four are yes, refuted if all are no, undecided if "
        "one cannot be told, else depends on the part."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=20,
    options=(
        Option("trials", 10, "how often each scene and each team of workers is tried", 1, 100),
        Option("workers", 4, "threads or tasks that write", 2, 32),
        Option("additions", 10, "additions that each of them makes in a trial", 1, 1_000),
        Option("sessions", 50, "Sessions one after the other on the pool", 1, 1_000),
    ),
    sources=(
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
        Source("PostgreSQL: Transaction Isolation", "https://www.postgresql.org/docs/18/transaction-iso.html"),
        Source(
            "SQLAlchemy: Session Basics, is the Session thread-safe?",
            "https://docs.sqlalchemy.org/en/21/orm/session_basics.html#session-faq-threadsafe",
        ),
    ),
)
