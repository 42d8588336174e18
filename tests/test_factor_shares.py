"""What a comparison of factors says: shares, the editions' gap, where curves cross, in numbers and in words."""

import io
import json

import numpy as np
import pytest

from shared.config import Edition
from shared.lab.factors import crossing
from shared.lab.factors import shares
from shared.lab.factors.result import FactorStudy
from shared.lab.factors.result import Measured
from shared.lab.statistics import paired_ratio
from shared.report import factors as report
from shared.report import factors_export
from tests.factor_studies import APART
from tests.factor_studies import AT
from tests.factor_studies import CROSSING
from tests.factor_studies import made_side
from tests.factor_studies import made_study
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

LEVELS = np.array([0.0, 1.0, 10.0, 100.0])


def noisy(values: list[float], *, rounds: int = 10, scatter: float = 0.02, seed: int = 1) -> crossing.Floats:
    generator = np.random.default_rng(seed)
    found: crossing.Floats = np.array(values) * np.exp(generator.normal(0, scatter, size=(rounds, len(values))))
    return found


def test_curves_cross_where_straight_lines_between_levels_do() -> None:
    """Twice as fast at 0 and half as fast at 10: logarithms of one size, so the middle."""
    first, second = np.array([[2.0, 1.0]] * 3), np.array([[1.0, 2.0]] * 3)
    found = crossing.find(first, second, np.array([0.0, 10.0]), seed=1)
    assert found.verdict == "cross"
    assert [found.at, found.low, found.high] == pytest.approx([5, 5, 5])
    assert (found.is_above, found.is_repeated, found.probability) == (True, False, 1.0)


