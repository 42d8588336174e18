"""What the page of a comparison says: figures from the record, commands that repeat them, other results beside it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.results import directory as results
from shared.lab.results import files as result_file
from shared.lab.results.record import Comparison
from shared.lab.results.spectrum import own_interval
from shared.lab.results.spectrum import spectrum
from shared.lab.results.terms import Terms
from shared.report import commands
from shared.report.comparison_page import companions
from shared.report.comparison_page import loads
from shared.report.comparison_page.companions import Companion
from shared.report.comparison_page.page import page
from shared.report.page import sections
from shared.report.page.content import Notice
from shared.report.page.content import Section
from shared.report.page.content import Text
from tests.lab_records import make_comparison
from tests.lab_records import make_slice
from tests.recorded_compare import run_command

TIME = "2026-11-22T13:45:01+00:00"


def recorded(connections: tuple[int, ...] = (32,)) -> Comparison:
    return make_comparison(
        [
            make_slice(
                subject,
                rps=rps + 10 * i,
                round_index=i,
                connections=load,
                time_s=0.002 if subject == "wsgi" else 0.001,
                cpu_s=0.5 + 0.01 * i,
            )
            for load in connections
            for subject, rps in (("wsgi", 1000), ("asgi", 1500))
            for i in range(4)
        ]
    )


# Figures


def test_spectrum_ends_with_the_slowest_answer() -> None:
    piece = make_slice("wsgi", rps=1000)
    piece.samples.done_ns[-1] += 5_000_000
    points = spectrum([piece])
    assert points[0][0] == 0.0
    assert points[-1] == pytest.approx((1 - 1 / 1000, 0.006))
    quantiles = [q for q, _ in points]
    assert quantiles == sorted(set(quantiles))
    assert sum(0.9 <= q < 0.99 for q in quantiles) == 12


def test_spectrum_agrees_with_the_percentiles_of_the_record() -> None:
    piece = make_slice("wsgi", rps=2000)
    generator = np.random.default_rng(1)
    late = generator.integers(0, 10_000_000, size=2000)
    piece = replace(piece, samples=replace(piece.samples, done_ns=piece.samples.intended_ns + late))
    cell = make_comparison([replace(piece, round=i) for i in range(3)], subjects=("wsgi",)).cells[0]
    found = dict(spectrum([replace(piece, round=i) for i in range(3)]))
    nearest = min(found, key=lambda q: abs(q - 0.99))
    assert found[nearest] == pytest.approx(cell.percentiles_s["p99"], rel=0.001)
    assert max(found.values()) == cell.percentiles_s["max"]


def test_spectrum_of_nothing_is_empty() -> None:
    assert spectrum([]) == ()
    assert spectrum([make_slice("wsgi", rps=10, statuses=(500,))]) == ()


def test_own_interval_holds_the_geometric_mean_of_the_rounds() -> None:
    cell = recorded().cells[0]
    own = own_interval(cell, "rps", seed=1)
    assert own is not None
    rates = [values.achieved_rps for values in cell.rounds]
    assert own.value == pytest.approx(float(np.exp(np.mean(np.log(rates)))))
    # Of four rounds Student's t reaches furthest: 3.1824 standard errors with 3 degrees of freedom.
    reach = 3.182446 * float(np.std(np.log(rates), ddof=1)) / 2
    assert own.low == pytest.approx(own.value * np.exp(-reach), rel=1e-6)
    assert own.high == pytest.approx(own.value * np.exp(reach), rel=1e-6)
    assert own_interval(replace(cell, rounds=cell.rounds[:2]), "rps", seed=1) is None
    failed = replace(cell.rounds[0], p50_s=None)
    assert own_interval(replace(cell, rounds=(failed, *cell.rounds[1:])), "p50", seed=1) is None


def test_page_shows_figures_of_the_record() -> None:
    made = recorded()
    text = page(made)
    cell, ratio = made.cells[0], made.ratio("db", Load(32), "asgi", "rps")
    assert ratio is not None
    assert f"<td>{cell.achieved_rps:,.0f}</td>" in text
    assert f"<td>{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]</td>" in text
    assert made.manifest.cpu_model in text
    assert "with changes that no commit holds" in text


def test_figures_against_load_need_several_loads() -> None:
    assert loads.by_load(recorded()) is None
    found = loads.by_load(recorded((1, 32)))
    assert found is not None
    assert len(found.blocks) == 1
    rates = replace(recorded((1, 32)), loads=())
    assert loads.by_load(rates) is None


def test_closed_and_open_loads_are_not_one_line() -> None:
    made = recorded((1, 32))
    rated = {1: Load(64, 100, "poisson"), 32: Load(64, 900, "poisson")}

    def moved(load: Load) -> Load:
        return rated[load.connections]

    opened = replace(
        made,
        loads=tuple(map(moved, made.loads)),
        cells=tuple(replace(cell, load=moved(cell.load)) for cell in made.cells),
        ratios=tuple(replace(ratio, load=moved(ratio.load)) for ratio in made.ratios),
    )
    both = replace(opened, loads=(*made.loads, *opened.loads), cells=(*made.cells, *opened.cells))
    found = loads.by_load(both)
    assert found is not None
    assert len(found.blocks) == 2
    text = page(replace(both, ratios=(*made.ratios, *opened.ratios), doubts=()))
    assert "requests offered per second" in text
    assert "--rate 900 --arrivals poisson --connections 64" in text


def test_many_ratios_are_parted_by_load() -> None:
    made = make_comparison(
        [
            make_slice(subject, rps=1000, scenario=f"s{n}", connections=load, round_index=i)
            for n in range(9)
            for load in (1, 32)
            for subject in ("wsgi", "asgi")
            for i in range(3)
        ]
    )
    text = page(made)
    assert "Requests per second: asgi over wsgi, at 32" in text
    assert "Requests per second: asgi over wsgi<" not in text


# Commands


def test_command_repeats_one_scenario_under_one_load() -> None:
    made = recorded((1, 32))
    text = commands.again(made, made.scenarios[0], Load(32))
    assert text == "wsgi-vs-asgi compare --scenario db --concurrency 32 --rounds 3 --seconds 1 --seed 7"
    assert page(made).count(f"<code>{text}</code>") == 2


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("compare --scenario db,json --concurrency 1,8 --rounds 99 --json", "compare"),
        ("compare --scenario=db --profile full --wsgi my.app:application", "compare --wsgi my.app:application"),
        ("compare --fail-if 'asgi:/db:p99>50ms' --abort 5%", "compare --abort 5%"),
        ("compare --rate 100 --arrivals constant --connections 5 --debug", "compare"),
        ("", "compare"),
    ],
)
def test_command_keeps_what_else_was_asked_for(typed: str, kept: str) -> None:
    made = recorded()
    made = replace(made, manifest=replace(made.manifest, command=("/x/bin/wsgi-vs-asgi", *shlex.split(typed))))
    again = commands.again(made, Scenario("/queries?queries=5", "/queries?queries=5"), Load(8))
    expected = f"wsgi-vs-asgi {kept} --scenario '/queries?queries=5' --concurrency 8 --rounds 3 --seconds 1 --seed 7"
    assert again == expected


def test_command_names_the_target_of_other_applications() -> None:
    made = recorded()
    typed = ("wsgi-vs-asgi", "compare", "--a", "http://127.0.0.1:1", "--b=http://127.0.0.1:2", "--target", "/x")
    terms = Terms({"a": "http://127.0.0.1:1"}, 2, ("date",), (), ())
    made = replace(made, manifest=replace(made.manifest, command=typed), terms=terms)
    scenario = Scenario("POST /items", "/items", "POST", b'{"a": 1}')
    assert commands.again(made, scenario, Load(8)) == (
        "wsgi-vs-asgi compare --a http://127.0.0.1:1 --b=http://127.0.0.1:2 --target 'POST /items {\"a\": 1}' "
        "--concurrency 8 --rounds 3 --seconds 1 --seed 7"
    )
    assert "gave equal answers: status, body and header fields other than date" in page(made)


# Results of other commands


def shown(document: Mapping[str, Any]) -> Section | None:
    if not document["steps"]:
        return None
    return Section("ladder", "The ladder", [Text(f"{document['steps'][0]} first")])


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Register a section for ladders, and return a ladder's document measured as the comparison was."""
    monkeypatch.setitem(sections.SECTIONS, "ladder", shown)
    return {"schema_version": 1, "kind": "ladder", "manifest": asdict(recorded().manifest), "steps": ["routing"]}


