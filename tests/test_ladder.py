"""The ladder without climbing it: its plan, its steps, its doubts, and what the terminal says of them."""

import io
import json
import math
from collections import Counter

import pytest
from pydantic import TypeAdapter

from shared.config import Edition
from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab.ladder import steps
from shared.lab.ladder.check import judged
from shared.lab.ladder.plan import LadderPlan
from shared.lab.ladder.record import Ladder
from shared.lab.ladder.rungs import BODY
from shared.lab.ladder.rungs import RUNGS
from shared.lab.observation.statements import Kinds
from shared.lab.parity.message import Response
from shared.report import ladder as report
from shared.report.table import PLAIN_WIDTH
from shared.report.table import plain_lines
from tests.ladders import COSTS
from tests.ladders import NAMES
from tests.ladders import make_climbs
from tests.ladders import make_ladder

ROWS = [{"id": 1, "randomNumber": 7}] * 20
FIELDS = (("content-type", "application/json"), ("server", "any"))


def test_round_visits_every_cell_twice_and_is_mirrored() -> None:
    plan = LadderPlan()
    order = next(plan.orders(0))
    assert Counter(order) == dict.fromkeys(plan.cells, 2)
    assert len(plan.cells) == 16
    assert order == order[::-1]


def test_order_follows_from_seed_and_start() -> None:
    def first(seed: int, start: int) -> object:
        return next(LadderPlan(seed=seed).orders(start))

    assert first(1, 0) == first(1, 0)
    assert len({first(1, 0), first(1, 1), first(2, 0)}) == 3
    orders = LadderPlan().orders(0)
    assert next(orders) != next(orders)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"starts": 2}, "--starts"), ({"seconds": 0.5}, "--seconds"), ({"seconds": math.nan}, "--seconds")],
)
def test_plan_without_a_result_is_refused(options: dict[str, int], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        LadderPlan(**options)  # type: ignore[arg-type]  # one option at a time


def test_default_run_is_under_three_minutes() -> None:
    plan = LadderPlan()
    assert plan.starts * plan.seconds < plan.estimated_s < 180


def test_targets_are_of_one_length_but_for_a_digit() -> None:
    assert {len(rung.target) for rung in RUNGS} == {18, 19}


def test_steps_add_up_to_the_top_rung() -> None:
    levels = steps.levels(make_climbs(factors=(0.9, 1.0, 1.3)), ["wsgi", "asgi"], NAMES)
    for edition in ("wsgi", "asgi"):
        mine = [level for level in levels if level.edition == edition]
        assert [level.rung for level in mine] == NAMES
        assert sum(level.step_s.value for level in mine) == pytest.approx(mine[-1].cpu_s.value)


def test_steps_are_differences_within_a_start() -> None:
    """Starts that differ by half leave wide levels; a step is as wide as half of itself, and no more."""
    levels = {level.rung: level for level in steps.levels(make_climbs(factors=(0.5, 1.0, 1.5)), ["wsgi"], NAMES)}
    routing = levels["routing"]
    assert routing.step_s.value == pytest.approx(10e-6)
    # Student's t for two degrees of freedom is 4.30 (the expansion: 4.27), the standard error 5 us over sqrt(3).
    assert routing.step_s.half_width == pytest.approx(4.27 * 5e-6 / math.sqrt(3), rel=0.01)
    assert routing.cpu_s.half_width == pytest.approx(4.27 * 155e-6 / math.sqrt(3), rel=0.01)
    assert levels["server"].step_s == levels["server"].cpu_s


def test_gaps_are_asgi_minus_wsgi_step_by_step() -> None:
    gaps = steps.gaps(make_climbs(), NAMES)
    assert [round(gap.step_s.value * 1e6) for gap in gaps] == [-240, 0, 10, 20, 50, 0, 600, 0]
    assert [round(gap.cpu_s.value * 1e6) for gap in gaps] == [-240, -240, -230, -210, -160, -160, 440, 440]


def test_starts_are_paired_whatever_their_order() -> None:
    climbs = make_climbs(factors=(0.9, 1.0, 1.1, 1.4))
    assert steps.gaps(climbs[::-1], NAMES) == steps.gaps(climbs, NAMES)


def test_database_is_left_out_where_it_cannot_be_seen() -> None:
    seen, unseen = (steps.levels(make_climbs(database_us=cost), ["wsgi"], NAMES)[5] for cost in (90.0, None))
    assert seen.database_cpu_s is not None
    assert seen.database_cpu_s.value == pytest.approx(90e-6)
    assert unseen.database_cpu_s is None
    # The database's time is no part of the service's.
    assert seen.cpu_s == unseen.cpu_s


def codes(ladder: Ladder) -> list[tuple[str, str | None]]:
    return [(doubt.code, doubt.scenario) for doubt in ladder.doubts]


def test_quiet_ladder_raises_no_doubt() -> None:
    assert codes(make_ladder()) == []


def test_rung_below_the_one_below_is_doubtful() -> None:
    costs = {**COSTS, "asgi": (60, 55, 120, 190, 440, 460, 2_460, 2_860)}
    assert codes(make_ladder(make_climbs(costs))) == [("negative_step", "routing")]


def test_step_of_unknown_sign_is_doubtful_where_it_may_be_large() -> None:
    # One start has the added work of validation, one has none, one saves as much.
    climbs = [
        climb
        for start, cost in enumerate((430, 310, 190))
        for climb in make_climbs({"wsgi": (300, 310, cost, *(cost + 50 + 300 * n for n in range(5)))})
        if climb.start == start
    ]
    assert codes(make_ladder(climbs)) == [("wide_interval", "validation")]


def test_foreign_load_is_told_before_all_else() -> None:
    costs = {**COSTS, "asgi": (60, 55, 120, 190, 440, 460, 2_460, 2_860)}
    found = codes(make_ladder(make_climbs(costs), foreign_cores=0.4))
    assert found == [("foreign_load", None), ("negative_step", "routing")]


def answer(body: bytes = BODY, status: int = 200, kinds: dict[str, int] | None = None) -> tuple[Response, Kinds | None]:
    return Response(status, "OK", FIELDS, body), None if kinds is None else Counter(kinds)


def test_answer_is_recorded_with_its_statements() -> None:
    row = json.dumps(ROWS[:1]).encode()
    found = judged(RUNGS[5], {"wsgi": answer(row, kinds={"SELECT": 1}), "asgi": answer(row, kinds={"SELECT": 1})})
    assert (found.rung, found.status, found.body_bytes, found.statements) == ("one row", 200, len(row), {"SELECT": 1})


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (0, answer(b"[]")),
        (2, answer(BODY, status=500)),
        (5, answer(json.dumps(ROWS).encode())),
        (6, answer(json.dumps(ROWS[:19]).encode())),
        (6, answer(json.dumps([{"id": 1}] * 20).encode())),
        (7, answer(b"{")),
        (7, answer(b"7")),
        (7, (Response(0, failure="no answer"), None)),
    ],
)
def test_wrong_answer_is_not_timed(place: int, wrong: tuple[Response, Kinds | None]) -> None:
    with pytest.raises(NotComparable, match="does not answer as it should"):
        judged(RUNGS[place], {"asgi": wrong})


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (answer(json.dumps(ROWS).encode(), kinds={"SELECT": 21}), "statements"),
        (answer(json.dumps([*ROWS[1:], {"id": 2, "randomNumber": 7}]).encode(), kinds={"SELECT": 20}), "bytes"),
        ((Response(200, "OK", (*FIELDS, ("x", "1")), json.dumps(ROWS).encode()), Counter(SELECT=20)), "fields"),
    ],
)
def test_rungs_that_differ_are_not_timed(other: tuple[Response, Kinds | None], what: str) -> None:
    own = answer(json.dumps(ROWS).encode(), kinds={"SELECT": 20})
    with pytest.raises(NotComparable, match=f"its {what} differ"):
        judged(RUNGS[6], {"wsgi": own, "asgi": other})


