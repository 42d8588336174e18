"""Whether the sizes and time-outs of a deployment fit together: each rule with its figures; nothing is run here."""

import math
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from shared.config import Edition
from shared.lab.sizing.queueing import Holds
from shared.lab.sizing.queueing import UnstableQueue
from shared.lab.sizing.queueing import Waits
from shared.lab.sizing.queueing import waits

# Unknown: something that the rule needs was neither given nor could be asked for.
Verdict = Literal["kept", "warning", "broken", "unknown"]
VERDICTS: tuple[Verdict, ...] = ("kept", "warning", "broken", "unknown")
# The rungs of the ladder of time-outs, the innermost wait first.
LADDER = ("connect_timeout", "pool_timeout", "statement_timeout", "request_timeout", "graceful_timeout")


@dataclass(frozen=True, slots=True)
class Load:
    """What is expected of one instance's database work.

    Attributes:
        rate: Requests per second that need a connection, over all processes of all instances.
        hold_s: Mean time that one holds its connection, in seconds.
        holds: How these times scatter.
    """

    rate: float
    hold_s: float
    holds: Holds


@dataclass(frozen=True, slots=True)
class Sizing:
    """One edition as it is to be run.

    Attributes:
        edition: Which.
        workers: Processes of one instance.
        threads: Threads of each process; None where requests are tasks.
        pool: Connections that each process keeps.
        overflow: Connections beyond them.
        instances: Copies of the service, on one machine or several.
        in_flight: Most requests at once that each process is expected to have; None if nobody said.
        timeouts_s: Time-outs in force, by their name in the ladder, in seconds.
        load: What is expected; None if nobody said.
    """

    edition: Edition
    workers: int
    threads: int | None
    pool: int
    overflow: int
    instances: int
    in_flight: int | None
    timeouts_s: dict[str, float]
    load: Load | None

    @property
    def ceiling(self) -> int:
        """Most connections of one process."""
        return self.pool + self.overflow

    @property
    def processes(self) -> int:
        """Processes of all instances."""
        return self.workers * self.instances

    @property
    def connections(self) -> int:
        """Most connections of all processes."""
        return self.processes * self.ceiling

    @property
    def servers(self) -> int:
        """Most requests of one process that can be at work in the database at once."""
        return self.ceiling if self.threads is None else min(self.threads, self.ceiling)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections the database takes.

    Attributes:
        max_connections: Of the whole server.
        reserved: Of these, kept for superusers and for roles with the privilege.
        role: Most of the services' role; None for any number.
        database: Most of their database; None for any number.
        others: Sessions that are not the services', just now; None if nobody asked.
        source: Where this is from, in words.
    """

    max_connections: int
    reserved: int
    role: int | None
    database: int | None
    others: int | None
    source: str

    @property
    def usable(self) -> int:
        """Most connections that services can have."""
        bounds = (self.max_connections - self.reserved, self.role, self.database)
        return max(0, min(bound for bound in bounds if bound is not None))


@dataclass(frozen=True, slots=True)
class Check:
    """What one rule says.

    Attributes:
        name: The rule's name.
        subject: Which edition, or both.
        rule: What must hold.
        figures: The rule with its numbers in it.
        verdict: Whether it holds.
        why: What follows, or what is missing, in words.
    """

    name: str
    subject: str
    rule: str
    figures: str
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long requests of an edition will wait for a connection.

    Attributes:
        edition: Which edition.
        rate: Requests per second of one process.
        hold_s: How long each holds its connection, in seconds.
        holds: How these times scatter.
        connections: Connections of one process that can be at work.
        waits: The waits; None where the line would grow without end.
        why_none: Why there are none.
    """

    edition: Edition
    rate: float
    hold_s: float
    holds: Holds
    connections: int
    waits: Waits | None
    why_none: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was looked at.

    Attributes:
        sizings: What was looked at.
        limits: What the database takes; None if nobody knows.
        checks: What each rule says.
        predictions: What is predicted where a load was given.
    """

    sizings: tuple[Sizing, ...]
    limits: Limits | None
    checks: tuple[Check, ...]
    predictions: tuple[Prediction, ...]

    def of(self, verdict: Verdict) -> tuple[Check, ...]:
        """Return the checks with a verdict."""
        return tuple(check for check in self.checks if check.verdict == verdict)


def examine(sizings: Sequence[Sizing], limits: Limits | None, why_no_limits: str = "") -> Report:
    """Apply every rule.

    Args:
        sizings: The editions that are run on one database.
        limits: What that takes; None if nobody knows.
        why_no_limits: Why nobody knows.
    """
    predictions = []
    checks = [connections(sizings, limits, why_no_limits)]
    for sizing in sizings:
        if sizing.threads is not None:
            checks.append(threads(sizing, sizing.threads))
        checks.append(in_flight(sizing))
        checks.extend(ladder(sizing))
        if sizing.load is not None:
            predictions.append(predict(sizing))
            checks.append(line(predictions[-1], sizing))
    return Report(tuple(sizings), limits, tuple(checks), tuple(predictions))


def connections(sizings: Sequence[Sizing], limits: Limits | None, why_no_limits: str) -> Check:
    """Hold all connections that the pools may open against what the database takes."""
    rule = "workers x (pool + overflow) x instances <= what max_connections leaves"
    needed = sum(sizing.connections for sizing in sizings)
    terms = [f"{each.workers} x ({each.pool} + {each.overflow}) x {each.instances}" for each in sizings]
    subject = " + ".join(sizing.edition for sizing in sizings)
    if limits is None:
        figures = f"{' + '.join(terms)} = {needed}"
        why = f"what the database takes is not known ({why_no_limits}); give --max-connections"
        return Check("connections", subject, rule, figures, "unknown", why)
    figures = f"{' + '.join(terms)} = {needed} of {limits.usable}"
    bounds = [f"max_connections {limits.max_connections} minus {limits.reserved} reserved"]
    bounds += [f"the role's limit {limits.role}"] if limits.role is not None else []
    bounds += [f"the database's limit {limits.database}"] if limits.database is not None else []
    basis = f"{' and '.join(bounds)}, {limits.source}"
    if needed > limits.usable:
        why = f"under load the database refuses {needed - limits.usable} of them, and those requests fail ({basis})"
        return Check("connections", subject, rule, figures, "broken", why)
    left = limits.usable - needed
    if limits.others is not None and limits.others > left:
        why = f"{limits.others} other sessions are open now, and {left} are left for them ({basis})"
        return Check("connections", subject, rule, figures, "warning", why)
    others = "" if limits.others is None else f", {limits.others} of which are in use by others now"
    return Check("connections", subject, rule, figures, "kept", f"{left} are left for everybody else{others} ({basis})")


def threads(sizing: Sizing, count: int) -> Check:
    """Hold threads against the pool: a thread has one request, and a request at most one connection."""
    rule = "threads <= pool + overflow"
    figures = f"{count} against {sizing.pool} + {sizing.overflow}"
    more = count - sizing.ceiling
    if more > 0:
        why = (
            f"{more} threads may wait for a connection, up to {sizing.timeouts_s['pool_timeout']:g} s each, and serve "
            "nothing meanwhile, not even what needs no database"
        )
        return Check("threads", sizing.edition, rule, figures, "broken", why)
    if count < sizing.pool:
        why = f"nobody waits, but {sizing.pool - count} connections of each pool can never be used"
        return Check("threads", sizing.edition, rule, figures, "warning", why)
    return Check("threads", sizing.edition, rule, figures, "kept", "every thread that needs a connection has one")


def in_flight(sizing: Sizing) -> Check:
    """Hold requests in flight against the pool: how long the last of them waits when all come at once."""
    rule = "floor((in flight - 1) / (pool + overflow)) x hold time < pool time-out"
    wait_s = sizing.timeouts_s["pool_timeout"]
    if sizing.in_flight is None:
        bound = "nothing bounds them" if sizing.threads is None else f"gunicorn queues those beyond {sizing.threads}"
        why = f"how many there will be was not said ({bound}); give --in-flight"
        return Check("in flight", sizing.edition, rule, f"? against {sizing.ceiling}", "unknown", why)
    at_pool = sizing.in_flight if sizing.threads is None else min(sizing.in_flight, sizing.threads)
    figures = f"{at_pool} against {sizing.pool} + {sizing.overflow}"
    outside = sizing.in_flight - at_pool
    queued = f"; {outside} more wait in gunicorn, where no time-out ends a wait and no metric shows it"
    turns = (at_pool - 1) // sizing.ceiling
    if turns == 0:
        verdict: Verdict = "warning" if outside else "kept"
        why = f"each has a connection at once{queued if outside else ''}"
        return Check("in flight", sizing.edition, rule, figures, verdict, why)
    if sizing.load is None:
        why = (
            f"{at_pool - sizing.ceiling} wait, the last for {turns} hold times; none is refused if a connection is "
            f"held for less than {wait_s / turns * 1e3:.0f} ms; give --rate and --hold{queued if outside else ''}"
        )
        return Check("in flight", sizing.edition, rule, figures, "unknown", why)
    last_s = turns * sizing.load.hold_s
    figures = f"{turns} x {sizing.load.hold_s:g} s = {last_s:g} s, limit {wait_s:g} s"
    if last_s >= wait_s:
        why = f"when {at_pool} come at once, the last of them are answered 503 after {wait_s:g} s"
        return Check("in flight", sizing.edition, rule, figures, "broken", why + (queued if outside else ""))
    why = f"when {at_pool} come at once, the last waits {last_s * 1e3:.0f} ms{queued if outside else ''}"
    return Check("in flight", sizing.edition, rule, figures, "warning" if outside else "kept", why)


def ladder(sizing: Sizing) -> Iterator[Check]:
    """Hold each time-out against the next: what waits inside must end before what waits for it."""
    for inner, outer in pairwise(LADDER):
        short, long = sizing.timeouts_s[inner], sizing.timeouts_s[outer]
        names = f"{_words(inner)} < {_words(outer)}"
        is_kept = short < long
        why = (
            f"the {_words(inner)} ends first, and the answer names the cause"
            if is_kept
            else f"the {_words(outer)} may end the wait first, and the answer blames the wrong thing"
        )
        figures = f"{short:g} s < {long:g} s" if is_kept else f"{short:g} s, {long:g} s"
        yield Check(names, sizing.edition, names, figures, "kept" if is_kept else "broken", why)


def _words(name: str) -> str:
    return {
        "connect_timeout": "connect",
        "pool_timeout": "pool wait",
        "statement_timeout": "statement",
        "request_timeout": "request",
        "graceful_timeout": "graceful stop",
    }[name]


def predict(sizing: Sizing) -> Prediction:
    """Predict the waits of one process.

    Where requests are dealt out to the processes at random, each has Poisson arrivals of its share (Kingman, *Poisson
    Processes*, 1993, section 5.1).

    Raises:
        ValueError: If no load was given.
    """
    if sizing.load is None:
        raise ValueError("'sizing' must have a load")
    rate = sizing.load.rate / sizing.processes
    known = (sizing.edition, rate, sizing.load.hold_s, sizing.load.holds, sizing.servers)
    try:
        return Prediction(*known, waits(rate, sizing.load.hold_s, sizing.servers, sizing.load.holds))
    except UnstableQueue as error:
        return Prediction(*known, None, str(error))


def line(prediction: Prediction, sizing: Sizing) -> Check:
    """Hold the predicted wait against the longest that is allowed."""
    rule = "rate x hold time < connections, and 99 % of waits end before the pool time-out"
    limit_s = sizing.timeouts_s["pool_timeout"]
    busy = prediction.rate * prediction.hold_s
    figures = f"{prediction.rate:g}/s x {prediction.hold_s:g} s = {busy:.4g} of {prediction.connections} busy"
    if prediction.waits is None:
        needed = math.floor(busy) + 1
        why = f"{prediction.why_none}; {needed} connections are the fewest that would do"
        return Check("waits", prediction.edition, rule, figures, "broken", why)
    found = prediction.waits
    said = (
        f"{found.probability:.1%} wait, {found.mean_s * 1e3:.3g} ms on average over all, 99 % at most "
        f"{found.p99_s * 1e3:.3g} ms"
    )
    if found.p99_s >= limit_s:
        why = f"{said}: more than one in a hundred is answered 503 after {limit_s:g} s"
        return Check("waits", prediction.edition, rule, figures, "broken", why)
    return Check("waits", prediction.edition, rule, figures, "kept", said)
