"""Several levels of concurrency: each is measured, kept, compared, doubted and shown by itself."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import cast

import numpy as np
import pytest

from shared.errors import UsageError
from shared.lab import compare
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Timing
from shared.lab.results import files as result_file
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import Comparison
from shared.lab.results.record import ForeignLoad
from shared.lab.slices import RunningSubject
from shared.report import table
from tests.lab_records import MANIFEST
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

PORTS = {"wsgi": 1, "asgi": 2}


class ScriptedClient:
    """Takes the place of the load client; answers at once, with as many responses as there are connections.

    Attributes:
        calls: Port, connections and ramp of every slice, warm-ups included.
    """

    pids: tuple[int, ...] = ()

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, float]] = []
        self._connections = 0

    def prepare(self, _host: str, _port: int, *, connections: int, **_: Any) -> list[str]:
        """Note how many connections are wanted."""
        self._connections = connections
        return []

    def run(self, _host: str, port: int, _request: bytes, *, ramp_s: float, **_: Any) -> ClientSlice:
        """Return a slice."""
        self.calls.append((port, self._connections, ramp_s))
        made = make_slice("", rps=100 * self._connections)
        names = ("start_ns", "window_start_ns", "window_end_ns", "elapsed_s", "client_cpu_s", "reconnects")
        return ClientSlice(**{name: getattr(made, name) for name in (*names, "samples", "errors")})


def run(client: ScriptedClient, told: list[str], connections: tuple[int, ...], path: Path | None = None) -> Comparison:
    return compare.run(
        [RunningSubject(Subject(name), port) for name, port in PORTS.items()],
        [Scenario("/db", "/db"), Scenario("/json", "/json")],
        client=cast(LoadClient, client),
        manifest=MANIFEST,
        baseline="wsgi",
        loads=tuple(map(Load, connections)),
        timing=Timing(rounds=4, ramp_s=0.1),
        path=path,
        progress=told.append,
    )


def two_levels() -> Comparison:
    rates = {(8, "wsgi"): 1000, (8, "asgi"): 2000, (128, "wsgi"): 1000, (128, "asgi"): 500}
    return make_comparison(
        [
            make_slice(subject, rps=rps, round_index=i, scenario=scenario, connections=level)
            for scenario in ("/db", "/cpu?iterations=10000")
            for (level, subject), rps in rates.items()
            for i in range(3)
        ]
    )


def plain(comparison: Comparison) -> list[str]:
    stream = io.StringIO()
    table.draw(table.comparison_sheet(comparison), stream)
    return stream.getvalue().splitlines()


# Measured


def test_each_scenario_is_measured_at_each_level_on_as_many_connections(tmp_path: Path) -> None:
    client, told = ScriptedClient(), list[str]()
    comparison = run(client, told, (1, 64), tmp_path / "compare.json")
    assert [(cell.scenario, cell.load, cell.subject) for cell in comparison.cells] == [
        (scenario, Load(level), subject) for scenario in ("/db", "/json") for level in (1, 64) for subject in PORTS
    ]
    assert [cell.achieved_rps for cell in comparison.cells] == pytest.approx([100, 100, 6400, 6400] * 2, rel=0.01)
    assert {(connections, ramp) for _, connections, ramp in client.calls if ramp} == {(1, 0.1), (64, 0.2)}
    assert [(foreign.scenario, foreign.load) for foreign in comparison.foreign_load] == [
        (scenario, Load(level)) for scenario in ("/db", "/json") for level in (1, 64)
    ]
    assert "/db at 64: round 1 of 4" in told
    loaded = result_file.load(tmp_path / "compare.json")
    assert [piece.load.connections for piece in loaded.slices] == [1] * 8 + [64] * 8 + [1] * 8 + [64] * 8


def test_editions_alternate_within_a_level() -> None:
    client = ScriptedClient()
    comparison = run(client, [], (1, 64))
    for first in range(0, len(comparison.slices), 8):
        pieces = comparison.slices[first : first + 8]
        assert len({(piece.scenario, piece.load) for piece in pieces}) == 1
        names = [piece.subject for piece in pieces]
        assert names[:4] == names[:4][::-1]
        assert {piece.position for piece in pieces} == {0, 1}
        assert sorted(names[:2]) == ["asgi", "wsgi"]


def test_one_level_is_not_named_in_the_progress() -> None:
    told: list[str] = []
    run(ScriptedClient(), told, (4,))
    assert "/db: round 1 of 4" in told


@pytest.mark.parametrize("levels", [(), (8, 8)])
def test_levels_must_be_told_apart(levels: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="loads must be named"):
        run(ScriptedClient(), [], levels)


# Kept


def test_levels_come_back_from_their_files_each_with_its_own_samples(tmp_path: Path) -> None:
    comparison = two_levels()
    path = tmp_path / "compare.json"
    result_file.write(comparison, path)
    assert len(list(tmp_path.glob("*.npz"))) == 4
    loaded = result_file.load(path)
    assert (loaded.loads, loaded.cells, loaded.ratios) == (comparison.loads, comparison.cells, comparison.ratios)
    assert (loaded.foreign_load, loaded.doubts) == (comparison.foreign_load, comparison.doubts)
    for kept, original in zip(loaded.slices, comparison.slices, strict=True):
        assert (kept.load, kept.subject, kept.round) == (original.load, original.subject, original.round)
        assert np.array_equal(kept.samples.done_ns, original.samples.done_ns)


# Compared and doubted


def test_ratio_belongs_to_a_level() -> None:
    found = [two_levels().ratio("/db", Load(level), "asgi", "rps") for level in (8, 128)]
    assert [ratio and ratio.value for ratio in found] == pytest.approx([2.0, 0.5], rel=0.01)
    assert two_levels().ratio("/db", Load(32), "asgi", "rps") is None
    assert two_levels().cell("/db", Load(32), "asgi") is None


def test_doubt_names_its_level() -> None:
    slices = [
        make_slice(subject, rps=1000, round_index=i, connections=level, errors=(0,) if level == 128 else ())
        for level in (8, 128)
        for i in range(8)
        for subject in PORTS
    ]
    comparison = replace(make_comparison(slices), foreign_load=(ForeignLoad("db", Load(8), 0.5),))
    found = {(doubt.code, str(doubt.load), doubt.subject) for doubt in find_doubts(comparison)}
    assert found == {("errors", "128", "wsgi"), ("errors", "128", "asgi"), ("foreign_load", "8", None)}


# Shown


def test_table_shows_the_level_where_there_are_several() -> None:
    lines = plain(two_levels())
    head = next(line for line in lines if line.startswith("scenario"))
    assert head.split()[:4] == ["scenario", "edition", "load", "rps"]
    figures = [line.split() for line in lines if line.startswith("/db")]
    assert [words[:3] for words in figures] == [["/db", "wsgi", "8"], ["/db", "wsgi", "128"]]
    assert any("8, 128 connections" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_table_of_one_level_has_no_column_for_it() -> None:
    one = make_comparison([make_slice(s, rps=1000, round_index=i) for i in range(3) for s in PORTS])
    lines = plain(one)
    assert "load" not in next(line for line in lines if line.startswith("scenario")).split()
    assert any(" 32 connections" in line for line in lines)


def test_doubt_stands_below_its_level() -> None:
    comparison = two_levels()
    foreign = (ForeignLoad("/db", Load(8), 0.5),)
    doubted = replace(comparison, foreign_load=foreign)
    lines = plain(replace(doubted, doubts=find_doubts(doubted)))
    place = next(number for number, line in enumerate(lines) if "! foreign_load" in line)
    assert lines[place - 1].split()[:2] == ["asgi", "8"]
    assert sum("! foreign_load" in line for line in lines) == 1


def test_doubt_on_a_terminal_says_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    doubted = replace(two_levels(), foreign_load=(ForeignLoad("/db", Load(8), 0.5),))
    stream = Terminal()
    table.draw(table.comparison_sheet(replace(doubted, doubts=find_doubts(doubted))), stream)
    assert "! /db at 8, foreign_load" in stream.getvalue()
