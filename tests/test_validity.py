"""The judgement of a validation, with figures made up to go either way, and the server and the control it rests on."""

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest

from shared.lab.controls import planted as control
from shared.lab.statistics import Ratio
from shared.lab.validity import agreement
from shared.lab.validity import coverage
from shared.lab.validity import resolution
from shared.lab.validity import typical
from shared.lab.validity import wrk
from shared.lab.validity.plan import BUDGET_S
from shared.lab.validity.plan import FULL
from shared.lab.validity.plan import QUICK
from shared.lab.validity.plan import make_plan
from shared.lab.validity.result import PARTS
from shared.lab.validity.result import PartName
from shared.lab.validity.result import PlantedComparison
from shared.lab.validity.result import SameComparison
from shared.lab.validity.result import StartEffect


def same(start: int, *, rps: float = 0.0, cpu: float = 0.0, scatter: float = 0.01) -> SameComparison:
    """Return a comparison with these log ratios, give or take the scatter, and an interval of that width."""
    logs = {"rps": rps, "cpu": cpu}
    rounds = {name: (value - scatter, value + scatter, value) for name, value in logs.items()}
    ratios = {
        name: Ratio(math.exp(value), math.exp(value - scatter), math.exp(value + scatter), 3)
        for name, value in logs.items()
    }
    return SameComparison("wsgi", "/db", start, ratios["rps"], ratios["cpu"], rounds["rps"], rounds["cpu"], 0.0)


def found(
    planted: float, *, cpu: float | None = None, half: float = 0.01, rps: float | None = None
) -> PlantedComparison:
    """Return a run with these estimates, by default right ones, and intervals of plus and minus `half` (log)."""
    cpu = 1 + planted if cpu is None else cpu
    rps = 1 / (1 + planted) if rps is None else rps
    ratios = [Ratio(value, value * math.exp(-half), value * math.exp(half), 10) for value in (rps, cpu)]
    return PlantedComparison("asgi", "/db", 0, planted, planted * 1e-3, 1e-3, ratios[0], ratios[1], 0.0)


class TestSame:
    """Part b."""

    def test_intervals_that_hold_one_often_enough_hold(self) -> None:
        runs = [same(start, cpu=0.02 if start < 4 else 0.0) for start in range(40)]
        rps, cpu = coverage.judge(runs, seed=1)
        assert (rps.rounds.count, cpu.rounds.count) == (40, 36)
        assert (rps.verdict, cpu.verdict) == ("holds", "holds")

    def test_one_less_than_36_of_40_fails(self) -> None:
        runs = [same(start, cpu=0.02 if start < 5 else 0.0) for start in range(40)]
        assert [each.verdict for each in coverage.judge(runs, seed=1)] == ["holds", "fails"]

    def test_few_comparisons_decide_nothing(self) -> None:
        assert {each.verdict for each in coverage.judge([same(start) for start in range(19)], seed=1)} == {"undecided"}

    def test_start_effect_is_what_rounds_do_not_explain(self) -> None:
        generator = np.random.default_rng(5)
        pairs = [[generator.normal(np.sqrt(2) * generator.normal(0, 0.03), 0.02, size=10).tolist()] for _ in range(200)]
        effect = coverage.start_effect(pairs, seed=1)
        assert effect.sd == pytest.approx(0.03, rel=0.15)
        assert effect.low < 0.03 < effect.high
        assert effect.starts == 200

    def test_rounds_alone_make_no_start_effect(self) -> None:
        generator = np.random.default_rng(6)
        effect = coverage.start_effect([[generator.normal(0, 0.02, size=10).tolist()] for _ in range(200)], seed=1)
        assert effect.low == 0.0
        assert effect.sd < 0.004

    def test_widened_intervals_hold_what_those_from_rounds_do_not(self) -> None:
        generator = np.random.default_rng(7)
        runs = [same(start, cpu=float(generator.normal(0, 0.05))) for start in range(40)]
        _, cpu = coverage.judge(runs, seed=1)
        assert cpu.verdict == "fails"
        assert cpu.widened is not None
        assert (cpu.widened.of, cpu.widened.count >= 36) == (40, True)

    def test_no_interval_is_widened_by_what_it_showed_itself(self) -> None:
        """Even starts differ, odd ones do not: even ones are widened by nothing, odd ones hold 1 anyway."""
        runs = [same(start, cpu=0.05 if start % 2 == 0 else 0.0) for start in range(40)]
        cpu = coverage.judge(runs, seed=1)[1]
        assert cpu.widened is not None
        assert cpu.widened.count == 20

    def test_widened_interval_adds_squares(self) -> None:
        """Half widths of 3 % and 4 %, on a logarithmic scale, are 5 % together."""
        sd = 0.04 / (2**0.5 * 2.0860)  # Student's t with 20 degrees of freedom, 97.5 %
        ratio = Ratio(1.1, 1.1 * math.exp(-0.03), 1.1 * math.exp(0.03), 10)
        wide = coverage.widened(ratio, StartEffect(sd, 0.0, 1.0, 20))
        assert math.log(wide.value / wide.low) == pytest.approx(0.05, rel=1e-3)
        assert math.log(wide.high / wide.value) == pytest.approx(0.05, rel=1e-3)

    def test_beside_other_programs_nothing_is_shown_to_fail(self) -> None:
        assert coverage.despite("fails", 0.16) == "undecided"
        assert coverage.despite("fails", 0.14) == "fails"
        assert coverage.despite("holds", 2.0) == "holds"

    def test_share_has_wilsons_interval(self) -> None:
        """Values of R's prop.test without continuity correction."""
        assert coverage.share(36, 40).low == pytest.approx(0.7695, abs=1e-4)
        assert coverage.share(36, 40).high == pytest.approx(0.9604, abs=1e-4)
        assert coverage.share(10, 10).high == pytest.approx(1.0)
        with pytest.raises(ValueError, match="at least 1"):
            coverage.share(0, 0)


