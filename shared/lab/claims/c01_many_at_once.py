"""C1: async handles many concurrent requests efficiently; and where threads, or a pool, are the limit."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from statistics import fmean

from shared.errors import EnvironmentFailure
from shared.lab import statistics
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
from shared.lab.load.driver import LoadClient
from shared.lab.observation import processes
from shared.lab.planning.plan import Scenario
from shared.lab.services import usage
from shared.lab.services.process import HOST
from shared.lab.services.process import Service

TARGETS = {"wait": "waiting without a connection (/wait)", "sleep": "waiting for the database (/sleep)"}
SUBJECTS = {"wsgi": "WSGI", "many": "WSGI with a thread for each user", "asgi": "ASGI"}
# How many users there are; the verdict is about one of the levels, the option `users`.
FEW_USERS = (1, 8, 32)
MOST_USERS = 512
WINDOW_S = 0.3
# In the closed model some begin together; the ramp lets them spread.
RAMP_S = 0.1
TIMEOUT_S = 30.0
# In flight over users: from this on many are served at once, and up to the other only few.
MANY = 0.25
FEW = 0.125
MIB = 1024 * 1024
# The longest wait for a connection must not be what ends the wait of many users for few of them.
PATIENT = {"POOL_TIMEOUT": "20", "STATEMENT_TIMEOUT": "21", "REQUEST_TIMEOUT": "22", "GRACEFUL_TIMEOUT": "23"}


@dataclass(frozen=True, slots=True)
class Run:
    """One load of so many users on one endpoint.

    Attributes:
        per_s: Good answers each second.
        p99_s: Of their response times, in seconds.
        failed: Requests without a good answer.
        threads: Threads of the service afterwards.
        resident_bytes: Its memory afterwards.
        cpu_s: CPU seconds of the service for each answer.
    """

    per_s: float
    p99_s: float
    failed: int
    threads: int
    resident_bytes: int
    cpu_s: float


Runs = Mapping[tuple[str, str, int], Sequence[Run]]


def measure(bench: Bench, options: Options) -> Finding:
    """Load each service with rising numbers of users, the level of the verdict several times, in turn."""
    users, trials = int(options["users"]), int(options["trials"])
    levels = sorted({*FEW_USERS, users, MOST_USERS})
    settings = {**PATIENT, "POOL_SIZE": str(int(options["pool"])), "POOL_MAX_OVERFLOW": "0"}
    runs: dict[tuple[str, str, int], list[Run]] = {}
    with (
        LoadClient(cores=bench.cores.client) as client,
        bench.service("wsgi", WSGI_THREADS=str(int(options["threads"])), **settings) as wsgi,
        # Threads are made when they are needed, so that one service does for all levels.
        bench.service("wsgi", WSGI_THREADS=str(max(levels)), **settings) as many,
        bench.service("asgi", **settings) as asgi,
    ):
        services: Mapping[str, Service] = {"wsgi": wsgi, "many": many, "asgi": asgi}
        before = {name: _resident(service) for name, service in services.items()}
        for level in levels:
            for trial in range(trials if level == users else 1):
                names = list(services) if trial % 2 == 0 else list(reversed(list(services)))
                for kind in TARGETS:
                    bench.progress(f"C1: {level} users, {TARGETS[kind]}, trial {trial + 1}")
                    for name in names:
                        found = runs.setdefault((name, kind, level), [])
                        found.append(_run(client, services[name], kind, level, float(options["seconds"])))
        for service in services.values():
            # All before any is waited for, so that they stop together.
            service.ask_to_stop()
    seconds = float(options["seconds"])
    own = {name: _figures(name, runs, before[name], users, seconds, trials) for name in SUBJECTS}
    ties = [_tie(kind, other, runs, users, trials) for kind in TARGETS for other in ("wsgi", "many")]
    measured = {"wsgi": Figures((*own["wsgi"], *own["many"])), "asgi": Figures((*own["asgi"], *ties))}
    return Finding({"wsgi": measured["wsgi"], "asgi": measured["asgi"]}, _pictures(runs, before, levels))


def _run(client: LoadClient, service: Service, kind: str, users: int, seconds: float) -> Run:
    client.prepare(HOST, service.port, connections=users, opens=False)
    pids = service.pids()
    cpu = usage.cpu_by_process(pids)
    # An answer takes at least its wait: the window holds several.
    window_s = max(WINDOW_S, 3 * seconds)
    load = client.run(
        HOST,
        service.port,
        Scenario(kind, f"/{kind}?seconds={seconds:g}").request_bytes(f"{HOST}:{service.port}"),
        ramp_s=max(RAMP_S, seconds),
        window_s=window_s,
        timeout_s=TIMEOUT_S,
    )
    used_s = usage.cpu_between(cpu, usage.cpu_by_process(pids))
    samples = load.samples
    is_good = samples.status == HTTPStatus.OK
    if not is_good.any():
        raise EnvironmentFailure(
            f"{service.spec.name} answered none of {users} users well",
            why=f"{len(samples)} answers, {len(load.errors)} errors",
            hint=f"see {service.log_path}",
        )
    is_inside = is_good & (samples.done_ns >= load.window_start_ns) & (samples.done_ns < load.window_end_ns)
    if not is_inside.any():
        raise EnvironmentFailure(
            f"{service.spec.name} answered none of {users} users within a whole window",
            why=f"{int(is_good.sum())} good answers came, none of them in the {window_s:g} s that were counted",
            hint="run it again when nothing else uses this machine",
        )
    took_s = (samples.done_ns - samples.intended_ns)[is_good] / 1e9
    readings = processes.read(service.pids()).values()
    return Run(
        per_s=float(is_inside.sum()) / window_s,
        p99_s=statistics.percentile(took_s, 0.99),
        failed=int((~is_good).sum()) + len(load.errors),
        threads=sum(reading.threads for reading in readings),
        resident_bytes=sum(reading.resident_bytes for reading in readings),
        cpu_s=used_s / int(is_good.sum()),
    )


def _resident(service: Service) -> int:
    return sum(reading.resident_bytes for reading in processes.read(service.pids()).values())


def _figures(name: str, runs: Runs, before_bytes: int, users: int, seconds: float, trials: int) -> list[Figure]:
    figures = []
    lead = "" if name in ("wsgi", "asgi") else f"{name}_"
    who = "" if name in ("wsgi", "asgi") else f", {SUBJECTS[name]}"
    for kind, words in TARGETS.items():
        found = runs[name, kind, users]
        # Little 1961, "A Proof for the Queuing Formula L = lambda W": those inside are the rate times the time inside.
        shares = [run.per_s * seconds / users for run in found]
        share = statistics.paired_difference(shares, [0.0] * len(shares))
        label = f"in flight over {users} users, {words}{who}"
        figures.append(Figure(f"{lead}{kind}_share", label, share.value, "", trials, share.low, share.high))
        for key, what, unit, values in (
            ("per_s", "answers each second", "1/s", [run.per_s for run in found]),
            ("p99_ms", "p99 of the response times", "ms", [run.p99_s * 1e3 for run in found]),
            ("cpu_ms", "CPU time of an answer", "ms", [run.cpu_s * 1e3 for run in found]),
            ("failed", "requests without a good answer", "", [run.failed for run in found]),
        ):
            label = f"{what}, {users} users, {words}{who}"
            figures.append(Figure(f"{lead}{kind}_{key}", label, fmean(values), unit, trials))
    most = runs[name, "wait", MOST_USERS][0]
    label = f"answers each second, {MOST_USERS} users, {TARGETS['wait']}{who}"
    figures.append(Figure(f"{lead}most_per_s", label, most.per_s, "1/s"))
    # Where all of them wait for a connection, each has a thread if there are as many.
    last = runs[name, "sleep", MOST_USERS][0]
    figures.append(Figure(f"{lead}threads", f"threads after {MOST_USERS} users{who}", last.threads))
    grown = (last.resident_bytes - before_bytes) / MIB
    figures.append(Figure(f"{lead}memory_mib", f"memory that {MOST_USERS} users added{who}", grown, "MiB"))
    return figures


def _tie(kind: str, other: str, runs: Runs, users: int, trials: int) -> Figure:
    ours, theirs = ([run.per_s for run in runs[name, kind, users]] for name in ("asgi", other))
    ratio = statistics.paired_ratio(ours, theirs, seed=1)
    label = f"answers each second over {SUBJECTS[other]}'s, {users} users, {TARGETS[kind]}"
    return Figure(f"{kind}_over_{other}", label, ratio.value, "", trials, ratio.low, ratio.high)


def _pictures(runs: Runs, before: Mapping[str, int], levels: Sequence[int]) -> tuple[Diagram, ...]:
    def picture(
        title: str, y: str, kind: str, value: Callable[[str, Sequence[Run]], float], *, is_log_y: bool = False
    ) -> Diagram:
        lines = tuple(
            Line(
                label,
                tuple((float(level), value(name, runs[name, kind, level])) for level in levels),
            )
            for name, label in SUBJECTS.items()
        )
        return Diagram(title, "users at the same time", y, lines, is_log_x=True, is_log_y=is_log_y)

    def per_s(name: str, found: Sequence[Run]) -> float:
        return fmean(run.per_s for run in found)

    def threads(name: str, found: Sequence[Run]) -> float:
        return float(found[-1].threads)

    def added_mib(name: str, found: Sequence[Run]) -> float:
        return (found[-1].resident_bytes - before[name]) / MIB

    rates = [
        picture(f"Answers each second, {words}", "answers each second", kind, per_s, is_log_y=True)
        for kind, words in TARGETS.items()
    ]
    return (
        *rates,
        picture("Threads of the service", "threads", "sleep", threads, is_log_y=True),
        picture("Memory that the load added", "MiB", "sleep", added_mib),
    )


def rule(figures: Figures) -> Ruling:
    """Return the verdict by how many of the users are served at the same time, with and without a connection."""
    states = []
    for kind in TARGETS:
        share = figures[f"{kind}_share"]
        is_many, is_few = (share.low or 0.0) >= MANY, (1.0 if share.high is None else share.high) <= FEW
        states.append("many" if is_many else "few" if is_few else "")
    said = "in flight over users: " + ", ".join(
        f"{figures.number(f'{kind}_share'):.0%} {words}" for kind, words in TARGETS.items()
    )
    match states:
        case ["many", "many"]:
            return Ruling("confirmed", said)
        case ["many", "few"]:
            return Ruling("depends", f"on requests not needing a connection for as long as they wait: {said}")
        case ["few", "few"]:
            return Ruling("refuted", said)
        case _:
            return Ruling("undecided", said)


def explain(finding: Finding) -> str:
    """Return what was measured, and why it is so."""
    wsgi, asgi = finding.measured["wsgi"].number, finding.measured["asgi"].number
    return (
        f"Without a connection ASGI gave {asgi('wait_per_s'):,.0f} answers each second (p99 {asgi('wait_p99_ms'):.0f} "
        f"ms), WSGI {wsgi('wait_per_s'):,.0f} ({wsgi('wait_p99_ms'):.0f} ms), and WSGI with a thread for each user "
        f"{wsgi('many_wait_per_s'):,.0f} ({wsgi('many_wait_p99_ms'):.0f} ms). Waiting for the database, where each "
        f"holds one of as many connections, ASGI gave {asgi('sleep_per_s'):,.0f}, WSGI {wsgi('sleep_per_s'):,.0f}: "
        f"{asgi('sleep_over_wsgi'):.2f} times as many. {MOST_USERS} users took {asgi('threads'):.0f} threads and "
        f"{asgi('memory_mib'):.1f} MiB more in ASGI, {wsgi('threads'):.0f} and {wsgi('memory_mib'):.1f} MiB in WSGI, "
        f"{wsgi('many_threads'):.0f} and {wsgi('many_memory_mib'):.1f} MiB with a thread for each user; an answer of "
        f"/wait cost {asgi('wait_cpu_ms'):.2f}, {wsgi('wait_cpu_ms'):.2f} and {wsgi('many_wait_cpu_ms'):.2f} ms CPU. "
        "A request that waits holds a thread in WSGI and a task in ASGI; either holds a connection as long as it waits "
        "for the database, so there the smaller of threads and pool is the limit of WSGI, and the pool that of ASGI."
    )


CLAIM = Claim(
    number=1,
    statement="Async handles many concurrent requests efficiently.",
    prediction=(
        "In one process ASGI has all users' requests in flight while they wait without a connection; WSGI as many as "
        "it has threads, and more of them cost memory. Where each waits for the database, both have as many in flight "
        "as the pool has connections, and tie."
    ),
    method=(
        f"One process each. Users who send again when they are answered, 1 to {MOST_USERS} of them, ask for /wait (no "
        "connection) and for /sleep (a query that takes as long); WSGI with its threads, WSGI with a thread for each "
        "user, and ASGI, in turn. In flight is the rate of answers times the time each waits (Little's law)."
    ),
    rule_words=(
        "Requests in flight over users, 95 % interval of the trials: many if the lower end is at least "
        f"{MANY:.0%}, few if the upper end is at most {FEW:.1%}. Confirmed if many with /wait and with /sleep; depends "
        "if many with /wait and few with /sleep; refuted if few with both; else undecided."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=40,
    options=(
        Option("users", 128, "users at the same time, of the verdict", 33, 511),
        Option("seconds", 0.03, "how long each request waits, in seconds", 0.01, 1),
        Option("threads", 10, "threads of the WSGI edition", 1, 1_000),
        Option("pool", 10, "connections of each pool", 1, 40),
        Option("trials", 3, "how often the verdict's level is measured", 3, 20),
    ),
    sources=(
        Source("gunicorn: Design, worker types", "https://gunicorn.org/design/"),
        Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
    ),
    depends_on_machine=True,
)
