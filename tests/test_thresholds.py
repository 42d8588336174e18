"""Thresholds: what a text means, what is refused, and that nothing passes that was not measured."""

import dataclasses

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UsageError
from shared.lab import editions
from shared.lab.planning.plan import Load
from shared.lab.planning.profiles import make_plan
from shared.lab.results import thresholds
from shared.lab.results.record import Comparison
from shared.lab.results.thresholds import Names
from shared.lab.results.thresholds import Threshold
from shared.lab.statistics import Ratio
from shared.report.thresholds import line
from tests.lab_records import make_comparison
from tests.lab_records import make_slice
from tests.recorded_compare import run_compare

NAMES = Names(("wsgi", "asgi"), "wsgi", ("/db", "/json", "/at@8"), (Load(8), Load(32)))
# Near enough to a threshold that many of them are one, and far enough that many are not.
PIECES = st.lists(
    st.sampled_from(
        (
            *(
                "asgi",
                "wsgi",
                "_over_",
                ":",
                "::",
                "/db",
                "/a:b",
                "@8",
                "p99",
                "p99.9",
                "rps",
                "cpu",
                "max",
                "errors",
                "p9",
            ),
            *(">", ">=", "<", "=", "50", "0.9", ".5", "1.", "-1", "1e9", "9" * 400, "us", "ms", "s", "m"),
            *(" ", "\n", "٣", "\0"),
        )
    ),
    max_size=12,
).map("".join)

# A threshold, but for what is put before, into or after it, if anything is.
NEARLY = st.tuples(
    *(
        st.sampled_from(choices)
        for choices in (
            *(
                ["", " ", "\n"],
                ["asgi", "raw asgi", "asgi_over_wsgi", "a "],
                [":"],
                ["/db", "/a:b", " "],
                ["", "@8", "@08", "@8@32", "@", "@٣"],
                [":"],
            ),
            *(["rps", "p99", "p99.9"], ["", " "], [">", ">=", "<", "=<"], ["5", "05", "0.50", "5."], ["", "ms", "MS"]),
            ["", " ", "\n", ":"],
        )
    )
).map("".join)


def measured() -> Comparison:
    """Return 1,000 against 2,000 responses a second of 1 and 4 ms; asgi has three errors and no processor time."""
    return make_comparison(
        [
            make_slice("wsgi", rps=1000, scenario="/db", round_index=0),
            *(make_slice("wsgi", rps=1000 + i, scenario="/db", round_index=i) for i in (1, 2)),
            *(
                make_slice("asgi", rps=2000, time_s=0.004, scenario="/db", round_index=i, errors=(0,), cpu_s=None)
                for i in range(3)
            ),
        ]
    )


def with_ratio(ratio: Ratio | None) -> Comparison:
    """Return a comparison whose ratio of throughput is given."""
    found = measured()
    ratios = [dataclasses.replace(each, ratio=ratio) if each.measure == "rps" else each for each in found.ratios]
    return dataclasses.replace(found, ratios=tuple(ratios))


def judged(comparison: Comparison, text: str) -> thresholds.Judgement:
    return thresholds.judge(comparison, [thresholds.parse(text)])[0]


# Reading


@pytest.mark.parametrize(
    ("text", "expected", "bound"),
    [
        ("asgi:/db:p99>50ms", Threshold("asgi", "/db", None, "p99", ">", "50", "ms"), 0.05),
        ("wsgi:/db:p99.9>=7.5us", Threshold("wsgi", "/db", None, "p99.9", ">=", "7.5", "us"), 7.5e-6),
        ("wsgi:/db:max>.5s", Threshold("wsgi", "/db", None, "max", ">", ".5", "s"), 0.5),
        ("wsgi:/db:rps<1000", Threshold("wsgi", "/db", None, "rps", "<", "1000", ""), 1000.0),
        ("wsgi:/db:errors>0", Threshold("wsgi", "/db", None, "errors", ">", "0", ""), 0.0),
        (
            "asgi:/queries?queries=20:cpu<=2ms",
            Threshold("asgi", "/queries?queries=20", None, "cpu", "<=", "2", "ms"),
            0.002,
        ),
        ("asgi_over_wsgi:/db:rps<0.9", Threshold("asgi_over_wsgi", "/db", None, "rps", "<", "0.9", ""), 0.9),
        ("asgi:/a:b:c:p50>1ms", Threshold("asgi", "/a:b:c", None, "p50", ">", "1", "ms"), 0.001),
        ("raw asgi:db:p50>1ms", Threshold("raw asgi", "db", None, "p50", ">", "1", "ms"), 0.001),
        ("asgi:/db@32:p99>50ms", Threshold("asgi", "/db", "32", "p99", ">", "50", "ms"), 0.05),
        ("asgi:/a@b:rps<1", Threshold("asgi", "/a@b", None, "rps", "<", "1", ""), 1.0),
        ("asgi:/at@8@32:rps<1", Threshold("asgi", "/at@8", "32", "rps", "<", "1", ""), 1.0),
    ],
)
def test_text_means_what_it_says(text: str, expected: Threshold, bound: float) -> None:
    found = thresholds.parse(text)
    assert found == expected
    assert found.bound == pytest.approx(bound)
    assert str(found) == text


