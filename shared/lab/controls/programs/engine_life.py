"""From no engine to a disposed one: how many database sessions there are after each step."""

from importlib import import_module
from typing import Any

from shared.config import Settings
from shared.config import load
from shared.engine import Source
from shared.engine import locate
from shared.lab.watch.sessions import Sessions
from shared.statements import SELECT_WORLD

ROW = {"id": 1}


def _settled() -> tuple[Settings, Source]:
    settings = load()
    return settings, locate(settings)


def wsgi() -> dict[str, int]:
    """Go through the steps, and return the number of sessions after each."""
    database_of: Any = import_module("wsgi_app.database").Database
    settings, source = _settled()
    counts = {}
    with Sessions(source.url) as sessions:
        counts["before"] = sessions.count()
        database = database_of(settings, source)
        counts["engine"] = sessions.count()
        session = database.open_session()
        counts["session"] = sessions.count()
        session.execute(SELECT_WORLD, ROW)
        counts["first_query"] = sessions.count()
        session.execute(SELECT_WORLD, ROW)
        counts["second_query"] = sessions.count()
        session.close()
        counts["closed_session"] = sessions.count()
        database.dispose()
        counts["disposed"] = sessions.settled_count(0)
    return counts


async def asgi() -> dict[str, int]:
    """Go through the same steps."""
    database_of: Any = import_module("asgi_app.database").Database
    settings, source = _settled()
    counts = {}
    with Sessions(source.url) as sessions:
        counts["before"] = sessions.count()
        database = database_of(settings, source)
        counts["engine"] = sessions.count()
        session = database.open_session()
        counts["session"] = sessions.count()
        await session.execute(SELECT_WORLD, ROW)
        counts["first_query"] = sessions.count()
        await session.execute(SELECT_WORLD, ROW)
        counts["second_query"] = sessions.count()
        await session.close()
        counts["closed_session"] = sessions.count()
        await database.dispose()
        counts["disposed"] = sessions.settled_count(0)
    return counts
