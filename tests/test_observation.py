"""What is read of a server between slices: made readings have known differences, real services known work."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg2.extensions
import pytest

from shared.config import Edition
from shared.config import Settings
from shared.lab.observation import exposition
from shared.lab.observation import machine
from shared.lab.observation import processes
from shared.lab.observation.observer import Observer
from shared.lab.observation.processes import ProcessReading
from shared.lab.results.server import DatabaseFigures
from shared.lab.results.server import ProcessFigures
from shared.lab.results.server import ServerFigures
from shared.lab.results.server import ServiceFigures
from shared.lab.results.server import bucket_quantile
from shared.lab.results.server import summarise
from shared.lab.services.process import Service
from tests.clients import eventually
from tests.conftest import NO_TLS
from tests.conftest import ServiceFactory

FIGURES = ServerFigures(
    ProcessFigures(0.4, 0.1, 2_000, 500, threads=14, open_files=60, resident_bytes=100),
    DatabaseFigures(10, 4, 2.0, 2, statements=1_000, rows=3_000),
    ServiceFigures(100, 0.5, 0, {"0.001": 90, "0.1": 99, "+Inf": 100}, None),
)


# Figures from readings


def test_processes_are_added_up_and_new_ones_count_from_their_start() -> None:
    before = {1: ProcessReading(1.0, 0.5, 100, 10, 3, 8, 1_000), 2: ProcessReading(9.0, 9.0, 900, 90, 1, 1, 1)}
    after = {1: ProcessReading(1.4, 0.6, 150, 12, 4, 9, 2_000), 3: ProcessReading(0.1, 0.2, 5, 1, 2, 3, 500)}
    found = processes.between(before, after)
    assert found is not None
    assert found.user_s == pytest.approx(0.5)
    assert found.system_s == pytest.approx(0.3)
    assert (found.voluntary_switches, found.involuntary_switches) == (55, 3)
    assert (found.threads, found.open_files, found.resident_bytes) == (6, 12, 2_500)
    assert processes.between(before, {}) is None


def test_context_switches_are_those_of_all_threads() -> None:
    """The process's own file counts its first thread only; this one waits elsewhere."""
    turns, done = threading.Semaphore(0), threading.Semaphore(0)

    def take_turns() -> None:
        for _ in range(200):
            turns.acquire()
            done.release()

    other = threading.Thread(target=take_turns)
    other.start()
    before = processes.switches(os.getpid())[0]
    for _ in range(199):
        turns.release()
        done.acquire()
    after = processes.switches(os.getpid())[0]
    turns.release()
    other.join()
    own = sum(int(line.split()[1]) for line in status_lines() if line.startswith("voluntary_ctxt_switches"))
    assert after - before >= 199
    assert after > own


def status_lines() -> list[str]:
    return Path("/proc/self/status").read_text(encoding="ascii").splitlines()


METRICS = """\
# TYPE pool_waits counter
pool_waits_total {waits}
# TYPE pool_wait_seconds counter
pool_wait_seconds_total {wait_s}
# TYPE pool_timeouts counter
pool_timeouts_total 3.0
# TYPE event_loop_lag_seconds histogram
event_loop_lag_seconds_bucket{{le="0.001"}} {quick}
event_loop_lag_seconds_bucket{{le="+Inf"}} {all}
event_loop_lag_seconds_sum 1.0
event_loop_lag_seconds_count {all}
# TYPE server_threads_busy histogram
server_threads_busy_bucket{{le="+Inf"}} {all}
server_threads_busy_sum {busy}
server_threads_busy_count {all}
"""


def test_service_figures_are_the_difference_of_two_readings() -> None:
    before = exposition.parse(METRICS.format(waits=10, wait_s=1.5, quick=40, all=50, busy=100))
    after = exposition.parse(METRICS.format(waits=25, wait_s=2.0, quick=50, all=75, busy=300))
    found = exposition.between(before, after)
    assert found == ServiceFigures(15, 0.5, 0, {"0.001": 10, "+Inf": 25}, 8.0)


def test_service_without_these_metrics_has_no_such_figures() -> None:
    nothing = exposition.parse("# TYPE up gauge\nup 1.0\n")
    assert exposition.between(nothing, nothing) == ServiceFigures(None, None, None, None, None)
    assert exposition.read("127.0.0.1", 1) is None


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        ({"0.001": 90, "0.01": 98, "0.1": 100, "+Inf": 100}, 0.99, 0.1),
        ({"0.001": 90, "0.01": 99, "0.1": 100, "+Inf": 100}, 0.99, 0.01),
        ({"0.001": 100, "0.01": 100, "+Inf": 100}, 0.5, 0.001),
        # Beyond the last bound nothing more is known.
        ({"0.001": 0, "0.01": 0, "+Inf": 7}, 0.99, 0.01),
        ({"0.001": 0, "+Inf": 0}, 0.99, None),
        ({}, 0.99, None),
    ],
)
def test_quantile_of_a_histogram_is_its_buckets_bound(counts: dict[str, int], q: float, expected: float | None) -> None:
    assert bucket_quantile(counts, q) == expected


def test_cell_adds_up_its_slices_per_request() -> None:
    found = summarise([FIGURES, FIGURES], good=1_000)
    assert found is not None
    assert found.user_s_per_request == pytest.approx(0.0008)
    assert found.system_s_per_request == pytest.approx(0.0002)
    assert (found.voluntary_switches_per_request, found.involuntary_switches_per_request) == (4.0, 1.0)
    assert (found.threads, found.open_files, found.resident_bytes) == (14, 60, (100, 100))
    assert (found.sessions_held, found.sessions_in_use, found.sessions_in_use_mean) == (10, 4, 2.0)
    assert (found.statements_per_request, found.rows_per_request) == (2.0, 6.0)
    assert (found.pool_waits, found.pool_waits_per_request) == (200, 0.2)
    assert (found.pool_wait_s, found.pool_timeouts) == (1.0, 0)
    assert (found.loop_lag_p99_s, found.busy_threads) == (0.1, None)


