"""Doubts about the machine, single rounds and what the servers used: each is raised, and is not raised."""

import dataclasses
from collections.abc import Sequence

import pytest

from shared.lab.planning.plan import Load
from shared.lab.planning.steadiness import is_steady
from shared.lab.results.disturbances import of_foreign_load
from shared.lab.results.disturbances import of_memory
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import ForeignLoad
from shared.lab.results.server import DatabaseFigures
from shared.lab.results.server import ProcessFigures
from shared.lab.results.server import ServerFigures
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

PROCESSES = ProcessFigures(0.4, 0.1, 2_000, 500, 14, 60, 100_000_000)


def codes(doubts: Sequence[Doubt]) -> list[str]:
    return [doubt.code for doubt in doubts]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([], False),
        ([1000.0, 1000.0], False),
        ([1000.0, 1000.0, 1000.0], True),
        ([1000.0, 1080.0, 1010.0], True),
        # Beyond 10 % between the slowest and the fastest.
        ([1000.0, 1110.0, 1010.0], False),
        # Two in a row agree each time, but together they rise by more than 5 %.
        ([1000.0, 1030.0, 1060.0], False),
        ([1060.0, 1030.0, 1000.0], False),
        ([1000.0, 1020.0, 1040.0], True),
        # What was before the last three does not matter.
        ([100.0, 1000.0, 990.0, 1005.0], True),
        ([1000.0, 990.0, 1005.0, 0.0], False),
    ],
)
def test_three_slices_that_agree_without_a_trend_are_steady(rates: list[float], expected: bool) -> None:
    assert is_steady(rates) is expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cores": 0.16}, "foreign_load"),
        ({"stolen_cores": 0.06}, "steal"),
        ({"throttled": 0.02}, "throttled"),
        ({"clock_drop": 0.11}, "clock_drop"),
    ],
)
def test_disturbed_machine_is_doubted_by_what_disturbed_it(changes: dict[str, float], code: str) -> None:
    quiet = ForeignLoad("db", Load(32), cores=0.15, stolen_cores=0.05, throttled=0.01, clock_drop=0.1)
    assert of_foreign_load(quiet) == []
    assert of_foreign_load(ForeignLoad("db", Load(32), cores=0.0)) == []
    (found,) = of_foreign_load(dataclasses.replace(quiet, **changes))  # type: ignore[arg-type]  # by name above
    assert (found.code, found.scenario, found.subject) == (code, "db", None)
    assert [found.value] == list(changes.values())
    assert found.message
    assert found.next_step


def with_rates(asgi: Sequence[int]) -> Comparison:
    return make_comparison(
        [
            make_slice(subject, rps=rps, round_index=i)
            for i, rate in enumerate(asgi)
            for subject, rps in (("wsgi", 1000), ("asgi", rate))
        ]
    )


def test_round_far_from_the_others_is_an_outlier() -> None:
    found = [doubt for doubt in with_rates([2000, 2010, 1990, 1000, 2005, 1995, 2015, 1985]).doubts]
    (outlier,) = [doubt for doubt in found if doubt.code == "outlier_rounds"]
    assert "round 4 of 8" in outlier.message
    assert "-50%" in outlier.message
    assert (outlier.value, outlier.subject) == (1, "asgi")


@pytest.mark.parametrize(
    "rates",
    [
        [2000, 2100, 1900, 2050, 1950, 2150, 1850, 2000],  # scatter
        [2000, 2000, 2001, 2000, 2000, 2060, 2000, 2000],  # far in scores, yet 3 % only
        [2000, 2010, 1000, 2005],  # too few to tell
    ],
)
def test_ordinary_scatter_has_no_outlier(rates: list[int]) -> None:
    assert "outlier_rounds" not in codes(with_rates(rates).doubts)


def with_statements(asgi: int, errors: tuple[int, ...] = ()) -> Comparison:
    def figures(statements: int) -> ServerFigures:
        return ServerFigures(database=DatabaseFigures(10, 3, 1.5, 2, statements, statements))

    return make_comparison(
        [
            dataclasses.replace(make_slice(subject, rps=1000, round_index=i, errors=errors), server=figures(statements))
            for i in range(8)
            for subject, statements in (("wsgi", 20_000), ("asgi", asgi))
        ]
    )


def test_other_number_of_statements_is_not_the_same_work() -> None:
    (found,) = [doubt for doubt in with_statements(21_000).doubts if doubt.code == "statements_differ"]
    assert "wsgi 20.00, asgi 21.00" in found.message
    assert found.value == pytest.approx(1.0)
    assert (found.scenario, found.subject) == ("db", None)
    assert "statements_differ" not in codes(with_statements(20_010).doubts)
    # A request that failed may not have come to its statements.
    assert "statements_differ" not in codes(with_statements(21_000, errors=(0,)).doubts)


def with_memory(sizes: Sequence[int]) -> Comparison:
    return make_comparison(
        [
            dataclasses.replace(
                make_slice("wsgi", rps=1000, round_index=i),
                server=ServerFigures(processes=dataclasses.replace(PROCESSES, resident_bytes=size)),
            )
            for i, size in enumerate(sizes)
        ],
        subjects=["wsgi"],
    )


def test_memory_that_rises_from_round_to_round_is_doubted() -> None:
    (found,) = of_memory(with_memory([100_000_000 + 4_000_000 * i for i in range(8)]).cells[0])
    assert found.code == "memory_growth"
    # Medians of the first two and the last two rounds.
    assert found.value == pytest.approx(24_000_000)
    assert "memory_growth" in codes(find_doubts(with_memory([100_000_000 + 4_000_000 * i for i in range(8)])))


@pytest.mark.parametrize(
    "sizes",
    [
        [100_000_000 + 100_000 * i for i in range(8)],  # hardly
        [100_000_000 + 40_000_000 * (i % 2) for i in range(8)],  # up and down
        [100_000_000 + 40_000_000 * i for i in range(5)],  # too few to tell
    ],
)
def test_memory_that_does_not_keep_rising_is_fine(sizes: list[int]) -> None:
    assert of_memory(with_memory(sizes).cells[0]) == []


def test_few_rounds_are_doubted_once_for_the_whole_result() -> None:
    (found,) = [doubt for doubt in with_rates([2000] * 7).doubts if doubt.code == "few_rounds"]
    assert (found.value, found.scenario) == (7, None)
    assert "few_rounds" not in codes(with_rates([2000] * 8).doubts)