@given(st.one_of(st.text(), PIECES, NEARLY))
@example("asgi:/db:p99>50ms")
@example("a:b:rps>" + "9" * 400)
@example("asgi:/db:p99>٣ms")
def test_any_text_is_a_threshold_that_prints_back_or_is_refused(text: str) -> None:
    # Any other exception fails the test.
    try:
        found = thresholds.parse(text)
    except UsageError as refusal:
        parts: tuple[str, ...] = (refusal.what, refusal.why, refusal.hint)
    else:
        parts = ()
        assert str(found) == text
        assert found.bound >= 0.0
    assert all(parts)


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("", "a subject, a scenario and a condition", "asgi:/db:p99>50ms"),
        ("p99>50ms", "a subject, a scenario and a condition", "asgi:/db:p99>50ms"),
        ("asgi:p99>50ms", "a subject, a scenario and a condition", "asgi:/db:p99>50ms"),
        (":/db:p99>50ms", "a subject, a scenario and a condition", "asgi:/db:p99>50ms"),
        ("asgi:/db:p99=50ms", "is no measure, operator", "asgi:/db:p99>50ms"),
        ("asgi:/db:p99 > 50 ms", "is no measure, operator", "asgi:/db:p99>50ms"),
        ("asgi:/db:p99>", "is no measure, operator", "asgi:/db:p99>50ms"),
        ("asgi:/db:p99>-1ms", "is no measure, operator", "asgi:/db:p99>50ms"),
        ("asgi:/db:p95>50ms", "'p95' is no measure of a figure", "rps, errors, p50, p90, p99, p99.9, max, cpu"),
        ("asgi_over_wsgi:/db:p90<1", "'p90' is no measure of a ratio", "rps, p50, p99, cpu"),
        ("asgi:/db:p99>50", "needs its unit (got none)", "us, ms, s"),
        ("asgi:/db:cpu>50min", "needs its unit (got 'min')", "us, ms, s"),
        ("asgi:/db:rps>50ms", "rps has no unit (got 'ms')", "leave 'ms' out"),
        ("asgi_over_wsgi:/db:p99<2ms", "a ratio has no unit (got 'ms')", "leave 'ms' out"),
        ("asgi:/db@0:rps>1", "'0' is no number of connections", "asgi:/db@32:p99>50ms"),
        ("asgi:/db@08:rps>1", "'08' is no number of connections", "asgi:/db@32:p99>50ms"),
        (f"asgi:/db@{'9' * 5000}:rps>1", "is no number of connections", "asgi:/db@32:p99>50ms"),
        ("asgi:/db:rps>" + "9" * 400, "too large to be a number", "asgi:/db:p99>50ms"),
    ],
)
def test_what_is_refused_is_explained(text: str, why: str, hint: str) -> None:
    with pytest.raises(UsageError, match="Cannot read the threshold") as caught:
        thresholds.parse(text)
    assert why in caught.value.why
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("flask:/db:rps>1", "no subject 'flask'", "wsgi, asgi"),
        ("asgi:/nowhere:rps>1", "no scenario '/nowhere'", "/db, /json, /at@8"),
        ("asgi:/db@64:rps>1", "no load '64'", "8, 32"),
        ("asgi_over_wsgi:/db@64:rps>1", "no load '64'", "8, 32"),
        ("wsgi_over_asgi:/db:rps>1", "no ratio 'wsgi_over_asgi'", "asgi_over_wsgi"),
        ("asgi_over_wsgi:/nowhere:rps>1", "no scenario '/nowhere'", "/db, /json, /at@8"),
    ],
)
def test_unknown_names_are_refused_with_those_that_exist(text: str, why: str, hint: str) -> None:
    with pytest.raises(UsageError, match="is about nothing in this comparison") as caught:
        thresholds.require_known([thresholds.parse(text)], NAMES)
    assert why in caught.value.why
    assert caught.value.hint == f"use one of {hint}"


