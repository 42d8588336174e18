"""The ledger: accounts, transfers and the five ways to add to a balance."""

from datetime import UTC
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg2.extensions
import pytest

from shared import seed
from shared.models import ACCOUNT_ROWS
from tests.examples import open_account

STRATEGIES = ("naive", "atomic", "locked", "versioned", "serializable")
# An id that no account will ever have.
NOBODY = 2**62


def account(client: httpx.Client, id: int) -> Any:
    """Return an account as the service tells it."""
    answer = client.get(f"/accounts/{id}")
    assert answer.status_code == 200
    return answer.json()


def transfer(client: httpx.Client, source: int, target: int, amount: int, key: str | None = None) -> httpx.Response:
    """Send a transfer."""
    body = {"source_id": source, "target_id": target, "amount": amount}
    return client.post("/transfers", json=body, headers={} if key is None else {"Idempotency-Key": key})


def deposit(client: httpx.Client, id: int, amount: int, strategy: str) -> httpx.Response:
    """Send a deposit."""
    return client.post(f"/accounts/{id}/deposits", json={"amount": amount, "strategy": strategy})


def test_seeded_accounts_are_there(client: httpx.Client) -> None:
    assert account(client, 1) == {
        "id": 1,
        "owner": "owner-00001",
        "balance": seed.OPENING_BALANCE,
        "version": 1,
        "created_at": "2026-01-01T00:00:00Z",
    }
    assert account(client, ACCOUNT_ROWS)["owner"] == "owner-10000"


@pytest.mark.parametrize("owner", ["Ada", "Žofie 🐍", "a'; DROP TABLE accounts; --", "x" * 200])
@pytest.mark.parametrize("balance", [0, 10**12])
def test_account_is_created_and_read(client: httpx.Client, owner: str, balance: int) -> None:
    created = client.post("/accounts", json={"owner": owner, "balance": balance})
    assert created.status_code == 201
    found = created.json()
    assert found["id"] > ACCOUNT_ROWS
    assert (found["owner"], found["balance"], found["version"]) == (owner, balance, 1)
    age = datetime.now(UTC) - datetime.fromisoformat(found["created_at"])
    assert abs(age.total_seconds()) < 60
    assert client.get(created.headers["location"]).json() == found


def test_account_is_changed_at_the_version_seen(client: httpx.Client) -> None:
    id = open_account(client)
    changed = client.patch(f"/accounts/{id}", json={"owner": "Grace", "version": 1})
    assert changed.status_code == 200
    assert (changed.json()["owner"], changed.json()["version"]) == ("Grace", 2)
    assert account(client, id) == changed.json()


def test_stale_version_is_a_conflict(client: httpx.Client) -> None:
    """The second of two who saw the same version loses, and nothing is written."""
    id = open_account(client)
    assert client.patch(f"/accounts/{id}", json={"owner": "First", "version": 1}).status_code == 200
    lost = client.patch(f"/accounts/{id}", json={"owner": "Second", "version": 1})
    assert lost.status_code == 409
    assert lost.json()["detail"] == "The account is at version 2, not 1"
    assert account(client, id)["owner"] == "First"


def test_deposit_makes_a_version_stale(client: httpx.Client) -> None:
    id = open_account(client)
    assert deposit(client, id, 1, "atomic").status_code == 200
    assert client.patch(f"/accounts/{id}", json={"owner": "Late", "version": 1}).status_code == 409


def test_account_is_deleted_once(client: httpx.Client) -> None:
    id = open_account(client)
    gone = client.delete(f"/accounts/{id}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert "content-type" not in gone.headers
    assert client.get(f"/accounts/{id}").status_code == 404
    assert client.delete(f"/accounts/{id}").status_code == 404


@pytest.mark.parametrize("end", [0, 1], ids=["source", "target"])
def test_account_with_transfers_is_not_deleted(client: httpx.Client, end: int) -> None:
    ids = (open_account(client), open_account(client))
    assert transfer(client, *ids, 1).status_code == 201
    assert client.delete(f"/accounts/{ids[end]}").status_code == 409
    assert account(client, ids[end])["id"] == ids[end]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "POST"])
def test_unknown_account_is_404(client: httpx.Client, method: str) -> None:
    bodies = {"PATCH": {"owner": "X", "version": 1}, "POST": {"amount": 1, "strategy": "atomic"}}
    path = f"/accounts/{NOBODY}" + ("/deposits" if method == "POST" else "")
    assert client.request(method, path, json=bodies.get(method)).status_code == 404


def pages(client: httpx.Client, limit: int, after: int = 0) -> list[list[int]]:
    """Walk the pages to the end and return the ids on each."""
    found = []
    cursor: int | None = after
    while cursor is not None:
        page = client.get("/accounts", params={"limit": limit, "after": cursor}).json()
        found.append([row["id"] for row in page["accounts"]])
        assert page["next"] is None or page["next"] == found[-1][-1]
        cursor = page["next"]
    return found


