"""From options to a plan, how long it will take, and that a dry run starts nothing."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import get_args

import pytest

from shared.contract import CONTRACT
from shared.errors import UsageError
from shared.lab.planning.estimate import estimate
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import make_rounds
from shared.lab.planning.profiles import PROFILES
from shared.lab.planning.profiles import ProfileName
from shared.lab.planning.profiles import make_plan
from shared.report.plan import plan_sheet
from shared.report.plan import print_plan

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS = ("wsgi", "asgi")

# Runs the console script; whatever would start something, or write something, ends it.
WATCHED = """
import os, sys
from shared.cli import main

def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):
        raise AssertionError(f"{event} {arguments}")
    if event in ("os.mkdir", "os.remove", "os.rename"):
        raise AssertionError(f"{event} {arguments}")

sys.dont_write_bytecode = True
sys.addaudithook(watch)
main()
"""


def plan(profile: ProfileName = "quick", **options: Any) -> Plan:
    return make_plan(profile, **{"lab": False, "seed": 1, **options})


def lines(made: Plan) -> list[str]:
    stream = io.StringIO()
    print_plan(made, SUBJECTS, stream)
    return stream.getvalue().splitlines()


def dry_run(*words: str, cwd: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCHED, "compare", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        check=False,
    )


# Profiles


def test_quick_is_the_six_scenarios_at_one_level_in_under_two_minutes() -> None:
    made = plan()
    assert [scenario.target for scenario in made.scenarios] == [
        *("/plaintext", "/db", "/queries?queries=20", "/updates?queries=5", "/fortunes", "/sleep?seconds=0.05"),
    ]
    assert made.loads == (Load(32),)
    assert 60 < estimate(made, 2).total_s < 120


def test_full_is_every_load_target_at_four_levels_in_under_twenty_minutes() -> None:
    made = plan("full")
    assert [scenario.target for scenario in made.scenarios] == [t for entry in CONTRACT for t in entry.load]
    assert made.loads == tuple(map(Load, (1, 8, 32, 128)))
    assert made.timing.rounds > plan().timing.rounds
    assert 600 < estimate(made, 2).total_s < 1_200


def test_profiles_are_those_that_can_be_asked_for() -> None:
    assert set(PROFILES) == set(get_args(ProfileName))


@pytest.mark.parametrize("profile", get_args(ProfileName))
def test_what_is_asked_for_comes_before_the_profile(profile: ProfileName) -> None:
    base = PROFILES[profile].timing
    made = plan(profile, words=["db,json", "/livez"], connections=["8, 1", "8"], rounds=4, window_s=1.5, seed=9)
    assert [scenario.target for scenario in made.scenarios] == ["/db", "/json", "/livez"]
    assert made.loads == (Load(8), Load(1))
    assert (made.timing.rounds, made.timing.window_s, made.seed) == (4, 1.5, 9)
    assert (made.timing.ramp_s, made.timing.warm_up_slices) == (base.ramp_s, base.warm_up_slices)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rounds": 2}, "--rounds 2 is out of bounds; it can be 3 to 1000"),
        ({"rounds": 1_001}, "--rounds 1001 is out"),
        ({"window_s": 0.0}, r"--seconds 0\.0 is out"),
        ({"window_s": 61.0}, r"--seconds 61\.0 is out"),
        ({"window_s": float("nan")}, "--seconds nan is out"),
        ({"window_s": float("inf")}, "--seconds inf is out"),
        ({"seed": -1}, "--seed -1 is out"),
        ({"seed": 2**63}, "--seed 9223372036854775808 is out"),
        ({"connections": ["0"]}, "--concurrency 0 is out of bounds; it can be 1 to 1000"),
        ({"connections": ["1,1001"]}, "--concurrency 1001 is out"),
        ({"connections": ["9" * 5_000]}, "--concurrency 9+ is out"),
        ({"connections": ["1,"]}, "whole numbers; got ''"),
        ({"connections": ["-1"]}, "whole numbers; got '-1'"),
        ({"connections": ["1.5"]}, "whole numbers"),
        ({"connections": ["\N{SUPERSCRIPT TWO}"]}, "whole numbers"),
        ({"words": ["db,"]}, "no scenario ''"),
    ],
)
def test_value_out_of_bounds_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        plan(**options)


# How long


def test_estimate_grows_with_what_is_asked_for() -> None:
    least = estimate(plan(), 2).total_s
    more: list[dict[str, Any]] = [{"rounds": 20}, {"window_s": 1.0}, {"connections": ["32,64"]}, {"words": ["all"]}]
    assert all(estimate(plan(**options), 2).total_s > least for options in more)
    assert estimate(plan(), 3).total_s > least


def test_estimate_counts_every_warm_up_at_its_bound() -> None:
    made = plan(words=["db"])
    loaded = 2 * (10 * (0.1 + 0.4) + 6 * 0.2)
    (took,) = estimate(made, 2).workloads_s.values()
    assert loaded < took < 1.5 * loaded


# The plan as it is shown


def test_order_shown_is_the_order_that_is_run() -> None:
    made = plan(words=["all"], connections=["1,32"], seed=5)
    rows = plan_sheet(made, SUBJECTS).rows[:-1]
    assert len(rows) == len(made.workloads)
    for row, workload in zip(rows, made.workloads, strict=True):
        rounds = make_rounds(workload, [Subject(name) for name in SUBJECTS], rounds=10, seed=5)[:4]
        names = [cell.subject.name for planned in rounds for cell in planned.cells]
        assert row.cells[1].replace(",", "").split() == ["A" if name == "wsgi" else "B" for name in names]


def test_order_shown_is_seeded_and_mirrored() -> None:
    orders = {seed: [row.cells[1] for row in plan_sheet(plan(seed=seed), SUBJECTS).rows[:-1]] for seed in (1, 2)}
    assert orders[1] != orders[2]
    assert {pair for order in orders[1] for pair in order.split(", ")} == {"A B B A", "B A A B"}


def test_plan_names_scenarios_levels_and_times() -> None:
    text = lines(plan(words=["db,cpu"], connections=["1,128"], rounds=3, window_s=2.0))
    assert [line.split()[0] for line in text[4:9]] == ["/db", "/db", *["/cpu?iterations=10000"] * 2, "all"]
    assert [line.split()[-3] for line in text[4:8]] == ["1", "128", "1", "128"]
    assert text[8].endswith(" s")
    notes = " ".join(" ".join(text).split())
    assert "3 rounds of 2 s" in notes
    assert "estimates" in notes
    assert "A: wsgi, B: asgi" in notes
    assert max(map(len, text)) <= 100


# The command


@pytest.mark.parametrize("words", [(), ("--profile", "full"), ("--scenario", "db,/livez", "--scenario", "cpu")])
def test_dry_run_prints_the_plan_and_starts_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = dry_run("--dry-run", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing was started" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_watch_would_see_a_start(tmp_path: Path) -> None:
    """Without --dry-run the same script ends at the first thing it would start."""
    done = dry_run(cwd=tmp_path)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--scenario", "/queries?querys=5"), "keys that are read: queries"),
        (("--rounds", "2"), "--rounds 2 is out of bounds"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_starts(
    tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    done = dry_run(*words, cwd=tmp_path, environ={"LAB": "0"})
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_services_with_the_lab_may_be_asked_to_block(tmp_path: Path) -> None:
    words = ("--dry-run", "--scenario", "/blocking?seconds=0.05")
    assert dry_run(*words, cwd=tmp_path, environ={"LAB": "1"}).returncode == 0
