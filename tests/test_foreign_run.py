"""Two applications and two services of other people, compared by the command line, end to end."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from shared.lab.results import files as result_file
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from tests.foreign_apps import run_cli
from tests.foreign_apps import write_plain

APPS = ("compare", "--wsgi", "plain:make_wsgi('/')", "--asgi", "plain:make_asgi()", "--app-dir", "apps")
SHORT = ("--rounds", "3", "--seconds", "0.05", "--concurrency", "4")


def left_over() -> list[list[str]]:
    """Return the command lines of processes that serve the plain applications."""
    me = os.getuid()
    running = psutil.process_iter(["cmdline", "uids"])
    found = [p.info["cmdline"] or [] for p in running if p.info["uids"] and p.info["uids"].real == me]
    return [words for words in found if any(word.startswith("plain:") for word in words) and "compare" not in words]


@pytest.mark.slow
def test_two_applications_are_started_compared_and_stopped(tmp_path: Path) -> None:
    write_plain(tmp_path / "apps")
    words = (*APPS, "--target", "/count", "--target", 'POST /x {"a": 1}', "--ignore-json", "n", *SHORT)
    done = run_cli(tmp_path, *words, "--json", WSGI_THREADS="3", GUNICORN_CMD_ARGS="--threads 1")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert [each["name"] for each in found["scenarios"]] == ["/count", "POST /x"]
    assert [(cell["subject"], set(cell["statuses"])) for cell in found["cells"]] == [
        (name, {"200"}) for _ in range(2) for name in ("wsgi", "asgi")
    ]
    assert all(cell["server_cpu_s_per_request"] > 0 and cell["samples"] > 0 for cell in found["cells"])
    assert found["terms"]["allowed"] == ["spelling of JSON bodies", "JSON value n"]
    assert found["terms"]["subjects"]["wsgi"].startswith("plain:make_wsgi('/') on gunicorn ")
    settings = found["manifest"]["settings"]
    assert (settings["wsgi"]["WORKERS"], settings["wsgi"]["THREADS"], settings["asgi"]["LOOP"]) == ("1", "3", "uvloop")
    [path] = (tmp_path / "results").glob("*-compare/result.json")
    stored = result_file.load(path)
    assert stored.terms is not None
    assert stored.terms.repeats == 3
    assert left_over() == []


@pytest.mark.slow
def test_answers_that_differ_are_shown_side_by_side_and_not_timed(tmp_path: Path) -> None:
    write_plain(tmp_path / "apps")
    done = run_cli(tmp_path, *APPS, "--target", "/unlike", "--target", "/count")
    assert (done.returncode, "Traceback" in done.stderr, "round" in done.stderr) == (4, False, False)
    assert "/unlike, unequal" in done.stdout
    assert '{"side": ">>w<<sgi"}' in done.stdout
    assert '{"side": ">>a<<sgi"}' in done.stdout
    assert "wsgi$ curl -s -i" in done.stdout
    assert "/count, not deterministic" in done.stdout
    assert "--ignore-json n" in done.stdout
    assert "-m uvicorn --host 127.0.0.1" in done.stdout
    assert not (tmp_path / "results").exists()
    assert left_over() == []


@pytest.mark.slow
def test_an_application_that_cannot_be_imported_is_told_by_its_log(tmp_path: Path) -> None:
    write_plain(tmp_path / "apps")
    words = ("--wsgi", "plain:wsgi", "--asgi", "nowhere:app", "--app-dir", "apps", "--target", "/x")
    done = run_cli(tmp_path, "compare", *words)
    assert (done.returncode, done.stdout, "shared/" in done.stderr) == (3, "", False)
    assert 'Could not import module "nowhere"' in done.stderr
    assert "--python" in done.stderr
    assert left_over() == []


@pytest.mark.slow
def test_two_services_that_run_already_are_compared_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ASGI application twice; its processes are found, and their CPU time is known."""
    argv = (sys.executable, "-m", "uvicorn", "--host", HOST, "--port", "{port}", "--no-access-log", "plain:asgi")
    spec = ServiceSpec("plain", argv, {}, ready_path="/x", directory=write_plain(tmp_path / "apps"))
    monkeypatch.chdir(tmp_path)
    with Service(spec, log_directory=tmp_path) as one, Service(spec, log_directory=tmp_path) as other:
        urls = ("compare", "--a", one.url, "--b", other.url.replace(HOST, "localhost"))
        done = run_cli(tmp_path, *urls, "--target", "/x", *SHORT, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["subjects"] == ["a", "b"]
        assert all(cell["server_cpu_s_per_request"] > 0 for cell in found["cells"])
        assert {ratio["numerator"] for ratio in found["ratios"]} == {"b"}
        assert one.pids()
        assert other.pids()
