"""A MariaDB of one command's own: made in a directory, reached by a socket file, stopped and removed at the end.

The server's program comes from the system's packages; nothing of a server that runs already is touched.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from shared.engine import engine_url
from shared.errors import EnvironmentFailure
from shared.lab.services import supervisor

# Of the distributions; it holds the server alone, and starts nothing.
PACKAGE = "mariadb-server-core"
PROGRAMS = ("mariadbd", "mysqld")
# Where servers are that not every user's PATH leads to.
SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin")
# What fills the server's own schema, beside the program's prefix.
SYSTEM_TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
SCRIPT_DIRECTORIES = ("mysql", "mariadb")
DATABASE = "wsgi_vs_asgi"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.02
LOG_TAIL_LINES = 15
# Little memory, because tests and experiments hold little; durability at the server's defaults.
OPTIONS = (
    *("--skip-networking", "--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"),
    *(
        "--max-connections=200",
        "--character-set-server=utf8mb4",
        "--default-time-zone=+00:00",
        "--performance-schema=ON",
    ),
)


def program() -> Path | None:
    """Return the installed server, or None."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES])
    for name in PROGRAMS:
        found = shutil.which(name, path=path)
        if found is not None and "MariaDB" in _version(found):
            return Path(found)
    return None


def missing() -> str:
    """Return what to do where there is none."""
    return f"MariaDB is not installed; on Debian and its like: apt-get install {PACKAGE}"


@contextmanager
def running() -> Iterator[str]:
    """Run a server with an empty database; yields that database's URL, without a driver.

    Raises:
        EnvironmentFailure: If none is installed, or it does not start.
    """
    found = program()
    if found is None:
        raise EnvironmentFailure("There is no MariaDB here", why=missing(), hint=f"apt-get install {PACKAGE}")
    directory = Path(tempfile.mkdtemp(prefix="mariadb-"))
    try:
        with _Server(found, directory) as server:
            yield server.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def new_database(url: str, name: str) -> str:
    """Create an empty database on a server that was started here, and return its URL."""
    engine = create_engine(engine_url(url, "wsgi"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {connection.dialect.identifier_preparer.quote_identifier(name)}"))
    return make_url(url).set(database=name).render_as_string(hide_password=False)


class _Server:
    def __init__(self, program: Path, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "socket"
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        data = directory / "data"
        data.mkdir(mode=0o700)
        # The server refuses root, who names somebody else.
        account = pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else ""
        if account:
            for path in (directory, data):
                shutil.chown(path, account)
        user = (f"--user={account}",) if account else ()
        self._command = (str(program), "--no-defaults", f"--datadir={data}", *user, *OPTIONS)
        url = URL.create("mysql", "root", host="localhost", database=DATABASE, query={"unix_socket": str(self._socket)})
        self.url = url.render_as_string(hide_password=False)

    def __enter__(self) -> "_Server":
        try:
            self._bootstrap()
            self._start()
            admin = make_url(self.url).set(database="mysql").render_as_string(hide_password=False)
            new_database(admin, DATABASE)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *ended: object) -> None:
        try:
            if self._process is not None:
                self._process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_TIMEOUT_S)
        finally:
            self._kill()

    def _bootstrap(self) -> None:
        statements = [
            "CREATE DATABASE mysql;\nUSE mysql;\n",
            *(path.read_text("utf-8") for path in _scripts(self._command)),
        ]
        with self._log.open("wb") as log:
            done = subprocess.run(
                [*self._command, "--bootstrap"],
                input="".join(statements).encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=START_TIMEOUT_S,
                check=False,
            )
        if done.returncode:
            raise self._failure(f"exit code {done.returncode} when it made its own tables")

    def _start(self) -> None:
        command = [*self._command, f"--socket={self._socket}", f"--pid-file={self._directory / 'data' / 'pid'}"]
        with self._log.open("ab") as log:
            # The supervisor ends the server should this process be killed.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, "-", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(self._socket):
            with suppress(subprocess.TimeoutExpired):
                raise self._failure(f"exit code {self._process.wait(POLL_S)}")
            if time.monotonic() > deadline:
                raise self._failure(f"it did not listen within {START_TIMEOUT_S:g} s")

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # The group's id is the supervisor's pid, which stays reserved until the last member has ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()

    def _failure(self, why: str) -> EnvironmentFailure:
        tail = "\n".join(self._log.read_text("utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])
        return EnvironmentFailure("MariaDB did not start", why=f"{why}; its log ends:\n{tail}")


def _scripts(command: tuple[str, ...]) -> list[Path]:
    share = Path(command[0]).resolve().parent.parent / "share"
    for name in SCRIPT_DIRECTORIES:
        found = [share / name / script for script in SYSTEM_TABLES]
        if all(path.is_file() for path in found):
            return found
    raise EnvironmentFailure(
        "MariaDB's own tables cannot be made", why=f"{', '.join(SYSTEM_TABLES)} are not under {share}"
    )


def _version(found: str) -> str:
    return subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
