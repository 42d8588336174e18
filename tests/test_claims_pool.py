"""Claims about the pool: each rule fed with doctored figures, and each experiment run."""

import resource
from dataclasses import replace

import pytest

from shared.errors import EnvironmentFailure
from shared.lab.claims import c16_eleventh_waits
from shared.lab.claims import c17_one_engine
from shared.lab.claims import c24_many_users
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Timeline
from shared.lab.claims.claim import Value
from shared.lab.claims.claim import Verdict
from shared.lab.claims.volley import Plan
from shared.lab.claims.volley import Trial
from shared.lab.claims.volley import judged
from shared.lab.claims.volley import occupancy_diagram
from shared.lab.claims.volley import request_timeline
from shared.lab.watch.events import PoolEvent
from tests.claim_records import doctored
from tests.claim_records import made
from tests.pool_events import MS
from tests.pool_events import happened
from tests.pool_events import looked


def within(figures: Figures, name: str, value: float, low: float, high: float) -> Figures:
    """Return figures with one of them replaced, its interval included."""
    return Figures(
        tuple(replace(each, value=value, low=low, high=high) if each.name == name else each for each in figures.figures)
    )


def _volleys() -> Figures:
    own: dict[str, Value] = {
        **{"limit": 10, "distinct": 10, "at_once": 10, "at_once_most": 10, "first_waiters": 0, "late": 1},
        **{"late_waiters": 1, "early": 0, "reused": 1, "sessions": 10, "kept": 10, "looks": 40, "disagreements": 0},
        **{"wait_s": 0.3, "remaining_s": 0.3, "asked_s": 0.3, "ratio": 1.0},
    }
    fifteen = {name: 15 for name in ("limit", "distinct", "at_once", "at_once_most", "sessions")}
    default = {f"default_{name}": value for name, value in {**own, **fifteen, "kept": 5}.items()}
    figures = within(made(**own, **default), "ratio", 1.0, 0.99, 1.02)
    return within(figures, "default_ratio", 1.01, 0.98, 1.04)


VOLLEYS = _volleys()


def test_eleventh_waits_is_confirmed_by_both_pools() -> None:
    ruling = c16_eleventh_waits.rule(VOLLEYS)
    assert ruling.verdict == "confirmed"
    assert "request 11 waited 0.300 s" in ruling.because
    assert "15 requests had 15 sessions" in ruling.because


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"distinct": 9}, "refuted"),
        ({"at_once": 9}, "refuted"),
        ({"first_waiters": 1}, "refuted"),
        ({"at_once_most": 11}, "refuted"),
        ({"sessions": 11}, "refuted"),
        ({"late_waiters": 0}, "refuted"),
        ({"early": 1}, "refuted"),
        ({"reused": 0}, "refuted"),
        ({"disagreements": 1}, "undecided"),
        ({"default_disagreements": 1}, "undecided"),
        ({"looks": 0}, "undecided"),
        ({"late": 0, "late_waiters": 0}, "undecided"),
        ({"default_distinct": 10}, "depends"),
        ({"default_first_waiters": 1}, "depends"),
        ({"default_sessions": 16}, "depends"),
        ({"default_late_waiters": 0}, "depends"),
    ],
)
def test_eleventh_waits_has_other_verdicts(changed: dict[str, Value], verdict: Verdict) -> None:
    assert c16_eleventh_waits.rule(doctored(VOLLEYS, **changed)).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.81, 1.24, "confirmed"),
        (0.5, 0.79, "refuted"),
        (1.26, 3.0, "refuted"),
        (0.7, 1.0, "undecided"),
        (1.0, 1.3, "undecided"),
    ],
)
def test_eleventh_waits_as_long_as_the_others_still_need(low: float, high: float, verdict: Verdict) -> None:
    assert c16_eleventh_waits.rule(within(VOLLEYS, "ratio", 1.0, low, high)).verdict == verdict
    by_default: Verdict = "depends" if verdict == "refuted" else verdict
    assert c16_eleventh_waits.rule(within(VOLLEYS, "default_ratio", 1.0, low, high)).verdict == by_default


def test_eleventh_waits_is_undecided_by_too_few_trials() -> None:
    few = Figures(tuple(each for each in VOLLEYS.figures if each.name != "ratio"))
    assert c16_eleventh_waits.rule(few).verdict == "undecided"


PLAN = Plan(size=2, overflow=0, late=1, seconds=0.4)


