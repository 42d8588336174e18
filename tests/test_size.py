"""Whether sizes fit together: every rule kept and broken, the command's exit codes, and the queue once measured."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from shared.config import Edition
from shared.config import load
from shared.lab.claims.bench import Bench
from shared.lab.sizing import measure
from shared.lab.sizing import plan
from shared.lab.sizing import rules
from shared.lab.sizing.result import jackknifed
from shared.lab.sizing.rules import Limits
from shared.lab.sizing.rules import Load
from shared.lab.sizing.rules import Sizing
from shared.lab.watch.events import PoolEvent
from tests.test_commands import run

TIMEOUTS = dict(zip(rules.LADDER, (1.0, 2.0, 5.0, 10.0, 15.0), strict=True))
WSGI = Sizing("wsgi", 1, 10, 10, 0, 1, None, TIMEOUTS, None)
ASGI = replace(WSGI, edition="asgi", threads=None)
LIMITS = Limits(100, 3, None, None, 5, "made up")


def verdict(sizing: Sizing, name: str, limits: Limits | None = LIMITS) -> str:
    """Return what one rule says of one edition."""
    return next(check.verdict for check in rules.examine([sizing], limits).checks if check.name == name)


@pytest.mark.parametrize(
    ("workers", "pool", "overflow", "instances", "found"),
    [
        (1, 10, 0, 1, "kept"),
        (2, 10, 5, 3, "kept"),
        (9, 10, 0, 1, "kept"),
        # 97 may be used, and the others have 5.
        (1, 97, 0, 1, "warning"),
        (1, 90, 8, 1, "broken"),
        (10, 10, 0, 1, "broken"),
        (1, 10, 0, 10, "broken"),
    ],
)
def test_all_connections_are_held_against_what_the_database_takes(
    workers: int, pool: int, overflow: int, instances: int, found: str
) -> None:
    sizing = replace(ASGI, workers=workers, pool=pool, overflow=overflow, instances=instances)
    assert verdict(sizing, "connections") == found


@pytest.mark.parametrize("bound", [{"role": 9}, {"database": 9}, {"max_connections": 12}, {"reserved": 91}])
def test_the_smallest_limit_counts(bound: dict[str, int]) -> None:
    assert verdict(ASGI, "connections", replace(LIMITS, **bound)) == "broken"  # type: ignore[arg-type]  # names vary
    assert verdict(replace(ASGI, pool=9), "connections", replace(LIMITS, others=None, **bound)) == "kept"  # type: ignore[arg-type]


def test_both_editions_share_the_database() -> None:
    both = [replace(WSGI, pool=49), replace(ASGI, pool=49)]
    assert rules.examine(both, LIMITS).checks[0].verdict == "broken"
    assert rules.examine(both[:1], LIMITS).checks[0].verdict == "kept"


def test_an_unknown_limit_is_no_pass() -> None:
    assert verdict(ASGI, "connections", None) == "unknown"


@pytest.mark.parametrize(
    ("threads", "pool", "overflow", "found"),
    [(10, 10, 0, "kept"), (15, 10, 5, "kept"), (11, 10, 0, "broken"), (40, 5, 10, "broken"), (9, 10, 0, "warning")],
)
def test_threads_are_held_against_the_pool(threads: int, pool: int, overflow: int, found: str) -> None:
    assert verdict(replace(WSGI, threads=threads, pool=pool, overflow=overflow), "threads") == found


@pytest.mark.parametrize(
    ("in_flight", "hold_s", "found"),
    [
        (None, 0.1, "unknown"),
        (10, 9.0, "kept"),
        (20, 1.9, "kept"),
        (21, 0.9, "kept"),
        (20, 2.0, "broken"),
        (21, 1.0, "broken"),
        (11, None, "unknown"),
    ],
)
def test_requests_in_flight_are_held_against_the_pool(in_flight: int | None, hold_s: float | None, found: str) -> None:
    load = None if hold_s is None else Load(0.001, hold_s, "constant")
    assert verdict(replace(ASGI, in_flight=in_flight, load=load), "in flight") == found


def test_what_finds_no_thread_waits_where_nobody_sees_it() -> None:
    assert verdict(replace(WSGI, in_flight=11), "in flight") == "warning"
    assert verdict(replace(WSGI, in_flight=10), "in flight") == "kept"


@pytest.mark.parametrize("place", range(4))
def test_each_rung_of_the_ladder_must_be_below_the_next(place: int) -> None:
    inner, outer = rules.LADDER[place : place + 2]
    equal = replace(ASGI, timeouts_s={**TIMEOUTS, inner: TIMEOUTS[outer]})
    broken = [check.name for check in rules.examine([equal], LIMITS).of("broken")]
    assert len(broken) == 1
    assert not rules.examine([ASGI], LIMITS).of("broken")


@pytest.mark.parametrize(
    ("rate", "pool", "threads", "found"),
    [
        (150.0, 10, 10, "kept"),
        (199.0, 10, 10, "broken"),
        (199.9, 10, 10, "broken"),
        (200.0, 10, 10, "broken"),
        (150.0, 10, 7, "broken"),
    ],
)
def test_predicted_waits_are_held_against_the_pool_timeout(rate: float, pool: int, threads: int, found: str) -> None:
    sizing = replace(WSGI, pool=pool, threads=threads, load=Load(rate, 0.05, "exponential"))
    assert verdict(sizing, "waits") == found


def test_processes_share_the_load() -> None:
    sizing = replace(ASGI, workers=2, instances=3, load=Load(600.0, 0.05, "constant"))
    assert rules.predict(sizing).rate == 100.0


def test_what_is_given_goes_before_the_settings(edition: Edition) -> None:
    given = plan.Given(workers=3, threads=7, pool=4, overflow=2, timeouts_s={"pool_timeout": 0.5})
    (sizing,) = plan.sizings(load({}), [edition], given, instances=2, in_flight=None, load=None)
    assert (sizing.connections, sizing.threads) == (36, 7 if edition == "wsgi" else None)
    assert [check.name for check in rules.examine([sizing], LIMITS).of("broken")][-1] == "connect < pool wait"


def test_a_connect_timeout_is_what_the_driver_makes_of_it() -> None:
    """The WSGI driver counts whole seconds, so 1.6 s are 2, which is no less than the pool wait."""
    given = plan.Given(timeouts_s={"connect_timeout": 1.6})
    found = plan.sizings(load({}), plan.EDITIONS, given, instances=1, in_flight=None, load=None)
    assert [verdict(each, "connect < pool wait") for each in found] == ["broken", "kept"]


def test_the_database_is_asked(bench: Bench) -> None:
    found = plan.ask(bench.urls["wsgi"])
    assert (found.max_connections, found.reserved, found.role, found.database) == (200, 3, None, None)


def sized(*words: str, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command away from any settings of the checkout."""
    from tests.test_commands import ROOT

    return run("size", *words, cwd=directory, environ={"PYTHONPATH": str(ROOT), **environ})


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--max-connections", "100"), 0, "Rules: 10 kept"),
        (("--max-connections", "20"), 1, "20 of 17"),
        (("--max-connections", "100", "--threads", "11"), 1, "wsgi, threads: 11 against 10 + 0"),
        (("--max-connections", "100", "--statement-timeout", "2"), 1, "pool wait < statement"),
        (("--max-connections", "100", "--rate", "300", "--hold", "0.05"), 1, "line grows by 100 requests a second"),
        (("--max-connections", "100", "--rate", "300"), 2, "--rate and --hold belong together"),
        (("--max-connections", "100", "--holds", "odd"), 2, "no kind of hold times"),
        (("--measure", "--max-connections", "100", "--rate", "300"), 2, "no wait to predict"),
        ((), 3, "Connection refused"),
    ],
)
def test_exit_codes_are_for_ci(words: tuple[str, ...], code: int, text: str, tmp_path: Path) -> None:
    done = sized(*words, directory=tmp_path, DATABASE_URL="postgresql://me:canary-9f3a@127.0.0.1:1/x")
    output = done.stdout + done.stderr
    assert (done.returncode, "Traceback" in output, "canary" in output) == (code, False, False), output
    assert text in " ".join(output.split())