class TestPlanted:
    """Part c."""

    def test_what_is_found_is_counted_by_size(self) -> None:
        small = [found(0.02, half=0.03) for _ in range(3)] + [found(0.02, half=0.01)]
        large = [found(0.2, cpu=1.26) for _ in range(4)]
        low, high = resolution.detections([*large, *small])
        assert (low.planted, low.by_cpu.count, low.by_rps.count) == (0.02, 1, 1)
        assert (high.planted, high.by_cpu.count) == (0.2, 4)
        assert high.estimate == pytest.approx(0.26)
        assert high.worst_error == pytest.approx(0.05)

    def test_a_difference_in_the_wrong_direction_is_not_found(self) -> None:
        wrong = found(0.05, cpu=0.9, rps=1.1)
        assert [(each.by_cpu.count, each.by_rps.count) for each in resolution.detections([wrong])] == [(0, 0)]

    def test_resolution_is_what_nine_runs_in_ten_need_no_more_than(self) -> None:
        """Right estimates with half widths of 1 to 20 %: the 18th smallest of 20 is what they need."""
        runs = [found(0.1, half=math.log1p(percent / 100)) for percent in range(1, 21)]
        by_cpu, by_rps = resolution.resolutions([*runs, found(0.2, half=0.0), found(0.2, half=0.0)])
        # Two more that need nothing: rank 20 of 22 is the run with 18 %.
        assert by_cpu == pytest.approx(0.18)
        assert by_rps == pytest.approx(0.18)

    def test_resolution_counts_the_error_of_the_estimate(self) -> None:
        runs = [found(0.1, cpu=1.1 * 0.97, half=0.02) for _ in range(20)]
        by_cpu, _ = resolution.resolutions(runs)
        assert by_cpu == pytest.approx(math.exp(0.02) / 0.97 - 1)

    def test_resolution_above_the_largest_is_none(self) -> None:
        assert resolution.resolutions([found(0.2, half=0.25) for _ in range(20)]) == (None, None)

    def test_throughput_that_does_not_fall_has_no_resolution(self) -> None:
        assert resolution.resolutions([found(0.1, rps=1.0) for _ in range(20)])[1] is None

    @pytest.mark.parametrize(
        ("runs", "verdict"),
        [
            ([found(0.1)] * 24, "holds"),
            ([found(0.1)] * 23, "undecided"),
            ([found(0.1, cpu=1.1 * 1.04)] * 24, "fails"),
            ([found(0.1, cpu=1.1 * 0.96)] * 24, "fails"),
            ([found(0.1, half=0.5)] * 24, "fails"),
        ],
    )
    def test_verdict(self, runs: list[PlantedComparison], verdict: str) -> None:
        assert resolution.judge(runs, resolution.resolutions(runs)[0]) == verdict

    def test_truth_is_what_was_planted_over_the_cost_in_the_same_rounds(self) -> None:
        """A request that cost less than when the work was measured out had a larger share planted."""
        run = replace(found(0.1, cpu=1.125), base_s=0.8e-3)
        assert resolution.error(run) == pytest.approx(0.0)
        assert resolution.detections([run])[0].share == pytest.approx(0.125)

    def test_control_burns_in_every_request_and_changes_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Wsgi:
            def __call__(self, environ: str, start_response: str) -> tuple[str, str]:
                return environ, start_response

        class Asgi:
            async def __call__(self, scope: dict[str, str], receive: list[str], send: list[str]) -> None:
                send += receive

        first, second = control.Work(0), control.Work(0)
        first.steps, second.steps = 7, 8
        burnt: list[int] = []
        monkeypatch.setattr(control, "burn", burnt.append)
        control.plant_wsgi(Wsgi, first)
        control.plant_asgi(Asgi, second)
        sent: list[str] = []
        assert Wsgi()("environ", "start") == ("environ", "start")
        asyncio.run(Asgi()({"type": "lifespan"}, ["a"], sent))
        asyncio.run(Asgi()({"type": "http"}, ["b"], sent))
        assert (sent, burnt) == (["a", "b"], [7, 8])

    def test_control_burns_what_it_is_told(self) -> None:
        """Twice the time is twice the steps, and the steps take about the time; the machine may be busy."""
        assert control.Work(0).steps == 0
        assert control.Work(20_000_000).steps / control.Work(2_000_000).steps == pytest.approx(10, rel=0.5)

    def test_control_burns_as_long_on_a_slower_processor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock(ns_per_reading=50_000)
        monkeypatch.setattr(control, "thread_time_ns", clock)
        work = control.Work(10_000)
        assert work.steps == 2_000
        clock.ns_per_reading = 100_000
        for _ in range(control.TIMED_EVERY * control.KEPT_TIMINGS):
            work.do()
        assert work.steps == 1_000


