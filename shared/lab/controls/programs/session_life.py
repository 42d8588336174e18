"""Sessions of SQLAlchemy and of the database: when each of them begins and ends, and which has which.

What happens is noted as [what, of whom, nanoseconds]; whom is a Session's number, or a connection's.
"""

import asyncio
import time
from importlib import import_module
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy import event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool import NullPool
from sqlalchemy.pool import Pool

from shared.config import Edition
from shared.config import Settings
from shared.config import load
from shared.engine import engine_options
from shared.engine import engine_url
from shared.engine import locate
from shared.lab.watch.sessions import Sessions

OWN_PID = text("SELECT pg_backend_pid()")
# Between the steps of the first Sessions, in seconds, so that a picture shows them apart.
PAUSE_S = 0.02
SHOWN = 3
# What a session that was closed may take to leave the database's list, in seconds.
LEAVE_S = 0.3
OF_A_POOL = frozenset({"pool_size", "max_overflow", "pool_timeout", "poolclass"})


class Notes:
    """What happened, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []
        self._records: list[ConnectionPoolEntry] = []

    def add(self, what: str, whom: int) -> None:
        """Note something, as of now."""
        self.lines.append((what, whom, time.monotonic_ns()))

    def listen(self, pool: Pool) -> None:
        """Note what a pool does."""

        def noted(what: str, record: ConnectionPoolEntry) -> None:
            if record not in self._records:
                self._records.append(record)
            self.add(what, self._records.index(record))

        event.listen(pool, "connect", lambda connection, record: noted("connected", record))
        event.listen(pool, "checkout", lambda connection, record, fairy: noted("taken", record))
        event.listen(pool, "checkin", lambda connection, record: noted("released", record))
        event.listen(pool, "close", lambda connection, record: noted("disconnected", record))


def unpooled_options(edition: Edition, settings: Settings, driver: str) -> dict[str, Any]:
    """Return what an engine without a pool is made with; otherwise as the edition's."""
    options = engine_options(settings, edition, driver)
    return {**{name: value for name, value in options.items() if name not in OF_A_POOL}, "poolclass": NullPool}


def wsgi(count: int) -> dict[str, Any]:
    """Open and close Sessions one after the other, one that outlives two connections, and one without a pool.

    Args:
        count: How many Sessions one after the other.
    """
    database_of: Any = import_module("wsgi_app.database").Database
    session_of: Any = import_module("wsgi_app.concurrency").Session
    settings = load()
    source = locate(settings)
    found: dict[str, Any] = {}
    notes = Notes()
    with Sessions(source.url) as sessions:
        database = database_of(settings, source)
        notes.listen(database.engine.pool)
        pids = []
        for number in range(count):
            pause_s = PAUSE_S if number < SHOWN else 0.0
            session = database.open_session()
            notes.add("opened", number)
            if number == 0:
                found["at_open"] = sessions.count()
            time.sleep(pause_s)
            pids.append(session.execute(OWN_PID).scalar_one())
            if number == 0:
                found["in_use"] = sessions.count()
            time.sleep(pause_s)
            session.close()
            notes.add("closed", number)
            if number == 0:
                found["at_close"] = sessions.settled_count(0, timeout_s=LEAVE_S)
            time.sleep(pause_s)
        one, other = database.open_session(), database.open_session()
        first = one.execute(OWN_PID).scalar_one()
        one.commit()
        taken = other.execute(OWN_PID).scalar_one()
        second = one.execute(OWN_PID).scalar_one()
        one.close()
        other.close()
        database.dispose()
        found["disposed"] = sessions.settled_count(0)
        url = engine_url(source.url, "wsgi")
        engine = create_engine(url, **unpooled_options("wsgi", settings, url.get_driver_name()))
        session = session_of(engine)
        found["unpooled_at_open"] = sessions.count()
        session.execute(OWN_PID)
        found["unpooled_in_use"] = sessions.count()
        session.close()
        found["unpooled_at_close"] = sessions.settled_count(0)
        engine.dispose()
    return {**found, "pids": pids, "of_one": [first, second], "of_other": taken, "notes": notes.lines}


async def asgi(count: int) -> dict[str, Any]:
    """Do the same."""
    database_of: Any = import_module("asgi_app.database").Database
    session_of: Any = import_module("asgi_app.concurrency").Session
    settings = load()
    source = locate(settings)
    found: dict[str, Any] = {}
    notes = Notes()
    with Sessions(source.url) as sessions:
        database = database_of(settings, source)
        notes.listen(database.engine.pool)
        pids = []
        for number in range(count):
            pause_s = PAUSE_S if number < SHOWN else 0.0
            session = database.open_session()
            notes.add("opened", number)
            if number == 0:
                found["at_open"] = sessions.count()
            await asyncio.sleep(pause_s)
            pids.append((await session.execute(OWN_PID)).scalar_one())
            if number == 0:
                found["in_use"] = sessions.count()
            await asyncio.sleep(pause_s)
            await session.close()
            notes.add("closed", number)
            if number == 0:
                found["at_close"] = sessions.settled_count(0, timeout_s=LEAVE_S)
            await asyncio.sleep(pause_s)
        one, other = database.open_session(), database.open_session()
        first = (await one.execute(OWN_PID)).scalar_one()
        await one.commit()
        taken = (await other.execute(OWN_PID)).scalar_one()
        second = (await one.execute(OWN_PID)).scalar_one()
        await one.close()
        await other.close()
        await database.dispose()
        found["disposed"] = sessions.settled_count(0)
        url = engine_url(source.url, "asgi")
        engine = create_async_engine(url, **unpooled_options("asgi", settings, url.get_driver_name()))
        session = session_of(engine)
        found["unpooled_at_open"] = sessions.count()
        await session.execute(OWN_PID)
        found["unpooled_in_use"] = sessions.count()
        await session.close()
        found["unpooled_at_close"] = sessions.settled_count(0)
        await engine.dispose()
    return {**found, "pids": pids, "of_one": [first, second], "of_other": taken, "notes": notes.lines}
