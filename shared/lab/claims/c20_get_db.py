"""C20: the get_db generator opens before the route and closes after the response; and what closing late costs."""

import sys
import time
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from json import dumps
from json import loads
from statistics import fmean
from typing import Any

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab import statistics
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Bar
from shared.lab.claims.claim import Bars
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
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec

# By edition, closing and kind of answer: what happened, with microseconds since the first.
Orders = Mapping[tuple[Edition, str, str], list[tuple[str, float]]]

CLOSINGS = {"before": "before the answer is sent", "after": "after the answer was sent"}
STREAMED = "/stream?rows=2000"
SLOW_TARGET = "/queries?queries=1"
OTHERS = "/db"
# The end of a body in chunks (RFC 9112, section 7.1) is no part of what is streamed.
END_OF_CHUNKS = 5
# More than the kernel takes from a server in advance over the loopback interface, which may be some MiB.
PAD_BYTES = 8 * 1024 * 1024
SLOW_TIMEOUT_S = 30.0
WINDOW_S = 0.8
# A trace is written a moment after its answer.
TRACE_WAIT_S = 5.0
# Longest wait for an account that was opened, in seconds.
COMMIT_WAIT_S = 5.0
NO_TIMEOUTS = {"CONNECT_TIMEOUT": "0.2", "POOL_TIMEOUT": "0.3"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What slow clients cost in one trial.

    Attributes:
        hold_s: How long a request of theirs held its connection, on average, in seconds.
        others_s: Response times of others that were answered, in seconds.
        asked: How many requests the others made.
        failed: How many of them were refused for want of a connection, or got no answer.
    """

    hold_s: float
    others_s: tuple[float, ...]
    asked: int
    failed: int


def measure(bench: Bench, options: Options) -> Finding:
    """Record the order in each edition and in its control; then let slow clients read from both, several times."""
    trials = int(options["trials"])
    settings = {"TRACE": "1", "POOL_SIZE": str(int(options["pool"])), "POOL_MAX_OVERFLOW": "0", **NO_TIMEOUTS}
    keys: list[tuple[Edition, str]] = [(edition, closing) for edition in EDITIONS for closing in CLOSINGS]
    costs: dict[tuple[Edition, str], list[Cost]] = {key: [] for key in keys}
    orders: dict[tuple[Edition, str, str], list[tuple[str, float]]] = {}
    with ExitStack() as stack:
        clients = [stack.enter_context(LoadClient(cores=bench.cores.client)) for _ in range(2)]
        services = {key: stack.enter_context(_variant(bench, *key, settings)) for key in keys}
        for service in services.values():
            # Called before any of them is waited for, so that they stop together.
            stack.callback(service.ask_to_stop)
        for key, service in services.items():
            bench.progress(f"C20: {key[0]}, the order of events, get_db closed {CLOSINGS[key[1]]}")
            ask(service, OTHERS)
            orders[*key, "whole"] = order(_trace(service, _deposit(service)))
            orders[*key, "streamed"] = order(_trace(service, Ask(STREAMED)))
        for trial in range(trials):
            for key in keys if trial % 2 == 0 else reversed(keys):
                bench.progress(f"C20: {key[0]}, closed {CLOSINGS[key[1]]}, trial {trial + 1} of {trials}")
                costs[key].append(_cost(clients, services[key], options))
    measured: dict[Subject, Figures] = {
        edition: Figures((*_order_figures(edition, orders), *_cost_figures(edition, costs, trials)))
        for edition in EDITIONS
    }
    return Finding(measured, (_timeline(orders), _bars(measured)))


@contextmanager
def _variant(bench: Bench, edition: Edition, closing: str, settings: Mapping[str, str]) -> Iterator[Service]:
    own = {"HOST": HOST, f"{edition.upper()}_PORT": "{port}"}
    command = (sys.executable, "-m", "shared.lab.controls.late_close", edition, closing, str(PAD_BYTES))
    spec = ServiceSpec(f"{edition} closing {closing}", command, {**bench.environ(edition, settings), **own})
    with Service(spec, cores=bench.cores.server) as service:
        yield service


def _deposit(service: Service) -> Ask:
    """Return a request that writes, on an account of its own."""
    headers = {"Content-Type": "application/json"}
    opened = ask(service, Ask("/accounts", "", "POST", dumps({"owner": "C20", "balance": 1}).encode(), headers))
    if opened.status != HTTPStatus.CREATED:
        raise EnvironmentFailure("no account can be opened", why=opened.body.decode("utf-8", "replace")[:200])
    account = f"/accounts/{loads(opened.body)['id']}"
    # Where the commit comes after the answer, the account that was answered may not be there yet.
    deadline = time.monotonic() + COMMIT_WAIT_S
    while ask(service, Ask(account)).status != HTTPStatus.OK:
        if time.monotonic() > deadline:
            raise EnvironmentFailure(f"{account} was opened but cannot be read", hint=f"see {service.log_path}")
    body = dumps({"amount": 1, "strategy": "atomic"}).encode()
    return Ask(f"{account}/deposits", "", "POST", body, headers)


def _trace(service: Service, request: Ask) -> dict[str, Any]:
    """Send a request and return its trace.

    Raises:
        EnvironmentFailure: If it is refused, or there is no trace of it.
    """
    traced = Ask(request.target, "", request.method, request.body, {**request.headers, "X-Trace": "1"})
    answer = ask(service, traced)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise EnvironmentFailure(f"{request.target} was answered {answer.status}", why=answer.body[:200].decode())
    deadline = time.monotonic() + TRACE_WAIT_S
    while time.monotonic() < deadline:
        found = ask(service, f"/traces/{answer.headers['x-trace-id']}")
        if found.status == HTTPStatus.OK:
            document: dict[str, Any] = loads(found.body)
            return document
    raise EnvironmentFailure(f"{service.spec.name} has no trace of {request.target}", hint=f"see {service.log_path}")


def order(trace: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return what happened to the session and to the answer, in order, with microseconds since the first."""
    stages = trace["stages"]

    def of(name: str) -> list[Mapping[str, Any]]:
        return [stage for stage in stages if stage["name"] == name]

    sends = [stage for stage in of("send") if stage["facts"]["bytes"]["size"] > END_OF_CHUNKS]
    moments = [
        ("session opened", [stage["end_ns"] for stage in of("session")][:1]),
        ("first statement", [stage["start_ns"] for stage in of("sql")][:1]),
        ("last statement", [stage["end_ns"] for stage in of("sql")][-1:]),
        ("commit", [stage["end_ns"] for stage in of("commit")][-1:]),
        ("connection returned", [stage["end_ns"] for stage in of("release")][-1:]),
        ("first byte", [stage["start_ns"] for stage in sends][:1]),
        ("last byte", [stage["end_ns"] for stage in sends][-1:]),
    ]
    found = sorted((at, name) for name, ats in moments for at in ats)
    return [(name, (at - found[0][0]) / 1e3) for at, name in found]


def _cost(clients: list[LoadClient], service: Service, options: Options) -> Cost:
    slow, others = clients
    before = _held(service)
    pace = round(options["slow_mib_per_s"] * 1024 * 1024)
    slow.prepare(HOST, service.port, connections=int(options["slow"]), slow_share=1.0, slow_bytes_per_s=pace)
    others.prepare(HOST, service.port, connections=64, opens=False)
    host = f"{HOST}:{service.port}"
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(
            slow.run, HOST, service.port, Scenario("slow", SLOW_TARGET).request_bytes(host),
            ramp_s=0.0, window_s=WINDOW_S, timeout_s=SLOW_TIMEOUT_S,
        )  # fmt: skip
        load = others.run(
            HOST, service.port, Scenario("others", OTHERS).request_bytes(host),
            ramp_s=0.1, window_s=WINDOW_S - 0.1, timeout_s=5.0,
            pattern=Pattern(rate=float(options["rate"]), is_constant=True), grace_s=2.0,
        )  # fmt: skip
        slow_answers = reading.result()
    after = _held(service)
    samples = load.samples
    is_fine = samples.status == HTTPStatus.OK
    took_s = (samples.done_ns - samples.intended_ns)[is_fine] / 1e9
    served = int((slow_answers.samples.status == HTTPStatus.OK).sum())
    return Cost(
        hold_s=(after - before) / max(1, served),
        others_s=tuple(float(each) for each in took_s),
        asked=len(samples) + len(load.errors),
        failed=int((~is_fine).sum()) + len(load.errors),
    )


def _held(service: Service) -> float:
    """Return how long requests of the slow clients' kind have held connections, in seconds, by the pool's account."""
    totals = loads(ask(service, "/pool").body)["totals"]
    return float(totals["hold_s_by_endpoint"].get("queries", 0.0))


def _order_figures(edition: Edition, orders: Orders) -> list[Figure]:
    figures = []
    for closing, words in CLOSINGS.items():
        for kind in ("whole", "streamed"):
            names = [name for name, _ in orders[edition, closing, kind]]
            label = f"order of events, {kind} answer, get_db closed {words}"
            figures.append(Figure(f"{closing}_{kind}_order", label, ", ".join(names)))
    for kind in ("whole", "streamed"):
        names = [name for name, _ in orders[edition, "before", kind]]
        opens = names.index("session opened") < names.index("first statement")
        closes = names.index("connection returned") > names.index("last byte")
        figures.append(Figure(f"{kind}_opens_first", f"session opened before the handler's work, {kind} answer", opens))
        label = f"connection returned after the last byte, {kind} answer"
        figures.append(Figure(f"{kind}_closes_last", label, closes))
    names = [name for name, _ in orders[edition, "after", "whole"]]
    early = "commit" in names and names.index("first byte") < names.index("commit")
    figures.append(Figure("told_before_commit", "with get_db closed late, success is told before the commit", early))
    return figures


def _cost_figures(edition: Edition, costs: Mapping[tuple[Edition, str], list[Cost]], trials: int) -> list[Figure]:
    figures = []
    for closing, words in CLOSINGS.items():
        runs = costs[edition, closing]
        hold = fmean(run.hold_s for run in runs) * 1e3
        figures.append(Figure(f"{closing}_hold_ms", f"a slow client's request holds its connection, closed {words}",
                              hold, "ms", trials))  # fmt: skip
        times = [each for run in runs for each in run.others_s]
        slowest = statistics.percentile(times, 0.99) * 1e3 if times else 0.0
        figures.append(Figure(f"{closing}_p99_ms", f"p99 of others that were answered, closed {words}", slowest, "ms",
                              trials))  # fmt: skip
        asked = sum(run.asked for run in runs)
        failed = sum(run.failed for run in runs) / max(1, asked)
        figures.append(
            Figure(f"{closing}_failed", f"others refused or not answered, closed {words}", failed, "", trials)
        )
    late, early = ([run.hold_s * 1e3 for run in costs[edition, closing]] for closing in ("after", "before"))
    extra = statistics.paired_difference(late, early)
    label = "how much longer a slow client's request holds its connection if get_db is closed late"
    figures.append(Figure("extra_hold_ms", label, extra.value, "ms", trials, extra.low, extra.high))
    return figures


def _timeline(orders: Orders) -> Timeline:
    lanes = []
    for (edition, closing, kind), moments in orders.items():
        at = {name: offset / 1e6 for name, offset in moments}
        spans = [
            Span(at["session opened"], at["connection returned"], "session open"),
            Span(at["first statement"], at["last statement"], "handler's statements"),
            Span(at["first byte"], at["last byte"], "answer sent"),
        ]
        spans += [Span(at[name], at[name], name) for name in ("commit",) if name in at]
        lanes.append(Lane(f"{edition}, {kind}, get_db closed {closing}", tuple(spans)))
    return Timeline("The session's life and the answer's, in seconds from its opening", tuple(lanes))


def _bars(measured: Mapping[Subject, Figures]) -> Bars:
    bars = [
        Bar(edition, f"get_db closed {words}", figures.number(f"{closing}_hold_ms"))
        for edition, figures in measured.items()
        for closing, words in CLOSINGS.items()
    ]
    return Bars("How long a slow client's request holds a connection", "ms", tuple(bars))


def rule(figures: Figures) -> Ruling:
    """Return the verdict by the recorded order alone."""
    opens = figures.is_true("whole_opens_first") and figures.is_true("streamed_opens_first")
    whole, streamed = figures.is_true("whole_closes_last"), figures.is_true("streamed_closes_last")
    said = (
        f"the session opens {'before' if opens else 'after'} the handler's first statement; the connection goes back "
        f"{'after' if whole else 'before'} the answer where it is sent whole, {'after' if streamed else 'before'} its "
        "last byte where it is streamed"
    )
    if opens and whole and streamed:
        return Ruling("confirmed", said)
    if opens and whole != streamed:
        return Ruling("depends", f"on whether the answer is streamed: {said}")
    return Ruling("refuted", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        number = figures.number
        parts.append(
            f"{edition}, whole: {figures.text('before_whole_order')}; "
            f"streamed: {figures.text('before_streamed_order')}. "
            f"Slow clients' requests held a connection for {number('before_hold_ms'):.1f} ms; with get_db closed after "
            f"the answer was sent {number('after_hold_ms'):.1f} ms, and of others {number('after_failed'):.1%} failed "
            f"(before: {number('before_failed'):.1%})."
        )
    commits = [edition for edition, figures in finding.measured.items() if figures.is_true("told_before_commit")]
    late = f" Closed late, success was told before the commit ({', '.join(commits)})." if commits else ""
    return (
        f"{' '.join(parts)}{late} FastAPI runs what stands behind the yield after the response is sent: so before "
        "0.106, not from there to 0.117, and again since 0.118; since 0.121 a scope of function closes before it. A "
        "thread sends within the call, so a session that is closed late is held until a slow client has taken in what "
        "the kernel does not. uvicorn documents that, once its write buffer has passed a high water mark, a send "
        "returns only when the buffer is below a low one; the one send of a whole answer did not wait so: how long "
        "ASGI holds a connection closed late is the figure above."
    )


CLAIM = Claim(
    number=20,
    statement="The get_db generator opens before the route and closes after the response.",
    prediction=(
        "The session opens before the handler runs. It closes before a whole answer is sent, and after the last byte "
        "of a streamed one. Closed after whole answers as well, it holds a connection while a slow client reads."
    ),
    method=(
        "The order is that of the service's own trace of a write (/accounts/{id}/deposits) and of a streamed read "
        f"({STREAMED}), of each edition and of a control in which get_db is closed when the answer has been sent. Then "
        f"slow clients read answers of {PAD_BYTES // 1024 // 1024} MiB (/queries, padded in edition and control alike) "
        f"while others ask for {OTHERS} at a constant rate, with a small pool; how long the slow ones hold connections "
        "is the pool's own account."
    ),
    rule_words=(
        "By the order alone: confirmed if the session opens before the first statement and the connection goes back "
        "after the last byte of whole and of streamed answers; depends if of one kind only; else refuted."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=30,
    options=(
        Option("pool", 2, "connections of the pool", 1, 100),
        Option("slow", 4, "clients that read slowly", 1, 100),
        Option("slow_mib_per_s", 8.0, "how fast each of them reads, in MiB each second", 0.5, 100),
        Option("rate", 50, "requests of others, each second", 5, 500),
        Option("trials", 3, "how often slow clients read", 3, 50),
    ),
    sources=(
        Source("FastAPI: Advanced Dependencies", "https://fastapi.tiangolo.com/advanced/advanced-dependencies/"),
        Source(
            "FastAPI: Dependencies with yield, early exit and scope",
            "https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/#early-exit-and-scope",
        ),
        Source("FastAPI: Release Notes", "https://fastapi.tiangolo.com/release-notes/"),
        Source("uvicorn: Server Behavior, flow control", "https://uvicorn.dev/server-behavior/#flow-control"),
    ),
)
