"""A database at a distance: the proxy as a process, and the URL that leads through it."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.engine import make_url

from shared.errors import EnvironmentFailure
from shared.errors import UsageError

POSTGRES_PORT = 5432
STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Distant:
    """A database behind a running proxy.

    Attributes:
        url: Its URL through the proxy.
        address: Where the proxy listens, in its form.
        pid: The proxy's process.
    """

    url: str
    address: str
    pid: int


def target_of(url: str) -> str:
    """Return the address of a database's server in the proxy's form.

    Raises:
        UsageError: If the URL names several servers.
    """
    parsed = make_url(url)
    host = parsed.query.get("host", parsed.host or "127.0.0.1")
    port = parsed.query.get("port", str(parsed.port or POSTGRES_PORT))
    if not isinstance(host, str) or not isinstance(port, str) or "," in host or "," in port:
        raise UsageError(
            "latency needs a database on one server",
            why="DATABASE_URL names several",
            hint="Name one of them, or unset DATABASE_URL to use the embedded PostgreSQL",
        )
    return f"unix:{host}/.s.PGSQL.{port}" if host.startswith("/") else f"tcp:{host}:{port}"


def through(url: str, address: str) -> str:
    """Return a database's URL with the address of a proxy in the place of the server's.

    Args:
        url: The database's.
        address: unix:DIRECTORY/.s.PGSQL.PORT or tcp:HOST:PORT, where the proxy listens.
    """
    kind, _, where = address.partition(":")
    parsed = make_url(url).difference_update_query(["host", "port"])
    changed: URL
    if kind == "unix":
        directory, _, port = where.rpartition("/.s.PGSQL.")
        changed = parsed.set(host=None, port=None).update_query_dict({"host": directory, "port": port})
    else:
        host, _, port = where.rpartition(":")
        changed = parsed.set(host=host, port=int(port))
    return changed.render_as_string(hide_password=False)


@contextmanager
def at(url: str, round_trip_ms: float) -> Iterator[Distant]:
    """Put a database farther away for a while; its kind of socket stays what it is.

    Args:
        url: The database's URL.
        round_trip_ms: How much longer a round trip takes, in milliseconds.

    Raises:
        UsageError: If the URL names several servers.
        EnvironmentFailure: If the proxy does not start.
    """
    target = target_of(url)
    with ExitStack() as stack:
        if target.startswith("unix:"):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="latency-"))
            listen = f"unix:{Path(directory) / f'.s.PGSQL.{POSTGRES_PORT}'}"
        else:
            listen = "tcp:127.0.0.1:0"
        process = subprocess.Popen(
            [sys.executable, "-m", "shared.lab.factors.proxy", listen, target, f"{round_trip_ms:g}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for whoever uses it: services that stop still need their database.
            start_new_session=True,
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if not said:
            assert process.stderr is not None
            raise EnvironmentFailure(
                f"The proxy for {round_trip_ms:g} ms did not start", why=process.stderr.read().strip()[-500:]
            )
        yield Distant(through(url, said), said, process.pid)


def _end(process: "subprocess.Popen[str]") -> None:
    with process:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
