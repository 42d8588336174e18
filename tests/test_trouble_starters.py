"""Many starters on an empty database: one creates, nobody fails."""

import asyncio
import multiprocessing
from collections.abc import Callable
from multiprocessing.queues import Queue

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from shared.config import Edition
from shared.config import load
from shared.engine import Source

from .clients import get
from .clients import together
from .cluster import rows
from .conftest import ServiceFactory

STARTERS = 8
ROUNDS = 20
COUNTS = "SELECT (SELECT count(*) FROM world), (SELECT count(*) FROM fortune), (SELECT count(*) FROM accounts)"
SEEDED = [(10_000, 12, 10_000)]


def _prepare(edition: Edition, url: str) -> str:
    """Do what an edition's first request does; return what failed, or nothing."""
    settings = load({"DATABASE_URL": url}, "")
    source = Source(url, lambda: None)
    try:
        if edition == "wsgi":
            from wsgi_app.database import Database

            database = Database(settings, source)
            database.prepare()
            database.dispose()
        else:
            asyncio.run(_prepare_async(url))
    except BaseException as error:
        return repr(error)
    return ""


async def _prepare_async(url: str) -> None:
    from asgi_app.database import Database

    database = Database(load({"DATABASE_URL": url}, ""), Source(url, lambda: None))
    await database.prepare()
    await database.dispose()


def _starter(edition: Edition, tasks: "Queue[str]", results: "Queue[str]") -> None:
    while url := tasks.get():
        results.put(_prepare(edition, url))


@pytest.mark.slow
def test_eight_starters_on_an_empty_database_all_succeed(
    database_url: str, connection: psycopg2.extensions.connection
) -> None:
    """Four processes of each edition, twenty empty databases: every preparation succeeds, and seeds once."""
    context = multiprocessing.get_context("spawn")
    results: Queue[str] = context.Queue()
    queues: list[Queue[str]] = [context.Queue() for _ in range(STARTERS)]
    editions: list[Edition] = ["wsgi", "asgi"]
    processes = [
        context.Process(target=_starter, args=(editions[number % 2], queues[number], results), daemon=True)
        for number in range(STARTERS)
    ]
    for process in processes:
        process.start()
    with connection.cursor() as cursor:
        for number in range(ROUNDS):
            name = f"starters_{number}"
            cursor.execute(f"CREATE DATABASE {name}")
            url = make_url(database_url).set(database=name).render_as_string(hide_password=False)
            for queue in queues:
                queue.put(url)
            assert [results.get(timeout=60) for _ in range(STARTERS)] == [""] * STARTERS
            assert rows(url, COUNTS) == SEEDED
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    for queue, process in zip(queues, processes, strict=True):
        queue.put("")
        process.join(10)
        assert process.exitcode == 0


@pytest.mark.slow
def test_workers_of_both_services_start_together_on_an_empty_database(
    start_service: ServiceFactory, new_database: str
) -> None:
    """The services themselves, two workers each, with their first requests at the same time."""
    start: list[Callable[[], object]] = []
    editions: list[Edition] = ["wsgi", "asgi"]
    services = [
        start_service(edition, DATABASE_URL=new_database, **{f"{edition.upper()}_WORKERS": "2"}) for edition in editions
    ]
    start = [lambda port=service.port: get(port, "/db").status for service in services for _ in range(6)]  # type: ignore[misc]
    assert together(start) == [200] * 12
    assert rows(new_database, COUNTS) == SEEDED
