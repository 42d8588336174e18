"""C23: async means concurrency without blocking; and what one blocking call in a handler does to everybody else."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from time import sleep

import numpy as np

from shared.config import Edition
from shared.lab import statistics
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
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
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.planning.plan import Scenario
from shared.lab.services.process import HOST
from shared.lab.services.process import Service

# The two ways in which a handler waits, by the endpoint that does it.
KINDS = {"blocking": "that blocks by time.sleep", "wait": "that waits in the edition's own way"}
OTHERS = "/json"
# Seconds of everybody's load before the request that waits, and after it.
LEAD_S = 0.35
TAIL_S = 0.2
# What was due so shortly before it may be on its way when it begins, and then waits as well.
ON_ITS_WAY_S = 0.05
TIMEOUT_S = 10.0
# Others wait with it from this share of its time, and are hardly held up below that one.
HELD_UP = 0.5
HARDLY = 0.1
# What the services' watch writes in their logs (shared.stalls).
REPORTS = ("Event loop blocked", " threads busy for ")
REPORT_END = "in the end: "


@dataclass(frozen=True, slots=True)
class Trial:
    """What everybody else saw around one request that waits.

    Attributes:
        due_s: When each of their requests was due, in seconds from the waiting request's first byte.
        took_s: How long its answer took from then on, in seconds.
        until_s: When the waiting request was answered.
        errors: Requests without an answer.
    """

    due_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    took_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    until_s: float
    errors: int

    def longest_s(self, phase: str) -> float:
        """Return the longest response time of those that were due before, during or after the wait."""
        chosen = {"before": self.due_s < -ON_ITS_WAY_S, "during": self._is_during, "after": self.due_s >= self.until_s}
        return float(self.took_s[chosen[phase]].max()) if chosen[phase].any() else 0.0

    def median_s(self) -> float:
        """Return the median response time of those that were due during the wait."""
        return statistics.percentile(self.took_s[self._is_during], 0.5) if self._is_during.any() else 0.0

    @property
    def _is_during(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (self.due_s >= -ON_ITS_WAY_S) & (self.due_s < self.until_s)
        return found


def measure(bench: Bench, options: Options) -> Finding:
    """Watch a constant load while one request waits, several times, each edition and each way in turn."""
    trials, seconds = int(options["trials"]), float(options["seconds"])
    found: dict[tuple[Edition, str], list[Trial]] = {(edition, kind): [] for edition in EDITIONS for kind in KINDS}
    reports: dict[Edition, str] = {}
    with (
        LoadClient(cores=bench.cores.client) as client,
        bench.service("wsgi", WSGI_THREADS=str(int(options["threads"]))) as wsgi,
        bench.service("asgi") as asgi,
    ):
        services: Mapping[Edition, Service] = {"wsgi": wsgi, "asgi": asgi}
        for trial in range(trials):
            # Neither edition always comes first.
            for edition, kind in (list(found), list(reversed(found)))[trial % 2]:
                bench.progress(f"C23: {edition}, a request {KINDS[kind]}, trial {trial + 1} of {trials}")
                found[edition, kind].append(_trial(client, services[edition], kind, seconds, options))
        for edition, service in services.items():
            # All before any is waited for, so that they stop together.
            service.ask_to_stop()
            reports[edition] = reported(service.log_path.read_text(encoding="utf-8", errors="replace"))
    measured: dict[Subject, Figures] = {}
    for edition in EDITIONS:
        by_kind = {kind: found[edition, kind] for kind in KINDS}
        measured[edition] = Figures((*_figures(by_kind, seconds, trials), _report(reports[edition])))
    return Finding(measured, (_picture(found, seconds),))


def _trial(client: LoadClient, service: Service, kind: str, seconds: float, options: Options) -> Trial:
    window_s = LEAD_S + seconds + TAIL_S
    # As many as can be in flight while nobody answers.
    connections = round(options["rate"] * (seconds + 1)) + 1
    client.prepare(HOST, service.port, connections=connections, opens=False)
    blockers = [f"/{kind}?seconds={seconds:g}"] * int(options["blockers"])

    def wait() -> tuple[int, int]:
        sleep(LEAD_S)
        answers = together(service, blockers, timeout_s=TIMEOUT_S + seconds * len(blockers))
        return min(answer.sent_ns for answer in answers), max(answer.done_ns for answer in answers)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        load = client.run(
            HOST,
            service.port,
            Scenario("others", OTHERS).request_bytes(f"{HOST}:{service.port}"),
            ramp_s=0.0,
            window_s=window_s,
            timeout_s=TIMEOUT_S,
            pattern=Pattern(rate=float(options["rate"]), is_constant=True),
            grace_s=TIMEOUT_S,
        )
        # Both are the monotonic clock.
        sent_ns, done_ns = waiting.result()
    due_ns = load.samples.intended_ns
    order = np.argsort(due_ns, kind="stable")
    took_s = (load.samples.done_ns - due_ns)[order] / 1e9
    return Trial((due_ns[order] - sent_ns) / 1e9, took_s, (done_ns - sent_ns) / 1e9, len(load.errors))


def _figures(by_kind: Mapping[str, list[Trial]], seconds: float, trials: int) -> list[Figure]:
    figures = []
    for kind, words in KINDS.items():
        runs = by_kind[kind]
        for phase in ("before", "during", "after"):
            longest = fmean(run.longest_s(phase) for run in runs) * 1e3
            label = f"others' longest response {phase} a request {words}, mean"
            figures.append(Figure(f"{kind}_{phase}_ms", label, longest, "ms", trials))
        median = fmean(run.median_s() for run in runs) * 1e3
        figures.append(Figure(f"{kind}_median_ms", f"others' median during a request {words}", median, "ms", trials))
        during, before = ([run.longest_s(phase) / seconds for run in runs] for phase in ("during", "before"))
        extra = statistics.paired_difference(during, before)
        label = f"longest wait that a request {words} adds for others, over its own time"
        figures.append(Figure(f"{kind}_share", label, extra.value, "", trials, extra.low, extra.high))
        lost = sum(run.errors for run in runs)
        figures.append(Figure(f"{kind}_errors", f"others without an answer, with a request {words}", lost, "", trials))
    return figures


def _report(text: str) -> Figure:
    return Figure("report", "what the service's own watch reported of a stall while it lasted", text or "nothing")


def reported(log: str) -> str:
    """Return the last report in a service's log of a stall that was over, without its pid; empty without one."""
    lines = [line for line in log.splitlines() if REPORT_END in line and any(each in line for each in REPORTS)]
    return lines[-1].partition("] ")[2] if lines else ""


