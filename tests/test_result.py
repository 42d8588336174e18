"""From slices to figures, doubts and files, and back."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.errors import AppError
from shared.errors import EnvironmentFailure
from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab import compare
from shared.lab import environment
from shared.lab.load.driver import LoadClient
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.results import files as result_file
from shared.lab.results import summary
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import SCHEMA_VERSION
from shared.lab.results.record import Comparison
from shared.lab.results.record import ForeignLoad
from shared.lab.services.process import CoreRoles
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject
from tests.lab_records import MANIFEST
from tests.lab_records import SECOND_NS
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

ASGI_APP = """
async def app(scope, receive, send):
    if scope["path"] == "/exit":
        import os
        os._exit(1)
    status = 503 if scope["path"] == "/busy" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def two_editions(rounds: int = 3) -> Comparison:
    return make_comparison(
        [make_slice(s, rps=rps, round_index=i) for i in range(rounds) for s, rps in (("wsgi", 1000), ("asgi", 2000))]
    )


def codes(comparison: Comparison) -> set[str]:
    return {doubt.code for doubt in comparison.doubts}


# Summaries


def test_rate_counts_responses_in_the_window() -> None:
    # The first of 1,000 responses began 1 ms earlier, at the edge: all lie inside.
    assert summary.round_values(make_slice("wsgi", rps=1000)).achieved_rps == pytest.approx(1000)


def test_response_that_crosses_the_edge_counts_by_its_share() -> None:
    """Four responses a second, each of 0.5 s: the first began half outside, so it counts a half."""
    assert summary.completed_in_window(make_slice("wsgi", rps=4, time_s=0.5)) == pytest.approx(3.5)


def test_fast_rejections_are_no_throughput() -> None:
    cell = two_editions().cells[0]
    rejected = summary.cell_summary([make_slice("wsgi", rps=1000, statuses=(200, 503))], steady=True, warm_up_slices=2)
    assert rejected.achieved_rps == pytest.approx(cell.achieved_rps / 2)
    assert rejected.rejected_count == 500
    assert rejected.statuses == {200: 500, 503: 500}


def test_cpu_is_per_successful_request() -> None:
    values = summary.round_values(make_slice("wsgi", rps=1000, statuses=(200, 503), cpu_s=0.25))
    assert values.server_cpu_s_per_request == pytest.approx(0.0005)


def test_response_times_are_those_of_requests_due_in_the_window() -> None:
    piece = make_slice("wsgi", rps=100, time_s=0.1)
    early = int((piece.samples.intended_ns < piece.window_start_ns).sum())
    assert early > 0
    assert len(summary.response_times_s(piece)) == 100 - early
    assert summary.round_values(piece).p50_s == pytest.approx(0.1)


def test_p999_is_absent_below_ten_thousand_samples() -> None:
    assert set(two_editions().cells[0].percentiles_s) == {"p50", "p90", "p99", "max"}
    many = summary.cell_summary([make_slice("wsgi", rps=20_000)], steady=True, warm_up_slices=2)
    assert "p99.9" in many.percentiles_s


def test_ratio_is_asgi_over_wsgi() -> None:
    ratio = two_editions().ratio("db", Load(32), "asgi", "rps")
    assert ratio is not None
    assert ratio.value == pytest.approx(2.0, rel=0.01)
    assert ratio.difference_shown


def test_ratio_is_absent_when_a_round_failed() -> None:
    slices = [make_slice(s, rps=1000, round_index=i) for i in range(3) for s in ("wsgi", "asgi")]
    slices[3] = make_slice("asgi", rps=0, round_index=1, errors=(0, 0))
    comparison = make_comparison(slices)
    assert comparison.ratio("db", Load(32), "asgi", "rps") is None
    assert {"no_ratio", "errors"} <= codes(comparison)


def test_cpu_is_absent_where_the_processes_are_not_ours() -> None:
    comparison = make_comparison(
        [make_slice("wsgi", rps=1000, round_index=i, cpu_s=None) for i in range(3)], subjects=["wsgi"]
    )
    assert comparison.cells[0].server_cpu_s_per_request is None


# Doubts


def test_good_result_raises_no_doubt() -> None:
    assert codes(two_editions(rounds=8)) == set()


