"""C12: the service starts while the database is down, serves what needs none, and recovers without a restart."""

from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import field
from time import sleep

from shared.config import Edition
from shared.errors import EnvironmentFailure
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
from shared.lab.claims.client import Answer
from shared.lab.claims.client import ask
from shared.lab.claims.client import together
from shared.lab.claims.durations import duration_figures
from shared.lab.claims.outage import Door
from shared.lab.claims.outage import door
from shared.lab.services.process import Service

WITHOUT_DATABASE = ("/plaintext", "/json", "/livez", "/wait?seconds=0", "/cpu?iterations=10", "/pool", "/openapi.json")
WITH_DATABASE = (
    *("/db", "/queries?queries=2", "/updates?queries=2", "/fortunes", "/accounts/1", "/sleep?seconds=0"),
    *("/stream?rows=1", "/readyz", "/health/db"),
)
# How often a service that is to recover is asked, and when it is given up.
ASK_EVERY_S = 0.005
PATIENCE_S = 10.0
# As many at once as the pool has connections, so that each of them is used after the database's return.
AT_ONCE = 10


@dataclass(slots=True)
class Trials:
    """What several trials of one edition saw.

    Attributes:
        starts: Services that started while the database was down.
        served: Answers while it was down to what needs none.
        refused: Answers while it was down to what needs it.
        after_start_s: From the database's first coming to the first row, in seconds.
        after_outage_s: From its coming back to the next row, in seconds.
        relapses: Answers other than 200 once a row had been answered.
        restarts: Services whose processes were others in the end than in the beginning.
    """

    starts: int = 0
    served: list[Answer] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)
    after_start_s: list[float] = field(default_factory=list)
    after_outage_s: list[float] = field(default_factory=list)
    relapses: int = 0
    restarts: int = 0


def measure(bench: Bench, options: Options) -> Finding:
    """Start services without a database, and take it away from them and back, several times."""
    trials, outages, down_s = int(options["trials"]), int(options["outages"]), float(options["down_s"])
    found = {edition: Trials() for edition in EDITIONS}
    measured: dict[Subject, Figures] = {}
    for trial in range(trials):
        for edition in EDITIONS if trial % 2 == 0 else EDITIONS[::-1]:
            bench.progress(f"C12: {edition}, trial {trial + 1} of {trials}")
            _try(bench, edition, outages, down_s, found[edition])
    for edition in EDITIONS:
        with door(bench.urls[edition]) as way:
            engine = bench.run_inside(edition, "engine_without_database", settings={"DATABASE_URL": way.url})
        measured[edition] = Figures(tuple(_figures(found[edition], engine, trials)))
    bars = [
        Bar(when, edition, float(figures[f"{name}_s"].value), figures[f"{name}_s"].low, figures[f"{name}_s"].high)
        for edition, figures in measured.items()
        for name, when in (("after_start", "after a start without it"), ("after_outage", "after an outage"))
        if f"{name}_s" in {figure.name for figure in figures.figures}
    ]
    return Finding(measured, (Bars("From the database's coming to the first row", "seconds", tuple(bars)),))


def _try(bench: Bench, edition: Edition, outages: int, down_s: float, found: Trials) -> None:
    with ExitStack() as stack:
        way = stack.enter_context(door(bench.urls[edition]))
        try:
            service = stack.enter_context(bench.service(edition, DATABASE_URL=way.url))
        except EnvironmentFailure:
            way.open()
            # Raises where it does not start with its database either, which says nothing about the claim.
            with bench.service(edition, DATABASE_URL=way.url):
                return
        found.starts += 1
        pids = service.pids()
        _look_while_down(service, found)
        found.after_start_s.append(_come_back(service, way, found))
        for _ in range(outages):
            way.shut()
            sleep(down_s)
            _look_while_down(service, found)
            found.after_outage_s.append(_come_back(service, way, found))
        found.restarts += service.pids() != pids


def _look_while_down(service: Service, found: Trials) -> None:
    found.refused += _ask_all(service, WITH_DATABASE)
    found.served += _ask_all(service, WITHOUT_DATABASE)


def _ask_all(service: Service, targets: Iterable[str]) -> list[Answer]:
    return [ask(service, target) for target in targets]


def _come_back(service: Service, way: Door, found: Trials) -> float:
    """Let the database come, and return the seconds until the first row; then use every connection of the pool."""
    came_ns = way.open()
    while True:
        answer = ask(service, "/db")
        took_s = (answer.done_ns - came_ns) / 1e9
        if answer.status == 200 or took_s > PATIENCE_S:
            break
        sleep(ASK_EVERY_S)
    after = [*together(service, ["/sleep?seconds=0.02"] * AT_ONCE), *together(service, ["/db"] * AT_ONCE)]
    found.relapses += sum(each.status != 200 for each in after)
    return took_s


