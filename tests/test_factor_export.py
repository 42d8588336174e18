"""A comparison of factors for programs and pages, its thresholds, and the commands that take its file."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.cli import factors as command
from shared.errors import UsageError
from shared.lab.factors import judgement
from shared.lab.factors import run
from shared.lab.factors.result import AS_THEY_ARE
from shared.lab.factors.result import FactorStudy
from shared.lab.results import directory as results
from shared.lab.results import files as result_file
from shared.lab.results import thresholds
from shared.report import export
from shared.report import factors_export
from tests.factor_studies import AT
from tests.factor_studies import CROSSING
from tests.factor_studies import made_loop_study
from tests.factor_studies import made_study
from tests.lab_records import make_comparison
from tests.lab_records import make_slice
from tests.recorded_compare import run_command

LATENCY = ("compare", "--scenario", "db", "--factor", "latency=0,10")


def rows(study: FactorStudy) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(factors_export.as_csv(study))))


# CSV and Markdown


def test_csv_has_a_line_for_each_edition_in_each_variant() -> None:
    found = {(row["variant"], row["edition"]): row for row in rows(made_study(CROSSING))}
    assert list(found) == [
        (variant, edition) for variant in (AS_THEY_ARE, "latency=0", "latency=10") for edition in ("wsgi", "asgi")
    ]
    assert [float(found["latency=10", edition]["rps"]) for edition in ("wsgi", "asgi")] == [1_000, 2_000]
    assert found["latency=10", "asgi"]["subject"] == "asgi latency=10"
    assert {row["load"] for row in found.values()} == {"32"}


def test_csv_has_the_gap_in_the_variant_and_the_share_of_the_swap() -> None:
    study = made_study(CROSSING)
    found = {(row["variant"], row["edition"]): row for row in rows(study)}
    gap, share = study.gap("db", AT, "latency=10", "rps"), study.share("db", AT, "latency=10", "wsgi", "rps")
    assert gap is not None
    assert share is not None
    wsgi, asgi = found["latency=10", "wsgi"], found["latency=10", "asgi"]
    assert [float(asgi[f"rps_over_wsgi{end}"]) for end in ("", "_low", "_high")] == [gap.value, gap.low, gap.high]
    assert [float(wsgi[f"rps_over_own{end}"]) for end in ("", "_low", "_high")] == [share.value, share.low, share.high]
    assert wsgi["rps_over_wsgi"] == found[AS_THEY_ARE, "asgi"]["rps_over_own"] == ""
    assert float(found[AS_THEY_ARE, "asgi"]["rps_over_wsgi"]) == pytest.approx(0.5, rel=0.01)


def test_csv_says_what_stands_for_an_edition_that_is_not_swapped() -> None:
    wsgi, asgi = rows(made_loop_study())[2:]
    assert (wsgi["variant"], wsgi["subject"], wsgi["rps"]) == ("asgi:loop=asyncio", "wsgi", "1000.0")
    assert wsgi["rps_over_own"] == ""
    assert (asgi["subject"], asgi["errors"]) == ("asgi asgi:loop=asyncio", "3")
    assert float(asgi["rps_over_own"]) == pytest.approx(0.5, rel=0.01)


def test_markdown_holds_both_tables_every_doubt_and_where_curves_cross() -> None:
    study = made_study(CROSSING)
    text = factors_export.as_markdown(study)
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "### What each swap changes",
        "### asgi_over_wsgi, before and after",
    ]
    for head in ("| scenario | service | rps |", "| scenario | editions | rps |"):
        at = next(place for place, line in enumerate(lines) if line.startswith(head))
        assert lines[at + 1].startswith("|---|---|---:|")
    assert "| latency=10 | 2.00 [2.00, 2.00] |" in text
    assert "db at 32, rps: the curves cross at latency 5" in text
    for doubt in study.comparison.doubts:
        assert doubt.message in text


# Thresholds


def judged(study: FactorStudy, text: str) -> dict[str, bool]:
    found = judgement.judge(study, [thresholds.parse(text)])
    return {str(each.threshold): each.is_met for each in found}


def test_threshold_is_judged_in_every_variant() -> None:
    study = made_study(CROSSING)
    assert judged(study, "wsgi:db:rps<1500") == {
        "wsgi[as they are]:db:rps<1500": True,
        "wsgi[latency=0]:db:rps<1500": True,
        "wsgi[latency=10]:db:rps<1500": False,
    }
    assert list(judged(study, "asgi_over_wsgi:db:rps<1").values()) == [False, False, True]


def test_threshold_that_names_a_variant_is_judged_in_it_alone() -> None:
    study = made_study(CROSSING)
    assert judged(study, "wsgi[latency=10]:db:rps<1500") == {"wsgi[latency=10]:db:rps<1500": False}
    assert judged(study, "asgi_over_wsgi[as they are]:db:rps<1") == {"asgi_over_wsgi[as they are]:db:rps<1": False}
    assert judged(study, "wsgi[latency=0]:db@32:p99>50ms") == {"wsgi[latency=0]:db@32:p99>50ms": True}


def test_edition_that_is_not_swapped_is_judged_once() -> None:
    study = made_loop_study()
    assert list(judged(study, "wsgi:db:errors>0")) == ["wsgi[as they are]:db:errors>0"]
    label = "asgi:loop=asyncio"
    assert judged(study, "asgi:db:errors>0") == {
        "asgi[as they are]:db:errors>0": True,
        f"asgi[{label}]:db:errors>0": False,
    }
    # Asked for by name it is judged; a ratio changes with either side.
    assert judged(study, f"wsgi[{label}]:db:errors>0") == {f"wsgi[{label}]:db:errors>0": True}
    assert len(judged(study, "asgi_over_wsgi:db:rps<0.1")) == 2


def test_threshold_on_a_variant_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no variant 'latency=7'.*as they are, latency=0, latency=10"):
        judged(made_study(CROSSING), "wsgi[latency=7]:db:rps<1")
    with pytest.raises(UsageError, match="no variant"):
        thresholds.judge(made_study(CROSSING).comparison, [thresholds.parse("wsgi[latency=0]:db:rps<1")])


@pytest.mark.parametrize("text", ["asgi[a:b]:/db:p99>50ms", "asgi_over_wsgi[asgi:loop=asyncio pool=5]:/a:b@8:rps<1"])
def test_threshold_with_a_variant_reads_back(text: str) -> None:
    assert str(thresholds.parse(text)) == text


@pytest.mark.parametrize("text", ["asgi[]:/db:rps<1", "[a]:/db:rps<1", "asgi[a:/db:rps<1"])
def test_brackets_that_name_no_variant_are_no_variant(text: str) -> None:
    """Such a subject is refused later, as one that there is not."""
    assert thresholds.parse(text).variant is None


# The commands


def run_factors(monkeypatch: pytest.MonkeyPatch, root: Path, study: FactorStudy | None, *words: str) -> int:
    """Run `compare --factor` and return its exit code; what is measured is given, None forbids a start."""

    def measured(*_: object, **__: object) -> tuple[FactorStudy, Path]:
        assert study is not None, "the measurement was started"
        return study, recorded(root, study) / results.RESULT

    @contextmanager
    def database(*_: object, **__: object) -> Iterator[str]:
        assert study is not None, "the database was started"
        yield "postgresql://nowhere"

    monkeypatch.setattr(run, "compare_factors", measured)
    monkeypatch.setattr(command, "database", database)
    return run_command(monkeypatch, *words)


@pytest.mark.parametrize("name", ["json", "csv", "markdown"])
def test_option_replaces_the_tables(
    name: export.Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = made_study(CROSSING, scenario="/db")
    assert run_factors(monkeypatch, tmp_path, study, *LATENCY, f"--{name}") == 0
    printed = capsys.readouterr()
    assert printed.out == factors_export.TEXT_OF[name](study)
    assert "Shares, gaps and manifest" in printed.err
    assert (path := results.newest(tmp_path, "factors")) is not None
    assert f"Report: {path / results.REPORT}" in printed.err
    assert (path / results.REPORT).is_file()


def test_threshold_that_is_not_met_in_a_variant_ends_with_1_and_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*LATENCY, "--csv", "--fail-if", "wsgi:/db:rps<1500", "--fail-if", "asgi[latency=10]:/db:rps<1")
    assert run_factors(monkeypatch, tmp_path, made_study(CROSSING, scenario="/db"), *words) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("variant,edition,scenario,")
    assert "wsgi[latency=10]:/db:rps<1500: measured 1000" in printed.err
    assert "Of 4 thresholds 1 not met" in printed.err
    assert "in latency=10" in printed.err
    assert (
        run_factors(
            monkeypatch,
            tmp_path,
            made_study(CROSSING, scenario="/db"),
            *LATENCY,
            "--fail-if",
            "wsgi[latency=0]:/db:rps<1500",
        )
        == 0
    )


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("wsgi[latency=1]:/db:rps<1", "there is no variant 'latency=1'"),
        ("wsgi latency=10:/db:rps<1", "there is no subject 'wsgi latency=10'"),
        ("wsgi:/json:rps<1", "there is no scenario '/json'"),
    ],
)
def test_threshold_about_nothing_is_refused_before_anything_is_started(
    rule: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_factors(monkeypatch, tmp_path, None, *LATENCY, "--fail-if", rule) == 2
    assert why in " ".join(capsys.readouterr().err.split())


def recorded(root: Path, study: FactorStudy | None = None) -> Path:
    """Write a comparison of factors as the command does and return its directory."""
    study = study or made_study(CROSSING, scenario="/db")
    path = results.open_directory(root, "factors", "2026-11-22T13:45:01+00:00")
    result_file.write(study.comparison, path / run.COMPARISON)
    results.write_json(path / results.RESULT, study.document(run.COMPARISON))
    return path


def test_diff_compares_what_two_comparisons_of_factors_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(recorded(tmp_path)) for _ in "AB")
    assert run_command(monkeypatch, "diff", one, other) == 0
    assert "asgi latency=10" in capsys.readouterr().out


def test_diff_with_a_comparison_of_the_editions_names_the_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain" / "result.json"
    result_file.write(
        make_comparison([make_slice(s, rps=9, round_index=i) for s in ("wsgi", "asgi") for i in range(3)]), plain
    )
    assert run_command(monkeypatch, "diff", str(plain.parent), str(recorded(tmp_path))) == 4
    assert "kind: compare in A, factors in B" in capsys.readouterr().err


def test_report_of_a_comparison_of_factors_shows_every_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded(tmp_path)
    assert run_command(monkeypatch, "report", str(path)) == 0
    told = capsys.readouterr()
    assert Path(told.out.strip()) == path / results.REPORT
    shown = (path / results.REPORT).read_text("utf-8")
    for each in ("latency=0", "latency=10", "as they are", "the curves cross at", "not_validated", "Run it again"):
        assert each in shown, each


def test_result_of_another_kind_is_no_comparison(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"schema_version": 1, "kind": "ladder"}))
    with pytest.raises(UsageError, match=r"is no comparison; it holds a result of kind ladder"):
        result_file.load(path)
