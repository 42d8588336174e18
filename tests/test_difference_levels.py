"""Two recorded results with several levels of concurrency: what is paired, what is listed, and what the tables show."""

import io
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.errors import UsageError
from shared.lab.planning.plan import Load
from shared.lab.results import difference
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.report.difference import print_difference
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

DOUBT = Doubt("foreign_load", "others were there", "stop them", 0.5, "/db")


def recorded(rates: Mapping[int, int], scenarios: Sequence[str] = ("/db",)) -> Comparison:
    """Return levels with so many responses a second from asgi, and 1,000 from wsgi."""
    return make_comparison(
        [
            make_slice(subject, rps=rps, scenario=scenario, connections=level, round_index=i)
            for scenario in scenarios
            for level, rate in rates.items()
            for i in range(3)
            for subject, rps in (("wsgi", 1000), ("asgi", rate))
        ]
    )


def printed(found: difference.Difference) -> str:
    stream = io.StringIO()
    print_difference(found, stream)
    return stream.getvalue()


def test_cells_are_paired_by_scenario_and_level() -> None:
    found = difference.between(recorded({8: 2000, 32: 1000}), recorded({32: 3000, 8: 1000}))
    changes = {each.load.connections: each for each in found.figures if (each.subject, each.measure) == ("asgi", "rps")}
    assert {level: each.ratio and each.ratio.value for level, each in changes.items()} == {
        8: pytest.approx(0.5, rel=0.01),
        32: pytest.approx(3.0, rel=0.01),
    }
    ratios = {each.load.connections: each.ratio for each in found.ratios if each.measure == "rps"}
    assert {level: ratio and ratio.value for level, ratio in ratios.items()} == {
        8: pytest.approx(0.5, rel=0.01),
        32: pytest.approx(3.0, rel=0.01),
    }
    assert (found.only_a, found.only_b) == ((), ())


def test_levels_that_only_one_has_are_listed() -> None:
    a, b = recorded({8: 2000, 32: 2000}, ("/db", "/json")), recorded({32: 2000, 128: 2000, 1: 2000})
    found = difference.between(a, b)
    assert {(each.scenario, each.load.connections) for each in found.figures} == {("/db", 32)}
    assert ("/db", Load(8), "wsgi") in found.only_a
    assert ("/db", Load(128), "asgi") in found.only_b
    text = " ".join(printed(found).split())
    assert "Only in A: everything at 8." in text
    assert "Only in A: /json at 32 wsgi, /json at 32 asgi." in text
    assert "Only in B: everything at 128, 1." in text


def test_no_level_in_common_is_refused() -> None:
    with pytest.raises(UsageError, match="no scenario, load and subject in common") as caught:
        difference.between(recorded({8: 2000}), recorded({32: 2000}))
    assert caught.value.why == "A has /db at 8 wsgi, /db at 8 asgi, B has /db at 32 wsgi, /db at 32 asgi"


def test_tables_show_the_level_where_there_are_several() -> None:
    several = recorded({8: 2000, 128: 2000}, ("/queries?queries=20",))
    text = printed(difference.between(several, several))
    lines = [line.split() for line in text.splitlines()]
    heads = [words for words in lines if words[:1] == ["scenario"]]
    assert [words[:4] for words in heads] == [["scenario", "edition", "load", "figure"]] * 2
    named = [words for words in lines if words[:1] == ["/queries?queries=20"]]
    assert [words[:4] for words in named] == [
        *(["/queries?queries=20", "wsgi", level, "rps"] for level in ("8", "128")),
        *(["/queries?queries=20", "asgi", level, "rps"] for level in ("8", "128")),
    ]
    assert max(map(len, text.splitlines())) <= 100
    assert " load " not in printed(difference.between(recorded({32: 2000}), recorded({32: 2000})))


def test_doubts_stand_below_their_level() -> None:
    a = recorded({8: 2000, 128: 2000})
    doubts = [replace(DOUBT, load=Load(128)), replace(DOUBT, load=Load(8), subject="wsgi")]
    lines = printed(difference.between(a, replace(a, doubts=tuple(doubts)))).splitlines()
    places = [i for i, line in enumerate(lines) if "! foreign_load: in B, others" in line]
    assert len(places) == 2
    assert lines[places[0] + 1].split()[:2] == ["asgi", "8"]
    assert lines[places[1] + 1] == ""