@pytest.mark.parametrize(
    ("changes", "code", "value"),
    [
        ({"client_cpu_s": 0.95}, "client_bottleneck", 0.95),
        ({"errors": (1, 2)}, "errors", 6),
        ({"statuses": (200, 500)}, "non_2xx", 1500),
        ({"rps": 100}, "few_samples", 300),
        ({"reconnects": 500}, "reconnects", 1500),
    ],
)
def test_doubt_carries_the_number_that_raised_it(changes: dict[str, object], code: str, value: float) -> None:
    arguments: dict[str, object] = {"rps": 1000, **changes}
    comparison = make_comparison(
        [make_slice("wsgi", round_index=i, **arguments) for i in range(3)],  # type: ignore[arg-type]  # by name above
        subjects=["wsgi"],
    )
    found = next(doubt for doubt in comparison.doubts if doubt.code == code)
    assert found.value == pytest.approx(value, abs=1)
    assert (found.scenario, found.subject) == ("db", "wsgi")
    assert found.message
    assert found.next_step


def test_trend_over_rounds_is_a_drift() -> None:
    rising = [make_slice("wsgi", rps=1000 + 50 * i, round_index=i) for i in range(10)]
    scattered = [make_slice("wsgi", rps=1000 + 50 * (i % 2), round_index=i) for i in range(10)]
    assert "drift" in codes(make_comparison(rising, subjects=["wsgi"]))
    assert "drift" not in codes(make_comparison(scattered, subjects=["wsgi"]))


def test_scattered_rounds_make_a_wide_interval() -> None:
    slices = [
        make_slice(s, rps=1000 if s == "wsgi" or i % 2 else 2000, round_index=i)
        for i in range(8)
        for s in ("wsgi", "asgi")
    ]
    assert "wide_interval" in codes(make_comparison(slices))


def test_unsteady_warm_up_is_a_doubt() -> None:
    slices = [make_slice("wsgi", rps=1000, round_index=i) for i in range(3)]
    assert "not_steady" in codes(make_comparison(slices, subjects=["wsgi"], steady=False))


def test_foreign_load_and_shared_cores_are_doubts() -> None:
    shared = dataclasses.replace(MANIFEST, core_roles={"server": "not pinned", "client": "not pinned", "apart": "no"})
    comparison = dataclasses.replace(
        two_editions(rounds=8), manifest=shared, foreign_load=(ForeignLoad("db", Load(32), 0.5),)
    )
    assert {doubt.code for doubt in find_doubts(comparison)} == {"shared_core", "foreign_load"}


# Files


def test_result_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    slices = [
        make_slice(s, rps=50 + i, round_index=i, scenario=name, errors=(1,) * i)
        for name in ("db", "json")
        for i in range(3)
        for s in ("wsgi", "asgi")
    ]
    comparison = make_comparison(slices)
    path = tmp_path / "results" / "compare.json"
    result_file.write(comparison, path)
    loaded = result_file.load(path)
    for field in dataclasses.fields(Comparison):
        if field.name != "slices":
            assert getattr(loaded, field.name) == getattr(comparison, field.name), field.name
    for kept, original in zip(loaded.slices, comparison.slices, strict=True):
        for name in result_file.SLICE_FIELDS:
            assert getattr(kept, name) == getattr(original, name)
        for name in result_file.SAMPLE_FIELDS:
            assert np.array_equal(getattr(kept.samples, name), getattr(original.samples, name))
        for name in result_file.ERROR_FIELDS:
            assert np.array_equal(getattr(kept.errors, name), getattr(original.errors, name))


def test_partial_result_can_be_written_and_grows(tmp_path: Path) -> None:
    path = tmp_path / "compare.json"
    whole = make_comparison(
        [make_slice("wsgi", rps=9, round_index=i, scenario=n) for n in ("db", "json") for i in range(3)],
        subjects=["wsgi"],
    )
    part = dataclasses.replace(whole, slices=whole.slices[:3], cells=whole.cells[:1])
    result_file.write(part, path)
    assert [cell.scenario for cell in result_file.load(path).cells] == ["db"]
    result_file.write(whole, path)
    assert [cell.scenario for cell in result_file.load(path).cells] == ["db", "json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["compare.01.npz", "compare.02.npz", "compare.json"]


@pytest.mark.parametrize("version", [1, 999])
def test_another_schema_version_is_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "compare.json"
    result_file.write(two_editions(), path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "schema_version": version}))
    with pytest.raises(UsageError, match=rf"schema version {version}; this program reads version {SCHEMA_VERSION}"):
        result_file.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json"])
