"""Exports: every figure of the record, none of its raw samples, and nothing that breaks the format."""

import csv
import dataclasses
import io
import json
import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.results import files as result_file
from shared.lab.results.record import SCHEMA_VERSION
from shared.lab.results.record import Comparison
from shared.lab.results.server import DatabaseFigures
from shared.lab.results.server import ServerFigures
from shared.report import export
from tests.lab_records import make_comparison
from tests.lab_records import make_slice
from tests.recorded_compare import run_compare


@cache
def recorded(scenario: str = "/db") -> Comparison:
    """Return a comparison with errors, rejected answers and a missing processor time on the side of asgi."""
    return make_comparison(
        [
            piece
            for i in range(3)
            for piece in (
                make_slice("wsgi", rps=1000, scenario=scenario, round_index=i),
                make_slice(
                    "asgi",
                    # Not alike in each round, so that the ends of an interval can be told apart.
                    rps=2000 + 100 * i,
                    scenario=scenario,
                    round_index=i,
                    errors=(0,),
                    statuses=(200, 200, 503),
                    cpu_s=None,
                ),
            )
        ]
    )


def cells_of(line: str) -> list[str]:
    """Return a Markdown row's cells, as GitHub parts them: a backslash takes the next character along."""
    return [
        re.sub(r"\\(.)", r"\1", found).strip() for found in re.findall(r"((?:\\.|[^|\\])*)\|", line.removeprefix("|"))
    ]


# JSON


def test_json_holds_all_but_the_raw_samples() -> None:
    comparison = recorded()
    document = json.loads(export.as_json(comparison))
    left_out = {"slices"}
    assert set(document) == {field.name for field in dataclasses.fields(Comparison)} - left_out
    assert document["schema_version"] == SCHEMA_VERSION
    assert document["manifest"] == json.loads(json.dumps(dataclasses.asdict(comparison.manifest)))
    assert [cell["subject"] for cell in document["cells"]] == ["wsgi", "asgi"]
    assert document["cells"][0]["achieved_rps"] == comparison.cells[0].achieved_rps
    assert document["ratios"][0]["ratio"] == dataclasses.asdict(comparison.ratio("/db", Load(32), "asgi", "rps"))  # type: ignore[arg-type]  # it is there
    assert {doubt["code"] for doubt in document["doubts"]} == {doubt.code for doubt in comparison.doubts}


def test_json_is_one_line_and_like_the_file() -> None:
    comparison = dataclasses.replace(recorded(), scenarios=(Scenario("/db", "/db", "POST", b"\xff\n"),))
    text = export.as_json(comparison)
    assert text.count("\n") == 1
    stored = json.loads(json.dumps(result_file._to_json(comparison, {})))
    del stored["slices"], stored["sample_files"]
    assert json.loads(text) == stored


# CSV


def rows(comparison: Comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(export.as_csv(comparison))))


def test_csv_has_a_line_per_cell_with_its_figures() -> None:
    comparison = recorded()
    wsgi, asgi = rows(comparison)
    cell = comparison.cells[1]
    assert (asgi["scenario"], asgi["load"], asgi["subject"]) == ("/db", "32", "asgi")
    assert float(asgi["rps"]) == cell.achieved_rps
    assert [float(asgi[f"{name}_s"]) for name in ("p50", "p90", "p99", "max")] == [
        cell.percentiles_s[name] for name in ("p50", "p90", "p99", "max")
    ]
    assert (asgi["errors"], asgi["rejected"]) == ("3", str(cell.rejected_count))
    assert float(wsgi["cpu_s_per_request"]) == pytest.approx(0.0005)
    assert asgi["peak_bytes"] == "50000000"


def test_csv_tells_what_the_servers_used() -> None:
    server = ServerFigures(database=DatabaseFigures(10, 4, 2.0, 2, statements=20_000, rows=30_000))
    comparison = make_comparison(
        [
            dataclasses.replace(
                make_slice(subject, rps=1000, round_index=i), server=server if subject == "asgi" else None
            )
            for i in range(3)
            for subject in ("wsgi", "asgi")
        ]
    )
    wsgi, asgi = rows(comparison)
    assert (asgi["statements_per_request"], asgi["rows_per_request"], asgi["sessions_held"]) == ("20.0", "30.0", "10")
    assert (asgi["user_s_per_request"], wsgi["statements_per_request"]) == ("", "")


def test_csv_is_empty_where_nothing_was_measured() -> None:
    wsgi, asgi = rows(recorded())
    assert asgi["p99.9_s"] == ""
    assert asgi["cpu_s_per_request"] == ""
    assert asgi["cpu_over_wsgi"] == asgi["cpu_over_wsgi_low"] == asgi["cpu_over_wsgi_high"] == ""
    assert {value for name, value in wsgi.items() if "_over_" in name} == {""}


def test_csv_has_each_ratio_with_its_interval() -> None:
    comparison = recorded()
    asgi = rows(comparison)[1]
    for measure in ("rps", "p50", "p99"):
        ratio = comparison.ratio("/db", Load(32), "asgi", measure)
        assert ratio is not None
        found = [float(asgi[f"{measure}_over_wsgi{end}"]) for end in ("", "_low", "_high")]
        assert found == [ratio.value, ratio.low, ratio.high]
        assert (measure == "rps") == (ratio.low < ratio.high)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_csv_gives_back_any_printable_name(name: str) -> None:
    comparison = recorded()
    cells = [dataclasses.replace(cell, scenario=name) for cell in comparison.cells]
    text = export.as_csv(dataclasses.replace(comparison, cells=tuple(cells)))
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[0] for row in found[1:]] == [name, name]