def _figures(found: Trials, engine: dict[str, bool], trials: int) -> list[Figure]:
    served = sum(answer.status == 200 for answer in found.served)
    refused = sum(answer.status == 503 and "retry-after" in answer.headers for answer in found.refused)
    slowest_s = max((answer.duration_s for answer in found.refused), default=0.0)
    return [
        Figure("engine_is_made", "engine made while the database is down", engine["is_made"]),
        Figure("engine_connects", "and connected", engine["connects"]),
        Figure("starts", "services started while the database was down", found.starts, trials=trials),
        Figure("asked_without", "requests meanwhile that need no database", len(found.served), trials=trials),
        Figure("served_without", "of those answered with 200", served, trials=trials),
        Figure("asked_with", "requests meanwhile that need it", len(found.refused), trials=trials),
        Figure("refused_with", "of those answered with 503 and Retry-After", refused, trials=trials),
        Figure("slowest_refusal_s", "the slowest of them", slowest_s, "s", trials),
        *_recovery_figures("after_start", "database's first coming to first row", found.after_start_s),
        *_recovery_figures("after_outage", "database's coming back to next row", found.after_outage_s),
        Figure("longest_s", "longest recovery", max(_recoveries(found), default=0.0), "s", len(_recoveries(found))),
        Figure("relapses", "requests after a recovery not answered with 200", found.relapses,
               trials=len(_recoveries(found))),
        Figure("restarts", "services whose processes changed", found.restarts, trials=trials),
    ]  # fmt: skip


def _recovery_figures(name: str, label: str, durations_s: Sequence[float]) -> list[Figure]:
    return duration_figures(name, label, durations_s) if durations_s else []


def _recoveries(found: Trials) -> Sequence[float]:
    return [*found.after_start_s, *found.after_outage_s]


def rule(figures: Figures) -> Ruling:
    """Judge the start, what was served meanwhile, and each recovery; and whether the lazy engine is the reason."""
    trials = figures["starts"].trials
    said = (
        f"{figures.number('starts'):g} of {trials} started, {figures.number('served_without'):g} of "
        f"{figures.number('asked_without'):g} requests without need of the database were answered, "
        f"{figures.number('refused_with'):g} of {figures.number('asked_with'):g} with it were 503; the longest "
        f"recovery took {figures.number('longest_s'):.3f} s"
    )
    is_served = (
        figures.number("starts") == trials
        and figures.number("served_without") == figures.number("asked_without")
        and figures.number("refused_with") == figures.number("asked_with")
    )
    is_back = figures.number("longest_s") <= PATIENCE_S and not figures.number("restarts")
    if not is_served or not is_back:
        return Ruling("refuted", said)
    if not figures.is_true("engine_is_made") or figures.is_true("engine_connects"):
        return Ruling("depends", f"on something else than that making an engine does not connect: {said}")
    if figures.number("relapses"):
        return Ruling(
            "depends", f"on the connection: {said}, and {figures.number('relapses'):g} requests after it failed"
        )
    return Ruling("confirmed", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        names = {figure.name for figure in figures.figures}
        times = [
            f"{figures.number(f'{name}_s'):.3f} s {when} (mean of {figures[f'{name}_s'].trials})"
            for name, when in (("after_start", "after such a start"), ("after_outage", "after an outage"))
            if f"{name}_s" in names
        ]
        parts.append(
            f"{edition}: {figures.number('starts'):g} of {figures['starts'].trials} services started without their "
            f"database; from its coming to the next row it took {' and '.join(times) or 'no time that was measured'}; "
            f"{figures.number('relapses'):g} requests failed afterwards; the slowest 503 took "
            f"{figures.number('slowest_refusal_s'):.3f} s."
        )
    return (
        f"{' '.join(parts)} The engine is made without a connection, so nothing in a start needs the database; the "
        "same engine, asked to connect while it is down, fails. Until the tables are known to be there, a service "
        "tries to prepare them at most every 0.5 s and refuses what comes in between at once: that bounds the first "
        "recovery. Later the editions' pool finds connections that the server has closed when it hands them out, and "
        "connects anew. SQLAlchemy's own ways of dealing with disconnects, by its documentation, are a test of the "
        "connection at each checkout (pessimistic), or an error that invalidates the pool (optimistic)."
    )


CLAIM = Claim(
    number=12,
    statement="Therefore the service starts while the database is down, and recovers when it comes.",
    prediction=(
        "Started without a database, both editions answer what needs none with 200 and the rest with 503; when it "
        "comes, and after every outage, they serve again without a restart."
    ),
    method=(
        "The service reaches its database through a proxy at an address that stays; while the proxy is not there, "
        "nobody listens, as with a database that is down, and nobody else's use of the server is touched. Each trial "
        f"starts a service without the database, asks {len(WITHOUT_DATABASE)} targets that need none and "
        f"{len(WITH_DATABASE)} that do, lets the database come, and asks for a row every {ASK_EVERY_S * 1e3:g} ms "
        f"until there is one; then {AT_ONCE} requests at once use all connections, twice. Outages of the running "
        "service follow, looked at in the same way. Apart from that, the edition's engine is made in a process of its "
        "own and asked to connect while the database is down."
    ),
    rule_words=(
        "Refuted if a service that starts with its database did not start without it, a request without need of the "
        "database was not answered with 200, one with need of it with anything but 503 and Retry-After, a recovery "
        f"took longer than {PATIENCE_S:g} s, or a process was replaced. Otherwise it depends on something else if an "
        "engine cannot be made without a database or connects without one (the therefore), and on the connection if "
        "requests after a recovery failed. Else confirmed."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=22,
    options=(
        Option("trials", 3, "services that are started without the database", 1, 50),
        Option("outages", 2, "how often it is taken away from each of them", 0, 50),
        Option("down_s", 0.2, "how long it is away before anything is asked, in seconds", 0.0, 60.0),
    ),
    sources=(
        Source("SQLAlchemy: Engine Configuration", "https://docs.sqlalchemy.org/en/21/core/engines.html"),
        Source(
            "SQLAlchemy: Dealing with Disconnects",
            "https://docs.sqlalchemy.org/en/21/core/pooling.html#dealing-with-disconnects",
        ),
    ),
)
