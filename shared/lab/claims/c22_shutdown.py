"""C22: on shutdown the engine is disposed and all connections close; nothing that was accepted is lost."""

import random
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic_ns
from time import sleep

from shared.config import Edition
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.bench import Watched
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
from shared.lab.claims.client import together
from shared.lab.claims.crowd import Exchange
from shared.lab.claims.crowd import asking
from shared.lab.claims.durations import duration_figures
from shared.lab.watch.events import PoolEvent
from shared.lab.watch.sessions import SAMPLE_EVERY_S
from shared.lab.watch.sessions import Sessions

SEED = 22
# Connections that are opened before an idle stop, by that many slow queries at once.
IDLE_SESSIONS = 4
# Clients that ask for one row as fast as they can, beside those that let the database wait.
QUICK_CLIENTS = 2
# Load before SIGTERM, in seconds; how much longer at most is drawn by lot, so that it never comes in step.
LOAD_S = 0.7
LOT_S = 0.3
# What a stop may take beyond the slowest request before sessions that are left count as left: the servers' own 2 s for
# idle clients, and a busy machine.
PATIENCE_S = 6.0
# The shortest ladder that a busy machine keeps, for a request that outlasts the last rung.
SHORT_LADDER = {
    "CONNECT_TIMEOUT": "0.4",
    "POOL_TIMEOUT": "0.6",
    "STATEMENT_TIMEOUT": "0.8",
    "REQUEST_TIMEOUT": "0.9",
    "GRACEFUL_TIMEOUT": "1",
}
GRACE_S = 1.0
OVERLONG_S = 3.0


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop.

    Attributes:
        signalled_ns: When SIGTERM was sent.
        before: Database sessions just before.
        left: Database sessions at the end of the wait.
        none_left_s: From SIGTERM until there was none, in seconds; where some were left, until the wait ended.
        exit_code: The service's.
        events: What the pool wrote down.
        exchanges: What became of the requests.
        counts: (seconds from SIGTERM, database sessions), as looked at.
    """

    signalled_ns: int
    before: int
    left: int
    none_left_s: float
    exit_code: int | None
    events: Sequence[PoolEvent]
    exchanges: Sequence[Exchange]
    counts: Sequence[tuple[float, float]]

    @property
    def opened(self) -> int:
        """Connections that the pool opened."""
        return len({event.backend_pid for event in self.events if event.kind == "connect"})

    @property
    def closed(self) -> int:
        """Connections that the pool closed."""
        return len({event.backend_pid for event in self.events if event.kind == "close"})

    @property
    def unclosed(self) -> int:
        """Connections that the pool opened and never closed; the end of the process did."""
        opened = {event.backend_pid for event in self.events if event.kind == "connect"}
        return len(opened - {event.backend_pid for event in self.events if event.kind == "close"})

    def accepted(self) -> list[Exchange]:
        """Return the requests that had a connection."""
        return [exchange for exchange in self.exchanges if exchange.fate != "refused"]

    def in_flight(self) -> int:
        """Return how many requests were sent before SIGTERM and not answered yet."""
        return sum(exchange.began_ns < self.signalled_ns < exchange.done_ns for exchange in self.accepted())

    def late(self) -> int:
        """Return how many requests were accepted after SIGTERM."""
        return sum(exchange.began_ns >= self.signalled_ns for exchange in self.accepted())

    def lost(self) -> list[Exchange]:
        """Return the requests that had a connection and no whole answer."""
        return [exchange for exchange in self.exchanges if exchange.fate == "lost"]

    def failed(self) -> list[Exchange]:
        """Return the requests that were answered, but not with what they asked for."""
        return [exchange for exchange in self.exchanges if exchange.fate == "answered" and exchange.status != 200]


def measure(bench: Bench, options: Options) -> Finding:
    """Stop each edition idle, under load, and with a request that outlasts the grace."""
    trials, clients, seconds = int(options["trials"]), int(options["clients"]), float(options["seconds"])
    lots = random.Random(SEED)
    loaded: dict[Edition, list[Stop]] = {edition: [] for edition in EDITIONS}
    for trial in range(trials):
        for edition in EDITIONS if trial % 2 == 0 else EDITIONS[::-1]:
            bench.progress(f"C22: {edition}, trial {trial + 1} of {trials}")
            loaded[edition].append(_loaded_stop(bench, edition, clients, seconds, LOAD_S + lots.random() * LOT_S))
    measured: dict[Subject, Figures] = {}
    lines = []
    for edition in EDITIONS:
        bench.progress(f"C22: {edition}, idle, and with a request that outlasts the grace")
        idle, overlong = _idle_stop(bench, edition), _overlong_stop(bench, edition)
        measured[edition] = Figures((*_figures([idle], loaded[edition]), *_overlong_figures(overlong)))
        lines.append(Line(edition, tuple(loaded[edition][0].counts), is_step=True))
    picture = Diagram(
        "Database sessions while a loaded service stops", "seconds from SIGTERM", "sessions", tuple(lines)
    )
    notes = [
        f"{edition}, {len(stop.lost())} lost: {', '.join(sorted({exchange.why for exchange in stop.lost()}))}"
        for edition in EDITIONS
        for stop in loaded[edition]
        if stop.lost()
    ]
    return Finding(measured, (picture,), tuple(notes))


def _idle_stop(bench: Bench, edition: Edition) -> Stop:
    with bench.watched(edition) as watched, bench.sessions(edition) as sessions:
        together(watched.service, ["/sleep?seconds=0.2"] * IDLE_SESSIONS)
        return _stop(watched, sessions, PATIENCE_S, list)


def _loaded_stop(bench: Bench, edition: Edition, clients: int, seconds: float, load_s: float) -> Stop:
    slow = [f"/sleep?seconds={seconds:g}"] * clients
    # A connection and a thread for each client: a full pool would refuse requests, whether the service stops or not.
    most = str(2 * clients + QUICK_CLIENTS)
    with (
        bench.watched(edition, POOL_SIZE=most, WSGI_THREADS=most) as watched,
        bench.sessions(edition) as sessions,
    ):
        # The first request prepares the database, which the others would wait for.
        together(watched.service, ["/db"])
        with asking(watched.service.port, kept=[*slow, *["/db"] * QUICK_CLIENTS], fresh=slow) as crowd:
            sleep(load_s)
            return _stop(watched, sessions, seconds + PATIENCE_S, crowd.stop)


def _overlong_stop(bench: Bench, edition: Edition) -> Stop:
    """Stop a service while a request that needs no connection outlasts the grace, and its pool holds idle ones."""
    with bench.watched(edition, **SHORT_LADDER) as watched, bench.sessions(edition) as sessions:
        together(watched.service, ["/sleep?seconds=0.2"] * IDLE_SESSIONS)
        with asking(watched.service.port, fresh=[f"/wait?seconds={OVERLONG_S:g}"]) as crowd:
            sleep(LOT_S)
            return _stop(watched, sessions, OVERLONG_S + PATIENCE_S, crowd.stop)


def _stop(watched: Watched, sessions: Sessions, patience_s: float, exchanges: Callable[[], list[Exchange]]) -> Stop:
    before = sessions.count()
    signalled_ns = monotonic_ns()
    watched.service.ask_to_stop()
    counts = [(0.0, float(before))]
    while counts[-1][1] and counts[-1][0] < patience_s:
        sleep(SAMPLE_EVERY_S)
        counts.append(((monotonic_ns() - signalled_ns) / 1e9, float(sessions.count())))
    none_left_s, left = counts[-1]
    exit_code = watched.service.stop()
    return Stop(
        signalled_ns, before, int(left), none_left_s, exit_code, watched.events(), exchanges(), tuple(counts)
    )  # fmt: skip


def _figures(idle: Sequence[Stop], loaded: Sequence[Stop]) -> list[Figure]:
    trials = len(loaded)
    accepted = sum(len(stop.accepted()) for stop in loaded)
    lost = sum(len(stop.lost()) for stop in loaded)
    failed = sum(len(stop.failed()) for stop in loaded)
    return [
        *_sessions_figures("idle", "idle service", idle),
        *_sessions_figures("loaded", "loaded service", loaded),
        Figure("accepted", "requests accepted by the loaded service", accepted, trials=trials),
        Figure(
            "in_flight_least", "fewest in flight at SIGTERM", min(stop.in_flight() for stop in loaded), trials=trials
        ),
        Figure("late", "accepted after SIGTERM", sum(stop.late() for stop in loaded), trials=trials),
        Figure("lost", "accepted and not answered", lost, trials=trials),
        Figure("failed", "answered, but not with 200", failed, trials=trials),
        Figure(
            "idle_none_left_s", "idle: SIGTERM to no session", max(stop.none_left_s for stop in idle), "s", len(idle)
        ),
        *duration_figures("loaded_none_left", "loaded: SIGTERM to no session", [stop.none_left_s for stop in loaded]),
    ]


def _sessions_figures(name: str, label: str, stops: Sequence[Stop]) -> list[Figure]:
    trials = len(stops)
    return [
        Figure(f"{name}_before_least", f"{label}: fewest database sessions before", min(stop.before for stop in stops),
               trials=trials),
        Figure(f"{name}_left_most", f"{label}: most database sessions left", max(stop.left for stop in stops),
               trials=trials),
        Figure(f"{name}_opened", f"{label}: connections opened, by the pool's account",
               sum(stop.opened for stop in stops), trials=trials),
        Figure(f"{name}_unclosed", f"{label}: of those not closed by the pool", sum(stop.unclosed for stop in stops),
               trials=trials),
        Figure(f"{name}_exit_code", f"{label}: largest exit code", max(stop.exit_code or 0 for stop in stops),
               trials=trials),
    ]  # fmt: skip


def _overlong_figures(stop: Stop) -> list[Figure]:
    return [
        Figure("overlong_lost", f"lost of 1 that takes {OVERLONG_S:g} s, grace {GRACE_S:g} s", len(stop.lost())),
        Figure("overlong_failed", "answered, but not with 200", len(stop.failed())),
        Figure("overlong_left", "database sessions left then", stop.left),
        Figure("overlong_opened", "connections opened then, by the pool's account", stop.opened),
        Figure("overlong_unclosed", "of those not closed by the pool", stop.unclosed),
    ]


def rule(figures: Figures) -> Ruling:
    """Judge stops within the grace first; what outlasts it can only make the verdict depend on that."""
    if not figures.number("idle_before_least") or not figures.number("loaded_before_least"):
        return Ruling("undecided", "a service had no database session when it was stopped")
    if not figures.number("in_flight_least"):
        return Ruling("undecided", "no request was in flight when a service was stopped")
    left = figures.number("idle_left_most") + figures.number("loaded_left_most")
    unclosed = figures.number("idle_unclosed") + figures.number("loaded_unclosed")
    lost, accepted = figures.number("lost") + figures.number("failed"), figures.number("accepted")
    codes = max(figures.number("idle_exit_code"), figures.number("loaded_exit_code"))
    said = (
        f"{left:g} sessions left, {unclosed:g} connections not closed by the pool, "
        f"{lost:g} of {accepted:g} accepted requests not done"
    )
    if left or unclosed or lost or codes:
        return Ruling("refuted", f"{said}, exit code {codes:g}")
    fates = [
        words
        for name, words in (("lost", "lost"), ("failed", "answered with a failure"))
        if figures.number(f"overlong_{name}")
    ]
    overlong_unclosed, overlong_left = figures.number("overlong_unclosed"), figures.number("overlong_left")
    if fates or overlong_unclosed or overlong_left:
        return Ruling(
            "depends",
            f"on requests that end within GRACEFUL_TIMEOUT: then {said}; one that outlasted it was "
            f"{fates[0] if fates else 'answered'}, and the pool left {overlong_unclosed:g} of "
            f"{figures.number('overlong_opened'):g} connections to the end of the process",
        )
    return Ruling("confirmed", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: of {figures.number('accepted'):g} requests that the loaded service accepted, "
            f"{figures.number('late'):g} of them after SIGTERM, {figures.number('lost'):g} were lost and "
            f"{figures.number('failed'):g} failed; no session was left after "
            f"{figures.number('idle_none_left_s'):.2f} s idle and "
            f"{figures.number('loaded_none_left_s'):.2f} s loaded; with a request that outlasted the grace "
            f"{figures.number('overlong_lost'):g} was lost, {figures.number('overlong_failed'):g} was answered with a "
            f"failure, and the pool did not close {figures.number('overlong_unclosed'):g} of "
            f"{figures.number('overlong_opened'):g} connections."
        )
    return (
        f"{' '.join(parts)} No session on the database's side does not show by itself that the engine was disposed: "
        "the end of a process closes its sockets as well; the pool's own log of closings tells the two apart. "
        "Engine.dispose() closes the connections that are checked in, which all of them are once the accepted requests "
        "are answered. gunicorn, on SIGTERM, waits for its workers up to graceful_timeout and kills those that are "
        "then still alive, and a killed process disposes of nothing; uvicorn waits for at most "
        "timeout_graceful_shutdown."
    )


CLAIM = Claim(
    number=22,
    statement="On shutdown the engine is disposed and all connections close; nothing that was accepted is lost.",
    prediction=(
        "After SIGTERM the database shows no session of the service, idle and under load; the pool wrote down a close "
        "for each connect; every request that had a connection is answered completely."
    ),
    method=(
        f"Each trial stops an edition while clients with kept and with new connections let the database wait or read "
        "rows, at a moment drawn by lot. "
        "pg_stat_activity is counted until it shows no session, the pool writes down every connect and close, and each "
        "client notes what became of each request: answered, refused (no connection, so nothing was accepted) or lost. "
        f"Then each edition is stopped idle, with {IDLE_SESSIONS} connections in its pool, and with a grace of "
        f"{GRACE_S:g} s while a request of {OVERLONG_S:g} s is on its way."
    ),
    rule_words=(
        "Undecided if there was no session, or no request in flight, before a stop. Refuted if a stop within the grace "
        "left a session, a connection that the pool did not close, an accepted request without a whole answer of "
        "status 200, or an exit code other than 0. Otherwise it depends on requests that end within the grace, if the "
        "one that did not was lost or failed, or the pool then left connections that it did not close. Else confirmed."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=25,
    options=(
        Option("trials", 3, "how often each edition is stopped under load", 1, 50),
        Option("clients", 4, "how many clients with kept connections let the database wait, and with new ones", 1, 40),
        Option("seconds", 0.3, "how long they let it wait, in seconds", 0.01, 4.5),
    ),
    sources=(
        Source("SQLAlchemy: Engine Disposal", "https://docs.sqlalchemy.org/en/21/core/connections.html#engine-disposal"),
        Source("gunicorn: Signal Handling", "https://gunicorn.org/signals/"),
        Source("gunicorn: Settings, graceful_timeout", "https://gunicorn.org/reference/settings/"),
        Source("uvicorn: Settings, timeout-graceful-shutdown", "https://uvicorn.dev/settings/"),
    ),
)  # fmt: skip
