"""Claims as tables, as Markdown and as a file: the editions beside each other, and everything read back as written."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.errors import UsageError
from shared.lab.claims import files
from shared.lab.claims.catalogue import CLAIMS
from shared.lab.claims.claim import Figure
from shared.lab.claims.result import Claims
from shared.lab.claims.result import parse
from shared.lab.results import directory as results
from shared.report import claim_figures
from shared.report import claims as report
from shared.report import claims_export
from shared.report import format
from tests.claim_records import make_claims
from tests.claim_records import make_measured

ROOT = Path(__file__).resolve().parent.parent


def document() -> dict[str, Any]:
    """Return the document of claims as it is read from a file."""
    found: dict[str, Any] = json.loads(json.dumps(make_claims().document()))
    return found


def verdict_table(found: Claims) -> str:
    stream = io.StringIO()
    report.print_verdicts(found, stream)
    return stream.getvalue()


def printed(*, is_verbose: bool) -> str:
    stream = io.StringIO()
    report.print_outcome(make_claims().outcomes[1], stream, is_verbose=is_verbose)
    return stream.getvalue()


# The file


def test_claims_are_read_back_as_they_were_written() -> None:
    assert parse(document()) == make_claims()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_version": 99}, "schema version 99, and 1 is read"),
        ({"kind": "compare"}, "kind 'compare', not of claims"),
        ({"claims": [{}]}, "is missing"),
        ({"claims": 3}, "TypeError"),
        ({"manifest": None}, "validation error"),
    ],
)
def test_what_is_no_result_of_claims_is_refused_with_the_reason(
    change: dict[str, object], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    results.write_json(path, {**document(), **change})
    with pytest.raises(UsageError) as caught:
        files.load(path)
    assert why in (caught.value.why or "")
    assert str(path) in caught.value.what


@pytest.mark.parametrize(
    ("where", "value"), [("verdict", "maybe"), ("pictures", [{"kind": "pie"}]), ("figures", {"nobody": []})]
)
def test_claim_with_something_unknown_is_refused(where: str, value: object) -> None:
    changed = document()
    changed["claims"][0][where] = value
    with pytest.raises(ValueError, match=r"verdict|pie|nobody"):
        parse(changed)


def test_newest_claims_are_found_and_their_absence_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no result of claims"):
        files.newest(tmp_path)
    for name in ("20261122T160028Z-claims", "20261123T160028Z-claims", "20261124T160028Z-compare"):
        results.write_json(tmp_path / name / results.RESULT, {})
    assert files.newest(tmp_path).parent.name == "20261123T160028Z-claims"


def test_command_of_an_outcome_names_only_what_was_changed() -> None:
    outcome, failure = make_claims().outcomes[1], make_claims().failures[0]
    assert outcome.command == "wsgi-vs-asgi claims C16 --set hold_s=0.25"
    assert failure.command == "wsgi-vs-asgi claims C18 --set trials=5"


# The terminal


def test_table_of_verdicts_has_a_line_for_each_claim_in_order_and_fits() -> None:
    lines = verdict_table(make_claims()).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].split() == ["claim", "statement", "wsgi", "asgi", "shared", "verdict"]
    rows = [re.split(r" {2,}", line) for line in lines[4:9]]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("C9", "-", "-", "refuted", "refuted"),
        ("C16", "confirmed", "confirmed", "-", "confirmed"),
        ("C18", "-", "-", "-", "not done"),
        ("C24", "confirmed", "refuted", "-", "depends"),
        ("C25", "undecided", "undecided", "-", "undecided"),
    ]


def test_table_says_what_was_not_done_and_why_and_what_depends_on_the_machine() -> None:
    table = verdict_table(make_claims())
    assert "! C18 was not done: The database does not speak TLS" in table
    assert "Of C25 another machine may come to another verdict." in table
    assert "5 claims: 1 confirmed, 1 refuted, 1 depends, 1 undecided, 1 not done." in table


def test_table_of_the_editions_alone_has_no_column_for_what_they_share() -> None:
    found = make_claims()
    table = verdict_table(replace(found, outcomes=found.outcomes[1:]))
    assert table.splitlines()[2].split() == ["claim", "statement", "wsgi", "asgi", "verdict"]


@pytest.mark.parametrize("is_verbose", [True, False])
def test_one_claim_shows_editions_beside_each_other_and_fits(is_verbose: bool) -> None:
    text = printed(is_verbose=is_verbose)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    head = next(line for line in lines if line.startswith("figure"))
    assert head.split() == ["figure", "wsgi", "asgi", "trials"]
    assert sum(line.startswith("wait of the eleventh") for line in lines) == 1
    row = next(line for line in lines if line.startswith("threads that were"))
    assert re.split(r" {2,}", row) == ["threads that were busy", "10", "-", "5"]
    assert ("predicts" in text, "source" in text, "option" in text) == (is_verbose,) * 3
    assert "wsgi-vs-asgi claims C16 --set hold_s=0.25" in text


def test_texts_that_are_long_are_wrapped_in_their_columns() -> None:
    lines = printed(is_verbose=False).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("order of events"))
    assert "checkin, close" in lines[at + 1]


def test_list_names_rule_and_options_of_every_claim() -> None:
    stream = io.StringIO()
    report.print_claims(CLAIMS, stream)
    words = " ".join(stream.getvalue().split())
    assert CLAIMS
    for claim in CLAIMS:
        assert claim.statement in words
        assert claim.rule_words in words
        for option in claim.options:
            assert f"--set {option.name}={option.default:g}" in words


# Figures


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("n", "", 12_000), "12,000"),
        (Figure("n", "", True), "yes"),
        (Figure("n", "", 0.25, "s"), "250 ms"),
        (Figure("n", "", 2.5e-5, "s"), "25 µs"),
        (Figure("n", "", 0, "s"), "0 s"),
        (Figure("n", "", 12.5, "s"), "12.5 s"),
        (Figure("n", "", 0.2475, "s", 3, 0.2461, 0.2494), "247.5 [246.1, 249.4] ms"),
        (Figure("n", "", 1.5, "MiB", 3, 1.5, 1.5), "1.5 [1.5, 1.5] MiB"),
        (Figure("n", "", 1234.5, "per s", 3, 1100.0, 1300.0), "1,234 [1,100, 1,300] per s"),
        (Figure("n", "", "any words"), "any words"),
    ],
)
def test_figure_has_the_unit_that_suits_it(figure: Figure, text: str) -> None:
    assert claim_figures.value(figure) == text


def test_times_of_a_line_have_one_unit() -> None:
    line = claim_figures.lines(make_measured())[1]
    assert line.cells == ("0.2475 [0.2461, 0.2494] s", "1.2475 [1.2461, 1.2494] s")


def test_trials_that_differ_are_both_told() -> None:
    measured = make_measured()
    changed = tuple(replace(figure, trials=9) for figure in measured["asgi"].figures)
    lines = claim_figures.lines({**measured, "asgi": replace(measured["asgi"], figures=changed)})
    assert lines[0].trials == "3 | 9"


@pytest.mark.parametrize(("number", "text"), [(0.00012345, "0.000123"), (999.4, "999"), (999.6, "1,000"), (-5.0, "-5")])
def test_significant_keeps_three_figures(number: float, text: str) -> None:
    assert format.significant(number) == text


# Markdown


def test_markdown_has_a_line_for_each_claim_and_where_it_was_made() -> None:
    lines = claims_export.as_markdown(make_claims()).splitlines()
    assert lines[0] == "| claim | statement | wsgi | asgi | shared | verdict |"
    assert lines[3].startswith("| C16 | With 10 connections")
    assert lines[3].endswith("| confirmed | confirmed | - | confirmed |")
    assert (
        "2026-11-22T13:45:01+00:00, Test CPU, 2 processors, CPython 3.11.7, commit 7ffba4f with changes." in lines[-1]
    )


def test_markdown_keeps_a_statement_in_its_cell() -> None:
    found = make_claims()
    hostile = replace(found.outcomes[0].claim, statement="a | b\n| c <b> `d`")
    text = claims_export.as_markdown(replace(found, outcomes=(replace(found.outcomes[0], claim=hostile),)))
    assert r"| C9 | a \| b \| c &lt;b> \`d\` | - | - | refuted | refuted |" in text


# The commands


def run(*words: str, cwd: Path, url: str = "postgresql://nobody@127.0.0.1:1/none") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from shared.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url, "DATA_DIR": str(cwd / "data")},
        check=False,
    )


def test_report_makes_the_page_of_claims_anew_or_prints_markdown(tmp_path: Path) -> None:
    place = tmp_path / "results" / "20261122T160028Z-claims"
    results.write_json(place / results.RESULT, document())
    done = run("report", "claims", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "results/20261122T160028Z-claims/claims.html"), done.stderr
    assert "With 10 connections" in (place / "claims.html").read_text("utf-8")
    markdown = run("report", str(place), "--markdown", cwd=tmp_path)
    assert markdown.stdout == claims_export.as_markdown(make_claims())


def test_report_of_latest_takes_no_claims(tmp_path: Path) -> None:
    results.write_json(tmp_path / "results" / "20261122T160028Z-claims" / results.RESULT, document())
    done = run("report", cwd=tmp_path)
    assert done.returncode == 2
    assert "There is no latest comparison" in done.stderr


@pytest.mark.parametrize("words", [("--json", "--markdown"), ("--verbose", "--json"), ("--list", "--markdown")])
def test_claims_prints_in_one_way(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run("claims", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "Only one way to print" in done.stderr


@pytest.mark.slow
def test_claims_leaves_its_page_and_says_where(tmp_path: Path, database_url: str) -> None:
    done = run("claims", "C11", "--set", "trials=1", cwd=tmp_path, url=database_url)
    assert done.returncode == 0, done.stderr
    (place,) = (tmp_path / "results").iterdir()
    page = (place / "claims.html").read_text("utf-8")
    assert f"Page: results/{place.name}/claims.html" in done.stderr
    assert "C11: wsgi, trial 1 of 1" in done.stderr
    assert re.search(r"^figure +wsgi +asgi +trials$", done.stdout, re.M)
    assert "wsgi-vs-asgi claims C11 --set trials=1" in page
    # `latest` leads to the newest comparison only; there is none here, nor a second entry.
    again = run("report", "claims", cwd=tmp_path)
    assert again.returncode == 0
    assert (place / "claims.html").read_text("utf-8") == page
