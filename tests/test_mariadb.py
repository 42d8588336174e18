"""The whole contract on a real MariaDB: the same bytes as on PostgreSQL, and the same answers in trouble."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from shared import seed
from shared.config import Edition
from shared.config import load
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.engine import MARIADB_DRIVERS
from shared.engine import engine_url
from shared.errors import DatabaseUnavailable
from shared.errors import request_error
from shared.lab import databases
from shared.lab.parity import check
from shared.lab.services.mariadb import new_database
from shared.lab.services.process import Service
from shared.lab.services.process import edition_spec
from shared.models import ACCOUNT_ROWS
from shared.models import WORLD_ROWS
from tests.conftest import CHECK_TOKEN
from tests.conftest import NO_TLS
from tests.examples import TRACE_ID
from tests.examples import TRACED
from tests.examples import example
from tests.examples import open_account
from tests.mariadb_server import connections
from tests.mariadb_server import frozen
from tests.mariadb_server import rows
from tests.mariadb_server import running

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")
# So little patience that every limit is reached soon; in the order that the settings demand.
TIGHT = {
    "CONNECT_TIMEOUT": "0.3",
    "POOL_TIMEOUT": "0.5",
    "STATEMENT_TIMEOUT": "1",
    "REQUEST_TIMEOUT": "1.5",
    "GRACEFUL_TIMEOUT": "5",
}
# Of two requests at the same moment.
AT_ONCE = 8


@pytest.fixture(scope="module")
def server(clean_environment: None) -> Iterator[str]:
    """Run a MariaDB for the module, and return its URL."""
    with running() as url:
        yield url


@dataclass(frozen=True, slots=True)
class OnMariaDB:
    """An edition on a database of its own."""

    service: Service
    url: str


@pytest.fixture(scope="module")
def both(server: str) -> Iterator[dict[Edition, OnMariaDB]]:
    """Run both editions on seeded data, impatient."""
    with ExitStack() as stack:
        urls = {edition: new_database(server, f"tight_{edition}") for edition in EDITIONS}
        found = {}
        for edition, url in urls.items():
            environ = {"DATABASE_URL": url, "LAB": "1", "CHECK_TOKEN": CHECK_TOKEN, **TIGHT}
            service = stack.enter_context(Service(edition_spec(edition, environ)))
            assert httpx.get(service.url + "/db", verify=NO_TLS).status_code == 200
            found[edition] = OnMariaDB(service, url)
        yield found


@pytest.fixture
def own(both: dict[Edition, OnMariaDB], edition: Edition) -> OnMariaDB:
    """Return the edition under test."""
    return both[edition]


@pytest.fixture
def client(own: OnMariaDB) -> Iterator[httpx.Client]:
    """Return an HTTP client of the edition under test."""
    with httpx.Client(base_url=own.service.url, timeout=20, verify=NO_TLS) as found:
        yield found


@pytest.fixture(scope="module")
def pairs(server: str, database_url: str) -> Iterator[dict[tuple[Edition, str], Service]]:
    """Run both editions on both databases, all on the same fresh data."""
    own = databases.new_pair(database_url, "parity")
    with ExitStack() as stack:
        stack.enter_context(databases.created(database_url, own))
        urls = {("wsgi", "postgresql"): own[0], ("asgi", "postgresql"): own[1]}
        urls |= {(edition, "mariadb"): new_database(server, f"fresh_{edition}") for edition in EDITIONS}
        services = {
            key: Service(
                edition_spec("wsgi" if key[0] == "wsgi" else "asgi", check.environ(load({}, ""), url, CHECK_TOKEN))
            )
            for key, url in urls.items()
        }
        with ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(stack.enter_context, services.values()))
        yield {("wsgi" if key[0] == "wsgi" else "asgi", key[1]): service for key, service in services.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("wsgi", "asgi"), [("postgresql", "mariadb"), ("mariadb", "postgresql")])
def test_answers_are_byte_equal_across_databases(
    pairs: dict[tuple[Edition, str], Service], wsgi: str, asgi: str
) -> None:
    """Every common case of the parity check; what may differ is the text of the database's own version."""
    services = (pairs["wsgi", wsgi], pairs["asgi", asgi])
    found = check.across(load({}, ""), services, CHECK_TOKEN, lambda _: None, scope="quick")
    assert sum(group.cases for group in found.groups) > 100
    assert found.not_compared == []
    assert [difference.case for difference in found.found] == ["GET and HEAD /health/db"]
    (fact,) = found.found[0].facts
    assert '"server_version": "' in fact.wsgi
    assert "MariaDB" in (fact.asgi if asgi == "mariadb" else fact.wsgi)


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_entry_answers_as_promised(client: httpx.Client, endpoint: Endpoint) -> None:
    answer = example(endpoint.name, open_account(client)).send(client)
    assert answer.status_code == endpoint.status, answer.text
    if endpoint.content_type and endpoint.answer is not None:
        assert answer.headers["content-type"] == endpoint.content_type


