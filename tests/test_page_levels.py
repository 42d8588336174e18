"""Charts against numbers: axes of places, a ratio over levels, and where lines are said to cross."""

import math
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from shared.lab.statistics import Ratio
from shared.report.comparison_page.loads import crossings
from shared.report.page.charts import plot
from shared.report.page.charts import scale
from shared.report.page.charts.lines import Reading
from shared.report.page.charts.lines import Series
from shared.report.page.charts.lines import line_chart
from shared.report.page.charts.plot import Band
from shared.report.page.charts.plot import told_ticks
from shared.report.page.charts.ratios import ratio_chart
from shared.report.page.content import Svg
from shared.report.page.sections import factors
from shared.report.page.sections.curves import band
from shared.report.page.sections.curves import figures
from tests.studies import study_document

LEVELS = (0.0, 1.0, 10.0, 100.0)


def of_class(svg: Svg, name: str) -> Iterator[ET.Element]:
    return (each for each in ET.fromstring(svg).iter() if name in each.get("class", "").split())


def percent(each: ET.Element, name: str) -> float:
    return float(each.attrib[name].rstrip("%"))


def texts(svg: Svg) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter("text")]


def ratio(value: float, low: float, high: float) -> Ratio:
    return Ratio(value, low, high, 5)


# Axes


def test_places_within_a_decade_are_linear() -> None:
    axis = scale.places([100, 200, 400])
    assert not axis.is_log
    assert (axis.at(200) - axis.at(100)) * 2 == pytest.approx(axis.at(400) - axis.at(200), abs=0.01)
    assert axis.ticks == (100, 200, 400)


def test_places_over_decades_are_logarithmic() -> None:
    axis = scale.places([128, 1, 8, 32])
    assert axis.is_log
    assert axis.at(32) - axis.at(8) == pytest.approx(axis.at(128) - axis.at(32), abs=0.01)


@pytest.mark.parametrize("knee", [1.0, 20.0])
def test_logarithmic_places_have_one_for_0(knee: float) -> None:
    axis = scale.places([level * knee for level in LEVELS])
    at = [axis.at(level * knee) for level in LEVELS]
    assert at[0] == scale.LABELS
    # As the logarithm of 1 + v, in units of the smallest level that is not 0: near 0 steps are no ratios.
    steps = [right - left for left, right in pairwise(at)]
    expected = [math.log(2), math.log(11 / 2), math.log(101 / 11)]
    assert [step / steps[0] for step in steps] == pytest.approx([each / expected[0] for each in expected], abs=0.01)


@pytest.mark.parametrize("values", [[0.0], [5.0], [0.0, 3.0], [0.0, 0.0]])
def test_places_of_few_values_are_an_axis(values: list[float]) -> None:
    axis = scale.places(values)
    assert all(scale.PAD < axis.at(value) < 100 for value in values)


def test_texts_of_an_axis_have_room_beside_each_other() -> None:
    axis = scale.places([1000, 1100, 1150, 2000, 9000, 9100])
    shown = list(told_ticks(axis, "{:g}".format))
    assert shown == [1000, 2000, 9100]
    assert list(told_ticks(scale.places(LEVELS), "{:g}".format)) == list(LEVELS)


# A ratio over levels


def chart(crossed: Band | None = None, ends: tuple[float, float] = (2.0, 0.5)) -> Svg:
    first, last = ends
    readings = (Reading(0, first, first * 0.9, first * 1.1), Reading(100, last, last * 0.9, last * 1.1))
    return ratio_chart(readings, title="asgi over wsgi", across="ms", below="less", above="more", crossed=crossed)


def test_curve_passes_1_where_the_logarithm_is_interpolated() -> None:
    """From 2 to a half the logarithm is 0 in the middle of the levels, though not in the middle of the axis."""
    svg = chart()
    points = [tuple(map(float, pair.split(","))) for pair in next(of_class(svg, "neutral")).attrib["points"].split()]
    one = plot.INNER * (1 - scale.around([2.2, 0.45]).at(1.0) / 100)
    left = max(x for x, y in points if y <= one + 0.2)
    assert left / 10 == pytest.approx(scale.places([0, 100]).at(50), abs=0.2)


def test_ratio_that_holds_1_is_hollow_and_others_have_the_better_sides_colour() -> None:
    svg = ratio_chart(
        [Reading(0, 1.5, 1.2, 1.9), Reading(1, 1.1, 0.9, 1.3), Reading(10, 0.6, 0.5, 0.7)],
        title="p50", across="ms", below="asgi sooner", above="wsgi sooner", series=(1, 0),
    )  # fmt: skip
    assert [each.attrib["class"] for each in of_class(svg, "mark")] == ["mark s0", "mark s0 equal", "mark s1"]
    assert {"↑ wsgi sooner", "↓ asgi sooner", "ms (logarithmic above 1)", "p50"} <= set(texts(svg))


