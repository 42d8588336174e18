"""Who pools: what the edition's pool says it has, what the database sees, and the same without a pool."""

from importlib import import_module
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.config import Edition
from shared.config import Settings
from shared.config import load
from shared.engine import Source
from shared.engine import engine_options
from shared.engine import engine_url
from shared.engine import locate
from shared.lab.watch.sessions import Sessions

BACKEND_PID = text("SELECT pg_backend_pid()")
# What only a pool that keeps connections takes.
POOL_OPTIONS = frozenset({"poolclass", "pool_size", "max_overflow", "pool_timeout"})


def _unpooled(settings: Settings, source: Source, edition: Edition) -> tuple[Any, dict[str, Any]]:
    """Return what an engine like the edition's is made with, but without a pool."""
    url = engine_url(source.url, edition)
    options = engine_options(settings, edition, url.get_driver_name())
    return url, {**{name: options[name] for name in options.keys() - POOL_OPTIONS}, "poolclass": NullPool}


def _driver_pid(connection: Any) -> int:
    """Return the process that the driver was told of at connect; a pooler in between would tell another."""
    driver = connection.driver_connection
    return int(driver.get_backend_pid() if hasattr(driver, "get_backend_pid") else driver.get_server_pid())


def wsgi(*, sessions: int) -> dict[str, int]:
    """Use as many Sessions at once as the pool holds, then one after the other; return the counts."""
    module: Any = import_module("wsgi_app.database")
    settings = load()
    source = locate(settings)
    database = module.Database(settings, source)
    found = {"mismatches": 0}

    def ask(session: Any) -> int:
        connection = session.connection()
        pid = int(connection.execute(BACKEND_PID).scalar_one())
        found["mismatches"] += pid != _driver_pid(connection.connection)
        return pid

    with Sessions(source.url) as view:
        # Whoever used this database before may be leaving still.
        view.settled_count(0)
        held = [database.open_session() for _ in range(settings.pool_size)]
        pids = {ask(session) for session in held}
        found["held_pool"], found["held_server"] = database.pool().checked_out, view.count()
        for session in held:
            session.close()
        found["idle_pool"], found["idle_server"] = database.pool().idle, view.count()
        for _ in range(sessions):
            with database.open_session() as session:
                pids.add(ask(session))
        found["pids"], found["connects"] = len(pids), database.pool().totals.connects
        found["after_server"] = view.count()
        url, options = _unpooled(settings, source, "wsgi")
        engine = create_engine(url, **options)
        own = set()
        for _ in range(sessions):
            with engine.connect() as connection:
                own.add(connection.execute(BACKEND_PID).scalar_one())
        found["unpooled_pids"] = len(own)
        database.dispose()
        found["left_server"] = view.settled_count(0)
    return found


async def asgi(*, sessions: int) -> dict[str, int]:
    """Go through the same steps."""
    module: Any = import_module("asgi_app.database")
    settings = load()
    source = locate(settings)
    database = module.Database(settings, source)
    found = {"mismatches": 0}

    async def ask(session: Any) -> int:
        connection = await session.connection()
        pid = int((await connection.execute(BACKEND_PID)).scalar_one())
        found["mismatches"] += pid != _driver_pid(await connection.get_raw_connection())
        return pid

    with Sessions(source.url) as view:
        # Whoever used this database before may be leaving still.
        view.settled_count(0)
        held = [database.open_session() for _ in range(settings.pool_size)]
        pids = {await ask(session) for session in held}
        found["held_pool"], found["held_server"] = database.pool().checked_out, view.count()
        for session in held:
            await session.close()
        found["idle_pool"], found["idle_server"] = database.pool().idle, view.count()
        for _ in range(sessions):
            async with database.open_session() as session:
                pids.add(await ask(session))
        found["pids"], found["connects"] = len(pids), database.pool().totals.connects
        found["after_server"] = view.count()
        url, options = _unpooled(settings, source, "asgi")
        engine = create_async_engine(url, **options)
        own = set()
        for _ in range(sessions):
            async with engine.connect() as connection:
                own.add((await connection.execute(BACKEND_PID)).scalar_one())
        found["unpooled_pids"] = len(own)
        await database.dispose()
        found["left_server"] = view.settled_count(0)
    return found