def test_data_are_those_of_postgresql(own: OnMariaDB) -> None:
    assert rows(own.url, "SELECT count(*) FROM world")[0] == (WORLD_ROWS,)
    assert rows(own.url, "SELECT message FROM fortune ORDER BY id") == [(message,) for message in seed.FORTUNES]
    assert rows(own.url, "SELECT count(*) FROM accounts WHERE id <= %s", ACCOUNT_ROWS)[0] == (ACCOUNT_ROWS,)


def test_service_is_served_by_the_driver_of_its_edition(own: OnMariaDB, edition: Edition, client: httpx.Client) -> None:
    """The server is told who connects: the driver by itself, the edition by the application's name."""
    assert client.get("/db").status_code == 200
    names = rows(
        own.url,
        "SELECT DISTINCT attr_name, attr_value FROM performance_schema.session_connect_attrs "
        "WHERE attr_name IN ('_client_name', 'program_name') AND processlist_id IN "
        "(SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID())",
    )
    assert dict(names) == {"_client_name": MARIADB_DRIVERS[edition][0], "program_name": f"wsgi-vs-asgi {edition}"}


def test_time_keeps_its_microseconds_and_its_zone(client: httpx.Client) -> None:
    created = client.post("/accounts", json={"owner": "Ada", "balance": 1}).json()
    assert created["created_at"].endswith("Z")
    assert client.get(f"/accounts/{created['id']}").json() == created


def transfer(client: httpx.Client, source: int, target: int, amount: int, key: str) -> httpx.Response:
    """Send a transfer with a key."""
    body = {"source_id": source, "target_id": target, "amount": amount}
    return client.post("/transfers", json=body, headers={"Idempotency-Key": key})


def test_keys_differ_by_case(client: httpx.Client) -> None:
    """As texts do on PostgreSQL; the default collation would take both for one."""
    source, target, key = open_account(client, 10), open_account(client, 0), f"k{uuid4()}"
    first, second = (transfer(client, source, target, 5, each) for each in (key.lower(), key.upper()))
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] != second.json()["id"]


def test_same_key_at_the_same_moment_makes_one_transfer(client: httpx.Client) -> None:
    source, target, key = open_account(client, 100), open_account(client, 0), str(uuid4())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: transfer(client, source, target, 7, key), range(AT_ONCE)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert client.get(f"/accounts/{target}").json()["balance"] == 7


@pytest.mark.parametrize("strategy", ["atomic", "locked", "versioned", "serializable"])
def test_no_deposit_is_lost(client: httpx.Client, strategy: str) -> None:
    """Those that are refused leave nothing behind, deadlocks included."""
    id = open_account(client, 0)
    body = {"amount": 1, "strategy": strategy}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: client.post(f"/accounts/{id}/deposits", json=body), range(3 * AT_ONCE)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= ({200} if strategy in ("atomic", "locked") else {200, 409})
    assert client.get(f"/accounts/{id}").json()["balance"] == codes.count(200) > 0


def test_account_with_transfers_is_not_deleted(client: httpx.Client) -> None:
    source, target = open_account(client, 10), open_account(client, 0)
    assert transfer(client, source, target, 5, str(uuid4())).status_code == 201
    assert client.delete(f"/accounts/{source}").status_code == 409
    assert client.get(f"/accounts/{source}").status_code == 200


def test_trace_holds_every_statement_and_says_what_is_not_counted(client: httpx.Client) -> None:
    assert client.get("/updates?queries=2", headers=TRACED).status_code == 200
    stages = client.get(f"/traces/{TRACE_ID}").json()["stages"]
    sent = [stage["facts"] for stage in stages if stage["name"] == "sql"]
    assert [facts["statement"].split(" ")[0] for facts in sent] == ["BEGIN", "SELECT", "SELECT", "UPDATE"]
    assert sent[1]["statement"].endswith("FOR UPDATE")
    (commit,) = [stage["facts"] for stage in stages if stage["name"] == "commit"]
    assert commit["action"] == "COMMIT"
    for facts in (*sent, commit):
        assert facts["wire"] is None
        assert "are not counted" in facts["wire_missing"]


