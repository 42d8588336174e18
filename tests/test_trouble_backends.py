"""Connections that the database ends: under load, and while nobody uses them."""

import time

import pytest

from shared.config import Edition

from .clients import Crowd
from .clients import bad_log_lines
from .clients import eventually
from .clients import get
from .clients import pool_of
from .clients import request
from .clients import together
from .cluster import rows
from .cluster import sessions
from .conftest import ServiceFactory

POOL_SIZE = 10
KILL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = %s"
)


def kill_all(url: str, edition: Edition) -> int:
    """End every connection of an edition; return how many there were."""
    return int(rows(url, KILL, (f"wsgi-vs-asgi {edition}",))[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/db", "/updates?queries=3"])
def test_killed_backends_cost_one_503_per_connection_at_most(
    edition: Edition, start_service: ServiceFactory, new_database: str, path: str
) -> None:
    """All backends ended under load, three times: no hang, no 500, and normal again within a second."""
    service = start_service(edition, DATABASE_URL=new_database)
    assert get(service.port, "/db").status == 200
    crowd = Crowd(service.port, request("GET", path), 16, timeout_s=10)
    killed = 0
    killed_at = []
    for _ in range(3):
        time.sleep(0.5)
        killed_at.append(time.monotonic())
        killed += kill_all(new_database, edition)
    time.sleep(1.5)
    replies = crowd.stop()
    assert killed >= 3
    assert {reply.error for reply in replies} == {""}
    assert {reply.status for reply in replies} <= {200, 503}
    refused = [reply for reply in replies if reply.status == 503]
    assert len(refused) <= killed
    assert {(reply.problem, reply.headers["retry-after"]) for reply in refused} <= {("database-unavailable", "1")}
    assert all(any(0 <= reply.started_at + reply.elapsed_s - at < 1 for at in killed_at) for reply in refused)
    assert max(reply.elapsed_s for reply in replies) < 3
    assert eventually(lambda: pool_of(service)["checked_out"] == 0, 2)
    service.stop()
    assert bad_log_lines(service) == []


def test_connections_that_died_while_idle_cost_no_request_anything(
    edition: Edition, start_service: ServiceFactory, new_database: str
) -> None:
    """Every idle connection ended, then reads, writes and streams: all are 200."""
    service = start_service(edition, DATABASE_URL=new_database)
    for _ in range(3):
        together([lambda: get(service.port, "/sleep?seconds=0.2")] * POOL_SIZE)
        assert kill_all(new_database, edition) == POOL_SIZE
        eventually(lambda: sessions(new_database, edition) == 0, 2)
        paths = ["/db", "/updates?queries=2", "/stream?rows=5", "/fortunes", "/sleep?seconds=0.1"] * 3
        replies = together([lambda path=path: get(service.port, path) for path in paths])  # type: ignore[misc]
        assert [reply.status for reply in replies] == [200] * len(paths)
    service.stop()
    assert bad_log_lines(service) == []


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("/db", ["SELECT"]),
        ("/queries?queries=3", ["SELECT"] * 3),
        ("/fortunes", ["SELECT"]),
        ("/updates?queries=1", ["BEGIN", "COMMIT", "SELECT", "UPDATE"]),
    ],
)
def test_request_sends_its_statements_and_no_ping(
    edition: Edition, start_service: ServiceFactory, new_database: str, path: str, statements: list[str]
) -> None:
    """Counted at the database, on a connection that was used before, by a write as well.

    Not for /stream: pg_stat_statements leaves out a FETCH that was prepared, as asyncpg's is.
    """
    service = start_service(edition, DATABASE_URL=new_database, POOL_SIZE="1")
    assert {get(service.port, before).status for before in (path, "/updates", path)} == {200}
    rows(new_database, "SELECT pg_stat_statements_reset()")
    assert get(service.port, path).status == 200
    found = rows(
        new_database,
        "SELECT query, calls FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid "
        "WHERE datname = current_database() AND query NOT LIKE '%%pg_stat_statements%%'",
    )
    words = sorted(word for query, calls in found for word in [query.split()[0]] * calls)
    assert words == statements
