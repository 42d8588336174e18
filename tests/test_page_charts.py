"""Charts: to scale, told in words, told apart without colour, and harmless whatever their labels say."""

import math
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from shared.report.page.charts import plot
from shared.report.page.charts import scale
from shared.report.page.charts.bars import Bar
from shared.report.page.charts.bars import Group
from shared.report.page.charts.bars import Part
from shared.report.page.charts.bars import bar_chart
from shared.report.page.charts.intervals import Interval
from shared.report.page.charts.intervals import interval_plot
from shared.report.page.charts.lines import Reading
from shared.report.page.charts.lines import Series
from shared.report.page.charts.lines import line_chart
from shared.report.page.charts.lines import spectrum_chart
from shared.report.page.charts.marks import DASHES
from shared.report.page.charts.marks import PATTERNS
from shared.report.page.charts.marks import SHAPES
from shared.report.page.content import Svg

HOSTILE = "</svg><script>alert(1)</script>\x00\u202e"


def parse(svg: Svg) -> ET.Element:
    return ET.fromstring(svg)


def of_class(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (each for each in root.iter() if name in each.get("class", "").split())


def percent(each: ET.Element, name: str) -> float:
    return float(each.attrib[name].rstrip("%"))


def ratios(*rows: Interval) -> Svg:
    return interval_plot(rows, title="rates", below="wsgi more", above="asgi more")


# Axes


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([700.0, 1450.0], (0, 500, 1000)),
        ([0.00031], (0, 0.0001, 0.0002, 0.0003)),
        ([20.0], (0, 5, 10, 15, 20)),
        ([], (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.0], (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_linear_axis_begins_at_0_and_is_marked_at_round_values(values: list[float], ticks: tuple[float, ...]) -> None:
    axis = scale.linear(values)
    assert axis.ticks == pytest.approx(ticks)
    assert axis.at(0) == scale.PAD
    assert axis.at(axis.high) == 100 - scale.PAD


def test_logarithmic_axis_has_equal_distances_for_equal_ratios() -> None:
    axis = scale.logarithmic([1.0, 1000.0])
    steps = [b - a for a, b in pairwise(axis.at(value) for value in (1, 10, 100, 1000))]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.01)
    assert set(axis.ticks) <= {10.0**power * step for power in range(4) for step in (1, 2, 5)}
    assert 3 <= len(axis.ticks) <= 7


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0001], [1e-6, 1e6]])
def test_logarithmic_axis_of_any_values_has_room_for_them(values: list[float]) -> None:
    axis = scale.logarithmic(values)
    assert all(scale.PAD <= axis.at(value) <= 100 - scale.PAD for value in values)
    assert len(axis.ticks) <= 7


@pytest.mark.parametrize("values", [[0.5], [2.0], [0.5, 1.2], [1.01], [0.02, 3.0], []])
def test_axis_of_ratios_has_1_in_its_middle(values: list[float]) -> None:
    axis = scale.around(values)
    assert axis.at(1.0) == pytest.approx(50, abs=0.01)
    assert all(scale.PAD < axis.at(value) < 100 - scale.PAD for value in values)
    assert 1.0 in axis.ticks
    assert len(axis.ticks) <= 9


def test_value_outside_its_axis_stands_at_the_edge() -> None:
    axis = scale.Scale(1.0, 10.0, True, ())
    assert (axis.at(0.0), axis.at(100.0)) == (scale.PAD, 100 - scale.PAD)


# Ratios


def test_interval_is_drawn_from_end_to_end_around_its_value() -> None:
    root = parse(ratios(Interval("db", "1.50 [1.20, 1.90]", 1.5, 1.2, 1.9)))
    centre = percent(next(of_class(root, "reference")), "x1")
    line = next(of_class(root, "whisker"))
    ends = [(percent(line, name) - centre) for name in ("x1", "x2")]
    # On a logarithmic axis the distances from 1 are as the logarithms.
    assert ends[0] / ends[1] == pytest.approx(math.log(1.2) / math.log(1.9), abs=0.01)
    place = next(holder for holder in root.iter("svg") if holder.get("x"))
    assert percent(place, "x") - centre == pytest.approx(ends[1] * math.log(1.5) / math.log(1.9), abs=0.05)


def test_no_difference_is_told_apart_from_a_difference() -> None:
    root = parse(
        ratios(Interval("a", "", 1.1, 0.9, 1.3), Interval("b", "", 1.5, 1.2, 1.9), Interval("c", "", 0.8, 0.7, 0.9))
    )
    looks = [each.attrib["class"] for each in of_class(root, "mark")]
    assert looks == ["mark s1 equal", "mark s1", "mark s0"]
    shapes = [each.attrib["d"] for each in of_class(root, "mark")]
    assert shapes[1] != shapes[2]


def test_colour_can_be_that_of_the_better_side() -> None:
    svg = interval_plot([Interval("a", "", 0.5, 0.4, 0.6)], title="p99", below="b", above="a", series=(1, 0))
    assert [each.attrib["class"] for each in of_class(parse(svg), "mark")] == ["mark s1"]