def test_file_that_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a result"):
        result_file.load(path)


def test_failed_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "compare.json"
    result_file.write(two_editions(), path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        result_file.write(two_editions(rounds=4), path)
    assert path.read_bytes() == before
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_manifest_describes_this_machine() -> None:
    found = environment.manifest(
        seed=3, cores=CoreRoles(frozenset({0}), frozenset({1})), settings={"wsgi": {"POOL_SIZE": "10"}}, command=["x"]
    )
    assert found.packages["uvicorn"]
    assert found.core_roles == {"server": "0", "client": "1", "apart": "yes"}
    assert found.memory_bytes > 2**20
    assert json.dumps(dataclasses.asdict(found))


def test_manifest_does_without_git(tmp_path: Path) -> None:
    cores = CoreRoles(frozenset(), frozenset())
    found = environment.manifest(seed=3, cores=cores, settings={}, root=tmp_path)
    assert (found.git_commit, found.git_dirty) == (None, None)


# The whole way


def uvicorn_spec(directory: Path, name: str) -> ServiceSpec:
    (directory / "small_app.py").write_text(ASGI_APP)
    arguments = ("--app-dir", str(directory), "--port", "{port}", "--no-access-log", "small_app:app")
    return ServiceSpec(name, (sys.executable, "-m", "uvicorn", *arguments), {})


QUICK = Timing(rounds=3, ramp_s=0.02, window_s=0.05, warm_up_slice_s=0.05, warm_up_slices=2)
LOADS = (Load(4),)


@pytest.mark.slow
def test_comparison_of_two_running_services_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "results" / "compare.json"
    told: list[str] = []
    specs = [uvicorn_spec(tmp_path, name) for name in ("wsgi", "asgi")]
    with running(specs) as services, LoadClient() as client:
        comparison = compare.run(
            [RunningSubject.of_service(service) for service in services],
            [Scenario("root", "/"), Scenario("other", "/other")],
            client=client,
            manifest=MANIFEST,
            baseline="wsgi",
            loads=LOADS,
            timing=QUICK,
            path=path,
            progress=told.append,
        )
    assert len(comparison.slices) == 2 * 2 * 3
    assert [(cell.scenario, cell.subject) for cell in comparison.cells] == [
        ("root", "wsgi"),
        ("root", "asgi"),
        ("other", "wsgi"),
        ("other", "asgi"),
    ]
    for cell in comparison.cells:
        assert (cell.error_count, cell.rejected_count) == (0, 0)
        assert cell.achieved_rps > 0
        assert cell.server_cpu_s_per_request is not None
        assert 1e-6 < cell.server_cpu_s_per_request < 1e-2
    for piece in comparison.slices:
        assert piece.window_end_ns - piece.window_start_ns == pytest.approx(0.05 * SECOND_NS)
    assert len(result_file.load(path).slices) == 12
    assert "root: round 1 of 3" in told


def test_service_that_ends_under_load_stops_the_comparison(tmp_path: Path) -> None:
    with running([uvicorn_spec(tmp_path, "wsgi")]) as services, LoadClient() as client:
        subject = RunningSubject.of_service(services[0])
        with pytest.raises(EnvironmentFailure, match="wsgi ended during exit"):
            compare.run(
                [subject],
                [Scenario("exit", "/exit")],
                client=client,
                manifest=MANIFEST,
                baseline="wsgi",
                loads=LOADS,
                timing=QUICK,
            )


def test_service_that_only_fails_is_not_timed(tmp_path: Path) -> None:
    with running([uvicorn_spec(tmp_path, "wsgi")]) as services, LoadClient() as client:
        subject = RunningSubject.of_service(services[0])
        with pytest.raises(NotComparable, match=r"wsgi never answered /busy with success.*\[503\]"):
            compare.run(
                [subject],
                [Scenario("busy", "/busy")],
                client=client,
                manifest=MANIFEST,
                baseline="wsgi",
                loads=LOADS,
                timing=QUICK,
            )


def test_baseline_must_be_among_the_subjects() -> None:
    with LoadClient() as client, pytest.raises(AppError, match="baseline 'wsgi'"):
        compare.run([], [], client=client, manifest=MANIFEST, baseline="wsgi")
