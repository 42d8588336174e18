"""Claims about the life of engines, connections and Sessions: each rule fed with doctored figures."""

import pytest

from shared.lab.claims import c10_order
from shared.lab.claims import c12_outage
from shared.lab.claims import c14_empty_pool
from shared.lab.claims import c19_session_life
from shared.lab.claims import c21_reuse
from shared.lab.claims import c22_shutdown
from shared.lab.claims.claim import Value
from shared.lab.claims.crowd import Exchange
from shared.lab.claims.crowd import Fate
from shared.lab.claims.durations import duration_figures
from shared.lab.watch.events import Kind
from shared.lab.watch.events import PoolEvent
from shared.lab.watch.order import Edge
from shared.lab.watch.order import Moment
from shared.lab.watch.order import Part
from tests.claim_records import doctored
from tests.claim_records import made

Changes = dict[str, Value]

# C22

STOPPED = made(
    idle_before_least=4, idle_left_most=0, idle_opened=4, idle_unclosed=0, idle_exit_code=0,
    loaded_before_least=10, loaded_left_most=0, loaded_opened=30, loaded_unclosed=0, loaded_exit_code=0,
    accepted=1000, in_flight_least=8, late=50, lost=0, failed=0,
    overlong_lost=0, overlong_failed=0, overlong_left=0, overlong_opened=4, overlong_unclosed=0,
)  # fmt: skip


def test_shutdown_is_confirmed_where_even_an_overlong_request_changes_nothing() -> None:
    assert c22_shutdown.rule(STOPPED).verdict == "confirmed"


@pytest.mark.parametrize(
    "changed",
    [
        {"idle_left_most": 1},
        {"loaded_left_most": 1},
        {"idle_unclosed": 1},
        {"loaded_unclosed": 1},
        {"lost": 1},
        {"failed": 1},
        {"idle_exit_code": 1},
        {"loaded_exit_code": 137},
    ],
)
def test_shutdown_is_refuted_by_anything_left_or_lost(changed: Changes) -> None:
    assert c22_shutdown.rule(doctored(STOPPED, **changed)).verdict == "refuted"
    # Whatever becomes of a request that outlasts the grace is no excuse.
    assert c22_shutdown.rule(doctored(STOPPED, overlong_lost=1, **changed)).verdict == "refuted"


@pytest.mark.parametrize(
    "changed", [{"overlong_lost": 1}, {"overlong_failed": 1}, {"overlong_left": 1}, {"overlong_unclosed": 4}]
)
def test_shutdown_depends_on_requests_that_end_in_time(changed: Changes) -> None:
    ruling = c22_shutdown.rule(doctored(STOPPED, **changed))
    assert ruling.verdict == "depends"
    assert "GRACEFUL_TIMEOUT" in ruling.because


@pytest.mark.parametrize("changed", [{"idle_before_least": 0}, {"loaded_before_least": 0}, {"in_flight_least": 0}])
def test_shutdown_is_undecided_where_there_was_nothing_to_close_or_to_lose(changed: Changes) -> None:
    assert c22_shutdown.rule(doctored(STOPPED, lost=1, **changed)).verdict == "undecided"


def exchange(fate: Fate, began: int, done: int, status: int = 200) -> Exchange:
    return Exchange("/db", fate, status if fate == "answered" else 0, began, done)


def test_stop_counts_what_was_accepted_in_flight_late_and_lost() -> None:
    """A refused request was never accepted; one that began before the signal and ended after it was in flight."""
    exchanges = [
        exchange("answered", 10, 20),
        exchange("answered", 90, 110),
        exchange("lost", 95, 120),
        exchange("answered", 105, 130, status=503),
        exchange("refused", 90, 110),
        exchange("refused", 200, 210),
    ]
    events = [pool_event("connect", 1), pool_event("connect", 2), pool_event("close", 1)]
    stop = c22_shutdown.Stop(100, 2, 0, 0.1, 0, events, exchanges, ())
    assert [len(stop.accepted()), stop.in_flight(), stop.late()] == [4, 2, 1]
    assert [len(stop.lost()), len(stop.failed())] == [1, 1]
    assert (stop.opened, stop.closed, stop.unclosed) == (2, 1, 1)


# C12

RECOVERED = made(
    engine_is_made=True, engine_connects=False, starts=1, asked_without=7, served_without=7, asked_with=9,
    refused_with=9, longest_s=0.4, relapses=0, restarts=0,
)  # fmt: skip


def test_outage_is_confirmed_by_start_service_and_recovery() -> None:
    assert c12_outage.rule(RECOVERED).verdict == "confirmed"


