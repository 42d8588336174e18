"""Medians with intervals: hand-checked values, and what repetitions of a trace come to."""

from dataclasses import replace

import numpy as np
import pytest

from shared.lab.tracing.medians import median_interval
from shared.lab.tracing.medians import median_ratio
from shared.lab.tracing.repeat import GAPS
from shared.lab.tracing.repeat import stage_figures
from shared.lab.tracing.repeat import typical

from .trace_documents import make_pair


def test_median_lies_in_its_interval_and_equal_values_leave_no_room() -> None:
    found = median_interval([5.0, 1.0, 3.0], seed=1)
    assert (found.median, found.low, found.high) == (3.0, 1.0, 5.0)
    found = median_interval([7.0] * 9, seed=1)
    assert (found.median, found.low, found.high) == (7.0, 7.0, 7.0)


def test_interval_covers_the_true_median_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    samples = generator.exponential(size=(150, 20))
    covered = 0
    for sample in samples:
        found = median_interval(list(sample), seed=1)
        covered += found.low <= np.log(2) <= found.high
    assert covered >= 0.9 * len(samples)


def test_ratio_is_of_the_medians_and_shows_a_difference_only_where_there_is_one() -> None:
    wsgi = [float(each) for each in range(10, 30)]
    asgi = [each / 2 for each in wsgi]
    found = median_ratio(asgi, wsgi, seed=1)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5)
    assert found.difference_shown
    same = median_ratio(wsgi, list(reversed(wsgi)), seed=1)
    assert same is not None
    assert not same.difference_shown


def test_median_of_nothing_has_no_ratio() -> None:
    assert median_ratio([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], seed=1) is None
    assert median_ratio([1.0, 2.0, 3.0], [0.0, 0.0, 3.0], seed=1) is None


@pytest.mark.parametrize(("above", "below"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, 3.0], [1.0, 2.0])])
def test_too_few_or_unpaired_values_are_refused(above: list[float], below: list[float]) -> None:
    with pytest.raises(ValueError, match=r"repetitions|length"):
        median_ratio(above, below, seed=1)


def test_figures_are_those_of_the_stages_without_what_is_inside_them() -> None:
    pairs = [make_pair(checkout_us=100.0 + each) for each in range(3)]
    figures = {figure.name: figure for figure in stage_figures(pairs)}
    checkout, sql = figures["checkout"].wsgi, figures["sql"].wsgi
    assert checkout is not None
    assert sql is not None
    assert (checkout.median, checkout.low, checkout.high) == (101_000, 100_000, 102_000)
    # The statement's own 212 us and the 40 around the checkout.
    assert sql.median == 252_000
    tops = [figures[name].wsgi for name in figures if name not in ("service", "whole", "client")]
    whole = figures["whole"].wsgi
    assert whole is not None
    assert sum(each.median for each in tops if each) == whole.median
    assert figures[GAPS].wsgi is not None


def test_typical_pair_is_the_one_in_the_middle() -> None:
    pairs = [make_pair(checkout_us=each) for each in (10, 5_000, 300, 9_000, 200)]
    assert typical(pairs) is pairs[2]
    assert typical([replace(pairs[0])]) == pairs[0]