def test_known_names_are_accepted() -> None:
    texts = ("asgi:/db:rps>1", "wsgi:/json:rps>1", "asgi_over_wsgi:/json@8:rps>1", "asgi:/at@8@32:rps>1")
    thresholds.require_known(map(thresholds.parse, texts), NAMES)


def test_ratios_are_those_over_the_baseline() -> None:
    names = Names(("raw asgi", "raw asgi again", "asgi"), "raw asgi", ("db",), (Load(32),))
    assert names.ratios == ("raw asgi again_over_raw asgi", "asgi_over_raw asgi")


# Judging


@pytest.mark.parametrize(
    ("text", "value", "is_met"),
    [
        ("wsgi:/db:rps<900", 1000, True),
        ("wsgi:/db:rps<1100", 1000, False),
        ("asgi:/db:p50>5ms", 0.004, True),
        ("asgi:/db:p50>3ms", 0.004, False),
        ("asgi:/db:p90>3999us", 0.004, False),
        ("asgi:/db:p99<4001us", 0.004, False),
        ("asgi:/db:max>0.005s", 0.004, True),
        ("wsgi:/db:cpu>600us", 0.0005, True),
        ("wsgi:/db:cpu>400us", 0.0005, False),
        ("asgi:/db:errors>3", 3, True),
        ("asgi:/db:errors>=3", 3, False),
        ("asgi:/db:errors<3", 3, True),
        ("asgi:/db:errors<=3", 3, False),
        ("asgi_over_wsgi:/db:rps<1.9", 2, True),
        ("asgi_over_wsgi:/db:rps<2.1", 2, False),
        ("asgi_over_wsgi:/db:p50>3", 4, False),
        ("asgi_over_wsgi:/db:p99>5", 4, True),
    ],
)
def test_figure_is_judged_by_its_condition(text: str, value: float, is_met: bool) -> None:
    found = judged(measured(), text)
    assert found.value == pytest.approx(value, rel=0.01)
    assert found.is_met is is_met


@pytest.mark.parametrize(
    "text",
    [
        "asgi:/db:cpu<1s",
        "asgi:/db:cpu>1s",
        "wsgi:/db:p99.9>1s",
        "asgi_over_wsgi:/db:cpu>9",
        "asgi_over_wsgi:/db:cpu<9",
    ],
)
def test_what_was_not_measured_never_passes(text: str) -> None:
    found = judged(measured(), text)
    assert (found.value, found.is_met) == (None, False)
    assert line(found) == f"{text}: not measured"


def test_scenario_that_was_not_reached_never_passes() -> None:
    whole = measured()
    found = judged(dataclasses.replace(whole, cells=(), ratios=()), "wsgi:/db:errors>0")
    assert (found.value, found.is_met) == (None, False)


def test_rejected_answers_are_errors() -> None:
    slices = [make_slice(s, rps=1000, round_index=i, statuses=(200, 503)) for i in range(3) for s in ("wsgi", "asgi")]
    assert judged(make_comparison(slices), "wsgi:db:errors>0").value == 1500


@pytest.mark.parametrize(
    ("ratio", "is_met", "is_certain"),
    [
        (Ratio(0.8, 0.7, 0.89, 10), False, True),
        (Ratio(0.8, 0.7, 1.0, 10), False, False),
        (Ratio(0.95, 0.7, 1.0, 10), True, False),
        (Ratio(0.95, 0.92, 1.0, 10), True, True),
    ],
)
def test_ratio_is_judged_by_its_value_and_the_interval_is_told(ratio: Ratio, is_met: bool, is_certain: bool) -> None:
    found = judged(with_ratio(ratio), "asgi_over_wsgi:/db:rps<0.9")
    assert (found.is_met, found.is_certain, found.interval) == (is_met, is_certain, ratio)
    assert line(found).endswith("whose interval excludes 0.9" if is_certain else "whose interval does not exclude 0.9")


def test_ratio_that_is_missing_never_passes() -> None:
    assert not judged(with_ratio(None), "asgi_over_wsgi:/db:rps<0.1").is_met


def test_line_tells_the_figure_in_the_unit_of_its_bound() -> None:
    assert line(judged(measured(), "asgi:/db:p50>3ms")) == "asgi:/db:p50>3ms: measured 4 ms"
    assert line(judged(measured(), "asgi:/db:p50>3us")) == "asgi:/db:p50>3us: measured 4000 us"
    assert line(judged(measured(), "asgi:/db:errors>1")) == "asgi:/db:errors>1: measured 3"


# Several levels


