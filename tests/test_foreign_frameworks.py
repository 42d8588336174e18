"""Flask against FastAPI, and Locust on our own services: programs that live in an environment of their own."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.cli.foreign import Options
from shared.lab.planning import scenarios
from shared.lab.services.process import HOST
from shared.lab.services.process import free_port
from shared.report import locust
from tests.clients import get
from tests.conftest import ServiceFactory
from tests.foreign_apps import run_cli
from tests.foreign_environment import foreign_environment
from tests.recorded_compare import run_command

__all__ = ["foreign_environment"]

# Written as the two frameworks' own introductions have it.
FLASK = """
from flask import Flask

def create_app():
    app = Flask(__name__)

    @app.get("/hello/<name>")
    def hello(name):
        return {"message": f"Hello {name}"}

    return app
"""
FASTAPI = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/hello/{name}")
async def hello(name: str):
    return {"message": f"Hello {name}"}
"""


@pytest.mark.slow
def test_flask_and_fastapi_are_compared_in_their_own_environment(foreign_environment: Path, tmp_path: Path) -> None:
    """Flask ends its JSON with a line break, FastAPI does not: hence the rule."""
    (tmp_path / "flask_side.py").write_text(FLASK, encoding="utf-8")
    (tmp_path / "fastapi_side.py").write_text(FASTAPI, encoding="utf-8")
    words = ["compare", "--wsgi", "flask_side:create_app()", "--asgi", "fastapi_side:app"]
    words += ["--python", str(foreign_environment / "python"), "--target", "GET /hello/world", "--allow", "json"]
    done = run_cli(tmp_path, *words, "--rounds", "3", "--seconds", "0.05", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {cell["subject"] for cell in found["cells"] if cell["samples"]} == {"wsgi", "asgi"}
    assert re.search(r"\bflask 3\.", found["manifest"]["settings"]["wsgi"]["PACKAGES"])
    # The C parser of gunicorn is not in that environment, and the result says so.
    assert ("python_parser", "wsgi") in {(doubt["code"], doubt["subject"]) for doubt in found["doubts"]}


@pytest.mark.slow
def test_locust_loads_a_service_from_two_workers(
    foreign_environment: Path, start_service: ServiceFactory, new_database: str, tmp_path: Path
) -> None:
    """One master, two workers, every scenario, no failure; on data that no other test has changed."""
    service = start_service("asgi", DATABASE_URL=new_database)
    assert get(service.port, "/db").status == 200
    assert run_cli(tmp_path, "export", "locust", "--output", "load.py").returncode == 0
    program = [str(foreign_environment / "locust"), "-f", "load.py"]
    port = str(free_port())
    worker = [*program, "--worker", "--master-host", HOST, "--master-port", port]
    master = [*program, "--master", "--master-bind-host", HOST, "--master-bind-port", port, "--headless"]
    master += ["--expect-workers", "2", "--users", "16", "--spawn-rate", "16", "--run-time", "3s"]
    master += ["--host", service.url, "--csv", "figures", "--only-summary", "--exit-code-on-error", "1"]
    with (
        subprocess.Popen(worker, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one,
        subprocess.Popen(worker, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other,
    ):
        try:
            done = subprocess.run(master, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
            assert done.returncode == 0, done.stderr
            assert (one.wait(30), other.wait(30)) == (0, 0)
        finally:
            for process in (one, other):
                process.kill()
    with (tmp_path / "figures_stats.csv").open(encoding="utf-8", newline="") as text:
        rows = {row["Name"]: row for row in csv.DictReader(text)}
    targets = {scenario.target for scenario in scenarios.choose([scenarios.EVERYTHING], lab=False)}
    assert set(rows) == {*targets, "Aggregated"}
    assert all(int(row["Request Count"]) > 0 and int(row["Failure Count"]) == 0 for row in rows.values())
    assert "2 workers connected" in done.stderr


def exported(*words: str) -> str:
    """Return the locustfile of the scenarios that words name."""
    chosen = scenarios.choose(words, lab=False)
    return locust.locustfile(chosen, command="wsgi-vs-asgi export locust --scenario 'x\"y\\'", file="load.py")


@pytest.mark.parametrize("words", [("all",), ("mixed", "cpu"), ("/queries?queries=5", "db"), ("/accounts/7",)])
def test_a_locustfile_is_formatted_compiles_and_has_every_target(words: tuple[str, ...], tmp_path: Path) -> None:
    text = exported(*words)
    compile(text, "load.py", "exec")
    (tmp_path / "load.py").write_text(text, encoding="utf-8")
    ruff = str(Path(sys.executable).with_name("ruff"))
    single = "lint.isort.force-single-line=true"
    # Long lines aside: a target and the command that made the file are as long as they are.
    for command in (["format", "--check"], ["check", "--select", "E4,E7,E9,F,W,I,B", "--config", single]):
        words_of_ruff = [ruff, *command, "--isolated", "load.py"]
        done = subprocess.run(words_of_ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    held: dict[str, object] = {}
    # Its head is data: everything between the imports and the first class.
    exec(text[text.index("TARGETS = {") : text.index("class ")], held)
    drawn = held["TARGETS"]
    assert isinstance(drawn, dict)
    chosen = scenarios.choose(words, lab=False)
    wanted = {target for scenario in chosen for target in ([p.target for p in scenario.parts] or [scenario.target])}
    assert {target for targets in drawn.values() for target in targets} == wanted
    assert set(drawn) == set(held["WEIGHTS"])  # type: ignore[call-overload]  # a dict, as the text above shows


def test_a_mix_keeps_its_weights() -> None:
    text = exported("mixed")
    for name, weight in scenarios.MIX.items():
        [target] = {s.target for s in scenarios.choose([name], lab=False)}
        assert f'        "{target}": {weight},' in text


def test_export_overwrites_its_own_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, own = tmp_path / "mine.py", tmp_path / "load.py"
    mine.write_text("print()\n", encoding="utf-8")
    assert run_command(monkeypatch, "export", "locust", "--output", str(mine)) == 2
    assert mine.read_text("utf-8") == "print()\n"
    for words in ((), ("--scenario", "db")):
        assert run_command(monkeypatch, "export", "locust", "--output", str(own), *words) == 0
    assert '"/json"' not in own.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--scenario", "nothing"), "no scenario 'nothing'"),
        (("--output", "/nowhere/load.py"), "Cannot write /nowhere/load.py"),
        (("--output", "/"), "Cannot write /"),
    ],
)
def test_exports_that_cannot_be_are_refused(
    words: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "export", "locust", *words) == 2
    printed = capsys.readouterr()
    assert (text in printed.err, printed.out) == (True, "")


def test_options_not_given_are_not_counted() -> None:
    assert Options(None, None, None, None, (), None, None, (), (), may_load=False).given == []
