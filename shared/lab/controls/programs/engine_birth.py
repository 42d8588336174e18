"""What the first engine of a process and later ones take: the object, its first connection, and those after it."""

import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from time import perf_counter_ns
from typing import Any

from shared.config import Settings
from shared.config import load
from shared.engine import Source

# By road, a URL each; not an argument, because everybody may read those.
URLS_KEY = "LAB_ROADS"
Steps = dict[str, float]


def _release() -> None:
    """Do nothing: the database is somebody else's."""


def _engines(later: int) -> Iterator[tuple[str, Source]]:
    """Yield what the first engine is called, and those of every road in turn."""
    urls: dict[str, str] = json.loads(os.environ[URLS_KEY])
    yield "first", Source(next(iter(urls.values())), _release)
    for _ in range(later):
        for road, url in urls.items():
            yield road, Source(url, _release)


class Stopwatch:
    """Milliseconds from one step to the next, and how many modules were imported."""

    def __init__(self) -> None:
        self.steps: Steps = {}
        self._modules = len(sys.modules)
        self._since_ns = perf_counter_ns()

    def start(self) -> None:
        """Leave out what was since the last step."""
        self._since_ns = perf_counter_ns()

    def stop(self, name: str) -> None:
        """End a step."""
        self.steps[name] = (perf_counter_ns() - self._since_ns) / 1e6
        self._since_ns = perf_counter_ns()

    def count_modules(self) -> None:
        """Note how many modules were imported since the begin."""
        self.steps["modules"] = len(sys.modules) - self._modules


def wsgi(later: int) -> dict[str, list[Steps]]:
    """Make engines, and time the steps of each."""
    database_of: Any = import_module("wsgi_app.database").Database
    settings: Settings = load()
    found: dict[str, list[Steps]] = {}
    for name, source in _engines(later):
        watch = Stopwatch()
        database = database_of(settings, source)
        watch.stop("engine")
        watch.count_modules()
        watch.start()
        connection = database.engine.connect()
        watch.stop("first_connection")
        connection.close()
        watch.start()
        connection = database.engine.connect()
        watch.stop("second_checkout")
        another = database.engine.connect()
        watch.stop("another_connection")
        another.close()
        connection.close()
        database.dispose()
        found.setdefault(name, []).append(watch.steps)
    return found


async def asgi(later: int) -> dict[str, list[Steps]]:
    """Make engines, and time the same steps."""
    database_of: Any = import_module("asgi_app.database").Database
    settings: Settings = load()
    found: dict[str, list[Steps]] = {}
    for name, source in _engines(later):
        watch = Stopwatch()
        database = database_of(settings, source)
        watch.stop("engine")
        watch.count_modules()
        watch.start()
        connection = await database.engine.connect()
        watch.stop("first_connection")
        await connection.close()
        watch.start()
        connection = await database.engine.connect()
        watch.stop("second_checkout")
        another = await database.engine.connect()
        watch.stop("another_connection")
        await another.close()
        await connection.close()
        await database.dispose()
        found.setdefault(name, []).append(watch.steps)
    return found