def at_levels() -> Comparison:
    """Return two levels: at 8 asgi has twice the throughput of wsgi, at 32 half of it."""
    rates = {(8, "wsgi"): 1000, (8, "asgi"): 2000, (32, "wsgi"): 1000, (32, "asgi"): 500}
    return make_comparison(
        [
            make_slice(subject, rps=rps, scenario="/db", connections=level, round_index=i)
            for (level, subject), rps in rates.items()
            for i in range(3)
        ]
    )


def test_threshold_without_a_level_is_judged_at_each() -> None:
    found = thresholds.judge(at_levels(), [thresholds.parse("asgi:/db:rps<900")])
    assert [(each.threshold.load, each.is_met) for each in found] == [("8", True), ("32", False)]
    assert [each.value for each in found] == pytest.approx([2000, 500], rel=0.01)
    assert line(found[1]).startswith("asgi:/db@32:rps<900: measured ")


@pytest.mark.parametrize(("level", "is_met"), [(8, True), (32, False)])
def test_threshold_with_a_level_is_judged_there(level: int, is_met: bool) -> None:
    (found,) = thresholds.judge(at_levels(), [thresholds.parse(f"asgi_over_wsgi:/db@{level}:rps<0.9")])
    assert found.is_met is is_met
    assert found.interval == at_levels().ratio("/db", Load(level), "asgi", "rps")


def test_one_level_may_be_named_and_is_not_added() -> None:
    assert line(judged(measured(), "asgi:/db@32:p50>3ms")) == "asgi:/db@32:p50>3ms: measured 4 ms"
    with pytest.raises(UsageError, match="no load '8'"):
        judged(measured(), "asgi:/db@8:p50>3ms")


def test_level_that_was_not_reached_never_passes() -> None:
    whole = at_levels()
    reached = tuple(cell for cell in whole.cells if cell.load == Load(8))
    found = thresholds.judge(dataclasses.replace(whole, cells=reached), [thresholds.parse("wsgi:/db:errors>0")])
    assert [each.is_met for each in found] == [True, False]
    assert line(found[1]) == "wsgi:/db@32:errors>0: not measured"


# The command


@pytest.mark.parametrize(
    "text", ["p99", "asgi:/db:p99>50", "asgi:/nowhere:rps>1", "flask:/db:rps>1", "asgi:/db@8:rps>1"]
)
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_unusable_threshold_ends_the_command_before_anything_is_started(
    text: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_compare(monkeypatch, None, *words, "--fail-if", text) == 2
    assert repr(text) in capsys.readouterr().err


def test_threshold_that_is_not_met_fails_after_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("asgi:/db:p50>3ms", "asgi:/db:p50>9ms", "asgi:/db:cpu>1s")
    code = run_compare(monkeypatch, measured(), *(word for text in words for word in ("--fail-if", text)))
    printed = capsys.readouterr()
    assert code == 1
    assert "asgi_over_wsgi rps" in printed.out
    assert "asgi:/db:p50>3ms: measured 4 ms\nasgi:/db:cpu>1s: not measured\n" in printed.err
    assert "Of 3 thresholds 2 not met" in printed.err
    assert "p50>9ms" not in printed.err


def test_thresholds_that_are_met_end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_compare(monkeypatch, measured(), "--fail-if", "asgi:/db:p50>9ms") == 0
    assert run_compare(monkeypatch, measured()) == 0


def test_threshold_may_name_what_the_options_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = ("--dry-run", "--scenario", "/livez", "--concurrency", "1,8")
    assert run_compare(monkeypatch, None, *planned, "--fail-if", "asgi:/livez@8:rps<1") == 0
    assert run_compare(monkeypatch, None, *planned, "--fail-if", "asgi:/livez@32:rps<1") == 2
    assert run_compare(monkeypatch, None, *planned, "--fail-if", "asgi:/db:rps<1") == 2


def test_every_level_that_is_not_met_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--concurrency", "8,32", "--fail-if", "asgi:/db:rps<900", "--fail-if", "wsgi:/db@8:rps<2000")
    assert run_compare(monkeypatch, at_levels(), *words) == 1
    err = capsys.readouterr().err
    assert "asgi:/db@32:rps<900: measured" in err
    assert "wsgi:/db@8:rps<2000: measured" in err
    assert "Of 3 thresholds 2 not met" in err


def test_names_that_may_be_used_are_those_that_will_be_measured() -> None:
    plan = make_plan("full", lab=False, seed=1)
    names = editions.names(plan)
    assert names.ratios == ("asgi_over_wsgi",)
    assert names.scenarios == tuple(scenario.name for scenario in plan.scenarios)
    assert names.loads == plan.loads
