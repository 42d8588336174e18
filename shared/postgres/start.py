"""Making the cluster and starting the server."""

import os
import shlex
import shutil
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from fcntl import LOCK_EX
from pathlib import Path

from shared.errors import EnvironmentFailure
from shared.postgres.account import Account
from shared.postgres.account import find_account
from shared.postgres.account import programs
from shared.postgres.home import DATABASE
from shared.postgres.home import OTHER_SERVER
from shared.postgres.home import PORT
from shared.postgres.home import Home
from shared.postgres.home import is_serving
from shared.postgres.home import user_name
from shared.postgres.locks import POLL_S
from shared.postgres.locks import lock_by
from shared.postgres.locks import try_lock

_LOG_LIMIT_BYTES = 1_000_000
_LOG_TAIL_LINES = 15

# What the two editions are compared on stays at PostgreSQL's defaults, durability above all.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
    "pg_stat_statements.track_utility": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """One attempt to start: its account, its log, and the lock its programs inherit."""

    home: Home
    account: Account
    log_fd: int
    server_fd: int
    log_start_bytes: int
    deadline: float

    def run(self, program: str, *arguments: str, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs to its end.

        Raises:
            EnvironmentFailure: If it fails, with the last lines of the log.
        """
        command = [str(programs() / program), *arguments]
        # pg_ctl keeps to its own limit; the extra second lets it report that first.
        limit_s = max(0.0, self.deadline - time.monotonic()) + 1
        with suppress(subprocess.TimeoutExpired):
            done = self.account.run(
                command, input=stdin, stdout=self.log_fd, stderr=self.log_fd, pass_fds=[self.server_fd], timeout=limit_s
            )
            if done.returncode == 0:
                return
        raise EnvironmentFailure(
            "the embedded PostgreSQL did not start",
            why=f"{program} failed; {self.home.log} ends with\n{self._log_tail()}",
            hint=f"correct what it says, remove the database and its data with `make clean`, or {OTHER_SERVER}",
        )

    def _log_tail(self) -> str:
        written = os.pread(self.log_fd, _LOG_LIMIT_BYTES, self.log_start_bytes).decode(errors="replace")
        return "\n".join(written.splitlines()[-_LOG_TAIL_LINES:])


def ensure_server(home: Home, deadline: float) -> None:
    """Return once a server serves; needs the start lock.

    Raises:
        EnvironmentFailure: If it cannot be started before the deadline on the monotonic clock.
    """
    while not is_serving(home):
        server_fd = try_lock(home.lock("server"), LOCK_EX)
        if server_fd is not None:
            try:
                start(home, server_fd, deadline)
            finally:
                os.close(server_fd)
        elif time.monotonic() > deadline:
            lock_by(deadline, home.lock("server"), LOCK_EX, "a process of an earlier server uses")
        time.sleep(POLL_S)


def start(home: Home, server_fd: int, deadline: float) -> None:
    """Start the server, which inherits the lock on `server.lock`."""
    account = find_account(home)
    log_fd = open_log(home)
    try:
        launch = Launch(home, account, log_fd, server_fd, os.fstat(log_fd).st_size, deadline)
        if not home.cluster.exists():
            make_cluster(launch)
        check_version(home, account)
        socket_dir = home.socket_dir()
        private_dir(socket_dir, account)
        # server.lock is ours, so both are left from a server that is gone; PostgreSQL itself would believe them
        # when the pid in them has meanwhile gone to another process.
        for leftover in (home.cluster / "postmaster.pid", socket_dir / f".s.PGSQL.{PORT}.lock"):
            leftover.unlink(missing_ok=True)
        options = f"-c port={PORT} -c unix_socket_directories={shlex.quote(str(socket_dir))}"
        limit_s = max(1, int(deadline - time.monotonic()))
        launch.run("pg_ctl", "start", "-D", str(home.cluster), "-o", options, "-s", "-w", "-t", str(limit_s))
    finally:
        os.close(log_fd)


def make_cluster(launch: Launch) -> None:
    """Make the cluster elsewhere and rename it, so that an interrupted first start leaves none."""
    home, account = launch.home, launch.account
    new = home.root / "data.new"
    if new.exists():
        shutil.rmtree(new)
    private_dir(new, account)
    settings = [f"--set={name}={value}" for name, value in _SETTINGS.items()]
    # Code-point order without the operating system's tables: texts sort alike everywhere.
    collation = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    # --no-sync: the cluster holds nothing yet that cannot be made again, and syncing a thousand files costs seconds
    # on a slow disk. The running server syncs whatever it writes.
    launch.run(
        "initdb",
        "-D",
        str(new),
        "--no-sync",
        "--username=postgres",
        "--auth=trust",
        "--no-instructions",
        *collation,
        *settings,
    )
    # In template1 first: every database made later, ours included, is a copy of it.
    launch.run(
        *("postgres", "--single", "-D", str(new), "-c", "exit_on_error=on", "template1"),
        stdin=f"CREATE EXTENSION pg_stat_statements\nCREATE DATABASE {DATABASE}\n",
    )
    new.rename(home.cluster)


def check_version(home: Home, account: Account) -> None:
    """Refuse data of another major version.

    Raises:
        EnvironmentFailure: If the programs cannot read them.
    """
    found = (home.cluster / "PG_VERSION").read_text().strip()
    if found != account.major:
        raise EnvironmentFailure(
            f"the embedded PostgreSQL {account.major} cannot read the data in {home.cluster}",
            why=f"PostgreSQL {found} wrote them",
            hint=f"`make clean` removes them and the next start makes new ones; to keep them, {OTHER_SERVER}",
        )


def private_dir(path: Path, account: Account) -> None:
    """Make sure of a directory that only the server's account may enter, and nobody else made."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
        raise EnvironmentFailure(
            f"{path} cannot be used by the embedded PostgreSQL",
            why=f"it is owned by {user_name(found.st_uid)}, and should be a directory of {user_name(account.uid)}",
            hint="remove it",
        )
    path.chmod(0o700)


def open_log(home: Home) -> int:
    """Return a descriptor that appends to the log, emptied first when it has grown large."""
    fd = os.open(home.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(fd).st_size > _LOG_LIMIT_BYTES:
        os.ftruncate(fd, 0)
    return fd
