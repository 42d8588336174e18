"""A MariaDB for the tests: the installed program, run on a directory of its own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy.engine import make_url

from shared.lab.services import mariadb
from tests.clients import eventually

# How long the signal that stops a server may take to reach all of its threads.
STOP_S = 10.0
ABSENT = f"Left out: what runs on a real MariaDB. {mariadb.missing()}"


@contextmanager
def running() -> Iterator[str]:
    """Run a server; where there is none, leave the test out, or let it fail where CI=true asks for all of them."""
    if mariadb.program() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(ABSENT)
        pytest.skip(ABSENT)
    with mariadb.running() as url:
        yield url


def rows(url: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of one statement, asked on a connection of its own."""
    parsed = make_url(url)
    connection = pymysql.connect(
        user=parsed.username,
        database=parsed.database,
        unix_socket=str(parsed.query["unix_socket"]),
        autocommit=True,
        ssl_disabled=True,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())


def connections(url: str) -> list[int]:
    """Return the ids of every connection to a database but one's own."""
    found = rows(url, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
    return [int(row[0]) for row in found]


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """Stop the server by SIGSTOP for the time of the block."""
    pid = int((Path(str(make_url(url).query["unix_socket"])).parent / "data" / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        # The signal is one thread's; until that one runs, the others go on.
        eventually(lambda: all(map(_is_stopped, Path(f"/proc/{pid}/task").glob("*/stat"))), STOP_S)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(stat: Path) -> bool:
    """Tell whether a thread is stopped, by its file in /proc (proc(5): the state is behind the name in brackets)."""
    return stat.read_text().rpartition(") ")[2].startswith("T")
