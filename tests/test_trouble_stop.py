"""Stops: asked for under load, forced, and followed by another start on the same port."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence

import psutil
import pytest

from shared.config import Edition
from shared.lab.services.process import Service

from .clients import Crowd
from .clients import RawClient
from .clients import bad_log_lines
from .clients import eventually
from .clients import get
from .clients import request
from .cluster import sessions
from .conftest import ServiceFactory

# The slowest request, in seconds, and what a stop may take beside it: the time an idle connection is kept for a request
# that is on its way (2 s in both servers), and a busy machine.
SLOWEST_S = 0.5
STOP_MARGIN_S = 2 + 2.5
REPETITIONS = 3


def signal_main(service: Service, number: int) -> None:
    """Send a signal to the service's first process, the one that a person would stop."""
    os.kill(main_process(service).pid, number)


def main_process(service: Service) -> psutil.Process:
    """Return the service's first process."""
    found = [psutil.Process(pid) for pid in service.pids()]
    pids = {process.pid for process in found}
    (main,) = [process for process in found if process.ppid() not in pids]
    return main


def stop_under_load(service: Service, edition: Edition, url: str, number: int, clients: int) -> None:
    """Signal a loaded service and check that everything accepted was answered, and nothing was left."""
    sleep = request("GET", f"/sleep?seconds={SLOWEST_S}")
    kept = Crowd(service.port, sleep, clients)
    fresh = Crowd(service.port, sleep, clients, keeps_connection=False)
    quick = Crowd(service.port, request("GET", "/plaintext"), 2)
    time.sleep(1.2)
    processes = [psutil.Process(pid) for pid in service.pids()]
    supervisor = main_process(service).parent()
    assert supervisor is not None
    signalled_at = time.monotonic()
    signal_main(service, number)
    eventually(lambda: get(service.port, "/livez", 1).error.startswith("connect: ConnectionRefused"), 10)
    # Waited for, because stop() sends SIGTERM itself.
    eventually(lambda: not alive([*processes, supervisor]), 10)
    assert service.stop() == 0
    assert time.monotonic() - signalled_at < SLOWEST_S * 3 + STOP_MARGIN_S
    replies = kept.stop() + fresh.stop() + quick.stop()
    lost = [reply for reply in replies if reply.status != 200 and not reply.error.startswith("connect:")]
    assert not lost, f"{len(lost)} of {len(replies)} lost: {sorted({reply.error or reply.problem for reply in lost})}"
    assert len([reply for reply in replies if reply.status == 200]) > 4 * clients
    assert eventually(lambda: sessions(url, edition) == 0, 1)
    assert bad_log_lines(service) == []


@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_sigterm_under_load_loses_no_accepted_request(
    edition: Edition, start_service: ServiceFactory, new_database: str, repetition: int
) -> None:
    """Kept connections and new ones; each request that was accepted is answered whole, and the exit code is 0."""
    service = start_service(edition, DATABASE_URL=new_database)
    assert get(service.port, "/db").status == 200
    stop_under_load(service, edition, new_database, signal.SIGTERM, clients=4)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 2), (signal.SIGINT, 1), (signal.SIGINT, 2)])
def test_other_stops_lose_nothing_either(
    edition: Edition, start_service: ServiceFactory, new_database: str, number: int, workers: int
) -> None:
    """Ctrl-C, and two workers."""
    service = start_service(edition, DATABASE_URL=new_database, **{f"{edition.upper()}_WORKERS": str(workers)})
    assert get(service.port, "/db").status == 200
    stop_under_load(service, edition, new_database, number, clients=4)


@pytest.mark.slow
def test_killed_parent_leaves_no_worker_and_the_port_is_free(
    edition: Edition, start_service: ServiceFactory, new_database: str
) -> None:
    """SIGKILL of the first of three processes: the workers notice, and the next start on the port works."""
    environ = {"DATABASE_URL": new_database, f"{edition.upper()}_WORKERS": "2"}
    service = start_service(edition, **environ)
    assert get(service.port, "/db").status == 200
    processes = [psutil.Process(pid) for pid in service.pids()]
    assert len(processes) >= 3
    main_process(service).kill()
    eventually(lambda: not alive(processes), 5)
    eventually(lambda: sessions(new_database, edition) == 0, 2)
    again = start_service(edition, **environ, **{f"{edition.upper()}_PORT": str(service.port)})
    assert get(again.port, "/db").status == 200


@pytest.mark.slow
def test_same_port_serves_again_right_after_a_stop(edition: Edition, start_service: ServiceFactory) -> None:
    """Also with connections that are still in TIME_WAIT."""
    service = start_service(edition)
    port = service.port
    for _ in range(2):
        with RawClient(port) as client:
            assert client.exchange(request("GET", "/plaintext", [("Connection", "close")])).status == 200
        service.stop()
        service = start_service(edition, **{f"{edition.upper()}_PORT": str(port)})
        port = service.port


def alive(processes: Sequence[psutil.Process]) -> list[int]:
    """Return the pids that still run."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