class Clock:
    """A clock that goes on by so much with every reading."""

    def __init__(self, *, ns_per_reading: int) -> None:
        self.ns_per_reading = ns_per_reading
        self._now_ns = 0

    def __call__(self) -> int:
        self._now_ns += self.ns_per_reading
        return self._now_ns


class TestWrk:
    """Part d."""

    def test_correction_adds_what_would_have_been_sent(self) -> None:
        """By hand from stats_correct: 35 has 25 and 15 added, 20 has nothing, as 10 is not more than the interval."""
        fixed = wrk.corrected(np.array([3, 19, 20, 21, 35]), 10)
        assert sorted(fixed.tolist()) == sorted([3, 19, 20, 21, 35, 11, 25, 15])

    def test_correction_is_that_of_the_loop_in_c(self) -> None:
        times = np.random.default_rng(1).geometric(0.02, size=500)

        def as_in_c(expected: int) -> list[int]:
            data = dict.fromkeys(range(int(times.max()) + 1), 0)
            for each in times.tolist():
                data[each] += 1
            for n in range(expected * 2, int(times.max()) + 1):
                m = n - expected
                while data[n] and m > expected:
                    data[m] += data[n]
                    m -= expected
            return [value for value, count in data.items() for _ in range(count)]

        for expected in (7, 30, 100):
            assert sorted(wrk.corrected(times, expected).tolist()) == as_in_c(expected)

    def test_percentile_has_wrks_rank(self) -> None:
        """round(0.5 * 4 + 0.5) is 3 in C, where halves go away from zero."""
        assert wrk.percentile_us(np.array([40, 10, 20, 30]), 50) == 30
        assert wrk.percentile_us(np.arange(1, 201), 99) == 199

    def test_our_figures_are_counted_as_wrks(self) -> None:
        figures = wrk.as_wrk_counts(np.array([1000] * 98 + [5000, 9000]), elapsed_s=0.1, connections=1)
        assert (figures.rps, figures.p50_s, figures.plain_p99_s) == (1000.0, 0.001, 0.009)
        # 9000 adds 8000 ... 2000, and 5000 adds 4000, 3000, 2000: ten more, all of them late.
        assert figures.p99_s == 0.008

    def test_output_is_read(self) -> None:
        line = '{"requests": 2000, "duration_us": 1100000, "p50_us": 900, "p99_us": 4000, "errors": 0}'
        figures = wrk.parse(f"Running 1s test\n{line}\n", 0)
        assert figures.rps == pytest.approx(1818.18, abs=0.01)
        assert (figures.p50_s, figures.p99_s) == (0.0009, 0.004)

    @pytest.mark.parametrize(
        ("ratio", "verdict"),
        [
            (Ratio(1.0, 0.96, 1.04, 8), "holds"),
            (Ratio(1.03, 1.01, 1.049, 8), "holds"),
            (Ratio(1.03, 1.01, 1.051, 8), "undecided"),
            (Ratio(0.97, 0.95, 0.99, 8), "undecided"),
            (Ratio(1.08, 1.051, 1.10, 8), "fails"),
            (Ratio(0.9, 0.88, 0.951, 8), "fails"),
        ],
    )
    def test_agreement_needs_the_whole_interval(self, ratio: Ratio, verdict: str) -> None:
        assert agreement.verdict_of(ratio, 0.05) == verdict

    def test_the_worst_figure_decides(self) -> None:
        ours, wrks = (
            wrk.Figures(900, 1000, 0.001, 0.005, 0.001, 0.005),
            wrk.Figures(900, 1000, 0.001, 0.004, 0.001, 0.004),
        )
        alike = [agreement.Pair(wrks, wrks, 1e-4, 1e-4)] * 6
        other = [agreement.Pair(ours, wrks, 1e-4, 1e-4)] * 6
        verdicts = {figure.figure: figure.verdict for figure in agreement.figures(other)}
        assert verdicts == {"rps": "holds", "p50": "holds", "p99": "fails"}
        assert {figure.verdict for figure in agreement.figures(alike)} == {"holds"}

    @pytest.mark.parametrize(("pairs", "outside"), [(6, 0), (7, 2), (8, 3), (10, 8), (20, 52), (25, 89)])
    def test_interval_has_the_tabled_signed_ranks(self, pairs: int, outside: int) -> None:
        """Critical values of Wilcoxon's test, two-sided at 5 %, as every table has them."""
        assert typical.averages_outside(pairs) == outside

    def test_typical_ratio_is_that_of_pairs_the_machine_left_alone(self) -> None:
        """One pair in six in which one client had half the machine moves a mean out of its bounds, and not this."""
        generator = np.random.default_rng(1)
        ours = np.exp(generator.normal(0.01, 0.02, size=36))
        wrks = np.ones(36)
        ours[::6] /= 2
        found = typical.typical_ratio(ours, wrks)
        assert found.low < 1.01 < found.high
        assert agreement.verdict_of(found, 0.05) == "holds"
        assert math.exp(np.log(ours).mean()) < 1 / 1.05
        assert typical.typical_ratio(ours * 1.08, wrks).low > 1.05

    def test_typical_ratio_covers_what_it_says(self) -> None:
        """Over 400 comparisons of eight pairs 95 % intervals miss the truth in 2 to 8 % of them, whatever the noise."""
        generator = np.random.default_rng(2)
        for draw in (generator.standard_normal, lambda n: generator.standard_t(2, size=n)):
            ratios = [typical.typical_ratio(np.exp(0.1 * draw(8)), np.ones(8)) for _ in range(400)]
            assert 8 <= sum(ratio.difference_shown for ratio in ratios) <= 32

    def test_pairs_that_would_decide_are_told(self) -> None:
        """An interval twice as wide as the room takes four times as many; no number helps beyond the bound."""
        assert typical.pairs_needed(Ratio(1.0, 1 / 1.21, 1.21, 16), 0.1) == 64
        assert typical.pairs_needed(Ratio(1.11, 1.0, 1.2, 16), 0.1) is None

    @pytest.mark.parametrize(("ours", "wrks"), [([1.0] * 5, [1.0] * 5), ([1.0] * 6, [1.0] * 7), ([0.0] * 6, [1.0] * 6)])
    def test_pairs_that_say_nothing_are_refused(self, ours: list[float], wrks: list[float]) -> None:
        with pytest.raises(ValueError, match=r"must|needed"):
            typical.typical_ratio(ours, wrks)

    def test_looks_are_few(self) -> None:
        looks = [8]
        while looks[-1] < 192:
            looks.append(agreement.next_look(looks[-1]))
        assert looks == [8, 12, 18, 27, 40, 60, 90, 135, 202]


def test_plan_stays_under_ten_minutes_and_the_short_form_under_four() -> None:
    assert sum(plan.seconds for plan in make_plan(FULL, PARTS)) < 600
    assert sum(plan.seconds for plan in make_plan(QUICK, PARTS)) < 200
    assert [plan.part for plan in make_plan(FULL, ("b", "d"))] == ["b", "d"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_ends_within_ten_minutes(part: PartName) -> None:
    assert sum(plan.seconds for plan in make_plan(FULL, (part,))) < 600


def test_wrk_has_the_time_that_other_parts_leave() -> None:
    plans = {parts: make_plan(FULL, parts)[-1].seconds for parts in (PARTS, ("c", "d"), ("d",))}
    assert FULL.wrk_least_rounds * 2 * 2 < plans[PARTS] < plans["c", "d"] < plans["d",] < 600
    assert sum(plan.seconds for plan in make_plan(FULL, PARTS)) == BUDGET_S