def test_pages_hold_every_account_once(client: httpx.Client, connection: psycopg2.extensions.connection) -> None:
    """Walking all pages gives all accounts in the order of their ids, and the last `next` is null."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM accounts ORDER BY id")
        ids = [row[0] for row in cursor.fetchall()]
    walked = pages(client, 100)
    assert [id for page in walked for id in page] == ids
    assert all(len(page) == 100 for page in walked[:-1])


def test_pages_skip_what_was_deleted(client: httpx.Client) -> None:
    ids = [open_account(client) for _ in range(5)]
    assert client.delete(f"/accounts/{ids[2]}").status_code == 204
    assert [id for page in pages(client, 2, after=ids[0] - 1) for id in page] == [*ids[:2], *ids[3:]]


def test_last_page_that_is_full_has_no_next(client: httpx.Client) -> None:
    ids = [open_account(client) for _ in range(4)]
    assert pages(client, 2, after=ids[0] - 1) == [ids[:2], ids[2:]]
    beyond = client.get("/accounts", params={"after": ids[-1]}).json()
    assert beyond == {"accounts": [], "next": None}


def test_page_has_twenty_by_default(client: httpx.Client) -> None:
    page = client.get("/accounts").json()
    assert [row["id"] for row in page["accounts"]] == list(range(1, 21))
    assert page["next"] == 20


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_deposit_adds_by_every_strategy(client: httpx.Client, strategy: str) -> None:
    id = open_account(client, balance=100)
    for total, version in ((107, 2), (114, 3)):
        answer = deposit(client, id, 7, strategy)
        assert answer.status_code == 200
        assert (answer.json()["balance"], answer.json()["version"]) == (total, version)
        assert account(client, id) == answer.json()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_deposit_to_nobody_is_404(client: httpx.Client, strategy: str) -> None:
    assert deposit(client, NOBODY, 1, strategy).status_code == 404


def test_transfer_moves_the_amount(client: httpx.Client) -> None:
    source, target = open_account(client, 100), open_account(client, 5)
    made = transfer(client, source, target, 60)
    assert made.status_code == 201
    assert {**made.json(), "id": 0, "created_at": ""} == {
        "id": 0,
        "source_id": source,
        "target_id": target,
        "amount": 60,
        "created_at": "",
    }
    assert account(client, source)["balance"] == 40
    assert account(client, target)["balance"] == 65


def test_transfer_of_everything_leaves_zero(client: httpx.Client) -> None:
    source, target = open_account(client, 100), open_account(client, 0)
    assert transfer(client, source, target, 100).status_code == 201
    assert account(client, source)["balance"] == 0


@pytest.mark.parametrize("key", [None, "some-key"])
def test_insufficient_funds_are_a_conflict(
    client: httpx.Client, connection: psycopg2.extensions.connection, key: str | None
) -> None:
    """Nothing is moved, no transfer stays, and the key may be used again."""
    source, target = open_account(client, 10), open_account(client, 0)
    own = None if key is None else f"{key}-{uuid4()}"
    refused = transfer(client, source, target, 11, own)
    assert refused.status_code == 409
    assert refused.json()["detail"] == "The source account has insufficient funds"
    assert account(client, source)["balance"] == 10
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM transfers WHERE source_id = %s", (source,))
        assert cursor.fetchone() == (0,)
    assert transfer(client, source, target, 10, own).status_code == 201


def test_transfer_between_unknown_accounts_is_404(client: httpx.Client) -> None:
    id = open_account(client)
    for ends in ((id, NOBODY), (NOBODY, id)):
        answer = transfer(client, *ends, 1)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"No account has the id {NOBODY}"
    assert account(client, id)["balance"] == 100


def test_same_key_answers_the_first_result(client: httpx.Client) -> None:
    source, target, key = open_account(client, 10), open_account(client, 0), str(uuid4())
    first = transfer(client, source, target, 10, key)
    assert first.status_code == 201
    # Nothing is left by now, and the repetition does not care.
    again = transfer(client, source, target, 10, key)
    assert (again.status_code, again.content) == (201, first.content)
    assert account(client, source)["balance"] == 0
    assert account(client, target)["balance"] == 10


@pytest.mark.parametrize("change", ["amount", "source", "target"])
def test_same_key_with_another_body_is_422(client: httpx.Client, change: str) -> None:
    source, target, other, key = *(open_account(client, 10) for _ in range(3)), str(uuid4())
    assert transfer(client, source, target, 5, key).status_code == 201
    body = {
        "amount": (source, target, 4),
        "source": (other, target, 5),
        "target": (source, other, 5),
    }[change]
    refused = transfer(client, *body, key)
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"loc": ["header", "Idempotency-Key"], "msg": "used with another body", "type": "key_reused"}
    ]
    assert [account(client, id)["balance"] for id in (source, target, other)] == [5, 15, 10]


def test_without_a_key_each_request_is_a_transfer(client: httpx.Client) -> None:
    source, target = open_account(client, 10), open_account(client, 0)
    ids = {transfer(client, source, target, 5).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert account(client, target)["balance"] == 10