@pytest.mark.parametrize(
    "changed",
    [
        {"starts": 0},
        {"served_without": 6},
        {"refused_with": 8},
        {"restarts": 1},
        {"longest_s": c12_outage.PATIENCE_S + 0.01},
    ],
)
def test_outage_is_refuted_by_any_of_its_parts(changed: Changes) -> None:
    assert c12_outage.rule(doctored(RECOVERED, **changed)).verdict == "refuted"


@pytest.mark.parametrize("changed", [{"engine_is_made": False}, {"engine_connects": True}, {"relapses": 1}])
def test_outage_depends_where_the_reason_or_a_connection_is_another(changed: Changes) -> None:
    assert c12_outage.rule(doctored(RECOVERED, **changed)).verdict == "depends"


# C21

REUSED = made(
    alone_requests=100, alone_pids=1, burst_requests=50, burst_pids=10, after_requests=100, after_pids=10, pool_size=10,
    sent=250, opened=10, shared_at_once=0, views_differ=0, overflow_opened=15, overflow_closed=0,
)  # fmt: skip


def test_reuse_is_confirmed_where_nothing_is_closed_on_release() -> None:
    assert c21_reuse.rule(REUSED).verdict == "confirmed"


@pytest.mark.parametrize("changed", [{"alone_pids": 2}, {"opened": 11}, {"shared_at_once": 1}])
def test_reuse_is_refuted_by_more_connections_than_needed(changed: Changes) -> None:
    assert c21_reuse.rule(doctored(REUSED, overflow_closed=5, **changed)).verdict == "refuted"


def test_reuse_depends_on_the_size_of_the_pool() -> None:
    assert c21_reuse.rule(doctored(REUSED, overflow_closed=10)).verdict == "depends"


@pytest.mark.parametrize("changed", [{"alone_requests": 99}, {"views_differ": 1}])
def test_reuse_is_undecided_where_the_log_is_not_whole(changed: Changes) -> None:
    assert c21_reuse.rule(doctored(REUSED, **changed)).verdict == "undecided"


def pool_event(kind: Kind, pid: int, request: str = "", at_ns: int = 0) -> PoolEvent:
    return PoolEvent(kind, at_ns, 1, "worker", request, pid)


def test_connection_that_two_have_at_once_is_found() -> None:
    apart = [pool_event("checkout", 7), pool_event("checkin", 7), pool_event("checkout", 7), pool_event("checkin", 7)]
    at_once = [pool_event("checkout", 7), pool_event("checkout", 8), pool_event("checkout", 7)]
    assert c21_reuse._shared_at_once(apart) == 0
    assert c21_reuse._shared_at_once(at_once) == 1


# C19

LAZY = made(
    at_open_least=0, at_open_most=0, in_use_least=1, at_close_least=1, at_close_most=1, served_by=1, sessions=20,
    of_one=2,
)  # fmt: skip


def test_session_without_connection_before_and_with_one_afterwards_refutes() -> None:
    assert c19_session_life.rule(LAZY).verdict == "refuted"


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"at_open_least": 1, "at_open_most": 1, "at_close_least": 0, "at_close_most": 0}, "confirmed"),
        ({"at_open_least": 1, "at_open_most": 1}, "depends"),
        ({"at_close_least": 0, "at_close_most": 0}, "depends"),
        ({"at_open_most": 1}, "depends"),
        ({"in_use_least": 0}, "undecided"),
    ],
)
def test_session_is_judged_by_both_of_its_ends(changed: Changes, verdict: str) -> None:
    assert c19_session_life.rule(doctored(LAZY, **changed)).verdict == verdict


# C14

GROWN = made(
    early_pool=0, early_server=0, beyond_need=0, short_of_need=0, growth="0, 1, 2", sides_differ=0, views_differ=0
)  # fmt: skip


def test_empty_pool_is_confirmed_by_none_before_need_and_no_more_than_needed() -> None:
    assert c14_empty_pool.rule(GROWN).verdict == "confirmed"


@pytest.mark.parametrize("changed", [{"early_pool": 1}, {"early_server": 1}, {"beyond_need": 1}])
def test_empty_pool_is_refuted_by_a_connection_that_nobody_needed(changed: Changes) -> None:
    assert c14_empty_pool.rule(doctored(GROWN, **changed)).verdict == "refuted"


@pytest.mark.parametrize("changed", [{"sides_differ": 1}, {"views_differ": 1}, {"short_of_need": 1}])
def test_empty_pool_is_undecided_where_the_sides_differ_or_nothing_overlapped(changed: Changes) -> None:
    assert c14_empty_pool.rule(doctored(GROWN, **changed)).verdict == "undecided"


@pytest.mark.parametrize(("size", "expected"), [(1, []), (2, [2]), (4, [2, 4]), (10, [2, 5, 10])])
def test_pool_is_asked_for_more_and_more_up_to_its_size(size: int, expected: list[int]) -> None:
    assert c14_empty_pool._growing(size) == expected


