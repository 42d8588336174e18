"""What is run and in which order; no clock is read."""

from collections import Counter

import pytest

from shared.lab.plan import Scenario
from shared.lab.plan import Subject
from shared.lab.plan import Timing
from shared.lab.plan import make_rounds

SCENARIO = Scenario("db", "/db")
SUBJECTS = [Subject("wsgi"), Subject("asgi"), Subject("control")]


def order(seed: int, scenario: Scenario = SCENARIO, rounds: int = 10) -> list[list[str]]:
    return [
        [cell.subject.name for cell in planned.cells]
        for planned in make_rounds(scenario, SUBJECTS, rounds=rounds, seed=seed)
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
    assert order(seed=7, scenario=Scenario("json", "/json")) != order(seed=7)


def test_first_place_is_drawn() -> None:
    firsts = Counter(order(seed=seed, rounds=1)[0][0] for seed in range(300))
    assert set(firsts) == {"wsgi", "asgi", "control"}
    assert min(firsts.values()) > 50


def test_rounds_are_numbered_from_zero() -> None:
    planned = make_rounds(SCENARIO, SUBJECTS, rounds=5, seed=1)
    assert [one.index for one in planned] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("subjects", [[], [Subject("a"), Subject("a")]])
def test_subjects_must_be_told_apart(subjects: list[Subject]) -> None:
    with pytest.raises(ValueError, match="subjects must be named"):
        make_rounds(SCENARIO, subjects, rounds=3, seed=1)


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


@pytest.mark.parametrize(
    "values", [{"rounds": 2}, {"concurrency": 0}, {"window_s": 0.0}, {"ramp_s": -0.1}, {"response_timeout_s": 0.0}]
)
def test_timing_that_no_plan_can_be_made_from_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(values))}' must"):
        Timing(**values)  # type: ignore[arg-type]  # a float where int is due is refused by its value


def test_default_plan_of_six_scenarios_and_two_editions_stays_under_ninety_seconds() -> None:
    assert 6 * Timing().scenario_s(subjects=2) < 90