def texts(companion: Companion) -> list[str]:
    found = list(companions.sections((companion,), recorded().manifest))
    return [getattr(block, "text", "") for section in found for block in section.blocks]


def test_newest_other_result_stands_beside_the_comparison_with_its_origin(ladder: dict[str, Any]) -> None:
    origin, body = texts(Companion("ladder", "20261122T120000Z-ladder", ladder))
    assert origin == f"From 20261122T120000Z-ladder, measured {TIME}, commit 7ffba4f with changes."
    assert body == "routing first"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cpu_model": "Other CPU"}, "processor: Other CPU there, Test CPU here"),
        ({"packages": {"uvicorn": "0.1"}}, "uvicorn: 0.1 there, 0.54.0 here"),
        ({"packages": {}}, "uvicorn: absent there, 0.54.0 here"),
        ({"git_commit": "abc"}, "another commit"),
    ],
)
def test_result_of_another_environment_is_marked(ladder: dict[str, Any], changes: dict[str, Any], text: str) -> None:
    document = {**ladder, "manifest": {**ladder["manifest"], **changes}}
    (section,) = companions.sections((Companion("ladder", "x", document),), recorded().manifest)
    (notice,) = [block for block in section.blocks if isinstance(block, Notice)]
    assert notice.title == "other_environment"
    assert text in notice.text


