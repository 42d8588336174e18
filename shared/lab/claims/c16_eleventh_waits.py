"""C16: with 10 connections, 10 parallel requests each have their own; the 11th waits."""

from collections.abc import Sequence

from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
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
from shared.lab.claims.volley import Plan
from shared.lab.claims.volley import Trial
from shared.lab.claims.volley import fire
from shared.lab.claims.volley import occupancy_diagram
from shared.lab.claims.volley import request_timeline
from shared.lab.claims.volley import warm_up
from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.statistics import paired_difference
from shared.lab.statistics import paired_ratio
from shared.lab.watch.agreement import disagreements
from shared.lab.watch.sessions import most

# SQLAlchemy's own, from its page on QueuePool.
DEFAULT_SIZE, DEFAULT_OVERFLOW = 5, 10
# Figures of the volley at a pool of that kind begin so.
DEFAULT = "default_"
# A wait is as long as the others' remaining time if the interval of its ratio to that lies within these bounds.
AS_LONG = (0.8, 1.25)
SEED = 16


def measure(bench: Bench, options: Options) -> Finding:
    """Send volleys to a pool of the size asked for, and to one as SQLAlchemy has it by default."""
    size, overflow, trials = int(options["pool_size"]), int(options["overflow"]), int(options["trials"])
    seconds = float(options["seconds"])
    own = Plan(size, overflow, max(0, int(options["requests"]) - size - overflow), seconds)
    default = Plan(DEFAULT_SIZE, DEFAULT_OVERFLOW, 1, seconds)
    measured: dict[Subject, Figures] = {}
    pictures: list[Picture] = []
    for edition in EDITIONS:
        figures: list[Figure] = []
        for prefix, plan in (("", own), (DEFAULT, default)):
            title = f"{edition}, a pool of {plan.size}+{plan.overflow}"
            with bench.watched(edition, **plan.settings) as watched, bench.sessions(edition) as sessions:
                warm_up(watched, plan)
                runs = []
                for number in range(trials):
                    bench.progress(f"C16: {title}, trial {number + 1} of {trials}")
                    runs.append(fire(watched, sessions, plan, str(number)))
                kept = sessions.settled_count(plan.size)
            figures += summed(prefix, plan, runs, kept)
            pictures += [
                occupancy_diagram(f"{title}: connections and who waits for one", runs[0]),
                request_timeline(f"{title}: {plan.limit + plan.late} requests", runs[0]),
            ]
        measured[edition] = Figures(tuple(figures))
    return Finding(measured, tuple(pictures))


def summed(prefix: str, plan: Plan, runs: Sequence[Trial], kept: int) -> list[Figure]:
    """Return the figures of several volleys.

    Args:
        prefix: Put before their names.
        plan: What each volley was.
        runs: What became of them, in order of time.
        kept: Sessions that were left afterwards.
    """
    of, trials = f"{plan.size}+{plan.overflow}: ", len(runs)
    looks = [look for run in runs for look in run.looks]
    counts = {
        "limit": ("connections that there may be", plan.limit),
        "distinct": ("fewest different sessions of as many requests", min(len({*run.pids.values()}) for run in runs)),
        "at_once": ("most connections in use at once, in the trial with fewest", min(run.at_once for run in runs)),
        "at_once_most": ("most connections in use at once", max(run.at_once for run in runs)),
        "first_waiters": ("trials in which one of these requests waited", sum(run.first_waited_ns > 0 for run in runs)),
        "late": ("further requests in each trial", plan.late),
        "late_waiters": ("fewest of these that waited", min(run.late_waiters for run in runs)),
        "early": ("trials in which one was served before a release", sum(run.is_early for run in runs)),
        "reused": ("trials in which they got sessions that others had had", sum(run.is_reused for run in runs)),
        "sessions": ("most sessions seen in the database", most(looks)),
        "kept": ("sessions left afterwards", kept),
        "looks": ("looks at the database's sessions", len(looks)),
        "disagreements": (
            "sessions that only one of pool and database knew",
            len(disagreements(runs[-1].events, looks)),
        ),
    }
    figures = [Figure(prefix + name, of + label, value, trials=trials) for name, (label, value) in counts.items()]
    waits = [run.waited_ns / 1e9 for run in runs]
    remaining = [run.remaining_ns / 1e9 for run in runs]
    times = {
        "wait_s": ("wait of the first further request", waits),
        "remaining_s": ("time until the first of the others returned its connection", remaining),
        "asked_s": ("the same by the seconds that the others asked for", [run.asked_ns / 1e9 for run in runs]),
    }
    figures += [_mean(prefix + name, of + label, values) for name, (label, values) in times.items()]
    if trials >= MINIMUM_ROUNDS and min(waits) > 0 and min(remaining) > 0:
        ratio = paired_ratio(waits, remaining, seed=SEED)
        label = of + "its wait over that time"
        figures.append(Figure(prefix + "ratio", label, ratio.value, "", trials, ratio.low, ratio.high))
    return figures


def _mean(name: str, label: str, values: Sequence[float]) -> Figure:
    """Return a mean of seconds, with its interval where there are trials enough for one."""
    if len(values) < MINIMUM_ROUNDS:
        return Figure(name, label, sum(values) / len(values), "s", len(values))
    mean = paired_difference(values, [0.0] * len(values))
    return Figure(name, label, mean.value, "s", len(values), mean.low, mean.high)


