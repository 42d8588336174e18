"""Services as processes: ready when they answer, explained when they fail, and never left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from shared.errors import EnvironmentFailure
from shared.lab.services import usage
from shared.lab.services.process import CoreRoles
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from shared.lab.services.process import running

# A server with a child of its own, as a server with workers has.
WITH_WORKER = """
import http.server, signal, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *arguments): pass
def stop(*arguments):
    worker.kill(); worker.wait(); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SPEC = ServiceSpec("server with worker", (sys.executable, "-c", WITH_WORKER, "{port}"), {})

DEADLINE_S = 10.0


def program(source: str, *, name: str = "failing") -> ServiceSpec:
    return ServiceSpec(name, (sys.executable, "-c", source, "{port}"), {})


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def survivors(pids: list[int]) -> list[int]:
    """Return who is still alive after a while."""
    deadline = time.monotonic() + DEADLINE_S
    while (alive := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return alive


def test_stops_gracefully_and_leaves_nothing(tmp_path: Path) -> None:
    service = Service(SPEC, log_directory=tmp_path)
    service.start()
    pids = service.pids()
    assert len(pids) == 2
    assert service.stop() == 0
    assert survivors(pids) == []
    assert service.pids() == []
    assert service.stop() is None


def test_leaves_nothing_after_an_error_in_the_block() -> None:
    pids: list[int] = []
    with contextlib.suppress(ZeroDivisionError), Service(SPEC) as service:
        pids = service.pids()
        raise ZeroDivisionError
    assert len(pids) == 2
    assert survivors(pids) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_survives_the_starter(number: signal.Signals) -> None:
    """However the starter ends, its service and the service's own children end too."""
    source = (
        "import sys, time; sys.path.insert(0, '.')\n"
        "from tests.test_process import SPEC\n"
        "from shared.lab.services.process import Service\n"
        "with Service(SPEC) as service:\n"
        "    print(*service.pids(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root
    ) as starter:
        assert starter.stdout is not None
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 2
        starter.send_signal(number)
    assert survivors(pids) == []


def test_service_outlives_the_thread_that_started_it() -> None:
    """A parent-death signal alone would kill it with the thread."""
    service = Service(SPEC)
    thread = threading.Thread(target=service.start)
    thread.start()
    thread.join()
    try:
        assert len(service.pids()) == 2
        assert service.stop() == 0
    finally:
        service.kill()


def test_failed_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    spec = program("print('line 1'); print('no such setting: POOL'); raise SystemExit(3)")
    with pytest.raises(EnvironmentFailure) as caught, Service(spec, log_directory=tmp_path):
        pass
    assert "ended with exit code 3" in caught.value.what
    assert "no such setting: POOL" in caught.value.why
    assert str(tmp_path) in caught.value.hint


def test_service_that_never_answers_is_given_up_and_killed(tmp_path: Path) -> None:
    spec = program("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    service = Service(spec, ready_timeout_s=0.5, log_directory=tmp_path)
    with pytest.raises(EnvironmentFailure, match=r"did not answer /livez with 200 within 0\.5 s"):
        service.start()
    assert survivors([int(service.log_tail())]) == []


def test_command_that_does_not_exist_is_named() -> None:
    with (
        pytest.raises(EnvironmentFailure, match="no-such-command"),
        Service(ServiceSpec("x", ("no-such-command",), {})),
    ):
        pass


def test_process_that_has_ended_listens_nowhere() -> None:
    """Nobody has waited for it yet; an ordinary user may not see its files any more."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert not usage.listens([ended.pid], 8001)
    finally:
        ended.wait()


def test_taken_port_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(SPEC) as first:
        ports = iter([first.port])
        real = sys.modules[Service.__module__].free_port
        monkeypatch.setattr("shared.lab.services.process.free_port", lambda: next(ports, None) or real())
        with Service(SPEC) as second:
            assert second.port != first.port


def test_service_that_ignores_the_stop_is_killed_and_reported() -> None:
    source = WITH_WORKER.replace("worker.kill(); worker.wait(); sys.exit(0)", "pass")
    service = Service(program(source, name="stubborn"), stop_timeout_s=0.3)
    service.start()
    pids = service.pids()
    with pytest.raises(EnvironmentFailure, match="stubborn did not stop"):
        service.stop()
    assert survivors(pids) == []


def test_port_reaches_arguments_and_environment() -> None:
    spec = ServiceSpec(
        "env",
        (sys.executable, "-c", WITH_WORKER.replace("sys.argv[1]", "__import__('os').environ['P']")),
        {"P": "{port}"},
    )
    with Service(spec) as service:
        assert service.url == f"http://127.0.0.1:{service.port}"


def test_several_services_run_and_stop_together() -> None:
    with running([SPEC, SPEC]) as services:
        pids = [pid for service in services for pid in service.pids()]
        assert len(pids) == 4
    assert survivors(pids) == []


def test_server_and_its_children_are_pinned() -> None:
    core = min(os.sched_getaffinity(0))
    with Service(SPEC, cores=frozenset({core})) as service:
        assert all(os.sched_getaffinity(pid) == {core} for pid in service.pids())


def test_cores_of_server_and_client_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {2, 3, 5})
    assert choose_cores() == CoreRoles(frozenset({2}), frozenset({3}))
    assert choose_cores(server_cores=8) == CoreRoles(frozenset({2, 3}), frozenset({5}))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert not choose_cores().are_apart


def test_edition_is_started_by_name_on_a_port_of_its_own() -> None:
    spec = edition_spec("asgi", {"POOL_SIZE": "10", "ASGI_PORT": "8002"})
    assert spec.argv[1:] == ("-m", "asgi_app")
    assert spec.environ == {"POOL_SIZE": "10", "HOST": "127.0.0.1", "ASGI_PORT": "{port}"}


def test_cpu_time_of_a_tree_holds_that_of_its_children() -> None:
    source = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', "
        "'import time\\nwhile time.process_time() < 0.3: pass\\nprint(flush=True); time.sleep(60)'])"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pids = usage.tree(parent.pid)
        used_s = usage.cpu_between({}, usage.cpu_by_process(pids))
        peak = usage.peak_bytes(pids)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    assert len(pids) == 2
    assert 0.3 <= used_s < 3
    assert peak > 2_000_000


def test_processes_that_are_gone_have_used_nothing() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    assert usage.cpu_by_process([ended.pid]) == {}
    assert usage.tree(ended.pid) == []
    assert usage.peak_bytes([ended.pid]) == 0
