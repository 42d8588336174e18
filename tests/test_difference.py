"""Two recorded results beside each other: what may differ, what is shown of both, and which files are refused."""

import dataclasses
import io
import itertools
import json
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.results import difference
from shared.lab.results import files as result_file
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.statistics import paired_ratio
from shared.report.difference import print_difference
from tests.lab_records import MANIFEST
from tests.lab_records import make_comparison
from tests.lab_records import make_slice
from tests.recorded_compare import run_command

Change = Callable[[Comparison], Comparison]


def recorded(
    wsgi: Sequence[int] = (1000, 1010, 990),
    asgi: Sequence[int] = (2000, 2020, 1980),
    *,
    scenarios: Sequence[str] = ("/db",),
    time_s: float = 0.001,
) -> Comparison:
    """Return a comparison with so many responses a second in each round."""
    return make_comparison(
        [
            make_slice(subject, rps=rps, scenario=scenario, round_index=i, time_s=time_s)
            for scenario in scenarios
            for i, pair in enumerate(zip(wsgi, asgi, strict=True))
            for subject, rps in zip(("wsgi", "asgi"), pair, strict=True)
        ]
    )


def of_manifest(**values: object) -> Change:
    return lambda found: dataclasses.replace(found, manifest=dataclasses.replace(found.manifest, **values))  # type: ignore[arg-type]  # by name


def of_timing(**values: float) -> Change:
    return lambda found: dataclasses.replace(found, timing=dataclasses.replace(found.timing, **values))  # type: ignore[arg-type]  # by name


def of_scenario(scenario: Scenario) -> Change:
    return lambda found: dataclasses.replace(found, scenarios=(scenario,))


def figure(found: difference.Difference, subject: str, measure: str) -> difference.FigureChange:
    return next(each for each in found.figures if (each.subject, each.measure) == (subject, measure))


def printed(found: difference.Difference) -> str:
    stream = io.StringIO()
    print_difference(found, stream)
    return stream.getvalue()


def one_line(text: str) -> str:
    return " ".join(text.split())


# What else than the program differs

OTHER = {
    "kind": lambda found: dataclasses.replace(found, kind="bench-services"),
    "processor": of_manifest(cpu_model="Other CPU"),
    "number of processors": of_manifest(cores=8),
    "processors, server": of_manifest(core_roles={**MANIFEST.core_roles, "server": "3"}),
    "governor": of_manifest(governor="powersave"),
    "memory in bytes": of_manifest(memory_bytes=2**30),
    "kernel": of_manifest(kernel="Linux 7 x86_64"),
    "Python": of_manifest(python="CPython 3.14.0"),
    "database version": of_manifest(database_version="19.1"),
    "package uvicorn": of_manifest(packages={"uvicorn": "0.99"}),
    "package uvloop": of_manifest(packages={**MANIFEST.packages, "uvloop": "0.23"}),
    "setting of wsgi, POOL_SIZE": of_manifest(settings={"wsgi": {"POOL_SIZE": "20"}}),
    "setting of asgi, POOL_SIZE": of_manifest(settings={**MANIFEST.settings, "asgi": {"POOL_SIZE": "20"}}),
    "timing, window_s": of_timing(window_s=0.4),
    "timing, ramp_s": of_timing(ramp_s=0.3),
    "scenario /db, target": of_scenario(Scenario("/db", "/db?seed=1")),
    "scenario /db, body": of_scenario(Scenario("/db", "//db", body=b"{}")),
}
PROGRAM = {
    "commit": of_manifest(git_commit="0123456789abcdef", git_dirty=False),
    "time": of_manifest(time_utc="2026-12-01T00:00:00+00:00"),
    "seed": of_manifest(seed=99),
    "command": of_manifest(command=("x",)),
    "load before": of_manifest(load_average=(9.0, 9.0, 9.0)),
    "rounds": of_timing(rounds=30),
}


