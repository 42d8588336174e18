"""C19: a Session begins with a connection and ends with disconnection."""

from collections.abc import Sequence
from typing import Any

from shared.config import Edition
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Lane
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Span
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import Timeline

# Database sessions that are counted, by the name under which the program counts them.
COUNTS = {
    "at_open": "after a Session was opened",
    "in_use": "after its first query",
    "at_close": "after it was closed",
    "disposed": "after the engine was disposed",
    "unpooled_at_open": "without a pool: after a Session was opened",
    "unpooled_in_use": "without a pool: after its first query",
    "unpooled_at_close": "without a pool: after it was closed",
}
SHOWN = 3

Note = tuple[str, int, int]


def measure(bench: Bench, options: Options) -> Finding:
    """Go through the lives of Sessions in each edition, several times."""
    trials, count = int(options["trials"]), int(options["sessions"])
    measured: dict[Subject, Figures] = {}
    pictures = []
    for edition in EDITIONS:
        runs = []
        for trial in range(trials):
            bench.progress(f"C19: {edition}, trial {trial + 1} of {trials}")
            runs.append(bench.run_inside(edition, "session_life", count=count))
        measured[edition] = Figures(tuple(_figures(runs, count)))
        pictures.append(
            _picture(edition, [(str(what), int(whom), int(at_ns)) for what, whom, at_ns in runs[0]["notes"]])
        )
    return Finding(measured, tuple(pictures))


def _figures(runs: Sequence[dict[str, Any]], count: int) -> list[Figure]:
    trials = len(runs)
    figures = []
    for name, label in COUNTS.items():
        counts = [int(run[name]) for run in runs]
        figures.append(Figure(f"{name}_least", f"fewest database sessions {label}", min(counts), trials=trials))
        figures.append(Figure(f"{name}_most", f"most database sessions {label}", max(counts), trials=trials))
    served = max(len(set(run["pids"])) for run in runs)
    had = min(len(set(run["of_one"])) for run in runs)
    return [
        *figures,
        Figure("sessions", "Sessions that were opened and closed one after the other", count, trials=trials),
        Figure("served_by", "most database sessions (backend pids) that served them", served, trials=trials),
        Figure("of_one", "fewest database sessions that one Session had, another Session's query in between", had,
               trials=trials),
    ]  # fmt: skip


def _picture(edition: Edition, notes: Sequence[Note]) -> Timeline:
    """Return the lives of some Sessions, of the connection that they had, and of its database session."""
    ends = [at_ns for what, whom, at_ns in notes if what == "closed" and whom < SHOWN]
    origin_ns, last_ns = notes[0][2], ends[-1]

    def at(moment_ns: int) -> float:
        return (min(moment_ns, last_ns) - origin_ns) / 1e9

    lanes = []
    for number in range(len(ends)):
        opened_ns, closed_ns = (_moment(notes, what, number) for what in ("opened", "closed"))
        taken_ns = min(ns for what, _, ns in notes if what == "taken" and ns > opened_ns)
        released_ns = min(ns for what, _, ns in notes if what == "released" and ns > taken_ns)
        lanes.append(
            Lane(
                f"SQLAlchemy Session {number + 1}",
                (
                    Span(at(opened_ns), at(taken_ns), "exists without a connection", "nothing was asked yet"),
                    Span(at(taken_ns), at(released_ns), "has the connection", "from its first query to its end"),
                    Span(at(released_ns), at(closed_ns), "exists without a connection", "closed"),
                ),
            )
        )
    connected_ns = _moment(notes, "connected", 0)
    uses = [(what, ns) for what, whom, ns in notes if what in ("taken", "released") and whom == 0 and ns <= last_ns]
    spans = []
    free_ns = connected_ns
    for (_, taken_ns), (_, released_ns) in zip(uses[::2], uses[1::2], strict=False):
        spans.append(Span(at(free_ns), at(taken_ns), "in the pool"))
        spans.append(Span(at(taken_ns), at(released_ns), "taken by a Session"))
        free_ns = released_ns
    spans.append(Span(at(free_ns), at(last_ns), "in the pool"))
    lanes.append(Lane("connection of the pool", tuple(spans)))
    exists = Span(at(connected_ns), at(last_ns), "exists", "until the engine is disposed, which is later")
    lanes.append(Lane("database session (backend)", (exists,)))
    return Timeline(f"{len(ends)} Sessions, one connection, one database session ({edition})", tuple(lanes))