# Markdown


def test_markdown_is_the_table_with_ratio_and_interval() -> None:
    lines = export.as_markdown(recorded()).splitlines()
    assert cells_of(lines[0])[0] == "scenario"
    assert cells_of(lines[0])[-1] == "asgi_over_wsgi rps"
    assert lines[1] == "|---|---|" + "---:|" * 6
    assert {len(cells_of(line)) for line in lines[:4]} == {8}
    assert cells_of(lines[2])[:3] == ["/db", "wsgi", "1,000"]
    assert re.fullmatch(r"1\.40 \[1\.2\d, 1\.5\d\]", cells_of(lines[3])[-1])


def test_markdown_says_when_no_difference_is_shown() -> None:
    slices = [make_slice(s, rps=1000, round_index=i) for i in range(3) for s in ("wsgi", "asgi")]
    assert cells_of(export.as_markdown(make_comparison(slices)).splitlines()[3])[-1] == "no difference shown"


def test_markdown_lists_every_doubt_below() -> None:
    comparison = recorded()
    text = export.as_markdown(comparison)
    assert comparison.doubts
    for doubt in comparison.doubts:
        where = "" if doubt.scenario is None else ", /db asgi"
        assert f"- **{doubt.code}**{where}: {doubt.message}. Next: {doubt.next_step}." in text


@given(st.text("ab|\\`*<\n ", min_size=1, max_size=12))
def test_markdown_row_keeps_its_columns_whatever_the_name(name: str) -> None:
    comparison = recorded()
    renamed = dataclasses.replace(
        comparison,
        scenarios=(Scenario(name, "/db"),),
        cells=tuple(dataclasses.replace(cell, scenario=name) for cell in comparison.cells),
        doubts=(),
    )
    lines = export.as_markdown(renamed).splitlines()
    cells = cells_of(lines[2])
    assert len(cells) == 8
    assert cells[0] == name.replace("\n", " ").replace("<", "&lt;").strip()
    assert cells[1] == "wsgi"


def test_markdown_of_bench_services_is_their_table() -> None:
    names = ["raw asgi", "asgi"]
    comparison = make_comparison(
        [make_slice(s, rps=1000, round_index=i) for i in range(3) for s in names], subjects=names
    )
    text = export.as_markdown(dataclasses.replace(comparison, kind="bench-services"))
    assert "| CPU over raw |" in text.splitlines()[0]


# Several levels


@cache
def at_levels() -> Comparison:
    """Return two levels of one scenario; at the higher one asgi has errors."""
    return make_comparison(
        [
            make_slice(subject, rps=rate * level, scenario="/db", connections=level, round_index=i, errors=errors)
            for level in (8, 32)
            for subject, rate, errors in (("wsgi", 100, ()), ("asgi", 200, (0,) if level == 32 else ()))
            for i in range(3)
        ]
    )


def test_json_says_the_level_of_everything() -> None:
    document = json.loads(export.as_json(at_levels()))
    assert [load["connections"] for load in document["loads"]] == [8, 32]
    assert [cell["load"]["connections"] for cell in document["cells"]] == [8, 8, 32, 32]
    assert {ratio["load"]["connections"] for ratio in document["ratios"]} == {8, 32}
    assert [foreign["load"]["connections"] for foreign in document["foreign_load"]] == [8, 32]


def test_csv_has_a_line_for_each_level_with_its_own_figures() -> None:
    comparison = at_levels()
    found = rows(comparison)
    assert [(row["load"], row["subject"]) for row in found] == [
        *(("8", "wsgi"), ("8", "asgi"), ("32", "wsgi"), ("32", "asgi")),
    ]
    assert [float(row["rps"]) for row in found] == [cell.achieved_rps for cell in comparison.cells]
    ratio = comparison.ratio("/db", Load(32), "asgi", "rps")
    assert ratio is not None
    assert float(found[3]["rps_over_wsgi"]) == ratio.value


def test_markdown_names_the_level_where_there_are_several() -> None:
    text = export.as_markdown(at_levels())
    lines = text.splitlines()
    assert [cells_of(line)[2] for line in (lines[0], *lines[2:6])] == ["load", "8", "8", "32", "32"]
    assert "- **errors**, /db at 32 asgi: " in text
    assert "load" not in export.as_markdown(recorded())


# The command


@pytest.mark.parametrize(
    ("option", "text_of"),
    [("--json", export.as_json), ("--csv", export.as_csv), ("--markdown", export.as_markdown)],
)
def test_option_replaces_the_table(
    option: str, text_of: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(text_of)
    comparison = recorded()
    assert run_compare(monkeypatch, comparison, option) == 0
    printed = capsys.readouterr()
    assert printed.out == text_of(comparison)
    assert "Raw samples and manifest" in printed.err


def test_thresholds_do_not_disturb_an_export(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_compare(monkeypatch, recorded(), "--json", "--fail-if", "asgi:/db:errors>0") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["kind"] == "compare"
    assert "asgi:/db:errors>0: measured" in printed.err


def test_two_exports_at_once_are_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_compare(monkeypatch, None, "--json", "--csv") == 2
    assert "give one of" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--csv", "--markdown"])
def test_plan_has_no_other_format(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_compare(monkeypatch, None, "--dry-run", option) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--dry-run prints a plan, which has no other format" in err