def _account(*, waited_ms: int = 290, late_pid: int = 7) -> list[PoolEvent]:
    """Two requests at a pool of two, and a third that comes late."""
    return [
        happened("connect", 1, 7),
        happened("connect", 2, 8),
        happened("checkout", 10, 7, name="0-1"),
        happened("checkout", 12, 8, name="0-2"),
        happened("checkin", 412, 7, name="0-1"),
        happened("checkout", 400 if not waited_ms else 413, late_pid, waited_ms=waited_ms, name="0-3"),
        happened("checkin", 415, 8, name="0-2"),
        happened("checkin", 820, late_pid, name="0-3"),
    ]


def _judged(account: list[PoolEvent]) -> Trial:
    account.sort(key=lambda event: event.at_ns)
    return judged(account, [looked(5, 7, 8), looked(20, 7, 8)], PLAN, "0", 5 * MS)


def test_volley_is_told_by_the_account() -> None:
    trial = _judged(_account())
    assert trial.pids == {"0-1": 7, "0-2": 8}
    assert (trial.first_waited_ns, trial.at_once, trial.late_waiters) == (0, 2, 1)
    assert (trial.waited_ns, trial.remaining_ns, trial.asked_ns) == (290 * MS, 289 * MS, 287 * MS)
    assert (trial.is_early, trial.is_reused) == (False, True)


def test_volley_without_waiting_is_told_as_well() -> None:
    trial = _judged(_account(waited_ms=0, late_pid=9))
    assert (trial.at_once, trial.late_waiters, trial.waited_ns, trial.is_reused) == (3, 0, 0, False)
    figures = {each.name: each for each in c16_eleventh_waits.summed("", PLAN, [trial, trial, trial], 2)}
    assert figures["late_waiters"].value == 0
    assert "ratio" not in figures
    # The account has no connect of session 9; nor has the database seen it.
    assert figures["disagreements"].value == 0


def test_volley_served_before_a_release_is_early() -> None:
    account = [event for event in _account() if event.kind != "checkin" or event.request == "0-3"]
    account += [happened("checkin", 500, 7, name="0-1"), happened("checkin", 501, 8, name="0-2")]
    assert _judged(account).is_early


def test_volley_has_pictures() -> None:
    trial = _judged(_account())
    timeline = request_timeline("volley", trial)
    assert isinstance(timeline, Timeline)
    assert [lane.name for lane in timeline.lanes] == ["request 1", "request 2", "request 3"]
    waits, holds = timeline.lanes[2].spans
    assert (waits.kind, holds.kind) == ("waits", "holds")
    assert [waits.start_s, waits.end_s, holds.start_s, holds.end_s] == pytest.approx([0.118, 0.408, 0.408, 0.815])
    held, waiting, sessions = occupancy_diagram("volley", trial).lines
    assert max(y for _, y in held.points) == 2
    assert [y for x, y in waiting.points if 0.2 < x < 0.4] == []
    assert max(y for _, y in waiting.points) == 1
    assert sessions.points == ((0.0, 2.0), (0.015, 2.0))


CROWD = made(
    limit=10, users=1_000, sessions=10, held=10, waiting=990, connects=10, engines=1, answered=9_000, failed=0,
    looks=300, disagreements=0,
)  # fmt: skip


def test_many_users_are_confirmed_by_no_more_sessions_than_the_pool_has() -> None:
    assert c24_many_users.rule(CROWD).verdict == "confirmed"
    assert c24_many_users.user_steps(1_000) == (1, 3, 10, 30, 100, 300, 1_000)
    assert c24_many_users.user_steps(10) == (1, 3, 10)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"sessions": 11}, "refuted"),
        ({"sessions": 1_000}, "refuted"),
        ({"sessions": 20, "engines": 2}, "depends"),
        ({"sessions": 21, "engines": 2}, "refuted"),
        ({"disagreements": 1}, "undecided"),
        ({"looks": 0}, "undecided"),
        ({"failed": 1}, "undecided"),
        ({"answered": 0}, "undecided"),
        ({"users": 10}, "undecided"),
    ],
)
def test_many_users_have_other_verdicts(changed: dict[str, Value], verdict: Verdict) -> None:
    assert c24_many_users.rule(doctored(CROWD, **changed)).verdict == verdict


