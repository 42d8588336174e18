"""Transactions that meet: none deadlocks, none is lost, and each is made once."""

import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.config import Edition
from shared.lab.services.process import Service

from .clients import RawClient
from .clients import Reply
from .clients import get
from .clients import once
from .clients import pool_of
from .clients import post
from .clients import request
from .clients import together
from .cluster import rows
from .cluster import sessions
from .conftest import ServiceFactory

SEED = 20_261_122


def on_connections(service: Service, clients: int, requests: Callable[[int], list[bytes]]) -> list[Reply]:
    """Let each client send its requests on one connection, all clients at once; return all replies."""

    def run(number: int) -> list[Reply]:
        with RawClient(service.port) as client:
            return [client.exchange(data) for data in requests(number)]

    with ThreadPoolExecutor(max_workers=clients) as threads:
        return [reply for replies in threads.map(run, range(clients)) for reply in replies]


def open_accounts(service: Service, balances: list[int]) -> list[int]:
    """Open accounts with these balances; return their ids."""
    replies = [once(service.port, post("/accounts", {"owner": "somebody", "balance": balance})) for balance in balances]
    return [reply.json["id"] for reply in replies]


@pytest.fixture
def service(edition: Edition, start_service: ServiceFactory, new_database: str) -> Service:
    started = start_service(
        edition, DATABASE_URL=new_database, CONNECT_TIMEOUT="1", POOL_TIMEOUT="4", STATEMENT_TIMEOUT="5"
    )
    assert get(started.port, "/db").status == 200
    return started


def test_statement_timeout_is_504_and_the_connection_is_reused(
    edition: Edition, start_service: ServiceFactory, new_database: str
) -> None:
    """The database cancels the statement; the session's process stays the same."""
    service = start_service(
        edition,
        DATABASE_URL=new_database,
        POOL_SIZE="1",
        CONNECT_TIMEOUT="0.2",
        POOL_TIMEOUT="0.3",
        STATEMENT_TIMEOUT="0.6",
        REQUEST_TIMEOUT="2",
    )
    backend = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
    asked = (f"wsgi-vs-asgi {edition}",)
    assert get(service.port, "/db").status == 200
    before = rows(new_database, backend, asked)
    for _ in range(3):
        reply = get(service.port, "/sleep?seconds=5")
        assert (reply.status, reply.problem) == (504, "statement-timeout")
        assert 0.5 < reply.elapsed_s < 0.6 + 1
        assert get(service.port, "/updates?queries=2").status == 200
    assert rows(new_database, backend, asked) == before
    assert pool_of(service)["totals"]["connects"] == 1


@pytest.mark.slow
def test_concurrent_updates_never_deadlock(service: Service) -> None:
    """32 clients, 20 requests each, many rows per request."""
    replies = on_connections(service, 32, lambda _: [request("GET", "/updates?queries=20")] * 20)
    assert Counter(reply.status for reply in replies) == {200: 32 * 20}


@pytest.mark.slow
def test_transfers_keep_the_sum_and_no_balance_falls_below_zero(service: Service, new_database: str) -> None:
    """50 clients move money between five accounts that have little; what was acknowledged is what is stored."""
    ids = open_accounts(service, [100] * 5)

    def requests(number: int) -> list[bytes]:
        chance = random.Random(SEED + number)
        bodies = [(*chance.sample(ids, 2), chance.randint(1, 60)) for _ in range(10)]
        return [
            post("/transfers", {"source_id": source, "target_id": target, "amount": amount})
            for source, target, amount in bodies
        ]

    replies = on_connections(service, 50, requests)
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) == {201, 409}
    assert {reply.json["detail"] for reply in replies if reply.status == 409} == {
        "The source account has insufficient funds"
    }
    balances: dict[int, int] = dict(rows(new_database, "SELECT id, balance FROM accounts WHERE id = ANY(%s)", (ids,)))
    assert sum(balances.values()) == 500
    expected = dict.fromkeys(ids, 100)
    stored = set()
    for reply in replies:
        if reply.status == 201:
            made = reply.json
            stored.add((made["id"], made["source_id"], made["target_id"], made["amount"]))
            expected[made["source_id"]] -= made["amount"]
            expected[made["target_id"]] += made["amount"]
    assert balances == expected
    assert min(expected.values()) >= 0
    assert set(rows(new_database, "SELECT id, source_id, target_id, amount FROM transfers")) == stored


@pytest.mark.slow
def test_key_sent_twice_at_once_makes_one_transfer(service: Service, new_database: str) -> None:
    """Fifty keys, each twice at the same time: one row, and the same answer to both."""
    source, target = open_accounts(service, [10_000, 0])
    for number in range(50):
        body = {"source_id": source, "target_id": target, "amount": 7}
        data = post("/transfers", body, [("Idempotency-Key", f"key-{number}")])
        first, second = together([lambda data=data: once(service.port, data)] * 2)  # type: ignore[misc]
        assert (first.status, second.status) == (201, 201)
        assert first.body == second.body
    assert rows(new_database, "SELECT count(*), sum(amount) FROM transfers") == [(50, 350)]
    assert rows(new_database, "SELECT balance FROM accounts WHERE id = %s", (source,)) == [(10_000 - 350,)]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["atomic", "locked", "versioned", "serializable"])
def test_deposits_lose_no_update(service: Service, new_database: str, strategy: str) -> None:
    """What was acknowledged is what is on the account; two strategies may refuse, none may lose."""
    (account,) = open_accounts(service, [0])
    data = post(f"/accounts/{account}/deposits", {"amount": 1, "strategy": strategy})
    replies = on_connections(service, 16, lambda _: [data] * 10)
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) <= ({200, 409} if strategy in {"versioned", "serializable"} else {200})
    assert statuses[200] > 0
    balance = rows(new_database, "SELECT balance, version FROM accounts WHERE id = %s", (account,))
    assert balance == [(statuses[200], statuses[200] + 1)]


@pytest.mark.slow
def test_naive_deposits_do_lose_updates(service: Service, new_database: str) -> None:
    """The exhibit: without a lock, less arrives than was acknowledged. If this fails, the tests above prove nothing."""
    (account,) = open_accounts(service, [0])
    data = post(f"/accounts/{account}/deposits", {"amount": 1, "strategy": "naive"})
    replies = on_connections(service, 16, lambda _: [data] * 20)
    acknowledged = sum(json.loads(reply.body)["version"] > 0 for reply in replies if reply.status == 200)
    ((balance,),) = rows(new_database, "SELECT balance FROM accounts WHERE id = %s", (account,))
    assert balance < acknowledged
    assert sessions(new_database, "%", "idle in transaction%") == 0