def test_crossing_lies_between_its_neighbours_and_has_an_interval() -> None:
    """log(2) at 1 ms and -log(1.5) at 10 ms: 1 + 9 * log 2 / (log 2 + log 1.5) = 6.68."""
    found = crossing.find(noisy([3.0, 2.0, 1.0, 1.0]), noisy([1.0, 1.0, 1.5, 3.0], seed=2), LEVELS, seed=1)
    assert found.verdict == "cross"
    assert found.at == pytest.approx(6.68, abs=0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 6.68 < found.high
    # The place scatters by 0.054 over draws of ten rounds, hence 4.5 times that; of single rounds by three times more.
    assert found.high - found.low < 0.5


def test_interval_of_a_crossing_covers_it() -> None:
    """Of 60 draws of the same truth, the interval of 95 % holds it in all but a few."""
    held = 0
    for seed in range(60):
        first = noisy([2.0, 1.2, 0.8], scatter=0.1, seed=2 * seed)
        second = noisy([1.0, 1.0, 1.0], scatter=0.1, seed=2 * seed + 1)
        truth = 1 + 9 * np.log(1.2) / (np.log(1.2) - np.log(0.8))
        found = crossing.find(first, second, LEVELS[:3], seed=seed)
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert held >= 52


def test_curves_that_stay_apart_do_not_cross() -> None:
    found = crossing.find(noisy([1.0, 1.0, 1.0, 1.0]), noisy([1.5, 1.4, 1.3, 1.2], seed=2), LEVELS, seed=1)
    assert (found.verdict, found.at, found.low, found.is_above) == ("apart", None, None, False)


def test_curves_too_near_to_tell_are_not_said_to_cross_or_not() -> None:
    first, second = np.array([[1.5, 1.1], [1.5, 0.9], [1.5, 1.1], [1.5, 0.9]]), np.ones((4, 2))
    found = crossing.find(first, second, LEVELS[:2], seed=1)
    assert found.verdict == "not shown"
    assert 0.05 < found.probability < 0.95


def test_curves_that_cross_twice_say_so() -> None:
    first, second = np.array([[2.0, 0.5, 2.0]] * 3), np.ones((3, 3))
    found = crossing.find(first, second, np.array([0.0, 1.0, 2.0]), seed=1)
    assert found.is_repeated
    assert found.at == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("first", "levels"),
    [
        (np.ones((2, 2)), [0.0, 1.0]),
        (np.ones((3, 1)), [0.0]),
        (np.ones((3, 2)), [1.0, 0.0]),
        (np.zeros((3, 2)), [0.0, 1.0]),
        (np.full((3, 2), np.inf), [0.0, 1.0]),
        (np.ones((3, 3)), [0.0, 1.0]),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(first: crossing.Floats, levels: list[float]) -> None:
    with pytest.raises(ValueError, match=r"needed|positive|both must"):
        crossing.find(first, np.ones((3, 2)) if first.shape == (3, 2) else first, np.array(levels), seed=1)


def test_share_is_the_variant_over_its_own_edition() -> None:
    """A swap that halves the WSGI edition and doubles the ASGI edition shows 0.5 and 2, not a mix of both."""
    study = made_study(CROSSING)
    at_10 = [study.share("db", AT, "latency=10", edition, "rps") for edition in ("wsgi", "asgi")]
    assert [ratio and ratio.value for ratio in at_10] == [pytest.approx(0.5, rel=0.01), pytest.approx(2, rel=0.01)]
    at_0 = study.share("db", AT, "latency=0", "asgi", "rps")
    assert at_0 is not None
    assert at_0.value == pytest.approx(1, rel=0.01)


def test_gap_is_asgi_over_wsgi_before_and_after() -> None:
    study = made_study(CROSSING)
    gaps = [study.gap("db", AT, label, "rps") for label in ("", "latency=0", "latency=10")]
    assert [gap and gap.value for gap in gaps] == [pytest.approx(v, rel=0.01) for v in (0.5, 0.5, 2)]


def test_crossing_is_found_for_throughput_and_for_response_times() -> None:
    found = {each.measure: each for each in made_study(CROSSING).crossings}
    assert set(found) == {"rps", "p50"}
    assert found["rps"].at == pytest.approx(5, abs=0.1)
    # The edition with more throughput has the shorter response times.
    assert (found["rps"].ahead, found["p50"].ahead) == ("wsgi", "asgi")


def test_names_and_single_values_have_no_crossing() -> None:
    assert made_study(CROSSING, curve="").crossings == ()
    one: dict[Edition, dict[float, int]] = {"wsgi": {0: 1_000}, "asgi": {0: 2_000}}
    assert made_study(one).crossings == ()


def test_unchanged_edition_has_no_share() -> None:
    pieces = [make_slice(s, rps=1_000, round_index=i) for i in range(3) for s in ("wsgi", "asgi", "asgi loop=asyncio")]
    comparison = make_comparison(pieces, subjects=("wsgi", "asgi", "asgi loop=asyncio"))
    variant = Measured(
        "loop=asyncio", None, (made_side("wsgi", "wsgi", ""), made_side("asgi", "asgi loop=asyncio", "asyncio"))
    )
    study = shares.study(comparison, [variant], curve="")
    assert {share.edition for share in study.shares} == {"asgi"}
    assert study.gap("db", AT, "loop=asyncio", "rps") is not None


def test_widest_interval_is_that_of_shares_and_gaps() -> None:
    """Steady rounds but for the swapped edition, which doubles in one: its share and its gap are as wide, no other."""
    rates = {"wsgi": (100, 100, 100), "asgi": (200, 200, 200), "asgi loop=asyncio": (100, 100, 200)}
    pieces = [make_slice(name, rps=rps, round_index=i) for name, each in rates.items() for i, rps in enumerate(each)]
    cells = make_comparison(pieces, subjects=tuple(rates)).cells
    sides = (made_side("wsgi", "wsgi", ""), made_side("asgi", "asgi loop=asyncio", "asyncio"))
    share = shares.widest_interval(cells, [Measured("loop=asyncio", None, sides)], seed=7)
    expected = paired_ratio(rates["asgi loop=asyncio"], rates["asgi"], seed=7)
    assert share == pytest.approx(expected.half_width)
    assert shares.widest_interval(cells, [], seed=7) == pytest.approx(0)


def test_widest_interval_needs_every_ratio() -> None:
    pieces = [make_slice(s, rps=9, round_index=i) for s in ("wsgi", "asgi") for i in range(2)]
    assert shares.widest_interval(make_comparison(pieces).cells, [], seed=7) is None


def printed(study: FactorStudy) -> str:
    stream = io.StringIO()
    report.print_study(study, stream)
    return stream.getvalue()


def test_table_stands_variants_below_their_edition() -> None:
    lines = printed(made_study(CROSSING)).splitlines()
    places = [
        next(i for i, line in enumerate(lines) if f" {name} " in f" {line} ") for name in ("wsgi latency=10", "asgi")
    ]
    assert places == sorted(places)
    row = next(line for line in lines if "wsgi latency=10" in line)
    assert "0.50 [0.50, 0.50]" in row


def test_words_tell_where_curves_cross_who_is_ahead_and_what_else_differs() -> None:
    text = " ".join(printed(made_study(CROSSING)).split())
    assert (
        "db at 32, rps: the curves cross at latency 5 [5, 5] ms; below it wsgi has the higher throughput, above" in text
    )
    assert "above it asgi." in text
    assert "let pass: some words; differs also in: through a proxy." in text
    apart = " ".join(printed(made_study(APART)).split())
    assert "do not cross in what was measured; asgi has the higher throughput between latency 0 and 10 ms" in apart


def test_record_holds_everything_but_the_samples() -> None:
    found = json.loads(factors_export.as_json(made_study(CROSSING)))
    assert (found["schema_version"], found["kind"], found["curve"]) == (1, "factors", "latency")
    assert found["manifest"]["seed"] == 7
    assert found["variants"][1]["sides"][0]["swapped"] == {"latency": "10"}
    assert len(found["shares"]) == 2 * 2 * 4
    assert {gap["label"] for gap in found["gaps"]} == {"", "latency=0", "latency=10"}