def test_stream_reads_batches_to_the_end(client: httpx.Client) -> None:
    lines = client.get("/stream?rows=12345").text.splitlines()
    assert len(lines) == 12_345
    assert lines[0].startswith('{"id":1,')
    assert lines[WORLD_ROWS] == lines[0]
    assert lines[-1].startswith('{"id":2345,')


def test_slow_statement_is_504(client: httpx.Client) -> None:
    started = time.monotonic()
    answer = client.get("/sleep?seconds=5")
    assert (answer.status_code, answer.json()["type"]) == (504, "urn:wsgi-vs-asgi:problem:statement-timeout")
    assert time.monotonic() - started < 4


def test_locked_row_is_504(client: httpx.Client, own: OnMariaDB) -> None:
    """Whoever waits for somebody else's lock is ended by the same limit as a slow statement."""
    id = open_account(client)
    with ThreadPoolExecutor(1) as pool:
        hold = pool.submit(
            rows,
            own.url,
            "BEGIN NOT ATOMIC START TRANSACTION; UPDATE accounts SET version = version WHERE id = %s; "
            "DO SLEEP(2); ROLLBACK; END",
            id,
        )
        time.sleep(0.2)
        answer = client.post(f"/accounts/{id}/deposits", json={"amount": 1, "strategy": "atomic"})
        hold.result()
    assert answer.status_code == 504
    assert client.post(f"/accounts/{id}/deposits", json={"amount": 1, "strategy": "atomic"}).json()["balance"] == 101


def test_killed_idle_connections_go_unnoticed(client: httpx.Client, own: OnMariaDB) -> None:
    assert client.get("/db").status_code == 200
    for thread in connections(own.url):
        rows(own.url, f"KILL {thread}")
    assert client.get("/db").status_code == 200
    assert client.get("/fortunes").status_code == 200


def test_killed_statement_is_503_and_the_pool_is_whole(client: httpx.Client, own: OnMariaDB) -> None:
    sleeping = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'SELECT sleep(%'"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, "/sleep?seconds=0.9")
        while not (found := rows(own.url, sleeping)):
            assert not waiting.done()
        for (thread,) in found:
            rows(own.url, f"KILL {thread}")
        answer = waiting.result()
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:wsgi-vs-asgi:problem:database-unavailable")
    assert client.get("/db").status_code == 200
    assert client.get("/pool").json()["checked_out"] == 0


def test_silent_server_is_503_in_time(client: httpx.Client, own: OnMariaDB) -> None:
    """A server that is stopped, with connections in the pool and without; afterwards all is well."""
    assert client.get("/db").status_code == 200
    with frozen(own.url):
        for _ in range(2):
            started = time.monotonic()
            answer = client.get("/db")
            assert answer.status_code == 503
            assert time.monotonic() - started < 6
    assert client.get("/db").status_code == 200
    assert client.get("/pool").json()["checked_out"] == 0


@pytest.mark.slow
def test_absent_server_is_503(own: OnMariaDB, edition: Edition) -> None:
    nowhere = "mysql://nobody@localhost/nothing?unix_socket=/nowhere/socket"
    with Service(edition_spec(edition, {"DATABASE_URL": nowhere, "LAB": "1"})) as service:
        answer = httpx.get(service.url + "/db", verify=NO_TLS)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:wsgi-vs-asgi:problem:database-unavailable")
        assert httpx.get(service.url + "/plaintext", verify=NO_TLS).status_code == 200


def test_server_without_the_variables_of_mariadb_is_told_apart(server: str, edition: Edition) -> None:
    """As MySQL is; here another variable that nobody knows stands for it."""
    url = engine_url(server, edition)
    unknown = {"init_command": "SET SESSION no_such_variable = 1"}

    async def connect() -> None:
        engine = create_async_engine(url, connect_args=unknown)
        try:
            async with engine.connect():
                pass
        finally:
            await engine.dispose()

    with pytest.raises(OperationalError, match=r"no MariaDB of version 10\.6 or newer.*no_such_variable") as caught:
        create_engine(url, connect_args=unknown).connect() if edition == "wsgi" else asyncio.run(connect())
    found = request_error(caught.value)
    assert isinstance(found, DatabaseUnavailable)


def test_log_holds_no_traceback(both: dict[Edition, OnMariaDB], edition: Edition) -> None:
    text = both[edition].service.log_path.read_text()
    assert "Traceback" not in text
    assert "Warning" not in text