@pytest.mark.parametrize("item", OTHER)
def test_more_than_the_program_is_refused_with_both_values(item: str) -> None:
    a, b = recorded(), OTHER[item](recorded())
    with pytest.raises(NotComparable, match="differ in more than the program") as caught:
        difference.between(a, b)
    assert [line.partition(": ")[0] for line in caught.value.why.splitlines()] == [item]
    assert " in A, " in caught.value.why
    assert caught.value.why.endswith(" in B")
    assert "--any-environment" in caught.value.hint
    assert difference.between(a, b, any_environment=True).mismatches


@pytest.mark.parametrize("item", PROGRAM)
def test_what_belongs_to_the_program_or_the_run_may_differ(item: str) -> None:
    assert difference.between(recorded(), PROGRAM[item](recorded())).mismatches == ()


def test_every_fact_of_a_manifest_is_either_compared_or_free() -> None:
    """A new field must be put on one side."""
    compared = {"cpu_model", "cores", "core_roles", "governor", "memory_bytes", "kernel", "python", "packages"}
    compared |= {"settings", "database_version"}
    free = {"git_commit", "git_dirty", "time_utc", "seed", "command", "load_average"}
    assert {field.name for field in dataclasses.fields(Manifest)} == compared | free


def test_every_mismatch_is_named_and_shown_if_let_pass() -> None:
    b = of_manifest(cpu_model="Other CPU", kernel="Linux 7")(recorded())
    with pytest.raises(NotComparable) as caught:
        difference.between(recorded(), b)
    expected = ["processor: Test CPU in A, Other CPU in B", "kernel: Linux 6 x86_64 in A, Linux 7 in B"]
    assert caught.value.why.splitlines() == expected
    text = one_line(printed(difference.between(recorded(), b, any_environment=True)))
    assert all(f"! other_environment: {mismatch}" in text for mismatch in expected)


def test_setting_of_a_subject_that_only_one_has_is_no_obstacle() -> None:
    alone = make_comparison(
        [make_slice("wsgi", rps=9, scenario="/db", round_index=i) for i in range(3)], subjects=["wsgi"]
    )
    both = of_manifest(settings={**MANIFEST.settings, "asgi": {"POOL_SIZE": "20"}})(recorded())
    assert difference.between(alone, both).only_b == (("/db", Load(32), "asgi"),)


# Figures


def test_figures_are_b_over_a() -> None:
    found = difference.between(recorded(), recorded((500, 505, 495), (2000, 2020, 1980), time_s=0.002))
    wsgi, asgi = figure(found, "wsgi", "rps"), figure(found, "asgi", "rps")
    assert (wsgi.a, wsgi.b) == pytest.approx((1000, 500), rel=0.01)
    assert wsgi.ratio is not None
    assert wsgi.ratio.value == pytest.approx(0.5, rel=0.01)
    assert wsgi.ratio.difference_shown
    assert asgi.ratio is not None
    assert not asgi.ratio.excludes(1.0)
    p50 = figure(found, "asgi", "p50")
    assert (p50.a, p50.b) == pytest.approx((0.001, 0.002))
    assert {each.measure for each in found.figures} == {"rps", "p50", "p99", "cpu"}


def test_number_of_rounds_may_differ() -> None:
    found = difference.between(recorded(), recorded((1000,) * 5, (2000,) * 5))
    ratio = figure(found, "wsgi", "rps").ratio
    assert ratio is not None
    assert ratio.value == pytest.approx(1.0, rel=0.01)
    assert ratio.rounds == 3


def test_machine_of_the_day_cancels_in_the_ratio_of_ratios() -> None:
    """B ran on a machine half as fast, whose speed changed from round to round: both editions felt it alike."""
    b = recorded((500, 700, 300), (1500, 2100, 900))
    found = difference.between(recorded(), b)
    change = next(each for each in found.ratios if each.measure == "rps")
    assert change.ratio is not None
    assert change.a is not None
    assert change.b is not None
    assert (change.a.value, change.b.value, change.ratio.value) == pytest.approx((2, 3, 1.5), rel=0.01)
    assert change.ratio.high / change.ratio.low < 1.05
    ratio = figure(found, "wsgi", "rps").ratio
    assert ratio is not None
    assert ratio.high / ratio.low > 2
    assert change.b == paired_ratio(
        [each.achieved_rps for each in b.cells[1].rounds], [each.achieved_rps for each in b.cells[0].rounds], seed=7
    )