def _moment(notes: Sequence[Note], wanted: str, whose: int) -> int:
    return next(at_ns for what, whom, at_ns in notes if what == wanted and whom == whose)


def rule(figures: Figures) -> Ruling:
    """Judge the beginning and the end of a Session each by the number of database sessions."""
    if figures.number("in_use_least") < 1:
        return Ruling("undecided", "a Session that was asked something had no database session")
    begins = figures.number("at_open_least") >= 1
    never_begins = figures.number("at_open_most") == 0
    ends = figures.number("at_close_most") == 0
    never_ends = figures.number("at_close_least") >= 1
    said = (
        f"{figures.number('at_open_most'):g} database sessions when a Session had been opened, "
        f"{figures.number('at_close_least'):g} when it had been closed; {figures.number('served_by'):g} served "
        f"{figures.number('sessions'):g} Sessions, and one Session had {figures.number('of_one'):g}"
    )
    if begins and ends:
        return Ruling("confirmed", said)
    if never_begins and never_ends:
        return Ruling("refuted", said)
    return Ruling("depends", f"on which end of it, or on the trial: {said}")


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: {figures.number('at_open_most'):g} database sessions after a Session was opened, "
            f"{figures.number('in_use_most'):g} after its first query, {figures.number('at_close_most'):g} after it "
            f"was closed, {figures.number('disposed_most'):g} after the engine was disposed; "
            f"{figures.number('sessions'):g} Sessions one after the other had {figures.number('served_by'):g} backend, "
            f"and one Session, which committed in between, {figures.number('of_one'):g}."
        )
    return (
        f"{' '.join(parts)} Two things have one name. A Session, says SQLAlchemy's documentation, begins in a mostly "
        "stateless form and requests a connection from its engine once queries are issued; commit or close give it "
        "back, and the pool keeps it. The database's session is the one that begins with a connection and ends with "
        "disconnection, here when the engine is disposed. Without a pool (NullPool) the end of a Session is a "
        "disconnection, but its beginning is still no connection: "
        + "; ".join(
            f"{edition}: {figures.number('unpooled_at_open_most'):g}, then "
            f"{figures.number('unpooled_in_use_most'):g}, then {figures.number('unpooled_at_close_most'):g}"
            for edition, figures in finding.measured.items()
        )
        + "."
    )


CLAIM = Claim(
    number=19,
    statement="A Session begins with a connection and ends with disconnection.",
    prediction=(
        "If it is right, the database has one more session as soon as a Session is opened, and one less as soon as it "
        "is closed."
    ),
    method=(
        "In a process with the edition's own engine, Sessions are opened, asked for their backend pid and closed, one "
        "after the other; the database is asked, over a connection of another name, how many sessions there are after "
        "each step of the first. Then one Session asks, commits, and asks again while another has the connection that "
        "it had. The same steps follow with an engine without a pool. The pool writes down when connections are made, "
        "taken, released and closed."
    ),
    rule_words=(
        "By the database sessions of the editions' own engine: confirmed if there was one after every opening and none "
        "after every closing; refuted if there was none after any opening and one after every closing; otherwise it "
        "depends. Undecided if a Session was asked something without a database session."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=10,
    options=(
        Option("trials", 2, "how often all steps are gone through", 1, 100),
        Option("sessions", 20, "Sessions one after the other", 3, 10_000),
    ),
    sources=(
        Source("SQLAlchemy: Session Basics", "https://docs.sqlalchemy.org/en/21/orm/session_basics.html"),
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
        Source("PostgreSQL: Glossary, Session", "https://www.postgresql.org/docs/18/glossary.html#GLOSSARY-SESSION"),
    ),
)
