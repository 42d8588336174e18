"""The draws of a slice: when requests fall due, which is sent, which are given up, and who reads slowly."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from shared.lab.load.schedule import DRAWS
from shared.lab.load.schedule import abort_draws
from shared.lab.load.schedule import due_offsets_ns
from shared.lab.load.schedule import request_order
from shared.lab.load.schedule import slow_indices


def test_constant_arrivals_keep_their_distance_without_drift() -> None:
    offsets = due_offsets_ns(300.0, 10.0, is_constant=True, seed="1")
    assert len(offsets) == 3_000
    assert offsets[0] == 0
    assert offsets[2_999] == pytest.approx(2_999 / 300 * 1e9, abs=1)
    assert {round((b - a) / 1e3) for a, b in pairwise(offsets)} == {3_333}


def test_constant_arrivals_are_dealt_out_to_members_in_turn() -> None:
    members = [due_offsets_ns(100.0, 1.0, is_constant=True, seed="1", member=m, members=3) for m in range(3)]
    together = sorted(offset for offsets in members for offset in offsets)
    assert together == due_offsets_ns(100.0, 1.0, is_constant=True, seed="1").tolist()
    assert [len(offsets) for offsets in members] == [34, 33, 33]


def test_poisson_arrivals_have_exponential_gaps() -> None:
    """Mean and standard deviation are both 1 over the rate, and P(gap > t) = exp(-rate t)."""
    offsets = np.array(due_offsets_ns(1_000.0, 50.0, is_constant=False, seed="7")) / 1e9
    gaps = np.diff(offsets)
    # 50,000 gaps: five standard errors are about 2 %.
    assert len(offsets) == pytest.approx(50_000, rel=0.025)
    assert gaps.mean() == pytest.approx(0.001, rel=0.025)
    assert gaps.std() == pytest.approx(0.001, rel=0.04)
    for t in (0.0005, 0.001, 0.003):
        assert (gaps > t).mean() == pytest.approx(np.exp(-1_000 * t), abs=0.012)
    assert offsets[-1] < 50.0


def test_poisson_streams_of_members_make_the_whole_rate_and_differ() -> None:
    members = [due_offsets_ns(1_000.0, 10.0, is_constant=False, seed="7", member=m, members=2) for m in range(2)]
    assert members[0] != members[1]
    assert sum(map(len, members)) == pytest.approx(10_000, rel=0.06)


def test_schedule_follows_from_its_seed() -> None:
    one, same, other = (due_offsets_ns(100.0, 5.0, is_constant=False, seed=seed) for seed in ("a", "a", "b"))
    assert one == same != other


def test_every_deck_holds_the_shares_exactly() -> None:
    order = request_order((20, 10, 5), "1")
    assert len(order) >= DRAWS
    for start in range(0, 70, 7):
        assert Counter(order[start : start + 7]) == {0: 4, 1: 2, 2: 1}
    assert order[:7] != order[7:14] or order[7:14] != order[14:21]
    assert order == request_order((20, 10, 5), "1") != request_order((20, 10, 5), "2")


def test_one_request_needs_no_draws() -> None:
    assert request_order((3,), "1") == [0, 0, 0][:1]


def test_share_of_requests_is_given_up_at_moments_of_their_own() -> None:
    marked, moments = abort_draws(0.25, "1")
    assert sum(marked) / len(marked) == pytest.approx(0.25, abs=0.035)
    assert 0 <= min(moments) < 0.01
    assert 0.99 < max(moments) < 1
    assert abort_draws(0.25, "1") == (marked, moments)
    assert abort_draws(0.0, "1") == ([], [])


@pytest.mark.parametrize(
    ("connections", "share", "expected"),
    [(10, 0.0, set()), (10, 0.3, {0, 3, 6}), (10, 1.0, set(range(10))), (32, 0.01, {0}), (1, 0.5, {0})],
)
def test_slow_readers_are_spread_over_the_connections(connections: int, share: float, expected: set[int]) -> None:
    assert slow_indices(connections, share) == expected
