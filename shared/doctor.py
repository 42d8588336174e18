"""What this machine offers: everything the commands need, looked at one by one, with a way out for what is missing."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil
from sqlalchemy import create_engine

from . import postgres
from .config import Settings
from .engine import engine_options
from .engine import engine_url
from .engine import is_mariadb
from .errors import CommandError
from .errors import EnvironmentFailure
from .statements import SERVER_VERSION

Level = Literal["ok", "warn", "fail"]

# The embedded PostgreSQL's cluster with its seed data and write-ahead log.
NEEDED_BYTES = 500 * 1_048_576
# 32 connections under load, pools, listeners and libraries, several times over.
NEEDED_FILES = 1_024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    text: str
    hint: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Return what was found, in the order in which things are needed."""
    return [
        _python(),
        *_parsers(),
        *_ports(settings),
        _database(settings),
        _cores(),
        _files(),
        _disk(settings.data_dir),
    ]


def verdict(findings: list[Finding]) -> None:
    """Fail if something that is needed is missing.

    Raises:
        EnvironmentFailure: If there is a finding of level fail.
    """
    failed = [finding.subject for finding in findings if finding.level == "fail"]
    if failed:
        raise EnvironmentFailure(
            "This machine lacks something that is needed",
            why=", ".join(failed),
            hint="Follow the arrows above, then run make doctor again",
        )


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("ok", "Python", f"{version} at {sys.executable}")


def _parsers() -> Iterator[Finding]:
    for package, purpose in (
        ("uvloop", "the ASGI edition's event loop"),
        ("httptools", "the ASGI edition's parser"),
        ("gunicorn_h1c", "the WSGI edition's parser"),
    ):
        if find_spec(package) is None:
            yield Finding("fail", package, f"missing: {purpose}", "run make clean, then the command again")
        else:
            yield Finding("ok", package, f"{metadata.version(package)}, {purpose}")


def _ports(settings: Settings) -> Iterator[Finding]:
    for name, port in (("WSGI_PORT", settings.wsgi_port), ("ASGI_PORT", settings.asgi_port)):
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                hint = f"a service of ours may run there; otherwise set {name} to a free port"
                yield Finding("warn", name, f"{settings.host}:{port}: {error.strerror}", hint)
            else:
                yield Finding("ok", name, f"{settings.host}:{port} is free")


def _database(settings: Settings) -> Finding:
    subject = "DATABASE_URL" if settings.database_url else "embedded PostgreSQL"
    try:
        if settings.database_url is not None:
            return Finding("ok", subject, _version(settings, settings.database_url.get_secret_value()))
        with postgres.acquire(settings.data_dir.resolve()) as lease:
            return Finding("ok", subject, _version(settings, lease.url))
    except CommandError as error:
        return Finding("fail", subject, f"{error.what}: {error.why}", error.hint)
    except Exception as error:
        why = str(getattr(error, "orig", error)).strip().splitlines()
        return Finding("fail", subject, why[0] if why else type(error).__name__, "check the URL, or unset it")


def _version(settings: Settings, url: str) -> str:
    parsed = engine_url(url, "wsgi")
    options = engine_options(settings, "wsgi", parsed.get_driver_name())
    database = create_engine(parsed, connect_args=options["connect_args"], hide_parameters=True)
    try:
        with database.connect() as connection:
            # MariaDB's text for its version says whose it is.
            name = "" if is_mariadb(url) else "PostgreSQL "
            return f"{name}{connection.scalar(SERVER_VERSION)} answers"
    finally:
        database.dispose()


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        hint = "services work; a comparison on one processor measures server and client together"
        return Finding("warn", "processors", f"{cores}", hint)
    return Finding("ok", "processors", f"{cores}: server and load client can be kept apart")


def _files() -> Finding:
    soft, _ = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)
    if soft < NEEDED_FILES:
        return Finding("warn", "open files", f"{soft} allowed", f"run ulimit -n {NEEDED_FILES} first")
    return Finding("ok", "open files", f"{soft} allowed")


def _disk(data_dir: Path) -> Finding:
    place = data_dir.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free // 1_048_576:,} MiB free under {place}"
    if free < NEEDED_BYTES:
        return Finding("fail", "disk", text, "free some space, or set DATA_DIR to another place")
    return Finding("ok", "disk", text)
