"""Many starters on an empty database: one creates, nobody fails."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.queues import Queue

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from shared.config import Edition
from shared.config import load
from shared.engine import Source
from shared.lab.services.process import HOST
from shared.lab.services.process import free_port
from shared.twins import ROOT

from .clients import eventually
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


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_of_two_that_start_at_once_on_one_port_the_later_says_who_has_it(
    edition: Edition, workers: str, database_url: str
) -> None:
    """Both find the port free, so it is the server that fails; whoever started it still gets the way out."""
    port = str(free_port())
    prefix = edition.upper()
    environ = {**os.environ, "DATABASE_URL": database_url, f"{prefix}_PORT": port, f"{prefix}_WORKERS": workers}
    with ExitStack() as ended:
        starters = [
            subprocess.Popen(
                [sys.executable, "-m", f"{edition}_app"],
                cwd=ROOT,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for starter in starters:
            ended.enter_context(starter)
            ended.callback(starter.terminate)
        eventually(lambda: any(starter.poll() is not None for starter in starters), 30, every_s=0.05)
        (late,) = (starter for starter in starters if starter.poll() is not None)
        assert late.returncode == 3
        assert late.stderr is not None
        said = late.stderr.read()
        assert f"Cannot listen on {HOST}:{port}. Address already in use" in said
        assert f"{prefix}_PORT=" in said
        assert "Traceback" not in said
        assert get(int(port), "/plaintext").status == 200
