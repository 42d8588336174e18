"""C11: creating the engine opens no connection; the first query does."""

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

# By the name under which the program counts; in the order of the steps.
STEPS = {
    "before": "before anything",
    "engine": "after the engine was created",
    "session": "after a Session was opened",
    "first_query": "after its first query",
    "second_query": "after its second query",
    "closed_session": "after the Session was closed",
    "disposed": "after the engine was disposed",
}


def measure(bench: Bench, options: Options) -> Finding:
    """Count an edition's database sessions after each step, several times."""
    trials = int(options["trials"])
    measured: dict[Subject, Figures] = {}
    lines = []
    for edition in EDITIONS:
        runs = []
        for trial in range(trials):
            bench.progress(f"C11: {edition}, trial {trial + 1} of {trials}")
            runs.append(bench.run_inside(edition, "engine_life"))
        figures = []
        for step, label in STEPS.items():
            counts = {int(run[step]) for run in runs}
            figures.append(Figure(f"{step}_least", f"fewest database sessions {label}", min(counts), trials=trials))
            figures.append(Figure(f"{step}_most", f"most database sessions {label}", max(counts), trials=trials))
        measured[edition] = Figures(tuple(figures))
        steps = tuple((float(place), float(runs[0][step])) for place, step in enumerate(STEPS))
        lines.append(Line(edition, steps, is_step=True))
    picture = Diagram("Database sessions after each step", "step", "sessions", (*lines,), places=(*STEPS.values(),))
    return Finding(measured, (picture,))


def rule(figures: Figures) -> Ruling:
    """Confirmed if there was no session until the first query and exactly one after it, in every trial."""
    early = [figures.number(f"{step}_most") for step in ("before", "engine", "session")]
    first = {figures.number(f"first_query_{end}") for end in ("least", "most")}
    said = (
        f"{max(early):g} sessions before the first query, {' to '.join(f'{each:g}' for each in sorted(first))} after it"
    )
    return Ruling("confirmed" if max(early) == 0 and first == {1} else "refuted", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        counts = ", ".join(f"{figures.number(f'{step}_most'):g} {label}" for step, label in STEPS.items())
        parts.append(f"{edition}: {counts}.")
    return (
        f"Database sessions of the service, counted in pg_stat_activity. {' '.join(parts)} create_engine() "
        "only makes the dialect and the pool; the pool connects when somebody checks a connection out, and a Session "
        "does that with its first statement, not when it is opened. Closing the Session gives the connection back to "
        "the pool, which keeps it; disposing of the engine closes it."
    )


CLAIM = Claim(
    number=11,
    statement="Creating the engine opens no connection; the first query does.",
    prediction="pg_stat_activity shows no session of the service until the first query, and one from then on.",
    method=(
        "In a process with the edition's own Database class: create the engine, open a Session, query twice, close the "
        "Session, dispose of the engine; after each step the database is asked, over a connection of another name, how "
        "many sessions the service has."
    ),
    rule_words="Confirmed if every trial shows 0 sessions up to the first query and 1 after it; refuted otherwise.",
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=8,
    options=(Option("trials", 3, "how often all steps are gone through", 1, 100),),
    sources=(
        Source("SQLAlchemy: Engine Configuration", "https://docs.sqlalchemy.org/en/21/core/engines.html"),
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
        Source("SQLAlchemy: Session Basics", "https://docs.sqlalchemy.org/en/21/orm/session_basics.html"),
        Source(
            "SQLAlchemy: Engine Disposal", "https://docs.sqlalchemy.org/en/21/core/connections.html#engine-disposal"
        ),
    ),
)
