"""An edition that makes an engine for every request, as people do who call create_engine in a handler.

Editions are named as text: the lab imports none of them.
"""

from collections.abc import AsyncIterator
from collections.abc import Iterator
from contextlib import asynccontextmanager
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from shared.config import Edition


def per_request(edition: Edition) -> None:
    """Have each request that needs a session make an engine, use it, and dispose of it.

    Everything else is done once, as in the edition: settings, schema and seed data. What the pools of all these engines
    do is counted together. To be called before the edition's application is imported.
    """
    module = import_module(f"{edition}_app.database")
    names = vars(module)
    names["PoolStatistics"] = cache(names["PoolStatistics"])
    names["get_db"] = (_threads if edition == "wsgi" else _tasks)(module)


def _threads(module: Any) -> Any:
    opened = contextmanager(module.get_db)

    def get_db(database: Any, endpoint: str) -> Iterator[Any]:
        if not database.is_prepared:
            database.prepare()
        own = module.Database(database.settings, database.source)
        own.is_prepared = True
        try:
            with opened(own, endpoint) as session:
                yield session
        finally:
            own.engine.dispose()

    return get_db


def _tasks(module: Any) -> Any:
    opened = asynccontextmanager(module.get_db)

    async def get_db(database: Any, endpoint: str) -> AsyncIterator[Any]:
        if not database.is_prepared:
            await database.prepare()
        own = module.Database(database.settings, database.source)
        own.is_prepared = True
        try:
            async with opened(own, endpoint) as session:
                yield session
        finally:
            await own.engine.dispose()

    return get_db
