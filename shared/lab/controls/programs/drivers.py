"""When a driver is loaded: after the application was imported, and after its engine was created."""

import sys
from importlib import import_module
from typing import Any

from shared.config import load
from shared.engine import locate
from shared.statements import SELECT_WORLD

# By the name of the package; whatever else starts with it belongs to the same driver.
DRIVERS = ("psycopg2", "psycopg", "asyncpg", "pymysql", "aiomysql", "MySQLdb", "asyncmy")


def _loaded() -> list[str]:
    return [name for name in DRIVERS if name in sys.modules]


def wsgi() -> dict[str, Any]:
    """Go through the steps, and return what is loaded after each."""
    import_module("wsgi_app.app")
    found: dict[str, Any] = {"after_import": _loaded()}
    database: Any = import_module("wsgi_app.database").Database(load(), locate(load()))
    found["after_engine"] = _loaded()
    found["driver"] = database.engine.dialect.driver
    # A fresh database may have no tables yet.
    database.prepare()
    session = database.open_session()
    session.execute(SELECT_WORLD, {"id": 1})
    session.close()
    found["after_query"] = _loaded()
    database.dispose()
    return found


async def asgi() -> dict[str, Any]:
    """Go through the same steps."""
    import_module("asgi_app.app")
    found: dict[str, Any] = {"after_import": _loaded()}
    database: Any = import_module("asgi_app.database").Database(load(), locate(load()))
    found["after_engine"] = _loaded()
    found["driver"] = database.engine.dialect.driver
    await database.prepare()
    session = database.open_session()
    await session.execute(SELECT_WORLD, {"id": 1})
    await session.close()
    found["after_query"] = _loaded()
    await database.dispose()
    return found
