"""What both servers need around the serving: a free port, the database, a directory for metrics, a line to say."""

import socket
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from importlib import import_module

import psutil

from .config import Edition
from .config import Settings
from .config import load
from .config import mask
from .engine import engine_url
from .engine import locate
from .errors import CommandError
from .errors import EnvironmentFailure
from .errors import UsageError
from .metrics import share

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Pending connections the kernel keeps for a listener; gunicorn's and uvicorn's common default.
BACKLOG = 2_048

SO_BINDTOIFINDEX = 62  # asm-generic/socket.h
# The number of a network interface that no machine has: the kernel counts them from 1.
NO_INTERFACE = 0x7FFF_FFFF


def main(edition: Edition, serve: Callable[[Settings], int]) -> int:
    """Run an edition's server; print an expected failure as one line and return its exit code."""
    try:
        settings = load()
        with prepared(settings, edition):
            code = serve(settings)
        if code:
            # Somebody else may have taken the port while this one was getting ready.
            _check_port(settings.host, settings.port(edition), edition)
        return code
    except CommandError as error:
        print(f"{edition}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


@contextmanager
def prepared(settings: Settings, edition: Edition) -> Iterator[None]:
    """Hold what a server needs for as long as it runs.

    Raises:
        EnvironmentFailure: If the port is taken or the embedded PostgreSQL cannot be started.
        UsageError: If the database's URL does not suit the edition, or an extra that a setting needs is missing.
    """
    _check_port(settings.host, settings.port(edition), edition)
    if settings.trace_otlp_endpoint is not None:
        _check_export()
    source = locate(settings)
    try:
        engine_url(source.url, edition)
        with tempfile.TemporaryDirectory(prefix=f"{edition}-metrics-") as directory:
            if settings.workers(edition) > 1:
                share(directory)
            _announce(settings, edition)
            yield
    finally:
        source.release()


def _announce(settings: Settings, edition: Edition) -> None:
    threads = f" of {settings.wsgi_threads} threads" if edition == "wsgi" else " of one event loop"
    where = mask("database_url", settings.database_url)
    workers = settings.workers(edition)
    print(
        f"{edition}: http://{settings.host}:{settings.port(edition)} "
        f"({workers} process{'' if workers == 1 else 'es'}{threads}, "
        f"pool of {settings.pool_size}+{settings.pool_max_overflow} each, {where}). Ctrl-C stops it.",
        flush=True,
    )
    if settings.host not in LOOPBACK:
        print(f"{edition}: HOST={settings.host} is reachable from other machines; this is a teaching tool.", flush=True)


def _check_export() -> None:
    try:
        # Here, because it takes the better part of a second, which no request shall wait.
        import_module("shared.trace.otlp")
    except ImportError as error:
        raise UsageError(
            f"TRACE_OTLP_ENDPOINT is set, and what sends traces is not installed ({error.name})",
            why="it comes with the extra otel only",
            hint="Unset it, or install it in the project's directory: .venv/bin/pip install -e '.[otel]'",
        ) from None


def _check_port(host: str, port: int, edition: Edition) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EnvironmentFailure(
                f"Cannot listen on {host}:{port}",
                why=f"{error.strerror}{_holder(port)}",
                hint=f"Stop what runs there, or choose another port: {edition.upper()}_PORT={port + 10} "
                f"make run-{edition}",
            ) from None


def _holder(port: int) -> str:
    """Return who listens on a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f": {psutil.Process(connection.pid).name()} (pid {connection.pid}) has it"
    except psutil.Error:
        pass
    return ""


def refuse_connections(listener: socket.socket) -> None:
    """Let the kernel begin no connection more on a listener; what it has accepted already can still be taken.

    Closing alone would reset a connection that came between the last look and the close. A listener that is bound to an
    interface which does not exist is found by nobody new, so that new clients are refused. One that has been answered
    already, and takes itself for connected, is let in. Linux 5.7 or newer; elsewhere such connections may be lost.
    """
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE)
