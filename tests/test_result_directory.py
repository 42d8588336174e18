"""Where results stand: names that do not collide, the word for the newest, and files that are whole or not there."""

import json
import os
from pathlib import Path

import pytest

from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.lab.results import directory as results
from shared.lab.results import files as result_file
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

TIME = "2026-11-22T13:45:01+00:00"


def made(root: Path, name: str, time_utc: str = TIME) -> Path:
    """Return a directory with a result in it."""
    path = results.open_directory(root, name, time_utc)
    results.write_json(path / results.RESULT, {"schema_version": 1, "kind": name})
    return path


@pytest.mark.parametrize("time_utc", [TIME, "2026-11-22T14:45:01+01:00", "2026-11-22T13:45:01"])
def test_name_tells_the_utc_time_and_the_command(time_utc: str, tmp_path: Path) -> None:
    path = results.open_directory(tmp_path / "results", "bench-wsgi", time_utc)
    assert path == tmp_path / "results" / "20261122T134501Z-bench-wsgi"
    assert path.is_dir()


def test_results_of_one_second_do_not_collide(tmp_path: Path) -> None:
    names = [made(tmp_path, "compare").name for _ in range(11)]
    assert names[:3] == [f"20261122T134501Z-compare{end}" for end in ("", "-2", "-3")]
    assert len(set(names)) == 11
    # The eleventh is newer than the second, though its name sorts before.
    assert results.newest(tmp_path, "compare") == tmp_path / "20261122T134501Z-compare-11"


def test_newest_is_of_its_command_and_holds_a_result(tmp_path: Path) -> None:
    older = made(tmp_path, "ladder")
    made(tmp_path, "ladder-long", "2026-11-22T18:00:00+00:00")
    results.open_directory(tmp_path, "ladder", "2026-11-22T19:00:00+00:00")
    assert results.newest(tmp_path, "ladder") == older
    newer = made(tmp_path, "ladder", "2026-11-22T17:00:00+00:00")
    assert results.newest(tmp_path, "ladder") == newer
    assert results.newest(tmp_path, "factors") is None
    assert results.newest(tmp_path / "nowhere", "ladder") is None


def test_directory_in_which_nothing_was_measured_is_removed(tmp_path: Path) -> None:
    with results.opened(tmp_path, "compare", TIME) as path:
        assert path.is_dir()
    assert not path.exists()
    with results.opened(tmp_path, "compare", TIME) as path:
        results.write_json(path / results.RESULT, {})
    assert [entry.name for entry in path.iterdir()] == ["result.json"]
    with pytest.raises(KeyboardInterrupt), results.opened(tmp_path / "interrupted", "compare", TIME):
        raise KeyboardInterrupt
    assert list((tmp_path / "interrupted").iterdir()) == []


def test_latest_is_a_relative_link_that_is_replaced(tmp_path: Path) -> None:
    root = tmp_path / "results"
    for second in range(3):
        path = made(root, "compare", f"2026-11-22T13:45:0{second}+00:00")
        results.mark_latest(path)
        assert os.readlink(root / "latest") == path.name
        assert results.find("latest", root) == path / "result.json"
    root.rename(tmp_path / "elsewhere")
    assert json.loads((tmp_path / "elsewhere" / "latest" / "result.json").read_text())["kind"] == "compare"
    assert not [entry for entry in (tmp_path / "elsewhere").iterdir() if entry.name.startswith(".")]


def test_latest_is_a_file_where_links_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    path = made(tmp_path, "compare")
    results.mark_latest(path)
    assert (tmp_path / "latest").read_text() == f"{path.name}\n"
    assert results.find("latest", tmp_path) == path / "result.json"


def test_latest_comparison_is_found_without_its_link(tmp_path: Path) -> None:
    made(tmp_path, "ladder", "2026-11-23T00:00:00+00:00")
    path = made(tmp_path, "compare")
    assert results.find("latest", tmp_path) == path / "result.json"
    # One that leads nowhere, or out of here, leads nowhere.
    (tmp_path / "latest").symlink_to("20991231T000000Z-compare")
    assert results.find("latest", tmp_path) == path / "result.json"


@pytest.mark.parametrize("exists", [True, False])
def test_without_a_comparison_there_is_no_latest(exists: bool, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no latest comparison"):
        results.find("latest", tmp_path if exists else tmp_path / "nowhere")


def test_reader_accepts_a_directory_or_its_file(tmp_path: Path) -> None:
    path = results.open_directory(tmp_path, "compare", TIME)
    slices = [make_slice(name, rps=5, round_index=i) for name in ("wsgi", "asgi") for i in range(3)]
    result_file.write(make_comparison(slices), path / results.RESULT)
    for word in (str(path), str(path / "result.json")):
        assert len(result_file.load(results.find(word, tmp_path)).slices) == 6
    assert sorted(entry.name for entry in path.iterdir()) == ["result.01.npz", "result.json"]


def test_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(EnvironmentFailure, match="Cannot write"):
        results.open_directory(tmp_path / "results", "compare", TIME)
    with pytest.raises(EnvironmentFailure, match="Cannot write"):
        results.write_json(tmp_path / "results" / "x" / "result.json", {})


def test_text_that_is_no_unicode_can_be_written(tmp_path: Path) -> None:
    results.write_text(tmp_path / "report.html", "a\ud800b")
    assert (tmp_path / "report.html").read_text("utf-8") == "a\\ud800b"
