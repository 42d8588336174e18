"""The lab's formulas against hand-computed cases, closed forms and properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.lab import statistics
from shared.lab import student_t

VALUES = st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=50)
POSITIVE = st.floats(min_value=1e-3, max_value=1e3)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.5),
        # h = (n - 1) q = 3 * 0.9 = 2.7, so 3 + 0.7 * (4 - 3)
        ([1.0, 2.0, 3.0, 4.0], 0.9, 3.7),
        ([1.0, 2.0, 3.0, 4.0], 0.0, 1.0),
        ([1.0, 2.0, 3.0, 4.0], 1.0, 4.0),
    ],
)
def test_percentile_matches_hand_computed_cases(values: list[float], q: float, expected: float) -> None:
    assert statistics.percentile(values, q) == pytest.approx(expected)


def test_percentile_of_a_uniform_grid_is_the_quantile_itself() -> None:
    assert statistics.percentile([i / 1000 for i in range(1001)], 0.99) == pytest.approx(0.99)


@given(VALUES)
def test_percentiles_are_ordered_and_within_the_values(values: list[float]) -> None:
    p50, p99 = statistics.percentile(values, 0.5), statistics.percentile(values, 0.99)
    assert min(values) <= p50 * (1 + 1e-12)
    assert p50 <= p99 * (1 + 1e-12)
    assert p99 <= max(values) * (1 + 1e-12)


@given(VALUES, POSITIVE, st.floats(min_value=0.0, max_value=1e3))
def test_percentile_follows_scale_and_shift(values: list[float], scale: float, shift: float) -> None:
    moved = [value * scale + shift for value in values]
    assert statistics.percentile(moved, 0.9) == pytest.approx(statistics.percentile(values, 0.9) * scale + shift)


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1), ([1.0], math.nan)])
def test_percentile_refuses_what_has_no_answer(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="must"):
        statistics.percentile(values, q)


def test_p999_needs_ten_thousand_samples() -> None:
    assert statistics.p999([1.0] * 9_999) is None
    assert statistics.p999([1.0] * 10_000) == 1.0


def test_ratio_of_constant_rounds_is_exact() -> None:
    ratio = statistics.paired_ratio([6.0, 6.0, 6.0], [2.0, 2.0, 2.0], seed=1)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))
    assert ratio.difference_shown


def test_ratio_is_that_of_geometric_means() -> None:
    # (2 * 8 * 4)^(1/3) = 4, (1 * 1 * 8)^(1/3) = 2
    assert statistics.paired_ratio([2.0, 8.0, 4.0], [1.0, 1.0, 8.0], seed=1).value == pytest.approx(2.0)


def test_what_a_round_has_in_common_cancels() -> None:
    """A machine that halves its speed in every other round leaves no trace in the ratio."""
    speed = [1.0, 0.5] * 5
    ratio = statistics.paired_ratio([s * 300 for s in speed], [s * 200 for s in speed], seed=1)
    assert (ratio.low, ratio.high) == pytest.approx((1.5, 1.5))


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=3, max_size=12))
def test_swapped_sides_give_the_reciprocal(rounds: list[tuple[float, float]]) -> None:
    above, below = [a for a, _ in rounds], [b for _, b in rounds]
    one = statistics.paired_ratio(above, below, seed=5, resamples=200)
    other = statistics.paired_ratio(below, above, seed=5, resamples=200)
    assert one.value == pytest.approx(1 / other.value)
    assert one.low == pytest.approx(1 / other.high)
    assert one.low <= one.high


def test_same_seed_gives_the_same_interval() -> None:
    above, below = [1.0, 2.0, 3.0, 5.0, 8.0, 9.0, 7.0], [1.0, 1.5, 2.0, 2.0, 3.0, 6.5, 6.0]
    assert statistics.paired_ratio(above, below, seed=9) == statistics.paired_ratio(above, below, seed=9)
    assert statistics.paired_ratio(above, below, seed=9) != statistics.paired_ratio(above, below, seed=10)


def test_identical_code_shows_a_difference_in_about_one_of_twenty() -> None:
    """Over 1,000 comparisons of ten noisy rounds, 95 % intervals miss the truth in 2 to 8 % of them."""
    generator = np.random.default_rng(20261122)
    misses = 0
    for number in range(1000):
        above, below = np.exp(generator.normal(0.0, 0.1, size=(2, 10)))
        misses += statistics.paired_ratio(above, below, seed=number, resamples=1000).difference_shown
    assert 20 <= misses <= 80


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0, 3.0], [1.0, 2.0]),
        ([1.0, 0.0, 3.0], [1.0, 2.0, 3.0]),
        ([1.0, math.inf, 3.0], [1.0, 2.0, 3.0]),
        ([1.0, math.nan, 3.0], [1.0, 2.0, 3.0]),
    ],
)
def test_ratio_refuses_what_has_no_answer(above: list[float], below: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must be|needed"):
        statistics.paired_ratio(above, below, seed=1)


def test_unpaired_ratio_is_that_of_geometric_means() -> None:
    # (2 * 8 * 4)^(1/3) = 4, (1 * 1 * 4 * 4)^(1/4) = 2
    ratio = statistics.unpaired_ratio([2.0, 8.0, 4.0], [1.0, 1.0, 4.0, 4.0], seed=1)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.rounds == 3
    assert ratio == statistics.unpaired_ratio([2.0, 8.0, 4.0], [1.0, 1.0, 4.0, 4.0], seed=1)


def test_unpaired_ratio_of_constant_rounds_is_exact() -> None:
    ratio = statistics.unpaired_ratio([6.0] * 3, [2.0] * 5, seed=1)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))


def test_order_of_rounds_means_nothing_to_an_unpaired_ratio() -> None:
    """Rounds that rise together are a pair of samples, not ten pairs: their scatter stays in the interval."""
    speed = [1.0, 0.5] * 5
    ratio = statistics.unpaired_ratio([s * 300 for s in speed], [s * 200 for s in speed], seed=1)
    assert ratio.value == pytest.approx(1.5)
    assert ratio.low < 1.2
    assert ratio.high > 1.8


@pytest.mark.parametrize(("above", "below"), [((10, 0.1), (10, 0.1)), ((10, 0.1), (5, 0.1)), ((30, 0.05), (10, 0.2))])
def test_unpaired_interval_covers_the_truth_nineteen_times_of_twenty(
    above: tuple[int, float], below: tuple[int, float]
) -> None:
    """Over 400 pairs of runs, of equal and of different numbers of rounds and scatter: 92 to 98 %."""
    generator = np.random.default_rng(20261123)
    covered = 0
    for number in range(400):
        sides = [np.exp(generator.normal(0.0, scatter, size=rounds)) for rounds, scatter in (above, below)]
        covered += not statistics.unpaired_ratio(*sides, seed=number, resamples=1000).excludes(1.0)
    assert 368 <= covered <= 392


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, 0.0, 3.0], [1.0, math.nan, 3.0]])
def test_unpaired_ratio_refuses_what_has_no_answer(bad: list[float]) -> None:
    for sides in ((bad, [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], bad)):
        with pytest.raises(ValueError, match=r"must be|needed"):
            statistics.unpaired_ratio(*sides, seed=1)


@pytest.mark.parametrize(("bound", "expected"), [(0.89, True), (0.9, False), (1.1, False), (1.11, True)])
def test_interval_excludes_what_lies_outside(bound: float, expected: bool) -> None:
    assert statistics.Ratio(1.0, 0.9, 1.1, 10).excludes(bound) is expected


@pytest.mark.parametrize(("degrees", "expected"), [(5, 2.5706), (9, 2.2622), (29, 2.0452)])
def test_student_t_matches_the_printed_table(degrees: int, expected: float) -> None:
    assert student_t.student_t_quantile(0.975, degrees) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.0, 3.0], 1.0), ([3.0, 2.0, 1.0], -1.0), ([1.0, 1.0], 0.0), ([1.0, 3.0, 2.0], 1 / 3)],
)
def test_kendall_tau_matches_hand_computed_cases(values: list[float], expected: float) -> None:
    assert statistics.kendall_tau(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("t", "degrees", "expected"),
    # Closed forms: 1/2 + atan(t) / pi for one degree, 1/2 + t / (2 sqrt(2 + t^2)) for two.
    [(1.0, 1, 0.75), (-1.0, 1, 0.25), (math.sqrt(2.0), 2, 0.5 + math.sqrt(2.0) / 4.0), (0.0, 7, 0.5), (1e9, 3, 1.0)],
)
def test_student_t_distribution_matches_its_closed_forms(t: float, degrees: float, expected: float) -> None:
    assert student_t.student_t_cdf(t, degrees) == pytest.approx(expected)


@pytest.mark.parametrize(("degrees", "expected"), [(1, 12.706), (2, 4.3027), (3, 3.1824), (4, 2.7764)])
def test_student_t_is_right_with_few_degrees(degrees: int, expected: float) -> None:
    assert student_t.student_t_quantile(0.975, degrees) == pytest.approx(expected, rel=1e-4)
    assert student_t.student_t_quantile(0.025, degrees) == pytest.approx(-expected, rel=1e-4)


@pytest.mark.parametrize("rounds", [3, 4, 6])
def test_intervals_of_few_rounds_cover_the_truth(rounds: int) -> None:
    """Over 600 comparisons, 95 % intervals hold the truth in 92 to 99 %; the bootstrap alone in 75 to 90 %."""
    generator = np.random.default_rng(20261124)
    covered = 0
    for number in range(600):
        above = np.exp(generator.normal(0.0, 0.1, size=rounds))
        covered += not statistics.paired_ratio(above, np.ones(rounds), seed=number, resamples=300).difference_shown
    assert 552 <= covered <= 594


def test_p_value_is_that_of_the_t_test() -> None:
    """Logs 1, 2, 3: mean 2, standard error 1 / sqrt(3), t = 2 sqrt(3) with two degrees."""
    ratio = statistics.paired_ratio(np.exp([1.0, 2.0, 3.0]), np.ones(3), seed=1)
    t = 2.0 * math.sqrt(3.0)
    assert ratio.p_value == pytest.approx(1.0 - t / math.sqrt(2.0 + t * t))
    # Below eight rounds the interval is at least the t interval.
    assert ratio.low <= math.exp(2.0 - 4.3027 / math.sqrt(3.0)) * 1.001
    assert statistics.paired_ratio([1.0] * 3, [1.0] * 3, seed=1).p_value == 1.0
    assert statistics.paired_ratio([2.0] * 3, [1.0] * 3, seed=1).p_value == 0.0


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # Holm 1979: 0.01 against 0.05 / 4, 0.015 against 0.05 / 3, 0.03 against 0.05 / 2 ends it.
        ([0.015, 0.03, 0.01, 0.04], [True, False, True, False]),
        ([0.04], [True]),
        ([0.06, 0.001], [False, True]),
        ([0.03, 0.03], [False, False]),
        ([], []),
    ],
)
def test_holm_matches_hand_computed_cases(p_values: list[float], expected: list[bool]) -> None:
    assert statistics.holm(p_values) == expected


def test_modified_z_score_matches_a_hand_computed_case() -> None:
    # Median 3, deviations 2 1 0 1 97, whose median is 1.
    assert statistics.modified_z_scores([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(
        [-1.349, -0.6745, 0.0, 0.6745, 0.6745 * 97]
    )
    assert statistics.modified_z_scores([1.0, 1.0, 1.0, 2.0]) == [0.0, 0.0, 0.0, math.inf]
    with pytest.raises(ValueError, match="at least one"):
        statistics.modified_z_scores([])


def test_difference_is_the_mean_of_differences_with_students_interval() -> None:
    # Differences 1, 2, 3, 6: mean 3, standard deviation sqrt(14/3), t(0.975, 3) = 3.182.
    found = statistics.paired_difference([11.0, 22.0, 33.0, 46.0], [10.0, 20.0, 30.0, 40.0])
    half = 3.182 * math.sqrt(14 / 3) / 2
    assert found.value == pytest.approx(3.0)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=0.02)
    assert (found.units, found.difference_shown) == (4, False)
    assert found.half_width == pytest.approx(half, rel=0.02)


def test_what_a_unit_has_in_common_cancels_in_its_difference() -> None:
    found = statistics.paired_difference([103.0, 203.0, 903.0], [100.0, 200.0, 900.0])
    assert (found.low, found.high) == pytest.approx((3.0, 3.0))
    assert found.difference_shown


@given(st.lists(st.tuples(POSITIVE, POSITIVE, POSITIVE), min_size=3, max_size=12))
def test_differences_along_a_chain_add_up(units: list[tuple[float, float, float]]) -> None:
    low, middle, high = zip(*units, strict=True)
    steps = statistics.paired_difference(middle, low).value + statistics.paired_difference(high, middle).value
    assert steps == pytest.approx(statistics.paired_difference(high, low).value, abs=1e-9)


@pytest.mark.parametrize(("units", "least", "most"), [(3, 0.93, 0.97), (6, 0.94, 0.965), (20, 0.94, 0.965)])
def test_interval_of_a_difference_covers_as_it_says(units: int, least: float, most: float) -> None:
    """4,000 simulated measurements of a known difference: a start's own level, and noise of each side."""
    generator = np.random.default_rng(20261122)
    covered = 0
    for _ in range(4_000):
        level = generator.normal(400.0, 40.0, units)
        below, above = level + generator.normal(0.0, 3.0, units), level + 12.0 + generator.normal(0.0, 3.0, units)
        found = statistics.paired_difference(above, below)
        covered += found.low <= 12.0 <= found.high
    assert least < covered / 4_000 < most


@pytest.mark.parametrize(
    ("above", "below", "text"),
    [
        ([1.0, 2.0], [1.0, 2.0], "at least 3"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "one length"),
        ([1.0, 2.0, math.inf], [1.0, 2.0, 3.0], "finite"),
    ],
)
def test_difference_refuses_what_has_no_answer(above: list[float], below: list[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        statistics.paired_difference(above, below)
