"""C10: URL, engine, pool, request, session, database, close, in this order."""

import sys
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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
from shared.lab.claims.client import Ask
from shared.lab.claims.client import ask
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.watch.order import Moment
from shared.lab.watch.order import Part
from shared.lab.watch.order import read

# Where an edition writes its moments; read by `shared.lab.controls.ordered` alone.
ORDER_KEY = "WATCHED_ORDER_FILE"
# The statement's steps, and by whose beginning each is told; the database is reached with the first of three.
OF_PROCESS: Mapping[str, Part] = {"URL": "url", "engine": "engine", "pool": "pool"}
OF_REQUEST: Mapping[str, tuple[Part, ...]] = {
    "request": ("request",),
    "session": ("session",),
    "database": ("connection", "checkout", "statement"),
    "close": ("close",),
}
STEPS = (*OF_PROCESS, *OF_REQUEST)
LANES: tuple[Part, ...] = ("request", "session", "checkout", "statement", "close")
MISSING_NS = -1


@dataclass(frozen=True, slots=True)
class Life:
    """One process from its start to its end.

    Attributes:
        moments: What it wrote down.
        requests: Names of its requests, in the order in which they were sent.
    """

    moments: Sequence[Moment]
    requests: Sequence[str]

    def first_ns(self, parts: Sequence[Part], request: str | None = None) -> int:
        """Return when the first of some parts began, for a request or at all; negative if none did."""
        found = (
            moment.at_ns
            for moment in self.moments
            if moment.part in parts and moment.edge == "begin" and request in (None, moment.request)
        )
        return next(found, MISSING_NS)

    def end_ns(self, part: Part, request: str | None = None) -> int:
        """Return when a part ended for the first time, for a request or at all; negative if it did not."""
        found = (
            moment.at_ns
            for moment in self.moments
            if moment.part == part and moment.edge == "end" and request in (None, moment.request)
        )
        return next(found, MISSING_NS)

    def begins(self, request: str) -> dict[str, int]:
        """Return when each of the statement's steps began, as a request sees it."""
        process = {name: self.first_ns((part,)) for name, part in OF_PROCESS.items()}
        return process | {name: self.first_ns(parts, request) for name, parts in OF_REQUEST.items()}


def measure(bench: Bench, options: Options) -> Finding:
    """Have each edition write down when its parts come and go, from its start over some requests to its end."""
    trials, requests = int(options["trials"]), int(options["requests"])
    measured: dict[Subject, Figures] = {}
    pictures = []
    for edition in EDITIONS:
        lives = []
        for trial in range(trials):
            bench.progress(f"C10: {edition}, trial {trial + 1} of {trials}")
            lives.append(_live(bench, edition, requests))
        measured[edition] = Figures(tuple(_figures(lives)))
        pictures += [_picture(edition, lives[0], number) for number in range(2)]
    return Finding(measured, tuple(pictures))


def _live(bench: Bench, edition: Edition, requests: int) -> Life:
    names = [f"request {number + 1}" for number in range(requests)]
    with tempfile.TemporaryDirectory(prefix="ordered-") as directory:
        path = Path(directory) / "moments.jsonl"
        path.touch()
        own = {"HOST": HOST, f"{edition.upper()}_PORT": "{port}", ORDER_KEY: str(path)}
        command = (sys.executable, "-m", "shared.lab.controls.ordered", edition)
        spec = ServiceSpec(f"{edition} ordered", command, {**bench.environ(edition, {}), **own})
        with Service(spec, cores=bench.cores.server) as service:
            for name in names:
                ask(service, Ask("/db", name))
        return Life(read(path), names)


def _figures(lives: Sequence[Life]) -> list[Figure]:
    trials = len(lives)
    seen = [(place, life.begins(name)) for life in lives for place, name in enumerate(life.requests)]
    figures = [
        Figure("requests", "requests recorded", len(seen), trials=trials),
        Figure("complete", "of those with every step",
               sum(min(begins.values()) > MISSING_NS for _, begins in seen), trials=trials),
        Figure("firsts", "of those the first of their process", trials, trials=trials),
        Figure("firsts_in_order", "first requests with all steps in order",
               sum(_is_ordered(begins) for place, begins in seen if place == 0), trials=trials),
        Figure("later_in_order", "later requests with all steps in order",
               sum(_is_ordered(begins) for place, begins in seen if place), trials=trials),
    ]  # fmt: skip
    for one, other in pairwise(STEPS):
        count = sum(begins[one] < begins[other] for _, begins in seen)
        figures.append(
            Figure(f"{one}_{other}", f"requests for which {one} was before {other}", count, trials=len(seen))
        )
    each = [(life, name) for life in lives for name in life.requests]
    returned = sum(_is_within(life, name) for life, name in each)
    early = sum(
        moment.part == "connection" and moment.edge == "end" and moment.at_ns < life.first_ns(("dispose",))
        for life in lives
        for moment in life.moments
    )
    alone_s = [
        (life.first_ns(("checkout",), name) - life.first_ns(("session",), name)) / 1e9
        for life in lives
        for name in life.requests[1:]
    ]
    return [
        *figures,
        Figure("order_first", "order in a first request", _order(lives[0], 0), trials=trials),
        Figure("order_later", "order in a second request", _order(lives[0], 1), trials=trials),
        Figure("pool_within_engine", "processes whose pool was there before their engine was",
               sum(0 <= life.end_ns("pool") < life.end_ns("engine") for life in lives), trials=trials),
        Figure("alone_s", "from session to connection in later requests, longest", max(alone_s), "s", len(alone_s)),
        Figure("returned_in_close", "requests whose connection was returned while the session closed", returned,
               trials=len(each)),
        Figure("disconnected_early", "connections that were closed before the engine was disposed", early,
               trials=trials),
        Figure("closed_before_answer", "requests whose session was closed before the application had answered",
               sum(0 <= life.end_ns("session", name) < life.end_ns("request", name) for life, name in each),
               trials=len(each)),
    ]  # fmt: skip


