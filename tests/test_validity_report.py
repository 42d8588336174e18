"""What is said about a validation: its tables, the line beside a comparison, and its file."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.errors import UsageError
from shared.lab.planning.plan import Load
from shared.lab.results import directory as results
from shared.lab.statistics import Difference
from shared.lab.statistics import Ratio
from shared.lab.validity import files
from shared.lab.validity.coverage import share
from shared.lab.validity.result import Coverage
from shared.lab.validity.result import DelaysPart
from shared.lab.validity.result import Detection
from shared.lab.validity.result import Known
from shared.lab.validity.result import PlantedPart
from shared.lab.validity.result import SamePart
from shared.lab.validity.result import StallSeen
from shared.lab.validity.result import StartEffect
from shared.lab.validity.result import Validation
from shared.lab.validity.wrk_result import Agreement
from shared.lab.validity.wrk_result import AgreementFigure
from shared.lab.validity.wrk_result import Pace
from shared.lab.validity.wrk_result import PaceRatios
from shared.lab.validity.wrk_result import WrkPart
from shared.report.comparison_page.companions import Companion
from shared.report.comparison_page.page import page
from shared.report.validity import line
from shared.report.validity import print_validation

from .lab_records import MANIFEST
from .lab_records import make_comparison
from .lab_records import make_slice

CLOSED, OPEN = Load(8), Load(32, 200.0, "constant")
RATIO = Ratio(1.01, 0.99, 1.03, 8)
AGREEMENTS = (
    AgreementFigure("p99", 0.1, RATIO, RATIO, "holds"),
    AgreementFigure("rps", 0.02, RATIO, RATIO, "undecided", 35),
)
FOUND = Validation(
    MANIFEST,
    is_quick=False,
    delays=DelaysPart(
        "holds",
        server_away=0.021,
        client_away=0.004,
        answers=11_000,
        missing=0,
        impossible=0,
        misranked=0,
        known=(
            Known("constant 5 ms", CLOSED, "p50", 0.005, 0.0053, 0.0056, Difference(0.0003, 0.0002, 0.0004, 9), 0.001),
            Known("constant 5 ms", CLOSED, "p99", 0.005, 0.0182, 0.0201, Difference(0.0019, 0.0012, 0.004, 9), 0.001),
        ),
        stalls=(StallSeen(CLOSED, 1.0, 1, 4000, 8, 8, 0.0055), StallSeen(OPEN, 1.0, 3, 800, 101, 101, 0.961)),
        seconds=24.0,
    ),
    same=SamePart(
        "fails",
        (
            Coverage("rps", "holds", share(38, 40), StartEffect(0.001, 0.0, 0.004, 20), share(39, 40)),
            Coverage("cpu", "fails", share(29, 40), StartEffect(0.02, 0.015, 0.025, 20), share(37, 40)),
        ),
        0.05,
        (),
        200.0,
    ),
    planted=PlantedPart(
        "holds",
        (
            Detection(0.02, 0.019, share(2, 8), share(1, 8), 0.025, -0.03),
            Detection(0.2, 0.19, share(8, 8), share(8, 8), 0.21, 0.04),
        ),
        resolution_cpu=0.062,
        resolution_rps=None,
        median_error=0.004,
        foreign_cores=0.22,
        comparisons=(),
        seconds=280.0,
    ),
    wrk=WrkPart(
        "holds",
        "wrk 4.1.0 [epoll]",
        (
            Agreement(
                "asgi",
                "/db",
                32,
                1,
                1500.0,
                Ratio(0.937, 0.921, 0.953, 14),
                (
                    AgreementFigure("p99", 0.1, RATIO, RATIO, "holds"),
                    AgreementFigure("rps", 0.02, RATIO, RATIO, "undecided", 35),
                ),
            ),
        ),
        Pace(
            "asgi",
            "/plaintext",
            25e-6,
            PaceRatios(Ratio(1.082, 1.06, 1.11, 12), Ratio(0.93, 0.9, 0.96, 12)),
            PaceRatios(Ratio(1.213, 1.18, 1.25, 12), Ratio(0.85, 0.83, 0.88, 12)),
        ),
        80.0,
    ),
)


def printed(found: Validation) -> str:
    stream = io.StringIO()
    print_validation(found, stream)
    # Notes are wrapped; what they say is not.
    return " ".join(stream.getvalue().split())


def test_tables_say_what_was_known_and_found() -> None:
    text = printed(FOUND)
    assert "constant 5 ms p50 5.00 5.30 5.60 0.30 [0.20, 0.40] 1.00 holds" in text
    assert "closed, 8 p99 5.00 18.20 20.10 1.90 [1.20, 4.00] 1.00 fails" in text
    assert "every answer of 11,000 is known to both" in text
    assert "processor (2.1%) and the client's (0.4%)" in text
    assert "requests per second 38 of 40 83% to 99% 0.1% [0.0%, 0.4%] 39 of 40 holds" in text
    assert "CPU per request 29 of 40 57% to 84% 2.0% [1.5%, 2.5%] 37 of 40 fails" in text
    assert "Other programs used 0.22 cores meanwhile" in text
    assert "2% more CPU +1.9% +2.5% -3.0% 2 of 8" in text
    assert "asgi /db p99 1.010 [0.990, 1.030] 10% 1.010 8 - holds" in text
    assert "rps 1.010 [0.990, 1.030] 2% - 8 35 undecided" in text
    assert "server CPU 0.937 [0.921, 0.953] - - 14 - -" in text
    assert "asgi /plaintext rps 1.082 [1.060, 1.110] - - 12 - not judged" in text
    assert "asgi /plaintext, wrk paused rps 1.213 [1.180, 1.250] - - 12 - not judged" in text
    assert "server CPU 0.850 [0.830, 0.880] - - 12 - -" in text
    assert "computes for 25 us at each answer" in text
    assert "and another rate: 1.213" in text


def test_absence_of_the_stall_is_explained() -> None:
    text = printed(FOUND)
    assert "stall of 1 s is in 8 of 4,000 responses (0.20%), one for each of 8 connections each time" in text
    assert "and p99 is 5.50 ms: while a connection" in text
    assert "while a connection waits it sends nothing" in text
    assert "Open model: 101 of 800 responses (12.6%) took more than half of the stall, and p99 is 961 ms" in text


def test_effect_of_a_start_is_told_with_what_it_means() -> None:
    text = printed(FOUND)
    assert "Each start of a program moves its CPU per request by 2.0%" in text
    assert "to tell less than about 5.5% between two programs takes several starts" in text
    assert "differ in requests per second by no more than rounds scatter" in text


def test_line_beside_a_comparison() -> None:
    assert line(None) == "Validity: not validated on this machine: make validate"
    assert line(FOUND) == (
        "Validity: validated on 2026-11-22 at commit 7ffba4f+, resolution 6.2% by CPU per request and above 20% by "
        "requests per second; a start alone moves CPU per request by 2.0%; not shown: each edition against itself"
    )
    without = replace(FOUND, same=None, wrk=WrkPart("not run", "wrk is not installed", (), None, 0.0))
    assert line(without).endswith("by requests per second, without wrk")


def test_wrk_that_is_missing_is_no_failure_and_told() -> None:
    text = printed(replace(FOUND, wrk=WrkPart("not run", "wrk is not installed: apt-get install wrk", (), None, 0.0)))
    assert "d not run Not run: wrk is not installed: apt-get install wrk." in text


def test_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = results.open_directory(tmp_path, files.NAME, MANIFEST.time_utc) / results.RESULT
    files.write(FOUND, path)
    assert files.load(path) == FOUND
    assert [each.name for each in path.parent.iterdir()] == ["result.json"]


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 99}', '{"schema_version": 1, "kind": "compare"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        files.load(path)


def test_newest_is_that_of_this_machine_and_whole(tmp_path: Path) -> None:
    def write(time_utc: str, found: Validation) -> None:
        made = replace(found.manifest, time_utc=time_utc)
        place = results.open_directory(tmp_path, files.NAME, time_utc)
        files.write(replace(found, manifest=made), place / results.RESULT)

    assert files.newest(tmp_path, MANIFEST) is None
    write("2026-11-20T00:00:00+00:00", FOUND)
    write("2026-11-21T00:00:00+00:00", FOUND)
    write("2026-11-22T00:00:00+00:00", replace(FOUND, is_quick=True))
    write("2026-11-23T00:00:00+00:00", replace(FOUND, same=None))
    write("2026-11-24T00:00:00+00:00", replace(FOUND, manifest=replace(MANIFEST, cores=64)))
    (tmp_path / "20261125T000000Z-validate").mkdir()
    (tmp_path / "20261125T000000Z-validate" / "result.json").write_text("cut")
    newest = files.newest(tmp_path, MANIFEST)
    assert newest is not None
    assert newest.manifest.time_utc == "2026-11-21T00:00:00+00:00"


def test_part_that_is_repeated_alone_makes_the_rest_whole_again(tmp_path: Path) -> None:
    def write(time_utc: str, found: Validation, **manifest: Any) -> None:
        made = replace(found.manifest, **{"time_utc": time_utc, "git_dirty": False, **manifest})
        place = results.open_directory(tmp_path, files.NAME, time_utc)
        files.write(replace(found, manifest=made), place / results.RESULT)

    now = replace(MANIFEST, time_utc="2026-11-25T00:00:00+00:00", git_dirty=False)
    empty = Validation(now, is_quick=False)
    assert files.with_earlier(empty, tmp_path, ["d"]) == empty
    write("2026-11-20T00:00:00+00:00", FOUND)
    write("2026-11-21T00:00:00+00:00", FOUND, git_commit="0" * 40)
    write("2026-11-22T00:00:00+00:00", replace(FOUND, is_quick=True))
    write("2026-11-23T00:00:00+00:00", FOUND, cores=64)
    write("2026-11-23T12:00:00+00:00", FOUND, git_dirty=True)
    found = files.with_earlier(empty, tmp_path, ["d"])
    assert (found.delays, found.same, found.planted, found.wrk) == (FOUND.delays, FOUND.same, FOUND.planted, None)
    assert found.earlier == dict.fromkeys("abc", "2026-11-20T00:00:00+00:00")
    write("2026-11-24T00:00:00+00:00", replace(found, wrk=FOUND.wrk))
    again = files.with_earlier(empty, tmp_path, ["a"])
    assert again.earlier == {
        "b": "2026-11-20T00:00:00+00:00",
        "c": "2026-11-20T00:00:00+00:00",
        "d": "2026-11-24T00:00:00+00:00",
    }
    assert files.newest(tmp_path, now) == replace(
        found, wrk=FOUND.wrk, manifest=replace(now, time_utc="2026-11-24T00:00:00+00:00")
    )
    for other in (replace(empty, is_quick=True), replace(empty, manifest=replace(now, git_dirty=True))):
        assert files.with_earlier(other, tmp_path, ["d"]) == other


def test_parts_taken_over_are_told_by_their_time() -> None:
    text = printed(replace(FOUND, earlier={"b": "2026-11-20T08:30:00+00:00"}))
    assert "b Each edition against itself fails 3 min 20 s, at 2026-11-20 08:30" in text
    assert "b) Each edition against itself" not in text
    assert "a) Known delays and a stall" in text


def test_page_of_a_comparison_has_the_validation_beside_it(tmp_path: Path) -> None:
    path = results.open_directory(tmp_path, files.NAME, MANIFEST.time_utc) / results.RESULT
    files.write(FOUND, path)
    measured = make_comparison(
        [make_slice(name, rps=1200, round_index=n) for n in range(3) for name in ("wsgi", "asgi")]
    )
    with_it = page(measured, [Companion(files.NAME, path.parent.name, results.read_json(path))])
    assert "Is the instrument to be believed?" in with_it
    assert "29 of 40" in with_it
    assert "not_validated" not in with_it
    assert "Is the instrument to be believed?" not in page(measured)
    of_another_version = {**results.read_json(path), "schema_version": 99}
    assert "cannot be read" in page(measured, [Companion(files.NAME, path.parent.name, of_another_version)])
