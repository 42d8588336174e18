"""The database is not there, goes away, comes back, or does not answer: what the services say meanwhile."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from shared.config import Edition
from shared.lab.factors import distance

from .clients import Crowd
from .clients import bad_log_lines
from .clients import eventually
from .clients import free_port_url
from .clients import get
from .clients import pool_of
from .clients import request
from .clients import together
from .cluster import StoppablePostgres
from .conftest import ServiceFactory

# What the issue promises, in seconds.
RECOVERY_S = 2.0
HEALTH_S = 2.0
# Two noisy processors: a promise is checked with this much more.
MARGIN_S = 1.0
# The shortest ladder that a busy machine can keep.
SHORT_TIMEOUTS = {
    "CONNECT_TIMEOUT": "0.4",
    "POOL_TIMEOUT": "0.8",
    "STATEMENT_TIMEOUT": "1.2",
    "REQUEST_TIMEOUT": "2",
    "GRACEFUL_TIMEOUT": "4",
}


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[StoppablePostgres]:
    server = StoppablePostgres(tmp_path)
    yield server
    server.release()


@pytest.fixture(params=["unix", "tcp"])
def unused_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database that is not there."""
    return free_port_url() if request.param == "tcp" else f"postgresql://postgres@/nothing?host={tmp_path}"


def test_start_without_database_serves_what_needs_none(
    edition: Edition, start_service: ServiceFactory, unused_url: str
) -> None:
    """The service is up; what needs the database is 503 with its reason, and soon."""
    service = start_service(edition, DATABASE_URL=unused_url)
    for path in ("/plaintext", "/livez", "/json", "/pool", "/wait?seconds=0"):
        assert get(service.port, path).status == 200
    for path in ("/db", "/readyz", "/health/db", "/stream?rows=1"):
        reply = get(service.port, path)
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.problem == "database-unavailable"
        assert reply.elapsed_s < HEALTH_S
    assert "Database down" in get(service.port, "/health/db").json["detail"]
    service.stop()
    assert bad_log_lines(service) == []


@pytest.mark.slow
def test_service_recovers_when_the_database_comes(
    edition: Edition, start_service: ServiceFactory, postgres: StoppablePostgres
) -> None:
    """Started before the database, which is empty when it comes: seeded and served without anybody's help."""
    postgres.stop()
    service = start_service(edition, DATABASE_URL=postgres.url)
    assert get(service.port, "/db").status == 503
    postgres.start()
    back_at = time.monotonic()
    eventually(lambda: get(service.port, "/db").status == 200, RECOVERY_S + MARGIN_S)
    eventually(lambda: get(service.port, "/readyz").status == 200, RECOVERY_S)
    assert time.monotonic() - back_at < RECOVERY_S + MARGIN_S
    assert get(service.port, "/health/db").status == 200


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_database_restart_under_load_is_never_a_bug_of_the_service(
    edition: Edition,
    start_service: ServiceFactory,
    postgres: StoppablePostgres,
    mode: Literal["fast", "immediate"],
) -> None:
    """503 while it is away, 200 within 2 s of its return, and nothing else in between."""
    service = start_service(edition, DATABASE_URL=postgres.url)
    assert get(service.port, "/db").status == 200
    reads = Crowd(service.port, request("GET", "/db"), 8, timeout_s=10)
    writes = Crowd(service.port, request("GET", "/updates?queries=3"), 4, timeout_s=10)
    time.sleep(0.5)
    postgres.stop(mode)
    time.sleep(0.5)
    assert get(service.port, "/readyz").status == 503
    # Full for moments, while every connection is tried at once.
    eventually(lambda: get(service.port, "/health/db").problem == "database-unavailable", 2)
    postgres.start()
    back_at = time.monotonic()
    eventually(lambda: get(service.port, "/db").status == 200, RECOVERY_S + MARGIN_S)
    time.sleep(RECOVERY_S)
    replies = reads.stop() + writes.stop()
    assert {reply.error for reply in replies} == {""}
    assert {reply.status for reply in replies} == {200, 503}
    assert all("retry-after" in reply.headers for reply in replies if reply.status == 503)
    late = Counter(reply.status for reply in replies if reply.started_at > back_at + RECOVERY_S)
    assert set(late) <= {200}
    assert max(reply.elapsed_s for reply in replies) < 4
    eventually(lambda: pool_of(service)["checked_out"] == 0, 2)
    service.stop()
    assert bad_log_lines(service) == []


@pytest.mark.slow
def test_frozen_database_ends_requests_in_bounded_time(
    edition: Edition, start_service: ServiceFactory, postgres: StoppablePostgres
) -> None:
    """A server that keeps its connections open and says nothing: each request ends, and the pool is whole again."""
    service = start_service(edition, DATABASE_URL=postgres.url, WSGI_THREADS="14", **SHORT_TIMEOUTS)
    assert get(service.port, "/db").status == 200
    together([lambda: get(service.port, "/sleep?seconds=0.1")] * 4)
    with postgres.frozen():
        replies = together(
            [
                *[lambda: get(service.port, "/db")] * 4,
                lambda: get(service.port, "/updates?queries=2"),
                lambda: get(service.port, "/health/db"),
                lambda: get(service.port, "/readyz"),
                lambda: get(service.port, "/livez"),
            ]
        )
        *queries, health, ready, alive = replies
        assert alive.status == 200
        assert alive.elapsed_s < 1
        assert {reply.status for reply in (health, ready)} == {503}
        assert max(health.elapsed_s, ready.elapsed_s) < HEALTH_S + MARGIN_S
        assert {reply.status for reply in queries} <= {503, 504}
        # The driver's own wait, and the time in which an answer to its cancel request is given up.
        assert max(reply.elapsed_s for reply in queries) < 2 + 2 + MARGIN_S
        assert get(service.port, "/health/db").elapsed_s < HEALTH_S + MARGIN_S
    eventually(lambda: get(service.port, "/db").status == 200, RECOVERY_S + MARGIN_S)
    eventually(lambda: pool_of(service)["checked_out"] == 0, 4)
    assert service.stop() == 0
    assert bad_log_lines(service) == []


@pytest.mark.slow
def test_a_request_of_many_answers_may_take_longer_than_one_answer_may(
    edition: Edition, start_service: ServiceFactory, database_url: str
) -> None:
    """The bound is on the wait for each answer of the database, wherever the statements of a request come from."""
    with distance.at(database_url, 10.0) as distant:
        service = start_service(edition, DATABASE_URL=distant.url, **SHORT_TIMEOUTS)
        reply = get(service.port, "/queries?queries=400")
        assert reply.status == 200
        assert reply.elapsed_s > float(SHORT_TIMEOUTS["REQUEST_TIMEOUT"])
        assert service.stop() == 0