def _is_ordered(begins: Mapping[str, int]) -> bool:
    return all(begins[one] < begins[other] for one, other in pairwise(STEPS))


def _is_within(life: Life, name: str) -> bool:
    """Return whether a request's last return of a connection lay within the closing of its session."""
    returns = [m.at_ns for m in life.moments if m.part == "checkout" and m.edge == "end" and m.request == name]
    return bool(returns) and life.first_ns(("close",), name) < returns[-1] < life.end_ns("close", name)


def _order(life: Life, number: int) -> str:
    begins = life.begins(life.requests[number])
    return " > ".join(sorted(begins, key=lambda step: begins[step]))


def _picture(edition: Edition, life: Life, number: int) -> Timeline:
    name = life.requests[number]
    origin_ns = life.first_ns(("request",), name)
    own = [moment for moment in life.moments if moment.request == name]
    lanes = []
    for part in LANES:
        begins = [moment.at_ns for moment in own if moment.part == part and moment.edge == "begin"]
        ends = [moment.at_ns for moment in own if moment.part == part and moment.edge == "end"]
        spans = tuple(
            Span((begin_ns - origin_ns) / 1e9, (end_ns - origin_ns) / 1e9, part)
            for begin_ns, end_ns in zip(begins, ends, strict=False)
        )
        lanes.append(Lane(part, spans))
        if part == "session" and (connecting_ns := life.first_ns(("connection",), name)) > MISSING_NS:
            reached_ns = life.first_ns(("checkout",), name)
            moment = Span((connecting_ns - origin_ns) / 1e9, (reached_ns - origin_ns) / 1e9, "connecting")
            lanes.append(Lane("connection", (moment,)))
    return Timeline(f"{edition}: {name} of a process", tuple(lanes))


def rule(figures: Figures) -> Ruling:
    """Judge by the beginnings of the steps, in every request that was recorded."""
    requests, firsts = figures.number("requests"), figures.number("firsts")
    later = requests - firsts
    if figures.number("complete") < requests:
        return Ruling("undecided", f"{figures.number('complete'):g} of {requests:g} requests have every step")
    firsts_in_order, later_in_order = figures.number("firsts_in_order"), figures.number("later_in_order")
    ordered = firsts_in_order + later_in_order
    broken = [
        f"{one} before {other}"
        for one, other in pairwise(STEPS)
        if figures.number(f"{one}_{other}") < requests
    ]  # fmt: skip
    said = f"in order in {ordered:g} of {requests:g} requests"
    if ordered == requests:
        return Ruling("confirmed", said)
    said = f"{said}; not always: {', '.join(broken)}"
    if not ordered:
        return Ruling("refuted", said)
    if not firsts_in_order and later_in_order == later:
        return Ruling("depends", f"on whether a request is the first of its process: {said}")
    return Ruling("depends", f"on the request: {said}")


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: first request {figures.text('order_first')}; second request {figures.text('order_later')}. "
            f"In {figures.number('pool_within_engine'):g} of {figures['pool_within_engine'].trials} processes the pool "
            f"was there before the engine that it belongs to; {figures.number('returned_in_close'):g} of "
            f"{figures['returned_in_close'].trials} requests gave their connection back while their session closed, "
            f"{figures.number('closed_before_answer'):g} closed it before the application had answered, and "
            f"{figures.number('disconnected_early'):g} connections were closed before the engine was disposed."
        )
    return (
        f"{' '.join(parts)} The first request of a process reaches the database before it has a session, because the "
        "service then prepares schema and data over a connection of its own. The pool is made inside of "
        "create_engine() and handed to the engine, so that one call begins before the other and ends after it. The "
        "session comes before its connection: SQLAlchemy's documentation has it request one once queries are issued. "
        "The close at the end of a request is the session's, which returns the connection to the pool; connections are "
        "closed when the engine is disposed, after the last request."
    )


CLAIM = Claim(
    number=10,
    statement="URL, engine, pool, request, session, database, close: it happens in this order.",
    prediction="In every request that is recorded each of these begins before the next.",
    method=(
        "Each edition is started with hooks that write down the beginning and the end of each part: reading the URL, "
        "making engine and pool, the application's call, opening and closing of the Session, connecting, having a "
        "connection, running a statement, disposing of the engine (SQLAlchemy's events where there are some). Requests "
        "for a row follow, then the service is stopped. The database is reached with the first connecting, checkout or "
        "statement of a request; close is that of its Session; URL, engine and pool are the first of the service."
    ),
    rule_words=(
        "By beginnings: confirmed if all seven are in this order for every request, refuted if for none; otherwise it "
        "depends, on whether a request is the first of its process if exactly those are out of order. Undecided if a "
        "request lacks a step."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=8,
    options=(
        Option("trials", 2, "how often each edition is started", 1, 100),
        Option("requests", 5, "requests in each of them", 2, 1_000),
    ),
    sources=(
        Source("SQLAlchemy: Engine Configuration", "https://docs.sqlalchemy.org/en/21/core/engines.html"),
        Source("SQLAlchemy: Session Basics", "https://docs.sqlalchemy.org/en/21/orm/session_basics.html"),
        Source("SQLAlchemy: Core Events", "https://docs.sqlalchemy.org/en/21/core/events.html"),
    ),
)
