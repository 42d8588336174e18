"""A pool of ten that ten slow requests hold: who waits, who is refused, and who is answered all the same."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.config import Edition
from shared.lab.services.process import Service

from .clients import Reply
from .clients import eventually
from .clients import get
from .clients import pool_of
from .conftest import ServiceFactory

POOL_SIZE = 10
# Two noisy processors: a time is right when it is off by less.
MARGIN_S = 0.7


class Sleepers:
    """Requests that hold a connection each for some seconds, sent at once."""

    def __init__(self, service: Service, seconds: float, count: int = POOL_SIZE) -> None:
        self._threads = ThreadPoolExecutor(max_workers=count)
        self.started_at = time.monotonic()
        path = f"/sleep?seconds={seconds}"
        self._futures = [self._threads.submit(get, service.port, path) for _ in range(count)]

    def replies(self) -> list[Reply]:
        """Wait for all of them."""
        replies = [future.result() for future in self._futures]
        self._threads.shutdown()
        return replies


@pytest.mark.slow
def test_eleventh_request_waits_for_the_first_release(edition: Edition, start_service: ServiceFactory) -> None:
    """It is answered when a connection is free, and /pool shows it waiting, and for how long it has waited."""
    service = start_service(edition, WSGI_THREADS="14")
    assert get(service.port, "/db").status == 200
    sleepers = Sleepers(service, 1.5)
    eventually(lambda: pool_of(service)["checked_out"] == POOL_SIZE, 2)
    eleventh = Sleepers(service, 0, count=1)
    eventually(lambda: pool_of(service)["waiting"], 2)
    seen = pool_of(service)
    assert (seen["size"], seen["checked_out"], seen["idle"], seen["waiting"]) == (POOL_SIZE, POOL_SIZE, 0, 1)
    before_s = seen["totals"]["wait_s_sum"]
    (reply,) = eleventh.replies()
    assert reply.status == 200
    remaining_s = sleepers.started_at + 1.5 - eleventh.started_at
    assert remaining_s - 0.1 < reply.elapsed_s < remaining_s + MARGIN_S
    assert {reply.status for reply in sleepers.replies()} == {200}
    after = pool_of(service)
    assert (after["checked_out"], after["waiting"], after["totals"]["timeouts"]) == (0, 0, 0)
    waited_s = after["totals"]["wait_s_sum"] - before_s
    assert waited_s == pytest.approx(reply.elapsed_s, abs=0.3)
    histogram = after["totals"]["wait_s_histogram"]
    assert histogram["+Inf"] - histogram["0.5"] == 1
    assert histogram["+Inf"] == after["totals"]["checkouts"]


@pytest.mark.slow
def test_full_pool_refuses_after_pool_timeout_and_answers_the_rest(
    edition: Edition, start_service: ServiceFactory
) -> None:
    """No connection in time is 503; what needs none is answered at once, where a thread is left (14 threads)."""
    service = start_service(edition, WSGI_THREADS="14", POOL_TIMEOUT="1.2", CONNECT_TIMEOUT="1")
    assert get(service.port, "/db").status == 200
    sleepers = Sleepers(service, 3)
    eventually(lambda: pool_of(service)["checked_out"] == POOL_SIZE, 2)
    refused = Sleepers(service, 0, count=2)
    eventually(lambda: pool_of(service)["waiting"] == 2, 1)
    for path in ("/plaintext", "/livez", "/readyz"):
        reply = get(service.port, path)
        assert (reply.status, reply.elapsed_s < MARGIN_S) == (200, True)
    health = get(service.port, "/health/db")
    assert (health.status, health.problem, health.elapsed_s < MARGIN_S) == (503, "pool-exhausted", True)
    assert "Pool full" in health.json["detail"]
    for reply in refused.replies():
        assert (reply.status, reply.headers["retry-after"], reply.problem) == (503, "1", "pool-exhausted")
        assert 1.2 - 0.1 < reply.elapsed_s < 1.2 + MARGIN_S
    assert pool_of(service)["totals"]["timeouts"] == 2
    assert {reply.status for reply in sleepers.replies()} == {200}
    reply = get(service.port, "/db")
    assert (reply.status, reply.elapsed_s < MARGIN_S) == (200, True)
    assert get(service.port, "/health/db").status == 200


@pytest.mark.slow
def test_as_many_slow_requests_as_threads_stop_only_the_threaded_edition(
    edition: Edition, start_service: ServiceFactory
) -> None:
    """With the default of 10 threads, ten slow requests leave none: even /livez waits, until the first has ended.

    Nothing is refused: gunicorn accepts the connections and lets them wait. One event loop has no such limit.
    """
    service = start_service(edition, WSGI_THREADS="10")
    assert get(service.port, "/db").status == 200
    sleepers = Sleepers(service, 2)
    time.sleep(0.5)
    alive = get(service.port, "/livez")
    assert alive.status == 200
    waited_s = time.monotonic() - sleepers.started_at
    if edition == "wsgi":
        assert 2 <= waited_s < 2 + MARGIN_S
    else:
        assert alive.elapsed_s < MARGIN_S
    assert {reply.status for reply in sleepers.replies()} == {200}


def test_connections_beyond_the_pools_size_are_closed_on_return(
    edition: Edition, start_service: ServiceFactory
) -> None:
    """Closing one waits for the server, which a session that has nothing left to tell it otherwise need not."""
    service = start_service(edition, WSGI_THREADS="8", POOL_SIZE="2", POOL_MAX_OVERFLOW="5")
    assert {reply.status for reply in Sleepers(service, 0.3, count=7).replies()} == {200}
    found = eventually(lambda: (now := pool_of(service))["checked_out"] == 0 and now, 2)
    assert (found["idle"], found["overflow"]) == (2, 0)
    assert found["totals"]["connects"] == 7
    assert service.stop() == 0
    assert "Traceback" not in service.log_path.read_text()
