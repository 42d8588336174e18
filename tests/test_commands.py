"""The commands as people type them: what they print, how they end, and what they leave behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psycopg2
import pytest

from shared.config import Edition
from shared.lab.services.process import HOST
from shared.lab.services.process import free_port

ROOT = Path(__file__).resolve().parent.parent
SECRET = "canary-9f3a"


def run(
    *words: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the console script and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", "from shared.cli import main; main()", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd or ROOT,
        env={**os.environ, **(environ or {})},
        check=False,
    )


def test_config_shows_every_value_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WSGI_PORT=9001\n")
    url = f"postgresql://me:{SECRET}@localhost/x"
    environ = {"DATABASE_URL": url, "CHECK_TOKEN": SECRET, "PYTHONPATH": str(ROOT)}
    done = run("config", environ=environ, cwd=tmp_path)
    assert done.returncode == 0
    assert SECRET not in done.stdout + done.stderr
    assert re.search(r"^WSGI_PORT +9001 +.*\.env$", done.stdout, re.M)
    assert re.search(r"^DATABASE_URL +postgresql://me:\*\*\*@localhost/x +environment$", done.stdout, re.M)
    assert re.search(r"^ASGI_PORT +8002 +default$", done.stdout, re.M)


@pytest.mark.parametrize(
    ("words", "environ", "code", "text"),
    [
        (("config",), {"POOL_SIZE": "many"}, 2, "POOL_SIZE is not usable"),
        (("config",), {"POOL_SIZ": "10"}, 2, "Unknown setting POOL_SIZ"),
        (("run", "cgi"), {}, 2, "expected wsgi or asgi"),
        (("check", "http://127.0.0.1:1"), {}, 2, "give two URLs"),
        (("doctor",), {"DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/x"}, 3, "Connection refused"),
    ],
)
def test_a_failure_is_explained_without_a_traceback(
    words: tuple[str, ...], environ: Mapping[str, str], code: int, text: str
) -> None:
    done = run(*words, environ=environ)
    output = done.stdout + done.stderr
    assert (done.returncode, "Traceback" in output, SECRET in output) == (code, False, False)
    assert text in output


def test_debug_shows_the_traceback() -> None:
    done = run("config", "--debug", environ={"POOL_SIZE": "many"})
    assert "Traceback" in done.stderr


def test_a_taken_port_is_named_with_a_way_out(edition: Edition, database_url: str) -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = run("run", edition, environ={f"{edition.upper()}_PORT": port, "DATABASE_URL": database_url})
    assert done.returncode == 3
    assert f"Cannot listen on {HOST}:{port}" in done.stderr
    assert f"{edition.upper()}_PORT=" in done.stderr
    assert "Traceback" not in done.stderr


def without_psycopg(directory: Path) -> str:
    """Return a PYTHONPATH with which psycopg seems not to be installed, in whatever process a command becomes."""
    (directory / "sitecustomize.py").write_text("import sys\n\nsys.modules['psycopg'] = None\n")
    return os.pathsep.join([str(directory), str(ROOT)])


def test_a_driver_that_is_not_installed_is_named(edition: Edition, tmp_path: Path) -> None:
    path = without_psycopg(tmp_path)
    url = f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x"
    done = run(
        "run", edition, environ={f"{edition.upper()}_PORT": str(free_port()), "DATABASE_URL": url, "PYTHONPATH": path}
    )
    assert (done.returncode, "Traceback" in done.stderr, SECRET in done.stderr) == (2, False, False)
    assert "the driver psycopg, which is not installed" in done.stderr


def test_interrupt_ends_a_service_and_the_port_is_free_again(edition: Edition, database_url: str) -> None:
    port = free_port()
    environ = {**os.environ, f"{edition.upper()}_PORT": str(port), "DATABASE_URL": database_url}
    command = [sys.executable, "-c", "from shared.cli import main; main()", "run", edition]
    for _ in range(2):
        with subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        ) as service:
            _await_answer(f"http://{HOST}:{port}/livez")
            os.killpg(service.pid, signal.SIGINT)
            output = service.communicate(timeout=20)[0].decode()
        assert "Traceback" not in output
        assert service.returncode in (0, 130)


def test_twins_prints_the_whole_difference() -> None:
    done = run("twins")
    assert done.returncode == 0
    assert re.search(r"^twins +\d+ of \d+ *$", done.stdout, re.M)
    assert "+async def plaintext" in done.stdout


def test_database_url_prints_what_is_configured() -> None:
    done = run("database-url", environ={"DATABASE_URL": "postgresql://me@localhost/x"})
    assert (done.returncode, done.stdout) == (0, "postgresql://me@localhost/x\n")


def test_database_reset_makes_the_tables_as_new(new_database: str) -> None:
    assert run("database-reset", environ={"DATABASE_URL": new_database}).returncode == 0
    with psycopg2.connect(new_database) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE world SET randomnumber = 0; DELETE FROM accounts")
    connection.close()
    assert run("database-reset", environ={"DATABASE_URL": new_database}).returncode == 0
    connection = psycopg2.connect(new_database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(randomnumber), max(randomnumber) FROM world")
        assert cursor.fetchone() == (10_000, 1, 10_000)
        cursor.execute("SELECT count(*), sum(balance) FROM accounts")
        assert cursor.fetchone() == (10_000, 100_000_000)
    connection.close()


@pytest.mark.slow
def test_clean_is_refused_while_a_service_uses_the_database(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path / "data")}
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from shared import postgres\n"
            "lease = postgres.acquire(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()",
            environ["DATA_DIR"],
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert run("clean", environ=environ).returncode == 2
        assert (tmp_path / "data" / "postgres").is_dir()
        holder.communicate("")
    assert run("clean", environ=environ).returncode == 0
    assert not (tmp_path / "data").exists()


def test_make_help_names_every_target_and_every_command_has_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert targets == set(re.findall(r"^  make ([a-z-]+) ", shown, re.M))
    listed = run("--help").stdout
    commands = set(re.findall(r"^\W{1,3}([a-z][a-z-]+) {2,}", listed, re.M))
    assert "compare" in commands
    # `export` is a word of make's own.
    assert commands - {"run", "export"} <= targets
    assert {"run-wsgi", "run-asgi", "locust"} <= targets


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            assert httpx.get(url, timeout=1).status_code == 200
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("command", ["check", "compare", "bench-services", "bench-trace", "database-reset"])
@pytest.mark.parametrize(
    ("url", "code", "why"),
    [
        ("postgresql://somebody:hunter2@127.0.0.1:1/nothing", 3, "Connection refused"),
        ("postgresql+psycopg://somebody:hunter2@127.0.0.1:1/nothing", 2, "psycopg, which is not installed"),
    ],
    ids=["unreachable", "driver"],
)
def test_command_whose_database_cannot_be_used_says_so(
    command: str, url: str, code: int, why: str, tmp_path: Path
) -> None:
    done = run(command, environ={"DATABASE_URL": url, "PYTHONPATH": without_psycopg(tmp_path)})
    assert done.returncode == code
    assert why in done.stderr
    assert "Next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