def test_words_say_where_the_gap_comes_from() -> None:
    small, top = report.sentences(make_ladder())
    assert small == (
        "one row (/queries?queries=1): asgi takes 160 [160, 160] us less CPU per request than wsgi (460 against 620 "
        "us). It takes more for: SELECT 1 50.0 [50.0, 50.0] us, session 20.0 [20.0, 20.0] us, validation 10.0 [10.0, "
        "10.0] us. It takes less for: server 240 [240, 240] us. No difference shown: routing, one row."
    )
    assert top.startswith("write (/updates?queries=20): asgi takes 440 [440, 440] us more CPU per request than wsgi")
    assert "It takes more for: 20 rows 600 [600, 600] us, SELECT 1 50.0" in top


def test_words_claim_nothing_that_is_not_shown() -> None:
    climbs = [
        climb
        for start, factor in enumerate((0.4, 1.0, 1.7))
        for climb in make_climbs({"wsgi": COSTS["wsgi"], "asgi": [cost * factor for cost in COSTS["wsgi"]]})
        if climb.start == start
    ]
    small, _ = report.sentences(make_ladder(climbs))
    assert small.startswith("one row (/queries?queries=1): no difference shown in CPU per request (641 against 620 us)")
    assert small.endswith(f"No difference shown: {', '.join(NAMES[:6])}.")
    assert "more for" not in small


