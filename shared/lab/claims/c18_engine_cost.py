"""C18: creating an engine is expensive, 10-100 ms."""

from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.births import Births
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
from shared.lab.claims.claim import Picture
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.claims.server import ROADS
from shared.lab.claims.server import Road
from shared.lab.claims.server import own_server

LEAST_MS, MOST_MS = 10.0, 100.0
WORDS: dict[Road, str] = {
    "socket": "a Unix socket",
    "tcp": "TCP",
    "password": "TCP with a password",
    "tls": "TCP with a password and TLS",
}
FIRST = "first_engine"
LATER = "later_engine"
WITH = "later_engine_and_connection_"


def measure(bench: Bench, options: Options) -> Finding:
    """Make engines and connections in fresh processes, the editions in turn."""
    trials, later = int(options["trials"]), int(options["later"])
    found: dict[Subject, list[Births]] = {edition: [] for edition in EDITIONS}
    with own_server() as server:
        roads = [road for road in ROADS if road in server.roads]
        for trial in range(trials):
            bench.progress(f"C18: trial {trial + 1} of {trials}")
            for edition in EDITIONS if trial % 2 == 0 else EDITIONS[::-1]:
                found[edition].append(births(bench, server, edition, roads, later=later))
        notes = [f"The database is {server.version}, on this machine, of the experiment's own."]
        if server.why_no_tls:
            notes.append(f"TLS was not measured: {server.why_no_tls}.")
    measured: dict[Subject, Figures] = {subject: _figures(each, roads) for subject, each in found.items()}
    return Finding(measured, (_picture(measured, roads),), tuple(notes))


def _figures(runs: list[Births], roads: list[Road]) -> Figures:
    everywhere = [[run.later[road]["engine"] for road in roads] for run in runs]
    figures = [
        typical(FIRST, "engine object, the first of a process", [run.first["engine"] for run in runs]),
        typical(LATER, "engine object, a later one", [sorted(each)[len(each) // 2] for each in everywhere]),
    ]
    imported = [run.first["modules"] for run in runs]
    again = [max(run.later[road]["modules"] for road in roads) for run in runs]
    figures += [
        Figure("first_modules", "modules imported by the first engine", int(max(imported)), trials=len(runs)),
        Figure("later_modules", "modules imported by a later one", int(max(again)), trials=len(runs)),
    ]
    for road in roads:
        steps = [run.later[road] for run in runs]
        by = f"over {WORDS[road]}"
        whole = [step["engine"] + step["first_connection"] for step in steps]
        figures += [
            typical(f"{WITH}{road}", f"later engine and its first connection {by}", whole),
            typical(f"first_connection_{road}", f"its first connection {by}", [s["first_connection"] for s in steps]),
            typical(f"another_connection_{road}", f"another connection {by}", [s["another_connection"] for s in steps]),
            typical(f"second_checkout_{road}", f"checkout of a kept one {by}", [s["second_checkout"] for s in steps]),
        ]
    return Figures(tuple(figures))


def _picture(measured: dict[Subject, Figures], roads: list[Road]) -> Picture:
    names = {FIRST: "engine, first of a process", LATER: "engine, a later one"}
    names |= {f"first_connection_{road}": f"first connection, {WORDS[road]}" for road in roads}
    bars = tuple(
        Bar(group, subject, figures.number(name), figures[name].low, figures[name].high)
        for name, group in names.items()
        for subject, figures in measured.items()
    )
    return Bars("What an engine and its first connection take", "milliseconds", bars)


def rule(figures: Figures) -> Ruling:
    """Hold the interval of each case against 10 to 100 ms."""
    cases = [each for each in figures.figures if each.name in (FIRST, LATER) or each.name.startswith(WITH)]
    inside = [each for each in cases if _low(each) >= LEAST_MS and _high(each) <= MOST_MS]
    outside = [each for each in cases if _high(each) < LEAST_MS or _low(each) > MOST_MS]
    said = "; ".join(f"{each.label} {each.value:.3g} ms" for each in cases)
    if len(inside) == len(cases):
        return Ruling("confirmed", said)
    if len(outside) == len(cases):
        return Ruling("refuted", said)
    if inside and outside:
        return Ruling("depends", f"on what is meant: {said}")
    return Ruling("undecided", said)


def _low(figure: Figure) -> float:
    return float(figure.value) if figure.low is None else figure.low


def _high(figure: Figure) -> float:
    return float(figure.value) if figure.high is None else figure.high


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        roads = [road for road in ROADS if any(each.name == f"{WITH}{road}" for each in figures.figures)]
        connections = ", ".join(
            f"{figures.number(f'first_connection_{road}'):.3g} over {WORDS[road]}" for road in roads
        )
        kept = max(figures.number(f"second_checkout_{road}") for road in roads)
        parts.append(
            f"{edition}: the first engine of a process {figures.number(FIRST):.3g} ms, in which it imports "
            f"{figures.number('first_modules'):g} modules; a later one {figures.number(LATER):.3g} ms and "
            f"{figures.number('later_modules'):g} modules; a later engine's first connection {connections} ms; a "
            f"checkout of a connection that the pool has kept at most {kept:.2g} ms."
        )
    return (
        f"{' '.join(parts)} create_engine() makes an object and opens nothing; the first one of a process also loads "
        "the driver, which later ones find loaded. What else takes time is connecting: a password (SCRAM-SHA-256) "
        "has the client compute a salted hash of thousands of rounds, and the server check a proof made from it; TLS "
        "adds a handshake, and the first connection of an engine also asks the server for its version and defaults."
    )


CLAIM = Claim(
    number=18,
    statement="Creating an engine is expensive, 10-100 ms.",
    prediction=(
        "If that is so of the engine itself, every engine takes 10 to 100 ms, a later one of a process like the first, "
        "and whichever way its connections go."
    ),
    method=(
        "Fresh processes, the editions in turn, with the edition's own Database class, on a PostgreSQL of the "
        "experiment's own: the first engine of the process, then later ones over a Unix socket, TCP, TCP with a "
        "password, and that with TLS. Timed apart: the engine object, its first connection, a checkout of the kept "
        "connection, another connection. Geometric means over processes of their medians, with 95 % intervals."
    ),
    rule_words=(
        "Cases are the engine object (first of a process; later) and a later engine with its first connection over "
        "each way. Confirmed if the intervals of all lie within 10 to 100 ms; refuted if all lie outside; depends if "
        "some lie within and some outside; undecided otherwise."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=22,
    options=(
        Option("trials", 6, "processes of each edition", 3, 100),
        Option("later", 3, "later engines over each way, in each process", 1, 100),
    ),
    sources=(
        Source("SQLAlchemy: Engine Configuration", "https://docs.sqlalchemy.org/en/21/core/engines.html"),
        Source("PostgreSQL: Password Authentication", "https://www.postgresql.org/docs/18/auth-password.html"),
        Source(
            "PostgreSQL: scram_iterations",
            "https://www.postgresql.org/docs/18/runtime-config-connection.html#GUC-SCRAM-ITERATIONS",
        ),
        Source("RFC 5802: SCRAM, 3 Algorithm Overview", "https://www.rfc-editor.org/rfc/rfc5802#section-3"),
        Source(
            "SQLAlchemy: Dialect.initialize",
            "https://docs.sqlalchemy.org/en/21/core/internals.html#sqlalchemy.engine.Dialect.initialize",
        ),
    ),
    depends_on_machine=True,
)
