"""What the servers used besides, from the side of kernel, database and service: a table for each workload."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping

from shared.lab.planning.plan import Workload
from shared.lab.results.observed import Observed
from shared.lab.results.observed import Part
from shared.lab.results.observed import observed
from shared.lab.results.record import Comparison
from shared.lab.results.record import Slice
from shared.report import format
from shared.report import words
from shared.report.comparison_page import figures
from shared.report.page.content import Block
from shared.report.page.content import Details
from shared.report.page.content import Notice
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text

# Up to so many tables are open from the start; of more, the first.
FEW = 2
# From this share of answers on it is said that requests waited for a connection.
QUEUED = 0.05
HINT = (
    "Medians over rounds, without intervals: they say where time and memory went, not by how much the two differ. Per "
    "answer: per answer with a 2xx status, ramps included. Read from kernel, database and /metrics before and after "
    "each round; sessions are counted several times a second during it. A dash: there is no such thing, or it was not "
    "measured."
)
# What was not measured: why, and what to do. For applications and services that were brought there is less to do.
MISSING: Mapping[Part, tuple[str, str, str]] = {
    "processes": (
        "Processor time, memory, context switches, threads and files were not read: the processes are not the lab's.",
        "let the lab start both sides, with --wsgi and --asgi in place of --a and --b",
        "let the lab start both sides, with --wsgi and --asgi in place of --a and --b",
    ),
    "database": (
        "Sessions, statements and rows were not counted: the lab had no database that lets itself be looked at.",
        "compare the editions on PostgreSQL; without DATABASE_URL one is started",
        "count them in the database itself: the lab does not know that of services which were brought",
    ),
    "statements": (
        "Statements and rows were not counted: the database has no pg_stat_statements that the lab may read.",
        "put pg_stat_statements into shared_preload_libraries, CREATE EXTENSION it, and grant pg_read_all_stats; or "
        "leave DATABASE_URL out",
        "",
    ),
    "service": (
        "Waits for the pool, lateness of the event loop and busy threads are what this project's services tell on "
        "/metrics; nothing was told there.",
        "read the service's log for why /metrics did not answer",
        "ask the services themselves: others' metrics are not known to the lab",
    ),
    "queue": (
        "Lateness of the event loop and busy threads were not sampled: the services ran without SAMPLE_LOAD=1.",
        "start the services with SAMPLE_LOAD=1; make compare does",
        "",
    ),
}


def servers(comparison: Comparison) -> Section:
    """Return what was read of the servers beside load and response times, or why it was not."""
    pieces: dict[tuple[str, object, str], list[Slice]] = {}
    for piece in comparison.slices:
        pieces.setdefault((piece.scenario, piece.load, piece.subject), []).append(piece)
    found: list[tuple[Workload, dict[str, Observed]]] = []
    for workload in comparison.workloads:
        name, load = workload.scenario.name, workload.load
        sides = {
            subject: observed(pieces[name, load, subject])
            for subject in comparison.subjects
            if (name, load, subject) in pieces
        }
        if sides:
            found.append((workload, sides))
    shown = [(workload, sides) for workload, sides in found if any(_has_figures(each) for each in sides.values())]
    blocks: list[Block] = list(_not_measured(comparison, [sides for _, sides in found]))
    blocks += [
        Details(
            words.label(comparison, workload.scenario.name, workload.load),
            (Text(reading(sides)), _table(sides)),
            is_open=not number or len(shown) <= FEW,
            on_paper=len(shown) <= figures.MANY,
        )
        for number, (workload, sides) in enumerate(shown)
    ]
    return Section("servers", "What the servers used", blocks, HINT if shown else "")


def reading(sides: Mapping[str, Observed]) -> str:
    """Return in words what to read from a workload's table: where processor time went, and where requests queued.

    Args:
        sides: What each subject's server used.
    """
    said = [*_processor(sides), *_queues(sides)]
    statements = {format.per_request(each.statements) for each in sides.values() if each.statements is not None}
    if len(statements) == 1 and len(sides) > 1 and statements != {"0"}:
        number = statements.pop()
        many = "statement" if number == "1" else "statements"
        said.append(f"{'Both' if len(sides) == 2 else 'All'} ran {number} SQL {many} per answer.")
    elif len(statements) > 1:
        said.append("They did not run the same number of SQL statements per answer: see the doubts.")
    return " ".join(said)


def _processor(sides: Mapping[str, Observed]) -> Iterable[str]:
    found = [
        f"{name} {format.microseconds(each.cpu_s)}{format.NO_BREAK}µs "
        f"({format.share(each.system_s, each.cpu_s)} of it in the kernel)"
        for name, each in sides.items()
        if each.cpu_s and each.system_s is not None
    ]
    if found:
        yield f"Processor time per answer: {', '.join(found)}."
    switches = [
        f"{name} {format.per_request(each.switches)}" for name, each in sides.items() if each.switches is not None
    ]
    if switches:
        yield f"Context switches per answer: {', '.join(switches)}; each hands the processor to another thread."


def _queues(sides: Mapping[str, Observed]) -> Iterable[str]:
    for name, each in sides.items():
        if each.pool_waits is not None and each.pool_waits >= QUEUED and each.pool_wait_s is not None:
            yield (
                f"In {name} requests queued for a database connection, {each.pool_waits:.2f} waits per answer of "
                f"{format.milliseconds(each.pool_wait_s)}{format.NO_BREAK}ms each."
            )
        if each.loop_lag_s is not None:
            yield (
                f"The event loop of {name} was at most {each.loop_lag_s * 1e3:g}{format.NO_BREAK}ms late in "
                f"99{format.NO_BREAK}% of samples: so long may a request that is ready wait for its turn."
            )
        if each.busy_threads is not None:
            yield (
                f"In {name} {each.busy_threads:.1f} threads were busy on average: once all are, requests wait unread."
            )


def _table(sides: Mapping[str, Observed]) -> Table:
    """Return the figures that any subject has, a line each and a column for each subject."""
    lines: list[tuple[str, Callable[[Observed], str]]] = [
        ("CPU in user mode, µs per answer", lambda each: format.microseconds(each.user_s)),
        ("CPU in the kernel, µs per answer", lambda each: format.microseconds(each.system_s)),
        ("peak memory so far, MiB", lambda each: _mebibytes(each.peak_bytes)),
        ("memory at the end of a round, MiB", lambda each: _mebibytes(each.resident_bytes)),
        ("context switches to wait, per answer", lambda each: format.per_request(each.voluntary_switches)),
        ("context switches forced, per answer", lambda each: format.per_request(each.involuntary_switches)),
        ("threads", lambda each: _number(each.threads)),
        ("open files and sockets", lambda each: _number(each.open_files)),
        ("database sessions used in a round", lambda each: _number(each.sessions_held)),
        ("of them busy when looked at, mean", lambda each: _number(each.sessions_busy)),
        ("of them busy when looked at, most", lambda each: _number(each.sessions_busy_most)),
        ("SQL statements per answer", lambda each: format.per_request(each.statements)),
        ("rows per answer", lambda each: format.per_request(each.rows)),
        ("waits for a pooled connection, per answer", lambda each: format.per_request(each.pool_waits)),
        ("such a wait, ms", lambda each: format.milliseconds(each.pool_wait_s)),
        ("waits that timed out, in a round", lambda each: _number(each.pool_timeouts)),
        ("event loop late by at most, ms (99 %)", lambda each: _milliseconds(each.loop_lag_s)),
        ("busy threads, mean", lambda each: _number(each.busy_threads)),
    ]
    rows = [(name, *(value(each) for each in sides.values())) for name, value in lines]
    kept = tuple(row for row in rows if any(text != format.NOTHING for text in row[1:]))
    return Table(("median over rounds", *sides), kept, "What the servers used")


def _not_measured(comparison: Comparison, found: Iterable[Mapping[str, Observed]]) -> Iterable[Block]:
    """Yield a notice for each kind of figure that is missing somewhere, with whose it is."""
    lacking: dict[Part, dict[str, None]] = {}
    is_empty = True
    for sides in found:
        is_empty = False
        for subject, each in sides.items():
            for part in each.missing:
                lacking.setdefault(part, {})[subject] = None
    if is_empty:
        text = "The raw figures of the rounds do not lie beside this result."
        yield Notice("not_observed", "all figures", text, "put the result's other files back, then make report")
    for part, (text, own, brought) in MISSING.items():
        if part in lacking:
            # Where the whole part is missing, what it would hold is, too.
            step = brought if comparison.terms is not None and brought else own
            yield Notice("not_measured", ", ".join(lacking[part]), text, step)


def _has_figures(each: Observed) -> bool:
    parts = (each.user_s, each.peak_bytes, each.threads, each.sessions_held, each.pool_waits, each.pool_timeouts)
    return any(value is not None for value in (*parts, each.loop_lag_s, each.busy_threads))


def _number(value: float | None) -> str:
    if value is None:
        return format.NOTHING
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _milliseconds(value: float | None) -> str:
    return format.NOTHING if value is None else f"{value * 1e3:g}"


def _mebibytes(value: float | None) -> str:
    return format.NOTHING if value is None else f"{value / 2**20:,.0f}"
