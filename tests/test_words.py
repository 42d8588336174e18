"""The answer in words: it claims what the intervals show, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from shared.lab.planning.plan import Load
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import RatioSummary
from shared.lab.statistics import Ratio
from shared.report import words
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

MORE = Ratio(1.37, 1.25, 1.51, 10)
FEWER = Ratio(0.8, 0.75, 0.85, 10)
EQUAL = Ratio(1.01, 0.97, 1.05, 10)


def measured(ratios: Mapping[str, Ratio | None], loads: tuple[Load, ...] = (Load(32),)) -> Comparison:
    """Return a comparison whose every ratio of a scenario, under each load, is the given one."""
    made = make_comparison(
        [
            make_slice(subject, rps=1500, round_index=i, scenario=name, connections=load.connections)
            for name in ratios
            for load in loads
            for subject in ("wsgi", "asgi")
            for i in range(3)
        ]
    )
    summaries = tuple(replace(each, ratio=ratios[each.scenario]) for each in made.ratios)
    return replace(made, ratios=summaries, doubts=())


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (MORE, "37% more [25% to 51%]"),
        (FEWER, "20% fewer [15% to 25%]"),
        (Ratio(3.16, 3.1, 3.22, 10), "3.16 times as many [3.10, 3.22]"),
        (Ratio(0.31, 0.3, 0.32, 10), "0.31 times as many [0.30, 0.32]"),
        (EQUAL, "no difference shown [0.97, 1.05]"),
        # The nearer end must not read as nothing.
        (Ratio(1.02, 1.004, 1.036, 10), "2.0% more [0.4% to 3.6%]"),
        (Ratio(0.97, 0.95, 0.988, 10), "3% fewer [1% to 5%]"),
    ],
)
def test_change_is_told_with_its_interval(ratio: Ratio, text: str) -> None:
    assert words.change(ratio, "rps") == text


def test_change_has_the_words_of_its_measure() -> None:
    assert words.change(MORE, "cpu") == "37% more [25% to 51%]"
    assert words.change(FEWER, "p99") == "20% shorter [15% to 25%]"


def test_headline_says_who_answers_more_for_how_much_of_the_work() -> None:
    answer = words.answer(measured({"plaintext": FEWER, "db": EQUAL, "sleep": MORE, "updates": MORE}))
    assert answer.headline == (
        "asgi answers more requests per second for 2 of 4 scenarios (most for sleep: asgi 37% more [25% to 51%]); "
        "wsgi answers more requests per second for 1 of 4 scenarios (plaintext: asgi 20% fewer [15% to 25%]); "
        "no difference is shown for 1."
    )


@pytest.mark.parametrize(
    ("ratios", "text"),
    [
        ({"db": EQUAL, "sleep": EQUAL}, "No difference is shown for all 2 scenarios."),
        ({"db": EQUAL}, "No difference is shown for the one scenario measured."),
        ({"db": None}, "1 cannot be compared."),
        (
            {"db": FEWER},
            "wsgi answers more requests per second for the one scenario measured (db: asgi 20% fewer [15% to 25%]).",
        ),
    ],
)
def test_headline_claims_nothing_that_is_not_shown(ratios: Mapping[str, Ratio | None], text: str) -> None:
    assert words.answer(measured(ratios)).headline == text


def test_claims_name_the_work_with_its_figures_the_largest_first() -> None:
    more = Ratio(1.9, 1.8, 2.0, 10)
    answer = words.answer(measured({"db": MORE, "sleep": more, "json": EQUAL}))
    heads = {claim.head: claim.items for claim in answer.claims}
    assert heads["asgi answers more requests per second"] == (
        "sleep: asgi 90% more [80% to 100%]",
        "db: asgi 37% more [25% to 51%]",
    )
    assert heads["No difference shown in requests per second"] == ("json [0.97, 1.05]",)
    assert "wsgi answers more requests per second" not in heads
    assert heads["Processor time per request on asgi"] == (
        "more for 2 of 3 (most for sleep: 90% more [80% to 100%]); no difference shown for 1 of 3",
    )


def test_load_is_named_where_there_are_several() -> None:
    answer = words.answer(measured({"db": MORE}, (Load(1), Load(32))))
    assert "2 workloads" in answer.headline
    assert answer.claims[0].items == ("db at every load: asgi from 37% more [25% to 51%] to 37% more [25% to 51%]",)


def test_one_scenario_is_one_item_from_its_smallest_to_its_largest_difference() -> None:
    whole = measured({"db": MORE, "json": EQUAL}, (Load(1), Load(8), Load(32)))
    by_load = {1: MORE, 8: Ratio(3.0, 2.8, 3.2, 10), 32: FEWER}
    changed = [
        replace(r, ratio=by_load[r.load.connections]) if (r.scenario, r.measure) == ("db", "rps") else r
        for r in whole.ratios
    ]
    answer = words.answer(replace(whole, ratios=tuple(changed)))
    heads = {claim.head: claim.items for claim in answer.claims}
    assert heads["asgi answers more requests per second"] == (
        "db at 1 and 8: asgi from 37% more [25% to 51%] to 3.00 times as many [2.80, 3.20]",
    )
    assert heads["wsgi answers more requests per second"] == ("db at 32: asgi 20% fewer [15% to 25%]",)
    assert heads["No difference shown in requests per second"] == ("json at every load [0.97, 1.05]",)


def at_a_rate(comparison: Comparison) -> Comparison:
    load = Load(64, 500, "poisson")

    def moved(summary: RatioSummary) -> RatioSummary:
        return replace(summary, load=load)

    return replace(
        comparison,
        loads=(load,),
        ratios=tuple(map(moved, comparison.ratios)),
        cells=tuple(replace(cell, load=load) for cell in comparison.cells),
    )


def test_at_an_offered_rate_the_99th_percentile_is_the_answer() -> None:
    answer = words.answer(at_a_rate(measured({"db": FEWER, "sleep": EQUAL})))
    assert answer.headline.startswith("asgi answers sooner (p99) for 1 of 2 scenarios (db: asgi 20% shorter")
    assert answer.claims[0].head == "At an offered rate, asgi's 99th percentile is shorter"
    assert not any("requests per second" in claim.head for claim in answer.claims)
    assert "closed model" in answer.untested
    assert "open model" not in answer.untested


def test_doubts_are_named_and_counted() -> None:
    comparison = measured({"db": MORE, "sleep": EQUAL})
    doubts = (
        Doubt("shared_core", "m", "n", 1),
        Doubt("few_samples", "m", "n", 1, "db", Load(32), "wsgi"),
        Doubt("few_samples", "m", "n", 1, "db", Load(32), "asgi"),
    )
    cautions = words.answer(replace(comparison, doubts=doubts)).cautions
    assert "Doubt about all figures: shared_core." in cautions
    assert "Doubts touch 1 of 2 workloads: few_samples 1." in cautions


def test_chance_is_named_where_there_are_many_intervals() -> None:
    many = measured({f"s{number}": EQUAL for number in range(10)})
    assert any("40 intervals" in text and "about 2 may miss" in text for text in words.answer(many).cautions)
    assert not any("intervals" in text for text in words.answer(measured({"db": EQUAL})).cautions)


def test_comparison_that_was_ended_early_says_so() -> None:
    whole = measured({"db": MORE, "sleep": EQUAL})
    part = replace(whole, cells=whole.cells[:2], ratios=whole.ratios[:4])
    answer = words.answer(part)
    assert "for the one scenario measured" in answer.headline
    assert "The measurement was ended early: 1 of 2 planned were not measured." in answer.cautions
    assert words.answer(replace(part, cells=(), ratios=())).headline == "Nothing was measured."
