"""The short form of a validation, run: a known server, an edition against itself, a planted difference."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.environment import manifest
from shared.lab.planning.plan import Timing
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.validity import agreement
from shared.lab.validity import delays
from shared.lab.validity import planted
from shared.lab.validity import same
from shared.lab.validity import wrk
from shared.lab.validity.plan import QUICK
from shared.lab.validity.plan import SCENARIOS

from .test_commands import run

SHORT = Timing(rounds=5, ramp_s=0.03, window_s=0.2, warm_up_slice_s=0.15, warm_up_slices=3)
MADE = manifest(seed=1, cores=choose_cores(), settings={})


@pytest.mark.slow
def test_known_delays_and_a_stall_are_measured() -> None:
    """Bounds are wide, since the machine may be busy; how often the stall shows does not depend on that."""
    part = delays.run(seed=1, rounds=3, window_s=0.2, stall_rounds=1, progress=lambda _: None)
    assert part.verdict != "fails"
    assert (part.missing, part.impossible, part.misranked) == (0, 0, 0)
    seen = {each.load.model: each for each in part.stalls}
    assert seen["closed"].late == seen["closed"].expected_late == seen["closed"].load.connections
    for each in part.known:
        # A stall that begins late is a shorter one.
        assert each.served_s > each.planned_s - max(0.003, 0.05 * each.planned_s)
        assert -0.001 < each.error.value < 0.02
    # Nothing of it is in the closed model's p99, and most of it in the open one's.
    assert seen["closed"].p99_s < 0.5 < 0.9 < seen["open"].p99_s
    assert abs(seen["open"].late - seen["open"].expected_late) < 5
    figures = {(each.what, each.load.model, each.figure) for each in part.known}
    assert {("evenly 5 to 15 ms", model, "p99") for model in ("closed", "open")} <= figures


@pytest.mark.slow
def test_an_edition_is_compared_with_itself(database_url: str) -> None:
    found = same.compare_start(
        "wsgi",
        1,
        environ={"DATABASE_URL": database_url, "TRACE": "0"},
        manifest=MADE,
        sizes=replace(QUICK, same_timing=SHORT),
        scenarios=SCENARIOS[1:],
    )
    assert [(each.edition, each.scenario, each.start) for each in found] == [("wsgi", "/db", 1)]
    for each in found:
        assert 0.6 < each.cpu.value < 1.6
        assert 0.5 < each.rps.value < 2.0
        assert len(each.rps_logs) == len(each.cpu_logs) == each.cpu.rounds == SHORT.rounds


@pytest.mark.slow
def test_planted_work_is_found(database_url: str) -> None:
    edition: Edition = "asgi"
    environ = {"DATABASE_URL": database_url, "TRACE": "0"}
    cost_s = planted.cpu_per_request_s(edition, SCENARIOS[0], environ=environ, manifest=MADE)
    assert 10e-6 < cost_s < 0.01
    (found,) = planted.compare_planted(
        edition,
        SCENARIOS[0],
        0,
        cost_s=cost_s,
        environ=environ,
        manifest=MADE,
        timing=SHORT,
        # So much that a machine on which other tests run cannot hide it.
        planted=(1.0,),
    )
    assert found.extra_s == pytest.approx(cost_s)
    assert found.cpu.low > 1
    assert 1.4 < found.cpu.value < 2.8


def test_plan_is_printed_and_nothing_started(tmp_path: Path) -> None:
    done = run("validate", "--dry-run", "--part", "d", "--part", "b")
    assert done.returncode == 0
    lines = [line.split()[0] for line in done.stdout.splitlines()[4:7]]
    assert lines == ["b", "d", "all"]
    assert "starting" not in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--part", "e"), "There is no part 'e'\n.*parts are a, b, c, d"),
        (("--seed", "-1"), "--seed -1 is out of bounds"),
    ],
)
def test_wrong_words_are_refused(words: tuple[str, ...], text: str) -> None:
    done = run("validate", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(text, done.stderr)


@pytest.fixture
def program() -> str:
    """Return wrk's path."""
    found = wrk.find()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("wrk is not installed")
        pytest.skip("wrk is not installed")
    return found


@pytest.mark.slow
def test_wrk_and_our_client_load_both_services_in_turn(database_url: str, program: str) -> None:
    """Six pairs decide nothing on a busy machine; that every figure is of the same requests is what is shown."""
    sizes = replace(QUICK, wrk_least_rounds=6, wrk_most_rounds=6, wrk_pace_rounds=6)
    environ = {"DATABASE_URL": database_url, "TRACE": "0"}
    part = agreement.run(environ=environ, seed=1, sizes=sizes, until=0.0, progress=lambda _: None)
    assert part.wrk == wrk.version(program)
    assert [(each.edition, each.scenario) for each in part.agreements] == [("asgi", "/db"), ("wsgi", "/db")]
    for each in part.agreements:
        assert [(figure.figure, figure.ratio.rounds) for figure in each.figures] == [("rps", 6), ("p50", 6), ("p99", 6)]
        assert 0.5 < each.figures[0].ratio.value < 2
        assert 0.5 < each.figures[1].ratio.value < 2
        assert 0.5 < each.server_cpu.value < 2
        assert each.wrk_rps > 50
    assert part.pace is not None
    assert (part.pace.edition, part.pace.scenario) == ("asgi", "/plaintext")
    for ratios in (part.pace.ours, part.pace.paused):
        assert ratios.rps.rounds == ratios.server_cpu.rounds == 6
        assert 0.4 < ratios.rps.value < 2.5
        assert 0.4 < ratios.server_cpu.value < 2.5


@pytest.mark.slow
def test_wrk_and_our_client_see_the_same_delay(program: str) -> None:
    """Every answer takes 20 ms: 8 connections make at most 400 a second, and a busy machine makes fewer in both."""
    assert "4." in wrk.version(program)
    argv = (sys.executable, "-m", "shared.lab.validity.scripted", "{port}", "1")
    with Service(ServiceSpec("scripted", argv, {})) as service:
        url = f"{service.url}/constant?ms=20"
        figures = wrk.run(program, url, connections=8, seconds=1, cores=frozenset())
        assert 100 < figures.rps <= 400
        assert 0.02 <= figures.p50_s < 0.06
        paused = wrk.run(program, url, connections=8, seconds=1, cores=frozenset(), pause_s=0.05)
        assert paused.rps <= 20
        with pytest.raises(EnvironmentFailure, match="wrk met errors"):
            wrk.run(program, f"{service.url}/elsewhere", connections=8, seconds=1, cores=frozenset())
    with pytest.raises(EnvironmentFailure, match="wrk"):
        wrk.run(program, "nonsense", connections=8, seconds=1, cores=frozenset())
