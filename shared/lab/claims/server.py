"""A PostgreSQL of an experiment's own, which is reached over a socket, over TCP, with a password, and with TLS."""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from time import sleep
from typing import Literal

from sqlalchemy import text

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.databases import administration
from shared.lab.services.process import HOST
from shared.lab.services.process import free_port
from shared.postgres.account import Account
from shared.postgres.account import find_account
from shared.postgres.account import programs
from shared.postgres.home import Home
from shared.postgres.start import private_dir

# A Unix socket and TCP, neither asking for anything; TCP with a password (SCRAM-SHA-256); that with TLS.
Road = Literal["socket", "tcp", "password", "tls"]
ROADS: tuple[Road, ...] = ("socket", "tcp", "password", "tls")
# Where Linux distributions put PostgreSQL's programs, one directory for each major version.
SYSTEM_PROGRAMS = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05
LOG_TAIL_LINES = 10
PR_SET_PDEATHSIG = 1  # linux/prctl.h
ADMISSION = """\
local all all trust
host all trusted 127.0.0.1/32 trust
host all owner 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A running PostgreSQL.

    Attributes:
        version: Of its programs, as they say it.
        urls: By road and edition, since drivers name TLS differently; a road that cannot be had is left out.
        why_no_tls: Why TLS cannot be had; empty if it can.
    """

    version: str
    urls: Mapping[Road, Mapping[Edition, str]]
    why_no_tls: str

    @property
    def roads(self) -> tuple[Road, ...]:
        """The roads that can be had."""
        return tuple(self.urls)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Run a PostgreSQL that nobody else uses; it, and all it has written, is gone afterwards.

    The programs are the first with TLS among the embedded and the system's, or the embedded ones.

    Raises:
        EnvironmentFailure: If it does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="own-postgres-"))
    try:
        # The account that it runs as has to pass through.
        directory.chmod(0o711)
        home = Home.of(directory)
        home.root.mkdir(mode=0o755)
        account = find_account(home)
        chosen, why_no_tls = _choose(account)
        password = secrets.token_hex(16)
        _make_cluster(home, account, chosen, password)
        if not why_no_tls:
            why_no_tls = _make_certificate(home, account)
        with _running(home, account, chosen, has_tls=not why_no_tls) as port:
            version = account.run([str(chosen / "postgres"), "--version"], capture_output=True).stdout.strip()
            yield OwnServer(version, _urls(home, port, password, has_tls=not why_no_tls), why_no_tls)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _choose(account: Account) -> tuple[Path, str]:
    """Return the programs to use, and why they have no TLS; empty if they have."""
    # Versions are numbers since 10.
    others = sorted(SYSTEM_PROGRAMS.glob("[0-9]*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    seen = []
    for directory in (programs(), *others):
        if not os.access(directory / "initdb", os.X_OK):
            continue
        with suppress(OSError):
            done = account.run([str(directory / "pg_config"), "--configure"], capture_output=True)
            if "openssl" in done.stdout:
                return directory, ""
        seen.append("the embedded PostgreSQL" if directory == programs() else str(directory))
    return programs(), f"pg_config --configure names no OpenSSL in {' and '.join(seen)}"


def _make_cluster(home: Home, account: Account, chosen: Path, password: str) -> None:
    for path in (home.cluster, home.root / "socket"):
        private_dir(path, account)
    file = home.cluster.parent / "password"
    _write(file, password, account)
    arguments = ("--no-sync", "--username=owner", "--auth=scram-sha-256", f"--pwfile={file}", "--encoding=UTF8")
    command = [str(chosen / "initdb"), "-D", str(home.cluster), "--locale=C", "--no-instructions", *arguments]
    done = account.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    file.unlink()
    if done.returncode:
        raise EnvironmentFailure("A PostgreSQL of the experiment's own could not be made", why=done.stderr.strip())
    _write(home.cluster / "pg_hba.conf", ADMISSION, account)


def _make_certificate(home: Home, account: Account) -> str:
    """Make a certificate that the server signs itself, and return why it cannot be made; empty if it was."""
    key, certificate = home.cluster / "server.key", home.cluster / "server.crt"
    command = (
        "openssl",
        "req",
        "-new",
        "-x509",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    )
    try:
        done = subprocess.run(
            [*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return f"openssl could not be run: {error.strerror}"
    if done.returncode:
        return f"openssl made no certificate: {done.stderr.strip()[-300:]}"
    for path in (key, certificate):
        os.chown(path, account.uid, account.gid)
        path.chmod(0o600)
    return ""


def _write(path: Path, content: str, account: Account) -> None:
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, account.uid, account.gid)


@contextmanager
def _running(home: Home, account: Account, chosen: Path, *, has_tls: bool) -> Iterator[int]:
    port = free_port()
    settings = {
        "port": str(port),
        "listen_addresses": HOST,
        "unix_socket_directories": str(home.root / "socket"),
        "max_connections": "200",
        "ssl": "on" if has_tls else "off",
    }
    arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with home.log.open("wb") as log:
        process = subprocess.Popen(
            [*account.wrapper, str(chosen / "postgres"), "-D", str(home.cluster), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=account.uid if account.is_switched else None,
            group=account.gid if account.is_switched else None,
            extra_groups=[] if account.is_switched else None,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd="/",
            start_new_session=True,
            preexec_fn=_dying_with_us(),
        )
    try:
        _await_ready(home, process, port)
        yield port
    finally:
        # Fast shutdown: sessions are cut, and all is gone in a moment.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def _dying_with_us() -> Callable[[], None]:
    """Return what has a new process shut down at once when this one ends, however it ends."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

    return ask


def _await_ready(home: Home, process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = monotonic() + START_TIMEOUT_S
    while monotonic() < deadline and process.poll() is None:
        with suppress(EnvironmentFailure), administration(_socket_url(home, port)) as connection:
            connection.execute(text("CREATE ROLE trusted SUPERUSER LOGIN"))
            return
        sleep(POLL_S)
    lines = home.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    raise EnvironmentFailure("A PostgreSQL of the experiment's own did not start", why="\n".join(lines))


def _socket_url(home: Home, port: int) -> str:
    return f"postgresql://owner@/postgres?host={home.root / 'socket'}&port={port}"


def _urls(home: Home, port: int, password: str, *, has_tls: bool) -> dict[Road, dict[Edition, str]]:
    # By libpq's name and by asyncpg's: both would try TLS first over TCP, and plain TCP is wanted as well.
    names: dict[Edition, str] = {"wsgi": "sslmode", "asgi": "ssl"}
    at = f"{HOST}:{port}/postgres"
    found: dict[Road, dict[Edition, str]] = {
        "socket": {edition: _socket_url(home, port) for edition in names},
        "tcp": {each: f"postgresql://trusted@{at}?{name}=disable" for each, name in names.items()},
        "password": {each: f"postgresql://owner:{password}@{at}?{name}=disable" for each, name in names.items()},
    }
    if has_tls:
        found["tls"] = {each: f"postgresql://owner:{password}@{at}?{name}=require" for each, name in names.items()}
    return found