# C10

ORDERED = made(
    requests=10, complete=10, firsts=2, firsts_in_order=2, later_in_order=8, URL_engine=10, engine_pool=10,
    pool_request=10, request_session=10, session_database=10, database_close=10,
)  # fmt: skip


def test_order_is_confirmed_where_every_request_keeps_it() -> None:
    assert c10_order.rule(ORDERED).verdict == "confirmed"


@pytest.mark.parametrize(
    ("changed", "verdict", "because"),
    [
        ({"firsts_in_order": 0, "session_database": 8}, "depends", "first of its process"),
        ({"firsts_in_order": 1, "session_database": 9}, "depends", "on the request"),
        ({"later_in_order": 7, "database_close": 9}, "depends", "on the request"),
        ({"firsts_in_order": 0, "later_in_order": 0, "engine_pool": 0}, "refuted", "engine before pool"),
        ({"complete": 9}, "undecided", "9 of 10"),
    ],
)
def test_order_is_judged_by_request(changed: Changes, verdict: str, because: str) -> None:
    ruling = c10_order.rule(doctored(ORDERED, **changed))
    assert ruling.verdict == verdict
    assert because in ruling.because


STACK: tuple[tuple[Part, Edge], ...] = (
    ("url", "begin"), ("url", "end"), ("engine", "begin"), ("pool", "begin"), ("pool", "end"), ("engine", "end"),
)  # fmt: skip
REQUEST: tuple[tuple[Part, Edge], ...] = (
    ("request", "begin"), ("session", "begin"), ("checkout", "begin"), ("statement", "begin"), ("statement", "end"),
    ("close", "begin"), ("checkout", "end"), ("close", "end"), ("session", "end"), ("request", "end"),
)  # fmt: skip


def life(*, request: tuple[tuple[Part, Edge], ...]) -> c10_order.Life:
    moments = [Moment(part, edge, place, 1) for place, (part, edge) in enumerate(STACK)]
    moments += [Moment(part, edge, 100 + place, 1, "one") for place, (part, edge) in enumerate(request)]
    return c10_order.Life(moments, ["one"])


def test_order_is_read_off_the_beginnings() -> None:
    begins = life(request=REQUEST).begins("one")
    assert list(begins) == list(c10_order.STEPS)
    assert c10_order._is_ordered(begins)
    assert c10_order._is_within(life(request=REQUEST), "one")


def test_steps_of_a_request_are_its_own_and_those_of_the_process_are_shared() -> None:
    one = life(request=REQUEST).moments
    two = [Moment(moment.part, moment.edge, moment.at_ns + 100, 1, "two") for moment in one if moment.request]
    both = c10_order.Life([*one, *two], ["one", "two"])
    first, second = both.begins("one"), both.begins("two")
    assert [second[step] - first[step] for step in c10_order.STEPS] == [0, 0, 0, 100, 100, 100, 100]
    assert both.end_ns("session", "two") - both.end_ns("session", "one") == 100


def test_database_before_session_is_out_of_order() -> None:
    early = (REQUEST[0], REQUEST[2], REQUEST[1], *REQUEST[3:])
    assert not c10_order._is_ordered(life(request=early).begins("one"))
    assert c10_order._order(life(request=early), 0).endswith("request > database > session > close")


def test_connection_returned_after_the_close_is_not_within_it() -> None:
    late = (*REQUEST[:6], *REQUEST[7:], REQUEST[6])
    assert not c10_order._is_within(life(request=late), "one")


# What they share


def test_durations_have_an_interval_from_three_trials_on() -> None:
    mean, longest = duration_figures("x", "a time", [1.0, 2.0, 3.0])
    assert (mean.name, mean.value, longest.name, longest.value) == ("x_s", 2.0, "x_longest_s", 3.0)
    assert mean.low is not None
    assert mean.high is not None
    # Student's t with 2 degrees is 4.303, the standard error 1 / sqrt(3).
    assert mean.high - 2.0 == pytest.approx(4.303 / 3**0.5, abs=0.002)
    assert duration_figures("x", "a time", [1.0, 2.0])[0].low is None
    with pytest.raises(ValueError, match="at least one"):
        duration_figures("x", "a time", [])


@pytest.mark.parametrize("module", [c10_order, c12_outage, c14_empty_pool, c19_session_life, c21_reuse, c22_shutdown])
def test_claim_says_what_it_does(module: object) -> None:
    claim = vars(module)["CLAIM"]
    assert claim.sources
    assert all(option.least <= option.default <= option.most for option in claim.options)
    assert all(len(text) > 60 for text in (claim.prediction, claim.method, claim.rule_words))