def test_round_without_an_answer_leaves_no_ratio() -> None:
    found = difference.between(recorded(), recorded((1000,) * 5, (2000, 0, 2000, 2000, 2000)))
    assert figure(found, "asgi", "rps").ratio is None
    assert figure(found, "asgi", "p50").ratio is None
    assert figure(found, "wsgi", "rps").ratio is not None
    assert {each.ratio for each in found.ratios if each.measure == "rps"} == {None}
    assert "no ratio" in printed(found)


def test_other_baseline_leaves_no_ratio_of_ratios() -> None:
    b = dataclasses.replace(recorded(), baseline="asgi")
    found = difference.between(recorded(), b)
    assert found.ratios == ()
    assert "of its own run" not in printed(found)


def test_what_only_one_has_is_listed() -> None:
    found = difference.between(recorded(scenarios=("/db", "/json")), recorded(scenarios=("/fortunes", "/db")))
    assert {each.scenario for each in found.figures} == {"/db"}
    assert found.only_a == (("/json", Load(32), "wsgi"), ("/json", Load(32), "asgi"))
    text = printed(found)
    assert "Only in A: /json wsgi, /json asgi." in text
    assert "Only in B: /fortunes wsgi, /fortunes asgi." in text
    assert "Only in" not in printed(difference.between(recorded(), recorded()))


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(UsageError, match="no scenario, load and subject in common") as caught:
        difference.between(recorded(), recorded(scenarios=("/json",)))
    assert caught.value.why == "A has /db wsgi, /db asgi, B has /json wsgi, /json asgi"


# Tables


def test_tables_show_both_commits_and_what_each_ratio_holds() -> None:
    a = of_manifest(git_commit="aaaaaaaaaaaaaaaaaaaa", git_dirty=False)(recorded())
    b = of_manifest(git_commit=None, git_dirty=None)(recorded())
    text = one_line(printed(difference.between(a, b)))
    assert "A: commit aaaaaaaaaaaa, 3 rounds" in text
    assert "B: an unknown commit, 3 rounds" in text
    assert "commit 7ffba4f with changes" in one_line(printed(difference.between(recorded(), b)))
    figures, _, ratios = text.partition("of its own run")
    assert "holds the difference between the two days" in figures
    assert "does not hold the difference between the two days" in ratios
    assert "8 intervals" in figures
    assert "4 intervals" in ratios


def test_lines_hold_both_values_and_the_ratio_with_its_interval() -> None:
    lines = [line.split() for line in printed(difference.between(recorded(), recorded((500, 500, 500)))).splitlines()]
    first = next(line for line in lines if line[:2] == ["/db", "wsgi"])
    assert first[:5] == ["/db", "wsgi", "rps", "1,000", "500"]
    assert first[5] == "0.50"
    assert ["CPU", "s/1k", "0.500", "1.000"] in [line[:4] for line in lines]
    assert sum(line[:2] == ["/db", "asgi"] for line in lines) == 1


def test_doubts_of_both_runs_stand_below_their_cell() -> None:
    b = recorded((50, 50, 50))
    b = dataclasses.replace(b, doubts=(*b.doubts, dataclasses.replace(b.doubts[0], subject=None, code="foreign_load")))
    lines = printed(difference.between(recorded(), b)).splitlines()
    place = next(i for i, line in enumerate(lines) if "! few_samples: in B, only" in line)
    assert "CPU s/1k" in lines[place - 1]
    assert lines[place + 1].split()[:2] == ["asgi", "rps"]
    whole = next(i for i, line in enumerate(lines) if "! foreign_load: in B" in line)
    assert whole > place
    assert not any("in A, only" in line for line in lines)