def test_many_users_need_as_many_descriptors() -> None:
    """The limit is raised as far as it may be, for as long as it is needed."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        with c24_many_users.descriptors(400):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        if before[1] != resource.RLIM_INFINITY:
            with pytest.raises(EnvironmentFailure, match="open files"), c24_many_users.descriptors(before[1] + 1):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


WAYS = within(
    made(one_connects=0.0, one_sessions=0.0, null_connects=1.0, null_sessions=1.0, each_connects=1.0,
         each_sessions=1.0, each_speed=0.1),
    "each_speed", 0.1, 0.08, 0.12,
)  # fmt: skip


def test_one_engine_is_confirmed_by_what_one_per_request_costs() -> None:
    ruling = c17_one_engine.rule(WAYS)
    assert ruling.verdict == "confirmed"
    assert "0.10 times as many" in ruling.because


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(1.01, 1.2, "refuted"), (0.9, 1.1, "undecided"), (0.97, 0.99, "confirmed")]
)
def test_one_engine_is_judged_by_the_interval(low: float, high: float, verdict: Verdict) -> None:
    assert c17_one_engine.rule(within(WAYS, "each_speed", (low + high) / 2, low, high)).verdict == verdict


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"each_connects": 0.1, "each_sessions": 0.1}, "depends"),
        ({"each_connects": 2.0, "each_sessions": 2.0}, "depends"),
        ({"one_connects": 0.5, "one_sessions": 0.5}, "depends"),
        ({"each_sessions": 0.5}, "undecided"),
        ({"null_sessions": 0.9}, "undecided"),
    ],
)
def test_one_engine_has_other_verdicts(changed: dict[str, Value], verdict: Verdict) -> None:
    assert c17_one_engine.rule(doctored(WAYS, **changed)).verdict == verdict


def test_rounds_of_one_engine_are_summed() -> None:
    """Speeds are compared round by round, connections over all requests."""
    fast = [c17_one_engine.Slice(rps, 0.001, 0.002, 100, 0, 0) for rps in (1_000.0, 2_000.0, 1_500.0)]
    slow = [c17_one_engine.Slice(piece.rps / 4, 0.004, 0.008, 50, 50, 49) for piece in fast]
    figures = Figures(tuple(c17_one_engine.summed({"one": fast, "null": slow, "each": slow})))
    assert figures.number("each_speed") == pytest.approx(0.25)
    assert figures["each_speed"].low == pytest.approx(0.25)
    assert figures.number("null_latency") == pytest.approx(4)
    # The geometric mean of 1,000, 1,500 and 2,000.
    assert figures.number("one_rps") == pytest.approx(1_442.25, abs=0.01)
    assert figures.number("each_p99_ms") == pytest.approx(8)
    assert [figures.number("each_connects"), figures.number("each_sessions")] == pytest.approx([1, 0.98])


@pytest.mark.slow
def test_eleventh_waits_in_both_editions(bench: Bench) -> None:
    options = {"pool_size": 3, "overflow": 1, "requests": 6, "seconds": 0.3, "trials": 3}
    finding = c16_eleventh_waits.measure(bench, options)
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        ruling = c16_eleventh_waits.rule(figures)
        assert ruling.verdict == "confirmed", ruling
        assert (figures.number("late_waiters"), figures.number("kept")) == (2, 3)
        assert (figures.number("default_distinct"), figures.number("default_kept")) == (15, 5)
    assert len(finding.pictures) == 8
    assert "16 waited" in c16_eleventh_waits.explain(finding)


@pytest.mark.slow
def test_many_users_share_the_pool_of_each_process(bench: Bench) -> None:
    options = {"users": 60, "pool_size": 4, "overflow": 0, "threads": 12, "workers": 1, "seconds": 0.2}
    finding = c24_many_users.measure(bench, options)
    for figures in finding.measured.values():
        ruling = c24_many_users.rule(figures)
        assert ruling.verdict == "confirmed", ruling
        assert figures.number("connects") == figures.number("sessions_60") == 4
    assert "4 with 60" in c24_many_users.explain(finding)
    finding = c24_many_users.measure(bench, {**options, "workers": 2})
    for figures in finding.measured.values():
        assert c24_many_users.rule(figures).verdict == "depends"
        assert 4 < figures.number("sessions") <= 8


@pytest.mark.slow
def test_an_engine_per_request_opens_a_connection_for_each_in_both_editions(bench: Bench) -> None:
    finding = c17_one_engine.measure(bench, {"rounds": 3, "users": 4, "seconds": 0.2})
    for figures in finding.measured.values():
        ruling = c17_one_engine.rule(figures)
        # So few rounds decide nothing about speed on a machine that does other things, too.
        assert ruling.verdict in ("confirmed", "undecided"), ruling
        assert figures.number("one_connects") == pytest.approx(0, abs=0.02)
        assert figures.number("each_connects") == pytest.approx(1, abs=0.02)
        assert figures.number("null_connects") == pytest.approx(1, abs=0.02)
    assert "an engine per request" in c17_one_engine.explain(finding)
