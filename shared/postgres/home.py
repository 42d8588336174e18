"""Where an embedded server keeps its files, and what they tell about it."""

import os
import pwd
import re
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal
from typing import Self
from urllib.parse import quote

from shared.errors import EnvironmentFailure

DATABASE = "wsgi_vs_asgi"
PORT = 5432  # names the socket file only: there is no TCP listener
OTHER_SERVER = "set DATABASE_URL to use another server"
_PROBE_LIMIT_S = 5.0
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # "SSLRequest" in the manual's Message Formats; any answer will do
_SOCKET_PATH_LIMIT_BYTES = 100  # sun_path holds 104 on the BSDs and 108 on Linux


@dataclass(frozen=True, slots=True)
class Home:
    """Where one embedded server keeps its files."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """Return the home below a data directory, links resolved."""
        return cls(data_dir.resolve())

    @property
    def root(self) -> Path:
        """The directory that holds everything."""
        return self.data_dir / "postgres"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """What the server and the keeper say."""
        return self.root / "server.log"

    def lock(self, name: Literal["users", "start", "server", "keeper"]) -> Path:
        """Return a lock file; the package says what each is for."""
        return self.root / f"{name}.lock"

    def socket_dir(self) -> Path:
        """Return where a new server puts its socket; a running one says so itself."""
        short = f"wsgi-vs-asgi-{sha256(os.fsencode(self.root)).hexdigest()[:16]}"
        places = (self.root / "socket", Path(tempfile.gettempdir()) / short, Path("/tmp") / short)
        return next((place for place in places if _holds_socket(place)), places[-1])

    def check_owner(self) -> None:
        """Refuse files of another user, unless root asks.

        Raises:
            EnvironmentFailure: If the directory belongs to somebody else.
        """
        owner = self.root.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise EnvironmentFailure(
                "the embedded PostgreSQL belongs to another user",
                why=f"{self.root} is owned by {user_name(owner)}, this process runs as {user_name(os.geteuid())}",
                hint=f"run as {user_name(owner)}, let that user remove the directory, or {OTHER_SERVER}",
            )


def _holds_socket(directory: Path) -> bool:
    """Tell whether a directory's path is short and plain enough for a socket in it."""
    file = directory / f".s.PGSQL.{PORT}"
    # Commas separate hosts for the drivers and directories for the server, so odd paths are not used either.
    is_plain = re.fullmatch(r"[\w./+~-]+", str(directory), re.ASCII) is not None
    return is_plain and len(os.fsencode(file)) < _SOCKET_PATH_LIMIT_BYTES


def user_entry(uid: int) -> pwd.struct_passwd:
    """Return a user's entry in the user database.

    Raises:
        EnvironmentFailure: If there is none.
    """
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise EnvironmentFailure(
            "the embedded PostgreSQL needs a user with a name",
            why=f"user id {uid} has no entry in the user database, and initdb asks for it",
            hint=f"run as a user of /etc/passwd (in a container: add one for this id), or {OTHER_SERVER}",
        ) from None


def user_name(uid: int) -> str:
    """Return how to call a user in a message."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def pid_file_lines(home: Home) -> list[str]:
    """Return PostgreSQL's own record: pid, data directory, start, port, socket directory, ..., status."""
    with suppress(FileNotFoundError):
        return (home.cluster / "postmaster.pid").read_text().splitlines()
    return []


def is_serving(home: Home) -> bool:
    """Tell whether a server is ready and answers."""
    lines = pid_file_lines(home)
    if len(lines) < 8 or lines[7].strip() != "ready":
        return False
    # The file outlives a killed server, and the kernel accepts connections for one that is dying: ask, as clients do.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_LIMIT_S)
        with suppress(OSError):
            probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
            probe.sendall(_SSL_REQUEST)
            return probe.recv(1) != b""
    return False


def url_of_running(home: Home) -> str:
    """Return the URL of a server that runs."""
    # With the port, since PGPORT in a user's environment would otherwise choose another socket.
    host = quote(pid_file_lines(home)[4], safe="/")
    return f"postgresql://postgres@/{DATABASE}?host={host}&port={PORT}"
