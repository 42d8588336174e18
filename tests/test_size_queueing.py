"""The queue for connections: formulas against published values, each other, and a simulation with a seed."""

import cmath
import math
import random

import pytest

from shared.lab.sizing import queueing
from shared.lab.sizing.queueing import UnstableQueue
from shared.lab.sizing.queueing import constant_waits
from shared.lab.sizing.queueing import cosmetatos
from shared.lab.sizing.queueing import erlang_c
from shared.lab.sizing.queueing import exponential_waits
from shared.lab.sizing.queueing import observed
from shared.lab.sizing.queueing import simulate


def crommelin_mean(offered: float, connections: int) -> float:
    """Return the mean wait of an M/D/c queue in hold times, from the roots of z^c = exp(a (z - 1)).

    Another way than the product's: the generating function of the number in the system (Crommelin 1932).
    """
    spare = connections - offered
    queue = complex((offered**2 - connections * (connections - 1)) / (2 * spare))
    for place in range(1, connections):
        root = 0j
        for _ in range(2_000):
            root = cmath.exp(2j * math.pi * place / connections + offered * (root - 1) / connections)
        queue += 1 / (1 - root)
    return queue.real / offered


def arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Return moments of random arrivals."""
    generator = random.Random(seed)
    now, found = 0.0, []
    for _ in range(count):
        now += generator.expovariate(rate)
        found.append(now)
    return found


@pytest.mark.parametrize(
    ("offered", "connections", "published"),
    [
        # One server: its utilisation. Two: 2 u^2 / (1 + u).
        (0.5, 1, 0.5),
        (1.6, 2, 2 * 0.8**2 / 1.8),
        # Textbook cases: 3 servers with 2 erlangs, 10 with 6 ("about 0.10"), 11 and 14 with 10.
        (2.0, 3, 4 / 9),
        (6.0, 10, 0.1013),
        (10.0, 11, 0.682),
        (10.0, 14, 0.174),
    ],
)
def test_erlang_c_is_as_published(offered: float, connections: int, published: float) -> None:
    assert erlang_c(offered, connections) == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize(("used", "connections"), [(0.5, 1), (0.8, 3), (0.9, 20), (0.6, 100)])
def test_erlang_c_is_the_sum_of_the_states_probabilities(used: float, connections: int) -> None:
    """Against the formula with factorials, in whole numbers' exactness of logarithms."""
    offered = used * connections
    terms = [math.exp(number * math.log(offered) - math.lgamma(number + 1)) for number in range(connections)]
    last = math.exp(connections * math.log(offered) - math.lgamma(connections + 1)) / (1 - used)
    assert erlang_c(offered, connections) == pytest.approx(last / (sum(terms) + last), rel=1e-9)


def test_exponential_waits_have_the_known_mean_and_percentile() -> None:
    """One connection, half used: the mean wait is the hold time, and 1 % wait longer than 2 ln 50 of them."""
    found = exponential_waits(5.0, 0.1, 1)
    assert found.mean_s == pytest.approx(0.1)
    assert found.p99_s == pytest.approx(0.2 * math.log(50))


@pytest.mark.parametrize("used", [0.1, 0.5, 0.9, 0.99])
def test_constant_waits_of_one_connection_are_pollaczeks(used: float) -> None:
    found = constant_waits(used, 1.0, 1)
    assert found.probability == pytest.approx(used)
    assert found.mean_s == pytest.approx(used / (2 * (1 - used)))


@pytest.mark.parametrize(("used", "connections"), [(0.8, 2), (0.5, 5), (0.85, 10), (0.95, 40), (0.99, 150)])
def test_constant_waits_have_crommelins_mean(used: float, connections: int) -> None:
    found = constant_waits(used * connections, 1.0, connections)
    assert found.mean_s == pytest.approx(crommelin_mean(used * connections, connections), rel=1e-6)
    assert cosmetatos(used * connections, 1.0, connections) == pytest.approx(found.mean_s, rel=0.02)


@pytest.mark.parametrize("connections", [1, 10, 300, 1_000])
@pytest.mark.parametrize("used", [0.05, 0.7, 0.999])
def test_many_connections_are_no_trouble(connections: int, used: float) -> None:
    for found in (
        constant_waits(used * connections, 1.0, connections),
        exponential_waits(used, connections, connections),
    ):
        assert 0.0 <= found.probability <= 1.0
        assert 0.0 <= found.mean_s < math.inf
        assert 0.0 <= found.p99_s < math.inf


def test_waits_scale_with_the_hold_time() -> None:
    one, other = constant_waits(8.0, 1.0, 10), constant_waits(160.0, 0.05, 10)
    assert other.mean_s == pytest.approx(0.05 * one.mean_s)
    assert other.p99_s == pytest.approx(0.05 * one.p99_s)
    assert other.probability == pytest.approx(one.probability)


def test_simulated_waits_are_as_predicted() -> None:
    """Both kinds of hold times; the margins are five standard errors or more of so many correlated waits."""
    moments = arrivals(7.0, 200_000, seed=1)
    generator = random.Random(2)
    scattered = [generator.expovariate(1.0) for _ in moments]
    for holds, expected in (
        ([1.0] * len(moments), constant_waits(7.0, 1.0, 10)),
        (scattered, exponential_waits(7.0, 1.0, 10)),
    ):
        found = observed(simulate(moments, holds, 10))
        assert found.probability == pytest.approx(expected.probability, rel=0.05)
        assert found.mean_s == pytest.approx(expected.mean_s, rel=0.1)
        assert found.p99_s == pytest.approx(expected.p99_s, rel=0.1)


def test_simulation_by_hand() -> None:
    """Two connections: the third waits for the first, the fourth for the second; the last finds one free."""
    assert simulate([0.0, 1.0, 2.0, 3.0, 30.0], [4.0, 5.0, 6.0, 1.0, 1.0], 2) == [0.0, 0.0, 2.0, 3.0, 0.0]


@pytest.mark.parametrize("rate", [200.0, 300.0])
def test_more_work_than_connections_can_do_is_refused(rate: float) -> None:
    for function in (constant_waits, exponential_waits, cosmetatos):
        with pytest.raises(UnstableQueue, match=f"{rate:g} requests a second .* keep {rate * 0.05:g} connections busy"):
            function(rate, 0.05, 10)


@pytest.mark.parametrize(
    ("rate", "hold_s", "connections"), [(0.0, 1.0, 1), (1.0, 0.0, 1), (1.0, 0.1, 0), (1, 0.1, 2_000)]
)
def test_values_that_are_none_are_refused(rate: float, hold_s: float, connections: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        queueing.utilisation(rate, hold_s, connections)
