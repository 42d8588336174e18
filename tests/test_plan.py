"""What is run and in which order; no clock is read."""

from collections import Counter

import pytest

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Timing
from shared.lab.planning.plan import Workload
from shared.lab.planning.plan import make_rounds
from shared.lab.planning.plan import make_workloads

SCENARIO = Scenario("db", "/db")
WORKLOAD = Workload(SCENARIO, Load(32))
SUBJECTS = [Subject("wsgi"), Subject("asgi"), Subject("control")]


def order(seed: int, workload: Workload = WORKLOAD, rounds: int = 10) -> list[list[str]]:
    return [
        [cell.subject.name for cell in planned.cells]
        for planned in make_rounds(workload, SUBJECTS, rounds=rounds, seed=seed)
    ]


def test_every_round_holds_every_subject_once() -> None:
    assert all(sorted(names) == ["asgi", "control", "wsgi"] for names in order(seed=1))


def test_rounds_come_in_mirrored_pairs() -> None:
    names = order(seed=1)
    assert all(first == second[::-1] for first, second in zip(names[::2], names[1::2], strict=True))


def test_over_a_pair_every_subject_has_the_same_mean_place() -> None:
    names = order(seed=3, rounds=2)
    assert {sum(row.index(name) for row in names) for name in names[0]} == {2}


def test_order_follows_the_seed() -> None:
    assert order(seed=7) == order(seed=7)
    assert order(seed=7) != order(seed=8)


def test_order_of_a_scenario_does_not_depend_on_the_others() -> None:
    assert order(seed=7, workload=Workload(Scenario("json", "/json"), Load(32))) != order(seed=7)


def test_order_of_a_level_does_not_depend_on_the_others() -> None:
    assert order(seed=7, workload=Workload(SCENARIO, Load(8))) != order(seed=7)


def test_levels_of_a_scenario_are_run_together() -> None:
    other = Scenario("json", "/json")
    assert make_workloads([SCENARIO, other], [Load(8), Load(1)]) == tuple(
        Workload(scenario, Load(level)) for scenario, level in ((SCENARIO, 8), (SCENARIO, 1), (other, 8), (other, 1))
    )


def test_first_place_is_drawn() -> None:
    firsts = Counter(order(seed=seed, rounds=1)[0][0] for seed in range(300))
    assert set(firsts) == {"wsgi", "asgi", "control"}
    assert min(firsts.values()) > 50


def test_rounds_are_numbered_from_zero() -> None:
    planned = make_rounds(WORKLOAD, SUBJECTS, rounds=5, seed=1)
    assert [one.index for one in planned] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("subjects", [[], [Subject("a"), Subject("a")]])
def test_subjects_must_be_told_apart(subjects: list[Subject]) -> None:
    with pytest.raises(ValueError, match="subjects must be named"):
        make_rounds(WORKLOAD, subjects, rounds=3, seed=1)


def test_request_without_a_body_is_a_bare_head() -> None:
    assert Scenario("db", "/db?x=1").request_bytes("h:1") == b"GET /db?x=1 HTTP/1.1\r\nHost: h:1\r\n\r\n"


def test_request_with_a_body_states_its_length_and_type() -> None:
    request = Scenario("post", "/transfers", method="POST", body=b'{"a":1}').request_bytes("h:1")
    assert request.endswith(b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}')


@pytest.mark.parametrize("target", ["", "db", "/a b", "/é", "/x\r\nEvil: 1"])
def test_target_that_would_break_the_request_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="'target' must be"):
        Scenario("bad", target)


def test_head_is_refused() -> None:
    with pytest.raises(ValueError, match="HEAD"):
        Scenario("bad", "/", method="HEAD")


@pytest.mark.parametrize("values", [{"rounds": 2}, {"window_s": 0.0}, {"ramp_s": -0.1}, {"response_timeout_s": 0.0}])
def test_timing_that_no_plan_can_be_made_from_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(values))}' must"):
        Timing(**values)  # type: ignore[arg-type]  # a float where int is due is refused by its value


def test_level_without_a_connection_is_refused() -> None:
    with pytest.raises(ValueError, match="'connections' must"):
        Workload(SCENARIO, Load(0))


def test_ramp_grows_with_the_level() -> None:
    """The queue behind a pool of ten must be full when the window begins, and it is the longer the more wait in it."""
    timing = Timing(ramp_s=0.1)
    assert [timing.ramp_of(Load(level)) for level in (1, 32, 64, 128)] == pytest.approx([0.1, 0.1, 0.2, 0.4])


def test_default_plan_of_six_scenarios_and_two_editions_stays_under_ninety_seconds() -> None:
    assert 6 * Timing().workload_s(Load(32), subjects=2) < 90