def test_what_has_no_ratio_has_its_line_and_no_mark() -> None:
    root = parse(ratios(Interval("db", "no ratio")))
    assert "no ratio" in [each.text for each in root.iter("text")]
    assert list(of_class(root, "mark")) == []


# Bars


def test_bars_are_to_scale_and_stacked_end_to_end() -> None:
    bars = (Bar("one", (Part(0, 2.0), Part(1, 1.0)), "3", 2.5, 3.5), Bar("two", (Part(0, 1.0),), "1"))
    root = parse(bar_chart([Group("db", bars)], title="cost", unit="{:g}".format, names=("a", "b")))
    first, second, third = of_class(root, "piece")
    assert percent(first, "width") == pytest.approx(2 * percent(second, "width"), abs=0.01)
    assert percent(third, "width") == pytest.approx(percent(second, "width"), abs=0.01)
    assert percent(second, "x") == pytest.approx(percent(first, "x") + percent(first, "width"), abs=0.01)
    error = next(of_class(root, "error"))
    assert percent(error, "x1") < percent(second, "x") + percent(second, "width") < percent(error, "x2")
    assert [each.find("title") is not None for each in of_class(root, "piece")] == [True] * 3


def test_bar_without_a_value_has_its_line() -> None:
    root = parse(bar_chart([Group("", (Bar("wsgi", (), "-"),))], title="t", unit=str, names=()))
    assert [each.text for each in root.iter("text")][-2:] == ["wsgi", "-"]
    assert list(of_class(root, "piece")) == []


# Lines


def test_line_goes_through_its_readings() -> None:
    series = [Series("wsgi", (Reading(1, 100, 90, 110), Reading(32, 200)))]
    root = parse(line_chart(series, title="rps", across="connections", unit="{:g}".format))
    curve = next(of_class(root, "curve"))
    points = [tuple(map(float, pair.split(","))) for pair in curve.attrib["points"].split()]
    places = [each for each in root.iter("svg") if each.get("x") not in (None, "0%") and each.get("y") != "0"]
    for (x, y), place in zip(points, places, strict=True):
        assert percent(place, "x") == pytest.approx(x / 10, abs=0.05)
        # The curve's own height is that of the plot, 1,000 of its units.
        assert float(place.attrib["y"]) == pytest.approx(plot.TOP + plot.PLOT * y / 1000, abs=0.5)
    assert len(list(of_class(root, "whisker"))) == 3
    assert {"1", "32", "connections (logarithmic)"} <= {each.text for each in root.iter("text")}


def test_spectrum_widens_towards_the_slowest() -> None:
    readings = tuple(Reading(q, 0.001 + q) for q in (0.0, 0.9, 0.99, 0.999))
    root = parse(spectrum_chart([Series("wsgi", readings)], title="time", unit="{:g}".format, across="percentile"))
    curve = next(of_class(root, "curve"))
    across = [float(pair.split(",")[0]) for pair in curve.attrib["points"].split()]
    assert [b - a for a, b in pairwise(across)] == pytest.approx([across[1] - across[0]] * 3, abs=0.5)
    assert {"90 %", "99 %", "99.9 %"} <= {each.text for each in root.iter("text")}
    assert "99.99 %" not in {each.text for each in root.iter("text")}


# All of them


def every_chart(text: str) -> list[Svg]:
    lines = [Series(text, (Reading(1, 1.0), Reading(2, 2.0)))]
    return [
        interval_plot([Interval(text, text, 2.0, 1.5, 3.0)], title=text, below=text, above=text),
        bar_chart([Group(text, (Bar(text, (Part(0, 1.0),), text),))], title=text, unit=lambda _: text, names=(text,)),
        line_chart(lines, title=text, across=text, unit=lambda _: text),
        spectrum_chart([Series(text, (Reading(0.5, 1.0),))], title=text, across=text, unit=lambda _: text),
    ]


@pytest.mark.parametrize("number", range(4))
def test_chart_says_what_it_shows(number: int) -> None:
    root = parse(every_chart("words")[number])
    assert root.attrib["role"] == "img"
    said = {each.attrib["id"]: each.text for each in root if each.tag in ("title", "desc")}
    assert root.attrib["aria-labelledby"].split() == list(said)
    assert all("words" in (text or "") for text in said.values())


@pytest.mark.parametrize("number", range(4))
def test_chart_shows_hostile_words_as_words(number: int) -> None:
    svg = every_chart(HOSTILE)[number]
    assert "<script" not in svg
    assert "\x00" not in svg
    assert "alert(1)" in svg
    assert [each.tag for each in parse(svg).iter() if each.tag not in ALLOWED] == []


ALLOWED = {"svg", "g", "title", "desc", "line", "rect", "path", "text", "polyline"}


def test_series_differ_in_shape_too() -> None:
    assert len(set(SHAPES)) == len(SHAPES)
    assert len(set(DASHES)) == len(DASHES)
    assert all(a != b for a, b in pairwise(PATTERNS))
