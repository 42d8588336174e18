"""Rounds until intervals are narrow: the rule, its options, and that its intervals still cover the truth."""

import asyncio
import io
import math
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UsageError
from shared.lab import compare
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Timing
from shared.lab.planning.profiles import make_plan
from shared.lab.planning.stopping import MINIMUM_ROUNDS
from shared.lab.planning.stopping import Until
from shared.lab.planning.stopping import half_width
from shared.lab.planning.stopping import share_s
from shared.lab.results import files
from shared.lab.results.record import Comparison
from shared.lab.slices import RunningSubject
from shared.lab.statistics import Ratio
from shared.lab.statistics import paired_ratio
from shared.report.plan import print_plan
from shared.report.table import comparison_sheet
from tests.lab_records import MANIFEST
from tests.scripted_server import OK
from tests.scripted_server import serving


def plan(until: str | None = "3%", **options: float | None) -> Plan:
    return make_plan("quick", lab=False, seed=1, until=until, **options)  # type: ignore[arg-type]  # by name


# The rule


def test_half_width_is_that_of_the_widest_interval() -> None:
    narrow, wide = Ratio(1.0, 1 / 1.02, 1.02, 10), Ratio(2.0, 2 / 1.05, 2 * 1.05, 10)
    assert half_width([narrow]) == pytest.approx(0.02)
    assert half_width([narrow, wide]) == pytest.approx(0.05)
    assert half_width([narrow, None]) is None
    assert half_width([]) is None


def test_time_that_a_workload_leaves_goes_to_the_others() -> None:
    assert share_s(100.0, 4) == 25.0
    assert share_s(90.0, 3) == 30.0
    assert share_s(-1.0, 3) == 0.0


def rounds_and_ratio(scatter: float, seed: int, *, resamples: int) -> tuple[int, Ratio]:
    """Return how many rounds are run until 3 %, and the ratio then, of editions that do not differ."""
    generator = np.random.default_rng([20261122, seed])
    logs = generator.normal(0.0, scatter, size=400)
    for rounds in range(MINIMUM_ROUNDS, 400, 2):
        ratio = paired_ratio(np.exp(logs[:rounds]), np.ones(rounds), seed=seed, resamples=resamples)
        widest = half_width([ratio])
        if widest is not None and widest <= 0.03:
            return rounds, ratio
    raise AssertionError("never narrow")


@pytest.mark.parametrize(("scatter", "typical"), [(0.04, 10), (0.07, 22)])
def test_intervals_cover_the_truth_although_they_were_looked_at(scatter: float, typical: int) -> None:
    """Over 200 runs, 95 % intervals at the time of stopping hold the truth in 88 to 99 %."""
    found = [rounds_and_ratio(scatter, seed, resamples=400) for seed in range(200)]
    covered = sum(not ratio.difference_shown for _, ratio in found)
    assert 176 <= covered <= 198
    assert np.median([rounds for rounds, _ in found]) == pytest.approx(typical, abs=4)


# The run


async def answer_ok(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(OK)


def run(until: Until, path: Path | None = None, window_s: float = 0.02) -> Comparison:
    timing = Timing(rounds=10, ramp_s=0.0, window_s=window_s, warm_up_slice_s=0.02, warm_up_slices=1)
    with serving(answer_ok) as wsgi, serving(answer_ok) as asgi, LoadClient() as client:
        subjects = [RunningSubject(Subject(name), server.port) for name, server in (("wsgi", wsgi), ("asgi", asgi))]
        return compare.run(
            subjects,
            [Scenario("/a", "/a"), Scenario("/b", "/b")],
            client=client,
            manifest=MANIFEST,
            baseline="wsgi",
            loads=[Load(2)],
            timing=timing,
            until=until,
            path=path,
        )


def test_run_ends_when_intervals_are_narrow(tmp_path: Path) -> None:
    path = tmp_path / "compare.json"
    # Far wider than any interval here, and each window long enough for an answer on a busy machine.
    comparison = run(Until(half_width=1e6, max_s=60.0), path, window_s=0.1)
    assert [(stop.scenario, stop.rounds, stop.reason) for stop in comparison.stops] == [
        ("/a", 10, "narrow"),
        ("/b", 10, "narrow"),
    ]
    for stop in comparison.stops:
        ratio = comparison.ratio(stop.scenario, stop.load, "asgi", "rps")
        assert ratio is not None
        assert stop.half_width == pytest.approx(ratio.half_width)
    loaded = files.load(path)
    assert (loaded.stops, loaded.until) == (comparison.stops, 1e6)
    assert any("until intervals were within" in note and "10 to 10" in note for note in comparison_sheet(loaded).notes)


def test_run_ends_when_its_time_is_up_and_says_so() -> None:
    comparison = run(Until(half_width=1e-9, max_s=3.0))
    for place, stop in enumerate(comparison.stops):
        cells = comparison.cells[2 * place : 2 * place + 2]
        assert stop.reason == "time"
        assert stop.rounds >= MINIMUM_ROUNDS
        assert stop.rounds % 2 == 0
        assert {len(cell.rounds) for cell in cells} == {stop.rounds}
        assert stop.half_width is not None
        assert stop.half_width > 1e-9
    # The first takes half of the time; far more rounds than the fewest fit into it.
    assert comparison.stops[0].rounds > MINIMUM_ROUNDS
    assert any("time was up before that for /a (" in note for note in comparison_sheet(comparison).notes)


# The options


def test_until_gives_the_fewest_rounds_and_the_profiles_time() -> None:
    assert plan().until == Until(0.03, 120.0)
    assert plan().timing.rounds == MINIMUM_ROUNDS
    assert plan(None).until is None
    assert plan(" 2.5 % ", max_s=600.0).until == Until(0.025, 600.0)
    assert plan(rounds=14, max_s=600.0).timing.rounds == 14


@pytest.mark.parametrize(
    ("until", "options", "what"),
    [
        ("3", {}, "takes a percentage"),
        ("three%", {}, "takes a percentage"),
        ("-3%", {}, "takes a percentage"),
        ("nan%", {}, "takes a percentage"),
        ("0%", {}, "out of bounds"),
        ("0.01%", {}, "out of bounds"),
        ("51%", {}, "out of bounds"),
        ("3%", {"rounds": 9}, "fewest rounds, 10 or more"),
        ("3%", {"max_s": 5.0}, "too short"),
        ("3%", {"max_s": math.nan}, "out of bounds"),
        ("3%", {"max_s": 0.0}, "out of bounds"),
        ("3%", {"window_s": 10.0}, "the profile's 120 s is too short"),
        (None, {"max_s": 100.0}, "bounds --until, which is not given"),
    ],
)
def test_nonsense_is_refused(until: str | None, options: dict[str, float], what: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan(until, **options)
    assert what in str(refused.value)


def test_plan_says_its_bounds() -> None:
    stream = io.StringIO()
    print_plan(plan("2.5%", max_s=300.0), ("wsgi", "asgi"), stream)
    text = " ".join(stream.getvalue().replace("\N{NO-BREAK SPACE}", " ").split())
    assert "within 2.5 % either way, or until all lines together have taken 5 min 00 s" in text
    stream = io.StringIO()
    print_plan(plan(None), ("wsgi", "asgi"), stream)
    assert "Until:" not in stream.getvalue()
