"""The limit for the WSGI edition: a bare PEP 3333 callable on raw psycopg2, under the edition's own server.

DATABASE_URL is a libpq URI. Connections are in autocommit, so a read is one round trip; at most one exists per server
thread, since a thread takes one at a time.
"""

import os
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from shared.lab.controls import world

SELECT_ONE = "SELECT id, randomnumber FROM world WHERE id = %s"
UPDATE_ALL = (
    "UPDATE world SET randomnumber = v.number FROM unnest(%s::int[], %s::int[]) AS v(id, number) WHERE world.id = v.id"
)
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

# Appending and popping are atomic, so this is a pool without a lock.
_idle: deque[Any] = deque()


@contextmanager
def _cursor() -> Iterator[Any]:
    try:
        connection = _idle.pop()
    except IndexError:
        connection = psycopg2.connect(os.environ["DATABASE_URL"])
        connection.autocommit = True
    cursor = connection.cursor()
    try:
        yield cursor
    except BaseException:
        connection.close()
        raise
    cursor.close()
    _idle.append(connection)


def _plaintext(_query: str) -> tuple[str, bytes]:
    return world.TEXT, b"Hello, World!"


def _json(_query: str) -> tuple[str, bytes]:
    return world.JSON, world.hello()


def _db(_query: str) -> tuple[str, bytes]:
    with _cursor() as cursor:
        cursor.execute(SELECT_ONE, (world.random_id(),))
        found = cursor.fetchone()
    return world.JSON, world.row(found)


def _queries(query: str) -> tuple[str, bytes]:
    found = []
    with _cursor() as cursor:
        for _ in range(world.queries(query)):
            cursor.execute(SELECT_ONE, (world.random_id(),))
            found.append(cursor.fetchone())
    return world.JSON, world.rows(found)


def _updates(query: str) -> tuple[str, bytes]:
    ids = world.distinct_ids(world.queries(query))
    numbers = [world.random_id() for _ in ids]
    with _cursor() as cursor:
        cursor.execute(BEGIN)
        for number in ids:
            cursor.execute(SELECT_ONE + " FOR UPDATE", (number,))
            cursor.fetchone()
        cursor.execute(UPDATE_ALL, (ids, numbers))
        cursor.execute("COMMIT")
    return world.JSON, world.rows(list(zip(ids, numbers, strict=True)))


def _fortunes(_query: str) -> tuple[str, bytes]:
    with _cursor() as cursor:
        cursor.execute(world.SELECT_FORTUNES)
        found = cursor.fetchall()
    return world.HTML, world.fortunes(found)


ROUTES: dict[str, Callable[[str], tuple[str, bytes]]] = {
    "/livez": _plaintext,
    "/plaintext": _plaintext,
    "/json": _json,
    "/db": _db,
    "/queries": _queries,
    "/updates": _updates,
    "/fortunes": _fortunes,
}


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
    """Answer one request."""
    answer = ROUTES.get(environ["PATH_INFO"])
    if answer is None:
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    content_type, body = answer(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
