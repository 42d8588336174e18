"""The parity check sends every case it must, and finds nothing between the two editions."""

import io

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from shared import errors
from shared.config import Edition
from shared.config import load
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.lab.parity import cases
from shared.lab.parity import check
from shared.lab.parity.case import Limits
from shared.lab.parity.case import duplicates
from shared.lab.parity.case import seeded
from shared.lab.parity.known import KNOWN
from shared.lab.parity.message import Request
from shared.lab.parity.result import ParityResult
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import exchange
from shared.lab.services.process import Service
from shared.report.parity import print_parity
from tests.conftest import CHECK_TOKEN
from tests.conftest import ServiceFactory

LIMITS = Limits(1_048_576, 4_194_304, 100, 8_190, 4_094, lab=True, trace=True)

# Errors that no request can bring about by itself, so that no case shows them.
NOT_BROUGHT_ABOUT = {
    ("deposit", errors.Conflict): "needs two deposits at the same time",
    ("updates", errors.Conflict): "needs two requests that are serialized against each other",
    ("readyz", errors.PoolTimeout): "answers 200 when the pool is full: busy is not broken",
    ("readyz", errors.Draining): "needs a service that is being stopped",
}


def test_case_names_are_unique() -> None:
    found, _ = cases.every(LIMITS)
    assert duplicates(f"{case.group}: {case.name}" for case in found) == []


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_every_entry_has_a_success_case(endpoint: Endpoint) -> None:
    found, _ = cases.every(LIMITS)
    successes = [case for case in found if case.entry is endpoint and case.group == "success"]
    assert any(step.expects == endpoint.status for case in successes for step in case.steps)
    assert any(case.is_common for case in successes)


@pytest.mark.parametrize(
    ("endpoint", "error"), [(e, r) for e in CONTRACT for r in e.raises], ids=lambda item: getattr(item, "name", item)
)
def test_every_error_of_an_entry_has_a_case(endpoint: Endpoint, error: type[errors.RequestError]) -> None:
    found, _ = cases.every(LIMITS)
    faults = (cases.faults.exhausted(), cases.faults.slow(), cases.faults.down())
    every = [*found, *(case for part in faults for case in part)]
    expected = {step.expects for case in every if case.entry is endpoint for step in case.steps}
    if endpoint.name == "sleep" and error is errors.StatementTimeout:
        expected.add(next(case.steps[-1].expects for case in cases.faults.slow() if "sleep" in case.name))
    if (endpoint.name, error) not in NOT_BROUGHT_ABOUT:
        assert error.status in expected


def test_every_known_difference_belongs_to_a_case() -> None:
    found, _ = cases.every(LIMITS)
    names = {case.name for case in (*found, *cases.faults.slow()) if case.known}
    assert names == set(KNOWN)


def test_seed_counts_only_with_the_token(services: dict[Edition, Service], edition: Edition) -> None:
    address = Address.of(services[edition].url)

    def answer(token: str, seed: int = 1) -> bytes:
        (name, _), (field, _) = seeded()
        headers = ((name, str(seed)), (field, token)) if token else ((name, str(seed)),)
        return exchange(address, Request("GET", "/queries?queries=20", headers))[-1].body

    assert answer(CHECK_TOKEN) == answer(CHECK_TOKEN)
    assert answer(CHECK_TOKEN) != answer(CHECK_TOKEN, seed=2)
    for wrong in ("", "x", CHECK_TOKEN[:-1], CHECK_TOKEN + "x", CHECK_TOKEN.upper()):
        assert answer(wrong) != answer(CHECK_TOKEN)
        assert answer(wrong) != answer(wrong)


@pytest.fixture(scope="module")
def full(database_url: str) -> ParityResult:
    """Run the whole check once."""
    return check.run(load({"DATABASE_URL": database_url}, ""), None, lambda _: None)


@pytest.mark.slow
def test_editions_are_equal(full: ParityResult, connection: psycopg2.extensions.connection) -> None:
    stream = io.StringIO()
    print_parity(full, stream)
    assert full.is_equal, stream.getvalue()
    assert full.statements is not None
    assert full.statements[0] == full.statements[1] > 1_000
    assert sum(group.cases for group in full.groups) > 3_000
    assert {known.case for known in full.known} == set(KNOWN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'parity%'")
        assert cursor.fetchone() == (0,)


@pytest.fixture
def running(start_service: ServiceFactory, new_database: str) -> tuple[str, str]:
    """Return the URLs of two services on one database that nobody else has changed."""
    environ = {"DATABASE_URL": new_database, "CHECK_TOKEN": CHECK_TOKEN}
    return start_service("wsgi", **environ).url, start_service("asgi", **environ).url


@pytest.mark.slow
def test_running_editions_are_equal(running: tuple[str, str], new_database: str) -> None:
    """Two services on one database: ids are masked, and all the rest is compared."""
    settings = load({"DATABASE_URL": new_database, "CHECK_TOKEN": CHECK_TOKEN}, "")
    result = check.run(settings, running, lambda _: None, scope="quick")
    stream = io.StringIO()
    print_parity(result, stream)
    assert result.is_equal, stream.getvalue()
    assert result.statements is not None


@pytest.mark.slow
def test_without_a_token_random_answers_are_named_as_not_compared(running: tuple[str, str]) -> None:
    result = check.run(load({}, ""), running, lambda _: None, scope="quick")
    stream = io.StringIO()
    print_parity(result, stream)
    assert result.is_equal, stream.getvalue()
    assert result.statements is None
    assert "DATABASE_URL" in result.statements_why
    assert "GET and HEAD /db" in {item.case for item in result.not_compared}
    assert "GET and HEAD /plaintext" not in {item.case for item in result.not_compared}


def test_services_that_do_not_answer_are_told() -> None:
    with pytest.raises(EnvironmentFailure, match="wsgi edition does not answer"):
        check.run(load({}, ""), ("http://127.0.0.1:1", "http://127.0.0.1:2"), lambda _: None)


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "https://x", "http://x/path", "http://x:port"])
def test_unusable_url_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="not usable"):
        check.run(load({}, ""), (url, url), lambda _: None)


def test_role_that_may_not_create_databases_is_told(
    database_url: str, connection: psycopg2.extensions.connection
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE parity_reader LOGIN")
    try:
        url = make_url(database_url).set(username="parity_reader").render_as_string(hide_password=False)
        with pytest.raises(UsageError, match="may not create databases"):
            check.run(load({"DATABASE_URL": url}, ""), None, lambda _: None)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP ROLE parity_reader")