def test_json_holds_rules_and_predictions(tmp_path: Path, database_url: str) -> None:
    done = sized(
        *("--json", "--rate", "100", "--hold", "0.05", "--holds", "exponential"),
        directory=tmp_path,
        DATABASE_URL=database_url,
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["limits"]["usable"]) == (0, 197)
    assert {check["verdict"] for check in found["checks"]} == {"kept", "unknown"}
    assert found["predictions"][0]["waits"]["probability"] == pytest.approx(0.0361, abs=1e-4)


def test_waits_and_holds_are_paired_by_backend() -> None:
    def event(kind: str, at_ns: int, pid: int, waited_ns: int = 0) -> PoolEvent:
        return PoolEvent(kind, at_ns, 1, "thread", "", pid, waited_ns)  # type: ignore[arg-type]  # kinds are literals

    second = 1_000_000_000
    events = [
        event("checkout", 1 * second, 7),
        event("checkout", 2 * second, 8),
        event("checkin", 3 * second, 7),
        event("checkout", 3 * second, 7, waited_ns=2 * second),
        event("checkin", 5 * second, 8),
        event("checkin", 9 * second, 7),
        # Given back by whom nobody saw taking it.
        event("checkin", 10 * second, 7),
        event("checkout", 10 * second, 8),
    ]
    found = [(each.arrived_s, each.waited_s, each.held_s) for each in measure.passages(events)]
    assert found == [(1.0, 0.0, 2.0), (1.0, 2.0, 6.0), (2.0, 0.0, 3.0)]


def test_an_interval_of_a_mean_is_students() -> None:
    """Groups of one value each: mean 3, standard error sqrt(1/2), and t of four degrees is 2.776."""
    found = jackknifed([[1.0], [2.0], [3.0], [4.0], [5.0]], lambda values: sum(values) / len(values))
    assert found.value == 3.0
    assert found.high - 3.0 == pytest.approx(2.776 * 0.5**0.5, rel=1e-3)


@pytest.mark.slow
def test_measured_waits_are_of_the_predicted_size(bench: Bench) -> None:
    """A pool of 3, two thirds used: the margins are those of a few hundred waits on a shared machine."""
    trial = measure.Trial(pool=3, rate=40.0, hold_s=0.05, holds="constant", rounds=3, window_s=1.0, seed=1)
    found = measure.measure(bench, trial)
    assert [each.edition for each in found] == ["wsgi", "asgi"]
    for each in found:
        assert each.requests > 60
        assert 0.05 <= each.hold_s < 0.1
        assert each.most_in_flight < each.places
        assert 0.3 * each.simulated.mean_s < each.mean_s.value < 3.0 * each.simulated.mean_s + 0.01
        assert 0.05 < each.probability.value < 0.98