def test_crossing_is_marked_with_its_interval_and_told() -> None:
    svg = chart(Band(20.0, 80.0, "cross at 50 [20, 80] ms", 50.0))
    axis = scale.places([0, 100])
    (shown,) = of_class(svg, "band")
    assert percent(shown, "x") == pytest.approx(axis.at(20))
    assert percent(shown, "x") + percent(shown, "width") == pytest.approx(axis.at(80), abs=0.01)
    (line,) = of_class(svg, "cross")
    assert percent(line, "x1") == pytest.approx(axis.at(50))
    assert "cross at 50 [20, 80] ms" in texts(svg)
    (told,) = [each.text or "" for each in ET.fromstring(svg) if each.tag == "desc"]
    assert told == "2.00 [1.80, 2.20] at 0; 0.50 [0.45, 0.55] at 100; cross at 50 [20, 80] ms."


def test_crossing_that_is_not_shown_is_not_marked() -> None:
    svg = chart()
    assert list(of_class(svg, "band")) == list(of_class(svg, "cross")) == []
    assert "no crossing of 1 is shown" in svg


# Where lines cross


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        (ratio(0.8, 0.7, 0.9), ratio(0.7, 0.6, 0.8), [(1, 8)]),
        (ratio(1.0, 0.9, 1.1), ratio(0.7, 0.6, 0.8), [(1, 32)]),
        (ratio(1.0, 0.9, 1.1), ratio(0.9, 0.7, 1.05), []),
        (None, ratio(0.7, 0.6, 0.8), [(1, 32)]),
        (ratio(0.8, 0.7, 0.9), ratio(1.4, 1.2, 1.6), [(1, 8), (8, 32)]),
    ],
)
def test_lines_cross_only_between_intervals_on_different_sides_of_1(
    second: Ratio | None, third: Ratio, expected: list[tuple[float, float]]
) -> None:
    assert list(crossings([(32, third), (1, ratio(1.5, 1.2, 1.9)), (8, second)])) == expected


def test_lines_have_bands_and_a_line_to_compare_with() -> None:
    series = [Series("wsgi", (Reading(100, 100, 95, 105), Reading(400, 300))), Series("asgi", (Reading(100, 99),))]
    bands = [Band(100, 400, "lines cross between 100 and 400")]
    svg = line_chart(series, title="rps", across="offered", unit="{:g}".format, bands=bands, reference=float)
    assert len(list(of_class(svg, "band"))) == 1
    assert "lines cross between 100 and 400" in texts(svg)
    assert "100 [95, 105] at 100" in svg
    (dashed,) = of_class(svg, "reference")
    # It ends where the plot does: as many as were offered is more than was ever answered.
    ups = [plot.INNER - float(pair.split(",")[1]) for pair in dashed.attrib["points"].split()]
    assert ups[0] == pytest.approx(plot.INNER * 100 / 300, abs=1)
    assert 0.9 * plot.INNER < max(ups) <= plot.INNER


# A study with levels


def test_study_with_levels_is_drawn_as_lines() -> None:
    document = study_document()
    found = figures(document)
    assert [figure.caption for figure in found] == [
        "Requests per second against latency: /db at 32",
        "Median response time against latency: /db at 32",
    ]
    assert "latency, ms (logarithmic above 1)" in texts(found[0].svg)
    numbers = found[0].numbers
    assert numbers is not None
    assert [row[0] for row in numbers.rows] == ["as they are", *(f"latency={x:g}" for x in LEVELS)]
    section = factors.section(document)
    assert section is not None
    # The gaps stand in the lines already.
    captions = [getattr(inner, "caption", "") for block in section.blocks for inner in getattr(block, "blocks", ())]
    assert not any("as they are and after each swap" in caption for caption in captions)


def test_study_without_enough_levels_has_no_lines() -> None:
    document = study_document()
    document["variants"] = document["variants"][:1]
    assert figures(document) == []
    section = factors.section(document)
    assert section is not None
    captions = [getattr(inner, "caption", "") for block in section.blocks for inner in getattr(block, "blocks", ())]
    assert any("as they are and after each swap" in caption for caption in captions)


@pytest.mark.parametrize("change", [{"verdict": "not shown"}, {"verdict": "apart"}, {"at": None}, {"low": None}])
def test_crossing_is_marked_only_where_it_is_shown(change: dict[str, object]) -> None:
    crossing = study_document()["crossings"][0]
    assert band(crossing, " ms") == Band(9.0, 15.0, "cross at 12 [9, 15] ms", 12.0)
    assert band({**crossing, **change}, " ms") is None
    assert band(None, " ms") is None


def test_better_side_of_a_time_is_the_smaller_one() -> None:
    rates, times = figures(study_document())
    assert "↑ asgi answers more" in texts(rates.svg)
    assert "↑ wsgi answers sooner" in texts(times.svg)
    # At 0 ms the ratio is 1.5: asgi answers more, and later.
    assert next(of_class(rates.svg, "mark")).attrib["class"] == "mark s1"
    assert next(of_class(times.svg, "mark")).attrib["class"] == "mark s0"