def rule(figures: Figures) -> Ruling:
    """Hold both pools to it, and first the pool's account against the database's."""
    unlike = figures.number("disagreements") + figures.number(DEFAULT + "disagreements")
    if unlike or not figures.number("looks") or not figures.number(DEFAULT + "looks"):
        return Ruling("undecided", f"pool and database do not agree on {unlike:g} sessions, or nobody has looked")
    own = _law(figures, "")
    if own.verdict != "confirmed":
        return own
    default = _law(figures, DEFAULT)
    if default.verdict == "confirmed":
        return Ruling("confirmed", f"{own.because}; SQLAlchemy's defaults: {default.because}")
    return Ruling("depends" if default.verdict == "refuted" else "undecided", f"not so by default: {default.because}")


def _law(figures: Figures, prefix: str) -> Ruling:
    """Return whether so many requests as there may be connections have their own, and the next one waits."""
    limit, distinct = figures.number(prefix + "limit"), figures.number(prefix + "distinct")
    late, waiters = figures.number(prefix + "late"), figures.number(prefix + "late_waiters")
    at_once = figures.number(prefix + "at_once")
    most_at_once = max(figures.number(prefix + "at_once_most"), figures.number(prefix + "sessions"))
    if distinct < limit or at_once < limit or figures.number(prefix + "first_waiters"):
        return Ruling("refuted", f"{limit:g} requests had {distinct:g} sessions, {at_once:g} of them at once")
    if most_at_once > limit:
        return Ruling("refuted", f"{most_at_once:g} connections where there may be {limit:g}")
    if not late:
        return Ruling("undecided", f"{limit:g} requests had {distinct:g} sessions; nobody was one too many")
    if waiters < late or figures.number(prefix + "early"):
        return Ruling("refuted", f"of {late:g} beyond {limit:g} only {waiters:g} waited for a release")
    if figures.number(prefix + "reused") < figures[prefix + "reused"].trials:
        return Ruling("refuted", f"request {limit + 1:g} got a session that none of the others had had")
    said = f"{limit:g} requests had {distinct:g} sessions at once, request {limit + 1:g} waited"
    try:
        ratio = figures[prefix + "ratio"]
    except KeyError:
        return Ruling("undecided", f"{said}; too few trials to say for how long")
    low, high = ratio.low or 0.0, ratio.high or 0.0
    said = f"{said} {figures.number(prefix + 'wait_s'):.3f} s, {ratio.value:.2f} of what the others had left"
    if AS_LONG[0] <= low and high <= AS_LONG[1]:
        return Ruling("confirmed", said)
    return Ruling("refuted" if high < AS_LONG[0] or low > AS_LONG[1] else "undecided", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        for prefix in ("", DEFAULT):
            limit = figures.number(prefix + "limit")
            tail = (
                f"request {limit + 1:g} waited {figures.number(prefix + 'wait_s'):.3f} s, the first of the others "
                f"returned its connection after {figures.number(prefix + 'remaining_s'):.3f} s; "
                if figures.number(prefix + "late_waiters")
                else ""
            )
            parts.append(
                f"{edition}, {figures[prefix + 'limit'].label.partition(':')[0]}: {limit:g} requests had "
                f"{figures.number(prefix + 'distinct'):g} different sessions, {tail}"
                f"{figures.number(prefix + 'kept'):g} sessions were left."
            )
    return (
        f"{' '.join(parts)} A QueuePool gives out at most pool_size + max_overflow connections at once, and who comes "
        "then waits up to pool_timeout. By SQLAlchemy's defaults these are 5 and 10: the eleventh request opens a "
        "connection of its own, the sixteenth waits, and the ten beyond five are closed when they are returned. "
        "Ten connections for ten requests and no more is what pool_size=10 with max_overflow=0 says."
    )


CLAIM = Claim(
    number=16,
    statement="With 10 connections, 10 parallel requests each have their own; the 11th waits.",
    prediction=(
        "10 parallel requests have 10 backend pids and none waits. The 11th waits as long as the first of the others "
        "still needs, and gets the session of one of them. With SQLAlchemy's defaults (5 + 10 overflow) the 11th does "
        "not wait: 15 have their own, the 16th waits, and 5 connections are kept."
    ),
    method=(
        "POOL_SIZE=10 without overflow, threads for everybody, the pool filled. 10 requests to /sleep at one moment, "
        "one more as soon as the database sees all of them at work. The pool writes every checkout down with its "
        "wait, thread or task, request and backend pid; the database is asked every 10 ms which sessions there "
        "are. The same with POOL_SIZE=5, POOL_MAX_OVERFLOW=10 and 15 + 1 requests."
    ),
    rule_words=(
        "Undecided if pool and database disagree about any session. Confirmed if in every trial, with either pool, as "
        "many requests as there may be connections had as many sessions at once and none waited, never more were open, "
        "every further one waited until one was returned and got a session of the others, and the 95 % interval of its "
        "wait over their remaining time lies within 0.8 to 1.25. Refuted if one of these is not so with the pool of "
        "10; depends if only the defaults differ; undecided if nobody was one too many, or the interval straddles a "
        "bound."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=20,
    options=(
        Option("pool_size", 10, "connections that the pool keeps", 1, 50),
        Option("overflow", 0, "connections beyond them", 0, 50),
        Option("requests", 11, "requests in each trial; those beyond the connections come late", 1, 200),
        Option("seconds", 0.5, "how long each request holds its connection, in seconds", 0.1, 5),
        Option("trials", 3, "volleys at each pool; three and more give intervals", 1, 100),
    ),
    sources=(
        Source(
            "SQLAlchemy: Connection Pooling, QueuePool",
            "https://docs.sqlalchemy.org/en/21/core/pooling.html#sqlalchemy.pool.QueuePool",
        ),
        Source("SQLAlchemy: Engine Configuration", "https://docs.sqlalchemy.org/en/21/core/engines.html"),
    ),
)