def _picture(found: Mapping[tuple[Edition, str], list[Trial]], seconds: float) -> Diagram:
    lines = [
        Line(
            f"{edition}, /{kind}",
            tuple((float(due), float(took) * 1e3) for due, took in zip(runs[0].due_s, runs[0].took_s, strict=True)),
        )
        for (edition, kind), runs in found.items()
    ]
    return Diagram(
        f"Everybody's wait while one handler waits for {seconds:g} s",
        "when due, in seconds since the wait began",
        "how long its answer took, in ms",
        tuple(lines),
        is_log_y=True,
    )


def rule(figures: Figures) -> Ruling:
    """Return the verdict by how long others wait for a request that blocks, and for one that waits as it should."""
    blocking, waiting = figures["blocking_share"], figures["wait_share"]
    said = (
        f"a blocking request added up to {figures.number('blocking_share'):.0%} of its own time to others' wait, "
        f"one that waits in the edition's own way {figures.number('wait_share'):.0%}"
    )
    ends = [(each.low, each.high) for each in (blocking, waiting)]
    states = ["held up" if (low or 0.0) >= HELD_UP else "free" if (high or 0.0) <= HARDLY else "" for low, high in ends]
    match states:
        case ["free", "free"]:
            return Ruling("confirmed", said)
        case ["held up", "free"]:
            return Ruling("depends", f"on every handler waiting without blocking: {said}")
        case ["held up", "held up"]:
            return Ruling("refuted", said)
        case _:
            return Ruling("undecided", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: the longest response of everybody else was {figures.number('blocking_before_ms'):.1f} ms "
            f"before a request that blocks, {figures.number('blocking_during_ms'):.0f} ms during it and "
            f"{figures.number('blocking_after_ms'):.1f} ms after it; during one that waits in the edition's own way "
            f"{figures.number('wait_during_ms'):.1f} ms. Its watch reported: {figures.text('report')}."
        )
    return (
        f"{' '.join(parts)} An event loop runs all tasks in one thread, and no other task runs while one does; it is "
        "free for others only where a task awaits. A call that blocks does not, so everybody waits until it returns. "
        "With threads, the one that blocks is the only one that waits, as long as others are left."
    )


CLAIM = Claim(
    number=23,
    statement="Async means concurrency without blocking: while one request waits, all others go on.",
    prediction=(
        "Others go on while a request waits without blocking. While one blocks in an async handler everybody waits as "
        "long as it does; in a threaded worker nobody does while a thread is left."
    ),
    method=(
        f"Others ask for {OTHERS} at a constant rate (open model, counted from when each was due). Meanwhile one "
        "request blocks by time.sleep in its handler (/blocking), and in other trials waits as the edition does "
        "(/wait); the longest response of others due before, during and after it is taken, editions and ways in turn. "
        "The service's own watch over blocked loops and busy threads runs all the time (LAB=1)."
    ),
    rule_words=(
        f"Others' longest response during the wait minus that before, over the wait's length, 95 % interval of the "
        f"trials: held up from {HELD_UP:.0%} (lower end), free up to {HARDLY:.0%} (upper end). Confirmed if others are "
        "free in both ways; depends if only the blocking one holds them up; refuted if both do; else undecided."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=20,
    options=(
        Option("seconds", 0.5, "how long the request waits, in seconds", 0.1, 5),
        Option("threads", 10, "threads of the WSGI edition", 1, 1_000),
        Option("blockers", 1, "requests that wait at the same moment", 1, 100),
        Option("rate", 100, "requests of others, each second", 10, 1_000),
        Option("trials", 4, "how often each is done", 3, 50),
    ),
    sources=(
        Source("Python: Developing with asyncio", "https://docs.python.org/3/library/asyncio-dev.html"),
        Source("gunicorn: Design, worker types", "https://gunicorn.org/design/"),
    ),
)