def test_result_that_has_nothing_to_show_or_cannot_be_read(ladder: dict[str, Any]) -> None:
    assert texts(Companion("ladder", "x", {**ladder, "steps": []})) == []
    (text,) = texts(Companion("ladder", "x", {"kind": "ladder"}))
    assert "cannot be read: KeyError: 'steps'" in text
    (text,) = texts(Companion("ladder", "x", None, "JSONDecodeError: cut"))
    assert "cannot be read: JSONDecodeError: cut" in text
    assert texts(Companion("unheard", "x", ladder)) == []


# The command


def test_report_is_made_anew_from_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ladder: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results"
    place = results.open_directory(root, "compare", TIME)
    result_file.write(recorded(), place / results.RESULT)
    results.mark_latest(place)
    for second, step in ((1, "older"), (2, "newer")):
        other = results.open_directory(root, "ladder", f"2026-11-22T10:00:0{second}")
        results.write_json(other / results.RESULT, {**ladder, "steps": [step]})
    assert run_command(monkeypatch, "report") == 0
    assert capsys.readouterr().out == "results/20261122T134501Z-compare/report.html\n"
    text = (place / "report.html").read_text("utf-8")
    assert "newer first" in text
    assert "older first" not in text
    # A page is the same whenever it is made.
    assert run_command(monkeypatch, "report", str(place)) == 0
    assert (place / "report.html").read_text("utf-8") == text
    (other / "result.json").write_text("{")
    assert run_command(monkeypatch, "report", str(place / "result.json")) == 0
    assert "cannot be read" in (place / "report.html").read_text("utf-8")


@pytest.mark.parametrize("word", ["latest", "results/nowhere", "."])
def test_report_of_nothing_is_one_clear_error(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(monkeypatch, "report", word) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines() if line[:7] != "reading"] == [
        "Failed",
        "Why",
        "Next",
    ]
    assert list(tmp_path.iterdir()) == []


def test_page_needs_nothing_else() -> None:
    text = page(recorded())
    assert re.findall(r'(?:src|href)="(?!#)', text) == []
    assert "url(http" not in text
    assert "default-src 'none'" in text
