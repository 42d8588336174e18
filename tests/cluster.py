"""A PostgreSQL of one test's own, which may be stopped, killed, frozen or made to ask for a password."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import Any
from typing import Literal

import psutil
import psycopg2

from shared import postgres
from shared.lab.services.process import HOST
from shared.postgres.account import find_account
from shared.postgres.account import programs
from shared.postgres.home import Home
from shared.postgres.home import pid_file_lines
from shared.postgres.start import private_dir

PASSWORD = "canary-7f3a-secret"


class StoppablePostgres:
    """The embedded PostgreSQL in a directory of its own; started by `start`, ended with the test in any case.

    Args:
        data_dir: A directory that nothing else uses.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._home = Home.of(data_dir)
        self._leases: list[postgres.PostgresLease] = []
        self.start()
        self.url = self._leases[0].url

    def start(self) -> None:
        """Start the server, and return once it serves."""
        # Leases are kept until the end, so that the keeper ends the server should the tests be killed.
        self._leases.append(postgres.acquire(self._data_dir))

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server and wait for its end."""
        account = find_account(self._home)
        command = [str(programs() / "pg_ctl"), "stop", "-D", str(self._home.cluster), "-m", mode, "-w", "-s"]
        assert account.run(command, stdin=None).returncode == 0

    def pids(self) -> list[int]:
        """Return the postmaster and its children."""
        postmaster = psutil.Process(int(pid_file_lines(self._home)[0]))
        return [postmaster.pid, *(child.pid for child in postmaster.children())]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process of the server by SIGSTOP for the time of the block."""
        # The postmaster first, so that it has no new child that would be overlooked.
        os.kill(self.pids()[0], signal.SIGSTOP)
        stopped = self.pids()
        for pid in stopped:
            self._signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                self._signal(pid, signal.SIGCONT)

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        with suppress(ProcessLookupError):  # a backend that was just ending
            os.kill(pid, number)

    def release(self) -> None:
        """Stop the server for good."""
        for lease in self._leases:
            lease.release()


@contextmanager
def tcp_postgres(directory: Path) -> Iterator[str]:
    """Run a PostgreSQL that listens on a TCP port of the loopback and asks for a password (SCRAM); yields its URL."""
    home = Home.of(directory)
    home.root.mkdir(parents=True)
    account = find_account(home)
    cluster, log = home.root / "tcp", home.root / "log"
    private_dir(cluster, account)
    private_dir(log, account)
    password_file = log / "password"
    password_file.write_text(PASSWORD)
    os.chown(password_file, account.uid, account.gid)

    def run(program: str, *arguments: str) -> None:
        done = account.run([str(programs() / program), *arguments], stdin=None, timeout=60)
        assert done.returncode == 0, f"{program} failed, see {log}"

    authentication = ("--auth=scram-sha-256", f"--pwfile={password_file}", "--username=owner")
    run("initdb", "-D", str(cluster), "--no-sync", "--encoding=UTF8", "--locale=C", *authentication)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    options = f"-c port={port} -c listen_addresses={HOST} -c unix_socket_directories="
    run("pg_ctl", "start", "-D", str(cluster), "-o", options, "-l", str(log / "server.log"), "-w", "-s")
    try:
        yield f"postgresql://owner:{PASSWORD}@{HOST}:{port}/postgres"
    finally:
        run("pg_ctl", "stop", "-D", str(cluster), "-m", "immediate", "-w", "-s")


def rows(url: str, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of one query, asked on a connection of its own."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def sessions(url: str, edition: str, state: str = "%") -> int:
    """Return how many connections an edition has at a database, in one state or in any."""
    count = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE %s AND state LIKE %s"
    )
    return int(rows(url, count, (f"wsgi-vs-asgi {edition}", state))[0][0])
