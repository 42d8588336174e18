"""C17: create the engine once, not per request."""

import json
import random
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

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
from shared.lab.claims.client import ask
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.statistics import paired_ratio
from shared.lab.statistics import percentile
from shared.lab.watch.sessions import Sessions

# By the name under which their figures go: in words, and the options of `shared.lab.controls.variant`.
WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "one": ("one engine", ()),
    "null": ("one engine, no pooling", ("--pool", "null")),
    "each": ("an engine per request", ("--engine", "per-request")),
}
TARGET = "/db"
RAMP_S = 0.05
WARM_UP_S = 0.2
ANSWER_TIMEOUT_S = 10.0
SEED = 17
# Connections per request that count as one for each, and as none: the first requests of a process prepare the database.
ONE_EACH = (0.98, 1.02)


@dataclass(frozen=True, slots=True)
class Slice:
    """What came of one way in one round.

    Attributes:
        rps: Answers per second.
        p50_s: Median service time, in seconds.
        p99_s: Its 99th percentile.
        answered: Answers, the ramp's included.
        connects: Connections that the service's pools opened meanwhile.
        sessions: Sessions that the database has had meanwhile, by its own count.
    """

    rps: float
    p50_s: float
    p99_s: float
    answered: int
    connects: int
    sessions: int


def measure(bench: Bench, options: Options) -> Finding:
    """Load the three ways in turn, several rounds of them."""
    rounds, users, window_s = int(options["rounds"]), int(options["users"]), float(options["seconds"])
    measured: dict[Subject, Figures] = {}
    bars = []
    with LoadClient(cores=bench.cores.client) as client:
        for edition in EDITIONS:
            runs: dict[str, list[Slice]] = {way: [] for way in WAYS}
            settings = {"POOL_SIZE": str(max(10, users)), "WSGI_THREADS": str(max(10, users))}
            with ExitStack() as stack:
                sessions = stack.enter_context(bench.sessions(edition))
                services = {
                    way: stack.enter_context(bench.variant(edition, *swapped, **settings))
                    for way, (_, swapped) in WAYS.items()
                }
                for service in services.values():
                    _load(client, service, users, WARM_UP_S)
                order = random.Random(f"{SEED}/{edition}")
                for number in range(rounds):
                    bench.progress(f"C17: {edition}, round {number + 1} of {rounds}")
                    for way in order.sample(list(WAYS), len(WAYS)):
                        runs[way].append(_slice(client, sessions, services[way], users, window_s))
            measured[edition] = Figures(tuple(summed(runs)))
            bars += _bars(edition, measured[edition])
    return Finding(measured, (Bars("Answers per second", "answers per second", tuple(bars)),))


def _load(client: LoadClient, service: Service, users: int, window_s: float) -> ClientSlice:
    request = Scenario("one engine", TARGET).request_bytes(f"{HOST}:{service.port}")
    client.prepare(HOST, service.port, connections=users)
    piece = client.run(HOST, service.port, request, ramp_s=RAMP_S, window_s=window_s, timeout_s=ANSWER_TIMEOUT_S)
    failed = int((piece.samples.status != 200).sum()) + len(piece.errors)
    if failed or not len(piece.samples):
        raise EnvironmentFailure(
            f"{service.spec.name} failed {failed} of {len(piece.samples) + len(piece.errors)} requests to {TARGET}",
            why="its speed at failing is of no interest",
            hint=f"fewer users; see {service.log_path}",
        )
    return piece


def _slice(client: LoadClient, sessions: Sessions, service: Service, users: int, window_s: float) -> Slice:
    open_before, ever_before, connects_before = sessions.count(), sessions.ever(), _connects(service)
    piece = _load(client, service, users, window_s)
    # A backend reports at the latest when it ends.
    sessions.settled_count(open_before)
    done_ns = piece.samples.done_ns
    inside = (done_ns >= piece.window_start_ns) & (done_ns < piece.window_end_ns)
    if not inside.any():
        raise EnvironmentFailure(
            f"{service.spec.name} answered nothing within {window_s:g} s", hint="--set seconds=2, or fewer users"
        )
    service_s = (done_ns[inside] - piece.samples.sent_ns[inside]) / 1e9
    return Slice(
        rps=int(inside.sum()) / window_s,
        p50_s=percentile(service_s, 0.5),
        p99_s=percentile(service_s, 0.99),
        answered=len(piece.samples),
        connects=_connects(service) - connects_before,
        sessions=sessions.ever() - ever_before,
    )


def _connects(service: Service) -> int:
    """Return how many connections the pools of a service have opened; /pool itself needs none."""
    return int(json.loads(ask(service, "/pool").body)["totals"]["connects"])


