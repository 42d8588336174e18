"""The queue for a pool's connections, measured: both editions under random arrivals, each wait from the pool itself."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from shared.config import Edition
from shared.errors import CheckFailed
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.bench import Watched
from shared.lab.claims.client import together
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.sizing.queueing import Holds
from shared.lab.sizing.queueing import UnstableQueue
from shared.lab.sizing.queueing import cosmetatos
from shared.lab.sizing.queueing import observed
from shared.lab.sizing.queueing import simulate
from shared.lab.sizing.queueing import waits
from shared.lab.sizing.result import Measured
from shared.lab.sizing.result import jackknifed
from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.watch.events import PoolEvent

# Far above what is predicted, so that no wait is cut short; they form the ladder that the services insist on.
TIMEOUTS = {"POOL_TIMEOUT": "30", "STATEMENT_TIMEOUT": "40", "REQUEST_TIMEOUT": "50", "GRACEFUL_TIMEOUT": "60"}
# Threads, and connections of the client, for each connection of the pool: the line must form at the pool, and not in
# front of the threads.
PLACES = 12
MOST_PLACES = 1_000
# How long a queue that begins empty is given to become what it is in the long run, in hold times.
RAMP_HOLDS = 30
LEAST_RAMP_S = 1.0
# Hold times are dealt from a deck of so many, spread as an exponential distribution is.
DECK = 64
RESPONSE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What is measured.

    Attributes:
        pool: Connections of the pool, without overflow.
        rate: Requests per second.
        hold_s: Mean time that each lets the database sleep, in seconds.
        holds: How these times scatter.
        rounds: Slices of each edition.
        window_s: Measured window of a slice, in seconds.
        seed: Fixes arrivals and order.
    """

    pool: int
    rate: float
    hold_s: float
    holds: Holds
    rounds: int
    window_s: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse what no interval can be made from."""
        if self.rounds < MINIMUM_ROUNDS:
            raise ValueError(f"'rounds' must be at least {MINIMUM_ROUNDS} (got {self.rounds!r})")

    @property
    def ramp_s(self) -> float:
        """Load before each window, in seconds."""
        return max(LEAST_RAMP_S, RAMP_HOLDS * self.hold_s)

    @property
    def duration_s(self) -> float:
        """About how long all slices take, in seconds."""
        return len(EDITIONS) * self.rounds * (self.ramp_s + self.window_s)


@dataclass(frozen=True, slots=True)
class Passage:
    """One request at the pool, in seconds of the monotonic clock.

    Attributes:
        arrived_s: When it asked for a connection.
        waited_s: How long it waited for one; 0 if one was free.
        held_s: How long it had it.
    """

    arrived_s: float
    waited_s: float
    held_s: float


def measure(bench: Bench, trial: Trial) -> tuple[Measured, ...]:
    """Load both editions in interleaved rounds, and return what was predicted and what was seen.

    Args:
        bench: Where it takes place.
        trial: What is measured.

    Raises:
        CheckFailed: If a request failed, or the line was not at the pool.
        EnvironmentFailure: If a service or the load client fails.
        UnstableQueue: If the pool cannot do the work.
    """
    waits(trial.rate, trial.hold_s, trial.pool, trial.holds)
    places = min(MOST_PLACES, PLACES * trial.pool)
    targets = _targets(trial)
    requests = [Scenario("sleep", target).request_bytes(HOST) for target in targets]
    sizes = {"POOL_SIZE": str(trial.pool), "POOL_MAX_OVERFLOW": "0", "WSGI_THREADS": str(places)}
    with ExitStack() as stack:
        client = stack.enter_context(LoadClient(cores=bench.cores.client))
        watched = {each: stack.enter_context(bench.watched(each, **sizes, **TIMEOUTS)) for each in EDITIONS}
        slices: dict[Edition, list[ClientSlice]] = {each: [] for each in EDITIONS}
        for number in range(trial.rounds):
            order = EDITIONS if number % 2 == 0 else EDITIONS[::-1]
            for edition in order:
                bench.progress(f"{edition}, round {number + 1} of {trial.rounds}")
                if number == 0:
                    _warm_up(watched[edition], trial)
                # Both editions of a round are sent the same requests at the same moments.
                pattern = Pattern((1,) * len(requests), rate=trial.rate, seed=f"{trial.seed}/{number}")
                slices[edition].append(_slice(client, watched[edition], requests, pattern, places, trial))
        return tuple(_judged(each, watched[each].events(), slices[each], places, trial) for each in EDITIONS)


def _targets(trial: Trial) -> list[str]:
    if trial.holds == "constant":
        return [f"/sleep?seconds={trial.hold_s:g}"]
    # The middle of each of DECK equally likely stretches, by the inverse of the distribution's function.
    times_s = [-trial.hold_s * math.log(1.0 - (place + 0.5) / DECK) for place in range(DECK)]
    scale = trial.hold_s * DECK / sum(times_s)
    return [f"/sleep?seconds={time_s * scale:.6f}" for time_s in times_s]


def _warm_up(watched: Watched, trial: Trial) -> None:
    """Open every connection of the pool, so that none is opened while it is measured."""
    together(watched.service, ["/sleep?seconds=0.3"] * trial.pool)


def _slice(
    client: LoadClient, watched: Watched, requests: list[bytes], pattern: Pattern, places: int, trial: Trial
) -> ClientSlice:
    port = watched.service.port
    client.prepare(HOST, port, connections=places, opens=False)
    found = client.run(
        HOST,
        port,
        requests,
        ramp_s=trial.ramp_s,
        window_s=trial.window_s,
        timeout_s=RESPONSE_TIMEOUT_S,
        pattern=pattern,
    )
    bad = int((found.samples.status != 200).sum())
    if bad or len(found.errors):
        raise CheckFailed(
            f"{watched.service.spec.name}: {bad} answers were no 200, and {len(found.errors)} requests had none",
            why="waits are measured of requests that all succeed",
            hint="Lower --rate, or look for what else keeps the machine busy",
        )
    return found


def _judged(
    edition: Edition, events: Sequence[PoolEvent], slices: Sequence[ClientSlice], places: int, trial: Trial
) -> Measured:
    most = max(most_at_once(each) for each in slices)
    if edition == "wsgi" and most >= places:
        raise CheckFailed(
            f"the line was not at the pool alone: {most} requests were in flight, with {places} threads",
            why="what finds no thread waits in gunicorn, and the pool does not see it",
            hint="Lower --rate",
        )
    everything = passages(events)
    rounds = []
    simulated: list[float] = []
    for each in slices:
        start_s, end_s = each.window_start_ns / 1e9, each.window_end_ns / 1e9
        own = [one for one in everything if each.start_ns / 1e9 <= one.arrived_s < end_s]
        in_order = simulate([one.arrived_s for one in own], [one.held_s for one in own], trial.pool)
        simulated += [wait for wait, one in zip(in_order, own, strict=True) if one.arrived_s >= start_s]
        rounds.append([one for one in own if one.arrived_s >= start_s])
    whole = [one for each in rounds for one in each]
    hold_s = sum(one.held_s for one in whole) / len(whole)
    rate = len(whole) / (trial.window_s * len(slices))
    try:
        expected = waits(rate, hold_s, trial.pool, trial.holds)
        approximate_s = cosmetatos(rate, hold_s, trial.pool) if trial.holds == "constant" else None
    except UnstableQueue as error:
        raise CheckFailed(
            f"{edition}: the pool could not do the work that came", why=str(error), hint="Lower --rate"
        ) from error
    groups = [[one.waited_s for one in each] for each in rounds]
    return Measured(
        edition=edition,
        requests=len(whole),
        rounds=len(rounds),
        rate=rate,
        hold_s=hold_s,
        hold_scatter=math.sqrt(sum((one.held_s - hold_s) ** 2 for one in whole) / len(whole)) / hold_s,
        most_in_flight=most,
        places=places,
        asked=waits(trial.rate, trial.hold_s, trial.pool, trial.holds),
        expected=expected,
        approximate_mean_s=approximate_s,
        other=waits(rate, hold_s, trial.pool, "exponential" if trial.holds == "constant" else "constant"),
        simulated=observed(simulated),
        probability=jackknifed(groups, lambda each: observed(each).probability),
        mean_s=jackknifed(groups, lambda each: observed(each).mean_s),
        p99_s=jackknifed(groups, lambda each: observed(each).p99_s),
    )


def passages(events: Sequence[PoolEvent]) -> list[Passage]:
    """Return every request at the pool that has given its connection back, in order of arrival.

    Args:
        events: The pool's own account, in order of time.
    """
    held: dict[int, PoolEvent] = {}
    found = []
    for event in events:
        if event.kind == "checkout":
            held[event.backend_pid] = event
        elif event.kind == "checkin" and (taken := held.pop(event.backend_pid, None)) is not None:
            arrived_s = (taken.at_ns - taken.waited_ns) / 1e9
            found.append(Passage(arrived_s, taken.waited_ns / 1e9, (event.at_ns - taken.at_ns) / 1e9))
    return sorted(found, key=lambda one: one.arrived_s)


def most_at_once(found: ClientSlice) -> int:
    """Return the largest number of requests that a client had in flight at once."""
    moments = sorted([(int(at), 1) for at in found.samples.sent_ns] + [(int(at), -1) for at in found.samples.done_ns])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most
