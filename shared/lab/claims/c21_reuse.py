"""C21: a connection that is released is reused by others."""

from collections.abc import Sequence

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
from shared.lab.claims.client import together
from shared.lab.watch.events import PoolEvent

# How long each request of a burst keeps its connection, in seconds: long enough that all of them overlap.
HOLD_S = 0.15
# SQLAlchemy's own defaults, where connections beyond the pool's size are closed on return.
DEFAULT_SIZE = 5
DEFAULT_OVERFLOW = 10


def measure(bench: Bench, options: Options) -> Finding:
    """Send requests one after the other, in bursts, and one after the other again, and see who had which connection."""
    measured: dict[Subject, Figures] = {}
    pictures = []
    for edition in EDITIONS:
        bench.progress(f"C21: {edition}")
        figures, picture = _fixed_pool(bench, edition, options)
        bench.progress(f"C21: {edition}, with SQLAlchemy's own default pool")
        measured[edition] = Figures((*figures, *_default_pool(bench, edition, int(options["bursts"]))))
        pictures.append(picture)
    return Finding(measured, tuple(pictures))


def _fixed_pool(bench: Bench, edition: Edition, options: Options) -> tuple[list[Figure], Timeline]:
    requests, bursts, size = int(options["requests"]), int(options["bursts"]), int(options["pool_size"])
    threads = {"WSGI_THREADS": str(max(10, size))}
    with (
        bench.watched(edition, POOL_SIZE=str(size), POOL_MAX_OVERFLOW="0", **threads) as watched,
        bench.sessions(edition) as sessions,
    ):
        service = watched.service
        for number in range(requests):
            ask(service, Ask("/db", f"alone {number}"))
        for burst in range(bursts):
            together(service, [Ask(f"/sleep?seconds={HOLD_S}", f"burst {burst}.{place}") for place in range(size)])
        for number in range(requests):
            ask(service, Ask("/db", f"after {number}"))
        seen = sessions.look().pids
        events = watched.events()
    taken = {kind: _checkouts(events, kind) for kind in ("alone", "burst", "after")}
    figures = [
        Figure("alone_requests", "requests one after the other", len(_names(taken["alone"])), trials=requests),
        Figure("alone_pids", "different connections that they had", len(_pids(taken["alone"])), trials=requests),
        Figure("burst_requests", f"requests in bursts of {size}", len(_names(taken["burst"])), trials=bursts),
        Figure("burst_pids", "different connections that they had", len(_pids(taken["burst"])), trials=bursts),
        Figure("after_requests", "requests one after the other after the bursts", len(_names(taken["after"])),
               trials=requests),
        Figure("after_pids", "different connections that they had", len(_pids(taken["after"])), trials=requests),
        Figure("pool_size", "size of the pool, which may not overflow", size),
        Figure("sent", "requests sent altogether", 2 * requests + bursts * size),
        Figure("opened", "connections opened for all of them", sum(event.kind == "connect" for event in events)),
        Figure("shared_at_once", "times that a connection was given to two at once", _shared_at_once(events)),
        Figure("views_differ", "connections that only one of pool and database knew of in the end",
               len(seen ^ _open(events))),
    ]  # fmt: skip
    return figures, _picture(edition, events, bursts)


def _default_pool(bench: Bench, edition: Edition, bursts: int) -> list[Figure]:
    """Send bursts to a pool that may overflow, as SQLAlchemy's own does by default."""
    most = DEFAULT_SIZE + DEFAULT_OVERFLOW
    settings = {"POOL_SIZE": str(DEFAULT_SIZE), "POOL_MAX_OVERFLOW": str(DEFAULT_OVERFLOW), "WSGI_THREADS": str(most)}
    with bench.watched(edition, **settings) as watched:
        ask(watched.service, "/db")
        for burst in range(bursts):
            together(watched.service, [Ask(f"/sleep?seconds={HOLD_S}", f"{burst}.{place}") for place in range(most)])
        events = watched.events()
    opened = sum(event.kind == "connect" for event in events)
    closed = sum(event.kind == "close" for event in events)
    return [
        Figure("overflow_opened", f"pool of {DEFAULT_SIZE}+{DEFAULT_OVERFLOW}, bursts of {most}: connections opened",
               opened, trials=bursts),
        Figure("overflow_closed", "of those closed when they were released", closed, trials=bursts),
    ]  # fmt: skip


def _checkouts(events: Sequence[PoolEvent], kind: str) -> list[PoolEvent]:
    return [event for event in events if event.kind == "checkout" and event.request.startswith(kind)]


def _names(events: Sequence[PoolEvent]) -> set[str]:
    return {event.request for event in events}


def _pids(events: Sequence[PoolEvent]) -> set[int]:
    return {event.backend_pid for event in events}


def _open(events: Sequence[PoolEvent]) -> set[int]:
    opened = {event.backend_pid for event in events if event.kind == "connect"}
    return opened - {event.backend_pid for event in events if event.kind == "close"}