def summed(runs: Mapping[str, Sequence[Slice]]) -> list[Figure]:
    """Return the figures of all rounds; pure.

    Args:
        runs: Slices by way, in the order of rounds.
    """
    figures: list[Figure] = []
    for way, slices in runs.items():
        words, rounds = WAYS[way][0], len(slices)
        answered = sum(piece.answered for piece in slices)
        levels = {
            "rps": ("answers per second", "/s", [piece.rps for piece in slices]),
            "p50_ms": ("median service time", "ms", [piece.p50_s * 1e3 for piece in slices]),
            "p99_ms": ("99th percentile of it", "ms", [piece.p99_s * 1e3 for piece in slices]),
        }
        for name, (label, unit, values) in levels.items():
            # Over 1: a geometric mean, as the ratios below are of geometric means.
            mean = paired_ratio(values, [1.0] * rounds, seed=SEED)
            figures.append(Figure(f"{way}_{name}", f"{words}: {label}", mean.value, unit, rounds, mean.low, mean.high))
        for name, label, count in (
            ("connects", "connections opened per request, by the pools", sum(piece.connects for piece in slices)),
            ("sessions", "the same by the database", sum(piece.sessions for piece in slices)),
        ):
            figures.append(Figure(f"{way}_{name}", f"{words}: {label}", count / answered, "", rounds))
        figures.append(Figure(f"{way}_answered", f"{words}: requests", answered, "", rounds))
    one = runs["one"]
    for way in ("null", "each"):
        compared = {
            "speed": ("answers per second", [piece.rps for piece in runs[way]], [piece.rps for piece in one]),
            "latency": ("median service time", [piece.p50_s for piece in runs[way]], [piece.p50_s for piece in one]),
        }
        for name, (label, above, below) in compared.items():
            ratio = paired_ratio(above, below, seed=SEED)
            words = f"{WAYS[way][0]} over one engine: {label}"
            figures.append(Figure(f"{way}_{name}", words, ratio.value, "", ratio.rounds, ratio.low, ratio.high))
    return figures


def _bars(edition: Edition, figures: Figures) -> list[Bar]:
    return [
        Bar(words, edition, figures.number(f"{way}_rps"), figures[f"{way}_rps"].low, figures[f"{way}_rps"].high)
        for way, (words, _) in WAYS.items()
    ]


def rule(figures: Figures) -> Ruling:
    """Hold an engine per request against one: its speed, and the connections that it opens."""
    unlike = max(abs(figures.number(f"{way}_connects") - figures.number(f"{way}_sessions")) for way in WAYS)
    if unlike > ONE_EACH[1] - 1:
        return Ruling("undecided", f"pools and database differ by {unlike:.2f} connections per request")
    speed, connects = figures["each_speed"], figures.number("each_connects")
    low, high = speed.low or 0.0, speed.high or 0.0
    said = (
        f"an engine per request answers {figures.number('each_speed'):.2f} times as many requests as one engine "
        f"[{low:.2f}, {high:.2f}] and opens {connects:.2f} connections for each, one engine "
        f"{figures.number('one_connects'):.2f}"
    )
    if low <= 1 <= high:
        return Ruling("undecided", said)
    if low > 1:
        return Ruling("refuted", said)
    if ONE_EACH[0] <= connects <= ONE_EACH[1] and figures.number("one_connects") <= ONE_EACH[1] - 1:
        return Ruling("confirmed", said)
    return Ruling("depends", f"{said}: slower, but not by a connection for each request")


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        ways = "; ".join(
            f"{words}: {figures.number(f'{way}_rps'):,.0f} answers per second, median "
            f"{figures.number(f'{way}_p50_ms'):.2f} ms, {figures.number(f'{way}_connects'):.2f} connections per request"
            for way, (words, _) in WAYS.items()
        )
        parts.append(f"{edition}: {ways}.")
    return (
        f"{' '.join(parts)} SQLAlchemy's documentation says that create_engine() is meant to be called once for each "
        "database URL and its engine held for the life of a process, and not for each function call. The pool is the "
        "engine's: a new engine begins with an empty one, so each request connects. Without pooling (the second way) "
        "only the connection is new; what an engine per request costs beyond that is the engine itself."
    )


CLAIM = Claim(
    number=17,
    statement="Create the engine once, not per request.",
    prediction=(
        "An engine per request opens a connection for each request and answers fewer requests per second, later, than "
        "one engine, which opens none once its pool is filled. One engine without pooling opens one for each as well, "
        "and lies between the two."
    ),
    method=(
        "Three services of each edition run side by side: as it stands, with a pool that closes every connection on "
        "its return (as NullPool does, but never more at once than the pool's size), and with an engine made and "
        "disposed of in each request. After a warm-up, closed-loop clients ask for /db, one service at a time, in "
        "rounds of seeded random order. Connections are counted by the pools and, apart from that, by the database "
        "(pg_stat_database.sessions)."
    ),
    rule_words=(
        "Undecided if the two counts of connections differ by more than 0.02 per request. Confirmed if the 95 % "
        "interval of the ratio of answers per second, engine per request over one engine, lies below 1, the first "
        "opens 0.98 to 1.02 connections per request and the second at most 0.02; depends if it is slower without "
        "that; refuted if the interval lies above 1; undecided if it holds 1."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=25,
    options=(
        Option("rounds", 5, "rounds of all three ways", 3, 100),
        Option("users", 8, "clients that ask again as soon as they are answered", 1, 50),
        Option("seconds", 0.3, "length of each slice, in seconds", 0.1, 30),
    ),
    sources=(
        Source(
            "SQLAlchemy: Working with Engines and Connections, Basic Usage",
            "https://docs.sqlalchemy.org/en/21/core/connections.html#basic-usage",
        ),
        Source(
            "SQLAlchemy: Connection Pooling, NullPool",
            "https://docs.sqlalchemy.org/en/21/core/pooling.html#sqlalchemy.pool.NullPool",
        ),
        Source(
            "PostgreSQL: Monitoring Statistics, pg_stat_database",
            "https://www.postgresql.org/docs/18/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW",
        ),
    ),
)