def test_few_rounds_are_a_doubt() -> None:
    many = dataclasses.replace(recorded(), timing=dataclasses.replace(recorded().timing, rounds=5))
    text = printed(difference.between(recorded(), many))
    assert "! few_rounds: A has 3 rounds" in text
    assert "few_rounds: B" not in text


def test_tables_fit_a_hundred_columns() -> None:
    text = printed(
        difference.between(recorded(scenarios=("/queries?queries=20",)), recorded(scenarios=("/queries?queries=20",)))
    )
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


# Files and the command


def stored(comparison: Comparison, directory: Path, name: str) -> str:
    path = directory / name
    result_file.write(comparison, path)
    return str(path)


def test_command_prints_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    a = stored(recorded(), tmp_path, "a.json")
    stored(recorded((500, 500, 500)), tmp_path / "results" / "20261122T160000Z-compare", "result.json")
    assert run_command(monkeypatch, "diff", a, "latest") == 0
    out, err = capsys.readouterr()
    assert "0.50 [" in out
    assert "B: results/20261122T160000Z-compare/result.json" in err


def test_command_refuses_another_environment_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a = stored(recorded(), tmp_path, "a.json")
    b = stored(of_manifest(cores=8, kernel="Linux 7")(recorded()), tmp_path, "b.json")
    assert run_command(monkeypatch, "diff", a, b) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert "Why:    number of processors: 2 in A, 8 in B\n        kernel: Linux 6 x86_64 in A, Linux 7 in B\n" in err
    assert run_command(monkeypatch, "diff", a, b, "--any-environment") == 0
    assert "! other_environment" in capsys.readouterr().out


def damages(text: str) -> dict[str, str]:
    data = json.loads(text)
    return {
        "cut": text[: len(text) // 2],
        "empty": "",
        "older": json.dumps({**data, "schema_version": 0}),
        "no manifest": json.dumps({name: value for name, value in data.items() if name != "manifest"}),
        "manifest of another kind": json.dumps({**data, "manifest": []}),
        "text for a number": json.dumps({**data, "cells": [{**data["cells"][0], "achieved_rps": "fast"}]}),
        "unfinished round": json.dumps({**data, "cells": [{**data["cells"][0], "rounds": [{}]}]}),
        "impossible timing": json.dumps({**data, "timing": {**data["timing"], "rounds": 0}}),
        "no list": json.dumps({**data, "scenarios": 5}),
        "another command": json.dumps({**data, "kind": "bench-trace"}),
    }


@pytest.mark.parametrize("damage", damages('{"cells": [{}], "timing": {}}'))
def test_file_that_cannot_be_used_is_one_clear_error(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a = stored(recorded(), tmp_path, "a.json")
    (tmp_path / "b.json").write_text(damages(Path(a).read_text())[damage])
    assert run_command(monkeypatch, "diff", a, str(tmp_path / "b.json")) == 2
    err = capsys.readouterr().err
    assert "b.json" in err
    assert [line.split(":")[0] for line in err.splitlines()] == ["Failed", "Why", "Next"]


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_missing_file_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert run_command(monkeypatch, "diff", str(path), str(path)) == 2
    assert f"Cannot read {path}" in capsys.readouterr().err


@pytest.mark.parametrize("samples", [b"", b"PK\x03\x04 cut", None])
def test_damaged_samples_are_refused_where_they_are_read(samples: bytes | None, tmp_path: Path) -> None:
    path = Path(stored(recorded(), tmp_path, "a.json"))
    file = tmp_path / "a.01.npz"
    file.unlink() if samples is None else file.write_bytes(samples)
    with pytest.raises(UsageError, match="is damaged"):
        result_file.load(path)
    assert result_file.load(path, with_samples=False).slices == ()


def test_cut_samples_are_refused(tmp_path: Path) -> None:
    path = Path(stored(recorded(), tmp_path, "a.json"))
    file = tmp_path / "a.01.npz"
    whole = file.read_bytes()
    for size in itertools.islice(range(1, len(whole), len(whole) // 7), 7):
        file.write_bytes(whole[:size])
        with pytest.raises(UsageError, match="is damaged"):
            result_file.load(path)
