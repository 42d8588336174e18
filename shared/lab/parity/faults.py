"""How things are made to go wrong around a request, and made whole again."""

import json
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Connection
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab import databases
from shared.lab.parity.case import Case
from shared.lab.parity.judgement import Answer
from shared.lab.parity.message import Request
from shared.lab.parity.side import Side
from shared.lab.parity.transport import Exchange

# Little patience, so that every limit is reached soon; in the order that the settings demand.
TIGHT_POOL_SIZE = 20
TIGHT = {
    "POOL_SIZE": str(TIGHT_POOL_SIZE),
    "POOL_MAX_OVERFLOW": "0",
    "CONNECT_TIMEOUT": "0.2",
    "POOL_TIMEOUT": "0.5",
    "STATEMENT_TIMEOUT": "1.5",
    "REQUEST_TIMEOUT": "2",
    "GRACEFUL_TIMEOUT": "5",
    # Enough for those who hold the pool and for those who wait for it.
    "WSGI_THREADS": "60",
}
# The pool is held for longer than others wait for it, and for less than a statement may take.
HOLD_S = 1.2
REACHED_WITHIN_S = 5.0
POLL_S = 0.01
# After a failed preparation both editions answer from memory for half a second.
PREPARE_AGAIN_S = 0.6
# Cases that each find the memory expired, so that the driver's own failure is seen, too.
FRESH_FAILURES = 4

KILL_SETTLES_S = 0.05

_LOCK = text("LOCK TABLE world, fortune, accounts, transfers IN ACCESS EXCLUSIVE MODE")
_BACKENDS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_KILL = text(f"SELECT pg_terminate_backend(pid) {_BACKENDS}")  # put together from constants
_COUNT = text(f"SELECT count(*) {_BACKENDS}")  # put together from constants
_RUNNING = text(f"SELECT count(*) {_BACKENDS} AND state = 'active' AND query ~ 'pg_sleep'")  # likewise

# The same on a MariaDB.
_MARIADB_LOCK = text("LOCK TABLES world WRITE, fortune WRITE, accounts WRITE, transfers WRITE")
_MARIADB_BACKENDS = "FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
_MARIADB_IDS = text(f"SELECT id {_MARIADB_BACKENDS}")  # put together from constants
_MARIADB_COUNT = text(f"SELECT count(*) {_MARIADB_BACKENDS}")  # put together from constants
_MARIADB_RUNNING = text(f"SELECT count(*) {_MARIADB_BACKENDS} AND info LIKE 'SELECT sleep(%'")  # likewise

Urls = Mapping[Edition, str]


def while_pool_is_held(side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
    """Send cases while every connection of the pool is in use."""
    hold = Request("GET", f"/sleep?seconds={HOLD_S:g}")
    # A pool that has to connect first could be full too late: all its connections are opened beforehand.
    for holder in [Exchange(side.address, Request("GET", "/sleep?seconds=0.2")) for _ in range(TIGHT_POOL_SIZE)]:
        holder.responses()
    holders = [Exchange(side.address, hold) for _ in range(TIGHT_POOL_SIZE)]
    _reach(lambda: _checked_out(side) == TIGHT_POOL_SIZE, f"a full pool in the {side.edition} edition")
    answers = side.answer_at_once(list(cases))
    for holder in holders:
        holder.responses()
    return answers


def while_tables_are_locked(urls: Urls) -> Callable[[Side, Sequence[Case]], list[list[Answer]]]:
    """Return a sender whose requests meet tables that somebody else has locked."""

    def send(side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
        with databases.administration(urls[side.edition]) as connection:
            on_mariadb = _is_mariadb(connection)
            if not on_mariadb:
                connection.execute(text("BEGIN"))
            connection.execute(_MARIADB_LOCK if on_mariadb else _LOCK)
            try:
                return side.answer_at_once(list(cases))
            finally:
                connection.execute(text("UNLOCK TABLES" if on_mariadb else "ROLLBACK"))

    return send


def without_database(side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
    """Send cases to a service whose database nobody answers at; the first ones each as if it were the first."""
    answers = []
    for place, case in enumerate(cases):
        if place < FRESH_FAILURES:
            time.sleep(PREPARE_AGAIN_S)
        answers.append(side.answer(case))
    return answers


def after_kill(urls: Urls) -> Callable[[Side, Sequence[Case]], list[list[Answer]]]:
    """Return a sender whose requests find every idle connection closed by the server."""

    def send(side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
        answers = []
        with databases.administration(urls[side.edition]) as connection:
            for case in cases:
                _kill(connection)
                answers.append(side.answer(case))
        return answers

    return send


def during_kill(urls: Urls) -> Callable[[Side, Sequence[Case]], list[list[Answer]]]:
    """Return a sender whose requests lose their connection in the middle of a statement."""

    def send(side: Side, cases: Sequence[Case]) -> list[list[Answer]]:
        answers = []
        with databases.administration(urls[side.edition]) as connection:
            running = _MARIADB_RUNNING if _is_mariadb(connection) else _RUNNING
            for case in cases:
                exchange = Exchange(side.address, side.filled(case.steps[0].request, {}))
                _reach(lambda: connection.execute(running).scalar_one() > 0, "a running statement")
                _kill(connection)
                answers.append([side.received(exchange.responses(), None, {})])
        return answers

    return send


def _kill(connection: Connection) -> None:
    on_mariadb = _is_mariadb(connection)
    if on_mariadb:
        for thread in list(connection.execute(_MARIADB_IDS).scalars()):
            # It may have ended by itself meanwhile.
            with suppress(DBAPIError):
                connection.execute(text(f"KILL {int(thread)}"))
    else:
        connection.execute(_KILL)
    count = _MARIADB_COUNT if on_mariadb else _COUNT
    _reach(lambda: connection.execute(count).scalar_one() == 0, "the end of killed connections")
    # A backend leaves the view a moment before its process, and with it its socket, is gone.
    time.sleep(KILL_SETTLES_S)


def _is_mariadb(connection: Connection) -> bool:
    return connection.dialect.name == "mysql"


def _checked_out(side: Side) -> int:
    response = Exchange(side.address, Request("GET", "/pool")).responses()[-1]
    return int(json.loads(response.body)["checked_out"]) if response.status == 200 else -1


def _reach(is_reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + REACHED_WITHIN_S
    while not is_reached():
        if time.monotonic() > deadline:
            raise EnvironmentFailure(
                f"The parity check could not bring about {what}",
                why=f"it did not come within {REACHED_WITHIN_S:g} s",
                hint="Try again when the machine is less busy",
            )
        time.sleep(POLL_S)