def test_table_has_a_line_for_each_rung_and_fits() -> None:
    sheet = report.ladder_sheet(make_ladder())
    assert sheet.rows[6].cells == (
        "7 20 rows", "20", "2,020", "1,400 [1,400, 1,400]", "2,460", "2,000 [2,000, 2,000]", "600 [600, 600]"
    )  # fmt: skip
    assert len(sheet.rows) == 8
    assert max(map(len, plain_lines(sheet))) <= PLAIN_WIDTH


def test_table_of_one_edition_has_no_difference() -> None:
    ladder = make_ladder(make_climbs({"asgi": COSTS["asgi"]}))
    assert report.ladder_sheet(ladder).heads == ("rung", "SQL", "asgi us", "step us")
    assert report.sentences(ladder) == []


def test_database_stands_apart() -> None:
    sheet = report.database_sheet(make_ladder())
    assert [row.cells[0] for row in sheet.rows] == ["5 SELECT 1", "6 one row", "7 20 rows", "8 write"]
    assert sheet.rows[3].cells[1:3] == ("1 BEGIN, 1 COMMIT, 20 SELECT, 1 UPDATE", "90.0 [90.0, 90.0]")
    unseen = report.database_sheet(make_ladder(make_climbs(database_us=None), is_counted=False))
    assert unseen.rows[0].cells == ("5 SELECT 1", "-", "-", "-")
    assert "no right to read it" in unseen.notes[0]


def test_bars_are_as_long_as_the_costs() -> None:
    lines = report.bars(make_ladder(), "All", 8, width=286)
    wsgi, asgi = ("".join(set(line[6:292]) - {" "}) and line[6:292] for line in lines[1:3])
    assert [wsgi.count(str(number)) for number in range(1, 9)] == [30, 1, 4, 5, 20, 2, 140, 40]
    assert [asgi.count(str(number)) for number in range(1, 9)] == [6, 1, 5, 7, 25, 2, 200, 40]
    assert lines[1].endswith("2,420 us")
    assert "a character is 10.0 us" in lines[0]


def test_negative_step_has_no_part_of_the_bar() -> None:
    costs: dict[Edition, tuple[float, ...]] = {"wsgi": (100, 90, 200, 300, 400, 500, 600, 700)}
    bar = report.bars(make_ladder(make_climbs(costs)), "All", 8, width=70)[1]
    assert bar.startswith("wsgi  " + "1" * 10 + "3" * 10 + "4" * 10)


def test_all_of_it_is_printed() -> None:
    stream = io.StringIO()
    report.print_ladder(make_ladder(foreign_cores=0.4), stream)
    text = stream.getvalue()
    assert text.startswith("one row (")
    for part in ("What each rung adds", "What the database does", "Up to one row", "All rungs", "! foreign_load"):
        assert part in text


def test_record_survives_its_json() -> None:
    ladder = make_ladder(make_climbs(factors=(0.9, 1.0, 1.3)))
    document = json.loads(json.dumps(ladder.document()))
    assert (document["kind"], document["schema_version"]) == ("ladder", 1)
    assert TypeAdapter(Ladder).validate_python(document) == ladder
