"""The embedded server, with real processes: shared, counted by the kernel, brought back, and never left behind."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psycopg2
import pytest

from shared import postgres
from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from tests.postgres.processes import User
from tests.postgres.processes import keeper
from tests.postgres.processes import kill
from tests.postgres.processes import postmaster
from tests.postgres.processes import processes
from tests.postgres.processes import query
from tests.postgres.processes import wait_until


def test_users_share_one_server_and_the_last_stops_it(data_dir: Path, start_user: Callable[..., User]) -> None:
    assert postgres.running_url(data_dir) is None
    lease = postgres.acquire(data_dir)
    other = start_user()
    assert other.url() == lease.url == postgres.running_url(data_dir)
    assert len(processes(data_dir)) == 2
    lease.release()
    lease.release()
    assert query(lease.url, "SELECT 1") == (1,)
    assert other.end() == 0
    assert processes(data_dir) == []
    assert postgres.running_url(data_dir) is None


def test_server_is_set_up_as_promised(data_dir: Path) -> None:
    with postgres.acquire(data_dir) as lease:
        assert query(lease.url, "SELECT count(*) > 0 FROM pg_stat_statements") == (True,)
        assert query(lease.url, "SHOW fsync") == ("on",)
        assert query(lease.url, "SHOW max_connections") == ("200",)
        assert query(lease.url, "SHOW timezone") == ("UTC",)
        assert query(lease.url, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == ("C.UTF-8",)
        server = postmaster(data_dir)
        sockets = [entry for process in [server, *server.children()] for entry in process.net_connections("inet")]
        assert sockets == []
        directory = Path(query(lease.url, "SHOW unix_socket_directories")[0])
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
        assert os.getsid(server.pid) != os.getsid(0)
        assert os.getsid(keeper(data_dir).pid) != os.getsid(0)


def test_both_drivers_take_the_url(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")

    async def ask(url: str) -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval("SELECT current_database()")
        finally:
            await connection.close()

    with postgres.acquire(data_dir) as lease:
        assert asyncio.run(ask(lease.url)) == "wsgi_vs_asgi"
        assert query(lease.url, "SELECT current_database()") == ("wsgi_vs_asgi",)


def test_killed_users_are_not_counted(data_dir: Path, start_user: Callable[..., User]) -> None:
    first, second = start_user(), start_user()
    url = first.url()
    assert second.url() == url
    first.kill()
    assert query(url, "SELECT 1") == (1,)
    second.kill()
    wait_until(lambda: not processes(data_dir))


def test_killed_keeper_is_replaced_by_the_next_user(data_dir: Path) -> None:
    with postgres.acquire(data_dir):
        killed, server = keeper(data_dir), postmaster(data_dir)
        kill(killed)
        with postgres.acquire(data_dir):
            assert keeper(data_dir) != killed
            assert postmaster(data_dir) == server


def test_last_user_stops_the_server_without_a_keeper(data_dir: Path) -> None:
    with postgres.acquire(data_dir):
        kill(keeper(data_dir))
    assert processes(data_dir) == []


def test_killed_server_comes_back_with_its_data(data_dir: Path) -> None:
    with postgres.acquire(data_dir) as lease:
        query(lease.url, "CREATE TABLE kept AS SELECT 42 AS value")
        idle = psycopg2.connect(lease.url)
        killed = postmaster(data_dir)
        killed.kill()
        with postgres.acquire(data_dir) as again:
            assert postmaster(data_dir) != killed
            assert query(again.url, "SELECT value FROM kept") == (42,)
        idle.close()
        assert query(lease.url, "SELECT value FROM kept") == (42,)


def test_leftovers_of_a_dead_server_are_not_believed(data_dir: Path) -> None:
    """A pid file that names a live foreign process, as after a reboot, with a socket nobody listens on."""
    with postgres.acquire(data_dir) as lease:
        file = data_dir / "postgres" / "data" / "postmaster.pid"
        lines = file.read_text().splitlines()
        owner = file.stat()
        socket_file = Path(lines[4]) / ".s.PGSQL.5432"
        expected = lease.url
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        lines[0] = str(bystander.pid)
        file.write_text("\n".join(lines) + "\n")
        lock_file = Path(f"{socket_file}.lock")
        shutil.copy(file, lock_file)
        with socket.socket(socket.AF_UNIX) as nobody_listens:
            nobody_listens.bind(str(socket_file))
        for path in (file, lock_file, socket_file):
            os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(0o600)
        assert postgres.running_url(data_dir) is None
        with postgres.acquire(data_dir) as lease:
            assert lease.url == expected
            assert query(lease.url, "SELECT 1") == (1,)
        assert bystander.poll() is None
        bystander.communicate(b"\n")


@pytest.mark.slow
def test_interrupted_first_start_leaves_nothing_broken(data_dir: Path, start_user: Callable[..., User]) -> None:
    user = start_user()
    wait_until(lambda: (data_dir / "postgres" / "data.new" / "PG_VERSION").exists())
    user.kill()
    with postgres.acquire(data_dir) as lease:
        assert query(lease.url, "SELECT 1") == (1,)


@pytest.mark.parametrize("temporary", [None, "long-" * 22])
def test_long_path_puts_the_socket_elsewhere(
    data_dir: Path, temporary: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if temporary is not None:
        (data_dir / temporary).mkdir(parents=True)
        monkeypatch.setattr(tempfile, "tempdir", str(data_dir / temporary))
    path = data_dir / ("long-" * 22) / "and with, odd characters"
    with postgres.acquire(path) as lease:
        directory = Path(query(lease.url, "SHOW unix_socket_directories")[0])
        assert data_dir not in directory.parents
        assert directory.stat().st_mode & 0o777 == 0o700
    postgres.destroy(path)
    assert not directory.exists()


@pytest.mark.slow
def test_first_starts_at_once_share_one_server(data_dir: Path, start_user: Callable[..., User]) -> None:
    users = [start_user() for _ in range(6)]
    assert len({user.url() for user in users}) == 1
    assert len(processes(data_dir)) == 2
    assert [user.end() for user in users] == [0] * 6
    assert processes(data_dir) == []


@pytest.mark.slow
def test_users_that_come_and_go_always_get_a_server(data_dir: Path, start_user: Callable[..., User]) -> None:
    """New users meet stopping servers, in half of the turns because the last ones were killed."""
    postgres.acquire(data_dir).release()
    for turn in range(8):
        users = [start_user() for _ in range(2)]
        for user in users:
            assert query(user.url(), "SELECT 1") == (1,)
        for user in users:
            if turn % 2:
                user.kill()
            else:
                assert user.end() == 0


def test_broken_configuration_is_reported_with_the_log(data_dir: Path) -> None:
    postgres.acquire(data_dir).release()
    with (data_dir / "postgres" / "data" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EnvironmentFailure, match="did not start") as caught:
        postgres.acquire(data_dir)
    assert 'unrecognized configuration parameter "no_such_setting"' in caught.value.why
    assert str(data_dir / "postgres" / "server.log") in caught.value.why
    assert processes(data_dir) == []


def test_data_of_another_version_are_refused(data_dir: Path) -> None:
    postgres.acquire(data_dir).release()
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EnvironmentFailure, match="PostgreSQL 17 wrote them"):
        postgres.acquire(data_dir)


def test_destroy_refuses_while_in_use_and_removes_everything(data_dir: Path) -> None:
    with postgres.acquire(data_dir), pytest.raises(UsageError, match="in use"):
        postgres.destroy(data_dir)
    postgres.destroy(data_dir)
    assert list(data_dir.iterdir()) == []
    postgres.destroy(data_dir)


@pytest.mark.slow
def test_removed_files_do_not_mislead_the_old_keeper(data_dir: Path, start_user: Callable[..., User]) -> None:
    """Somebody removes the directory by hand: the keeper of the old server must not stop the new one."""
    old = start_user()
    old.url()
    server = postmaster(data_dir)
    # As often as it takes: the server may make a file in a directory that is just being removed.
    while data_dir.exists():
        shutil.rmtree(data_dir, ignore_errors=True)
    server.send_signal(signal.SIGQUIT)
    wait_until(lambda: len(processes(data_dir)) == 1)
    with postgres.acquire(data_dir) as lease:
        old.kill()
        wait_until(lambda: len(processes(data_dir)) == 2)
        assert query(lease.url, "SELECT 1") == (1,)