def test_sum_is_absent_where_a_slice_lacks_its_part() -> None:
    """Its requests would be divided by nevertheless."""
    found = summarise([FIGURES, ServerFigures(processes=FIGURES.processes)], good=1_000)
    assert found is not None
    assert found.statements_per_request is None
    assert found.pool_waits is None
    assert found.user_s_per_request == pytest.approx(0.0008)
    assert found.sessions_held == 10
    assert summarise([None, None], good=1_000) is None


def file_system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "self/cgroup": "0::/box/inner\n",
                "fs/cgroup/box/cpu.stat": "usage_usec 5\nnr_throttled 2\nthrottled_usec 1500000\n",
                "fs/cgroup/box/inner/cpu.stat": "nr_throttled 1\nthrottled_usec 250000\n",
            },
            1.75,
        ),
        (
            {
                "self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n",
                "fs/cgroup/cpu/box/cpu.stat": "nr_throttled 2\nthrottled_time 2000000000\n",
            },
            2.0,
        ),
        ({"self/cgroup": "0::/\n", "fs/cgroup/cpu.stat": "usage_usec 5\n"}, None),
        ({}, None),
    ],
    ids=["version 2", "version 1", "no limit", "no control groups"],
)
def test_throttling_is_read_from_every_control_group_around(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    root = file_system(tmp_path, files)
    assert machine.read(root, root).throttled_s == expected


def test_clock_is_the_mean_of_the_servers_processors(tmp_path: Path) -> None:
    names = [f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq" for core in (0, 2)]
    root = file_system(tmp_path, dict(zip(names, ("2000000\n", "3000000\n"), strict=True)))
    assert machine.clocks_hz((0, 2), root) == 2.5e9
    assert machine.clocks_hz((0, 1), root) is None
    assert machine.clocks_hz((), root) is None


# Real services


@contextmanager
def observed(observer: Observer, service: Service, found: list[ServerFigures]) -> Iterator[None]:
    """Append what a service used within the block."""
    watch = observer.open("127.0.0.1", service.port)
    observer.begin(watch, service.pids())
    yield
    found.append(observer.end(watch, service.pids()))


@pytest.mark.slow
def test_real_service_is_seen_at_its_work(
    start_service: ServiceFactory, edition: Edition, new_database: str, connection: psycopg2.extensions.connection
) -> None:
    """Statements per request are those of the contract, and waiting shows where this edition waits."""
    service = start_service(edition, DATABASE_URL=new_database, SAMPLE_LOAD="1", TRACE="0")
    found: list[ServerFigures] = []
    with Observer(new_database) as observer, httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:

        def ask(target: str, times: int, at_once: int = 1) -> ServerFigures:
            def some() -> None:
                for _ in range(times):
                    assert client.get(target).status_code == 200

            with observed(observer, service, found):
                threads = [threading.Thread(target=some) for _ in range(at_once)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            return found[-1]

        client.get("/db")
        db, queries = ask("/db", 30), ask("/queries?queries=20", 5)
        assert db.database is not None
        assert queries.database is not None
        assert (db.database.statements, db.database.rows) == (30, 30)
        assert (queries.database.statements, queries.database.rows) == (100, 100)
        # BEGIN and COMMIT of each; DECLARE and FETCH are not counted every time, so they are not counted at all.
        stream = ask("/stream?rows=10", 5)
        assert stream.database is not None
        assert stream.database.statements == 10

        asleep = ask("/sleep?seconds=1", 1, at_once=5)
        assert asleep.database is not None
        assert asleep.processes is not None
        assert asleep.service is not None
        assert 5 <= asleep.database.sessions_in_use <= asleep.database.sessions_held <= Settings().pool_size
        assert asleep.database.samples >= 3
        assert asleep.service.pool_waits == 0
        assert asleep.processes.user_s + asleep.processes.system_s < 1.0

        blocked = ask("/blocking?seconds=0.6", 1)
        assert blocked.service is not None
        if edition == "asgi":
            assert blocked.service.loop_lag is not None
            # One sample was late by half a second or more; five requests asleep in the database delay nobody.
            assert blocked.service.loop_lag["+Inf"] - blocked.service.loop_lag["0.5"] >= 1
            assert asleep.service.loop_lag is not None
            assert asleep.service.loop_lag["+Inf"] - asleep.service.loop_lag["0.5"] == 0
        else:
            assert asleep.service.busy_threads is not None
            assert blocked.service.busy_threads is not None
            assert blocked.service.busy_threads < 2.5 < asleep.service.busy_threads <= Settings().wsgi_threads


@pytest.mark.slow
def test_several_workers_share_what_they_count(start_service: ServiceFactory, edition: Edition) -> None:
    """Nobody names the directory of their files: the service does, before its first metric is made."""
    service = start_service(edition, SAMPLE_LOAD="1", TRACE="0", **{f"{edition.upper()}_WORKERS": "2"})
    name = "event_loop_lag_seconds_count" if edition == "asgi" else "server_threads_busy_count"

    def has_counted() -> bool:
        reading = exposition.read("127.0.0.1", service.port)
        return reading is not None and reading.values.get(name, 0) > 0 and "pool_waits_total" in reading.values

    eventually(has_counted, 15)