def _shared_at_once(events: Sequence[PoolEvent]) -> int:
    """Return how often a connection was handed out that was not back yet."""
    held: set[int] = set()
    found = 0
    for event in events:
        if event.kind == "checkout":
            found += event.backend_pid in held
            held.add(event.backend_pid)
        elif event.kind in ("checkin", "close"):
            held.discard(event.backend_pid)
    return found


def _picture(edition: Edition, events: Sequence[PoolEvent], bursts: int) -> Timeline:
    """Return who had which connection, from the last request before the last burst to some requests after it."""
    shown = [event for event in events if event.request.startswith((f"burst {bursts - 1}.", "after"))]
    start_ns = min(event.at_ns for event in shown)
    end_ns = max(event.at_ns for event in shown if event.request.startswith("burst")) + round(HOLD_S * 1e9)
    lanes = []
    for pid in sorted(_pids(shown)):
        spans = []
        taken: PoolEvent | None = None
        for event in shown:
            if event.backend_pid != pid or event.at_ns > end_ns:
                continue
            if event.kind == "checkout":
                taken = event
            elif event.kind == "checkin" and taken is not None:
                kind = "held by a request of a burst" if taken.request.startswith("burst") else "held by a later one"
                begin_s, end_s = ((at_ns - start_ns) / 1e9 for at_ns in (taken.at_ns, event.at_ns))
                spans.append(Span(begin_s, end_s, kind, taken.request))
                taken = None
        lanes.append(Lane(f"backend {pid}", tuple(spans)))
    return Timeline(f"Who had which connection ({edition})", tuple(lanes))


def rule(figures: Figures) -> Ruling:
    """Judge by how many connections were opened for how many requests; overflow can only make it depend on that."""
    requests = sum(figures.number(f"{kind}_requests") for kind in ("alone", "burst", "after"))
    opened, size = figures.number("opened"), figures.number("pool_size")
    alone = figures.number("alone_pids")
    said = (
        f"{requests:g} requests had {opened:g} connections, {figures.number('alone_requests'):g} that came one after "
        f"the other had {alone:g}"
    )
    if requests < figures.number("sent") or figures.number("views_differ"):
        return Ruling("undecided", f"the pool's log and what was sent, or what the database saw, differ: {said}")
    if alone > 1 or opened > size or figures.number("shared_at_once"):
        return Ruling("refuted", f"{said}, {figures.number('shared_at_once'):g} were shared at once")
    if figures.number("overflow_closed"):
        return Ruling(
            "depends",
            f"on the pool's size: {said}; a pool of {DEFAULT_SIZE}+{DEFAULT_OVERFLOW} closed "
            f"{figures.number('overflow_closed'):g} of {figures.number('overflow_opened'):g} when they were released",
        )
    return Ruling("confirmed", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: {figures.number('alone_requests'):g} requests one after the other had "
            f"{figures.number('alone_pids'):g} connection, {figures.number('burst_requests'):g} in bursts of "
            f"{figures.number('pool_size'):g} had {figures.number('burst_pids'):g}, and as many as before, one after "
            f"the other again, {figures.number('after_pids'):g}; with a pool that may overflow, "
            f"{figures.number('overflow_closed'):g} of {figures.number('overflow_opened'):g} connections were closed "
            "when they were released."
        )
    return (
        f"{' '.join(parts)} The pool is a queue: what was released first is handed out first (first in, first out "
        "unless pool_use_lifo is set), so that after a burst even single requests go round through all connections "
        "instead of keeping to one. Connections beyond pool_size are disconnected and discarded when they are "
        "returned, says SQLAlchemy's documentation; only up to pool_size of them are reused."
    )


CLAIM = Claim(
    number=21,
    statement="A released connection is reused by others.",
    prediction=(
        "Requests that come one after the other all have the same backend pid; bursts open no more connections than "
        "the pool's size, and later requests have those again."
    ),
    method=(
        "Requests that name themselves are sent one after the other, then in bursts as large as the pool, then one "
        "after the other again; the pool writes down which connection, by its backend pid, each of them got, and "
        "pg_stat_activity is compared with that in the end. Then bursts are sent to a service with SQLAlchemy's own "
        f"default pool, {DEFAULT_SIZE} connections and {DEFAULT_OVERFLOW} beyond them."
    ),
    rule_words=(
        "Undecided if a request is missing in the pool's log, or pool and database know of different connections. "
        "Refuted if requests that came one after the other had more than one connection before the bursts, more were "
        "opened than the pool's size, or two requests had one at once. Otherwise it depends on the pool's size if a "
        "pool that may overflow closed connections when they were released. Else confirmed."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=15,
    options=(
        Option("requests", 100, "requests one after the other, before and after the bursts", 2, 10_000),
        Option("bursts", 5, "bursts", 1, 100),
        Option("pool_size", 10, "size of the pool, and of a burst", 1, 90),
    ),
    sources=(
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
        Source(
            "SQLAlchemy: Using FIFO vs. LIFO",
            "https://docs.sqlalchemy.org/en/21/core/pooling.html#using-fifo-vs-lifo",
        ),
    ),
)
