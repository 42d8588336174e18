"""Clients that leave at random moments, and readers that stop reading: nothing stays behind."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.config import Edition
from shared.lab.services.process import Service

from .clients import RawClient
from .clients import bad_log_lines
from .clients import eventually
from .clients import get
from .clients import pool_of
from .clients import request
from .cluster import sessions
from .conftest import ServiceFactory

CLIENTS = 2_000
AT_ONCE = 24
SEED = 20_261_122
NORMAL_REQUESTS = 1_000

Act = Callable[[RawClient, random.Random], None]


def _before_the_head_is_complete(client: RawClient, chance: random.Random) -> None:
    head = request("GET", "/db")
    client.send(head[: chance.randrange(len(head))])


def _before_the_body(client: RawClient, chance: random.Random) -> None:
    client.send(request("POST", "/accounts", [("Content-Type", "application/json"), ("Content-Length", "40")]))


def _during_the_body(client: RawClient, chance: random.Random) -> None:
    client.send(request("POST", "/upload", [("Content-Length", "1000000")]) + bytes(chance.randrange(200_000)))


def _during_a_chunked_body(client: RawClient, chance: random.Random) -> None:
    client.send(request("POST", "/upload", [("Transfer-Encoding", "chunked")]) + b"1000\r\n" + bytes(2_000))


def _during_sql(client: RawClient, chance: random.Random) -> None:
    # More of these at once than the pool has connections: some leave while they wait for one.
    client.send(request("GET", f"/sleep?seconds={chance.uniform(0.01, 0.15):.3f}"))


def _during_a_write(client: RawClient, chance: random.Random) -> None:
    client.send(request("GET", "/updates?queries=20"))


def _at_once(client: RawClient, chance: random.Random) -> None:
    client.send(request("GET", chance.choice(["/db", "/fortunes", "/plaintext", "/queries?queries=20"])))


def _during_a_stream(client: RawClient, chance: random.Random) -> None:
    client.send(request("GET", "/stream?rows=100000"))
    client.socket.recv(chance.randrange(1, 100_000))


def _during_a_long_answer(client: RawClient, chance: random.Random) -> None:
    client.send(request("GET", "/bytes?size=5000000"))
    client.socket.recv(chance.randrange(1, 100_000))


ACTS: tuple[Act, ...] = (
    _before_the_head_is_complete,
    _before_the_body,
    _during_the_body,
    _during_a_chunked_body,
    _during_sql,
    _during_sql,
    _during_a_write,
    _at_once,
    _during_a_stream,
    _during_a_long_answer,
)


def _leave(service: Service, number: int) -> None:
    chance = random.Random(SEED + number)
    with RawClient(service.port) as client:
        try:
            ACTS[number % len(ACTS)](client, chance)
            time.sleep(chance.choice([0, 0, chance.uniform(0, 0.05)]))
        except OSError:
            return  # the service was faster: it has refused, and closed
        if chance.random() < 0.5:
            client.reset()


@pytest.mark.slow
def test_two_thousand_clients_that_leave_leave_nothing_behind(
    edition: Edition, start_service: ServiceFactory, new_database: str
) -> None:
    """Afterwards no connection is checked out, no transaction is open, and 1,000 requests are all 200."""
    service = start_service(edition, DATABASE_URL=new_database)
    assert get(service.port, "/db").status == 200
    with ThreadPoolExecutor(max_workers=AT_ONCE) as threads:
        for future in [threads.submit(_leave, service, number) for number in range(CLIENTS)]:
            future.result()
    eventually(lambda: pool_of(service)["checked_out"] == 0, 15, every_s=0.1)
    assert sessions(new_database, edition, "idle in transaction%") == 0
    seen = pool_of(service)
    assert seen["waiting"] == 0
    assert sessions(new_database, edition) == seen["idle"] <= seen["size"]

    def some(_: int) -> list[int]:
        with RawClient(service.port) as client:
            return [client.exchange(request("GET", "/db")).status for _ in range(NORMAL_REQUESTS // 10)]

    with ThreadPoolExecutor(max_workers=10) as threads:
        assert [status for found in threads.map(some, range(10)) for status in found] == [200] * NORMAL_REQUESTS
    service.stop()
    assert bad_log_lines(service) == []


@pytest.fixture
def impatient(edition: Edition, start_service: ServiceFactory, new_database: str) -> Service:
    """A service that waits 2 s for a reader."""
    service = start_service(
        edition,
        DATABASE_URL=new_database,
        CONNECT_TIMEOUT="0.3",
        POOL_TIMEOUT="0.5",
        STATEMENT_TIMEOUT="1.8",
        REQUEST_TIMEOUT="2",
        GRACEFUL_TIMEOUT="4",
    )
    assert get(service.port, "/db").status == 200
    return service


@pytest.mark.slow
def test_reader_that_stops_reading_is_cut_and_its_session_given_back(
    edition: Edition, impatient: Service, new_database: str
) -> None:
    """After REQUEST_TIMEOUT, counted from what was read last, and not from what the kernel took last."""
    with RawClient(impatient.port) as stalled:
        started_at = time.monotonic()
        stalled.send(request("GET", "/stream?rows=300000"))
        eventually(lambda: pool_of(impatient)["checked_out"] == 1, 2)
        # It waits for 2 s and up to half as much again, after what fills the buffers between the two.
        eventually(lambda: pool_of(impatient)["checked_out"] == 0, 5, every_s=0.05)
        assert time.monotonic() - started_at >= 2
        assert stalled.is_closed_within(2)
    assert sessions(new_database, edition, "idle in transaction%") == 0
    impatient.stop()
    assert bad_log_lines(impatient) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("buffer", "piece", "every_s"), [(None, 30_000, 0.1), (8_192, 8_192, 0.5)], ids=["slow", "very slow"]
)
def test_reader_that_is_slow_gets_everything(
    impatient: Service, buffer: int | None, piece: int, every_s: float
) -> None:
    """However little it reads at a time; here for longer than any time-out, with pauses shorter than each."""
    size = 9_000_000
    with RawClient(impatient.port, receive_buffer=buffer) as slow:
        slow.send(request("GET", f"/bytes?size={size}"))
        received = 0
        started_at = time.monotonic()
        while time.monotonic() - started_at < 7:
            received += len(slow.socket.recv(piece))
            time.sleep(every_s)
        assert received < size / 2
        while received < size and (more := len(slow.socket.recv(1_000_000))):
            received += more
    assert received >= size
    impatient.stop()
    assert bad_log_lines(impatient) == []
