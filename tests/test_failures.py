"""Failures that are not the client's: a full pool, a slow statement, no database, a bug."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import psycopg2
import pytest

from shared.config import Edition
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import free_port
from shared.twins import ROOT
from tests.broken import SECRET
from tests.broken import WRONG
from tests.broken import WRONG_CHUNKS
from tests.conftest import NO_TLS
from tests.conftest import ServiceFactory
from tests.examples import example
from tests.problems import PASSWORD
from tests.problems import assert_discreet
from tests.problems import assert_problem
from tests.problems import problem

BUG = problem("internal-error", "Internal Server Error", 500, "The service failed; its log tells why", "")


@pytest.fixture
def hurried(start_service: ServiceFactory, edition: Edition) -> Iterator[httpx.Client]:
    """Run a service with one connection and short patience."""
    service = start_service(edition, POOL_SIZE="1", CONNECT_TIMEOUT="0.2", POOL_TIMEOUT="0.3", STATEMENT_TIMEOUT="1.5")
    with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
        assert client.get("/db").status_code == 200
        yield client


@contextmanager
def full_pool(client: httpx.Client) -> Iterator[None]:
    """Hold the only connection."""
    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(client.get, "/sleep?seconds=1.2")
        deadline = monotonic() + 10
        while client.get("/pool").json()["checked_out"] == 0:
            assert monotonic() < deadline
        yield
        assert holding.result().status_code == 200


def test_full_pool_is_503_and_says_so(hurried: httpx.Client) -> None:
    with full_pool(hurried):
        answer = hurried.get("/db")
        health = hurried.get("/health/db")
        assert hurried.get("/readyz").status_code == 200
        assert hurried.get("/plaintext").status_code == 200
    assert answer.headers["retry-after"] == health.headers["retry-after"] == "1"
    title = "Service Unavailable"
    detail = "No connection of the pool became free in time; every one is in use"
    assert_problem(answer, problem("pool-exhausted", title, 503, detail, "/db"))
    detail = "Pool full: every connection is in use, so the database was not asked"
    assert_problem(health, problem("pool-exhausted", title, 503, detail, "/health/db"))
    assert hurried.get("/db").status_code == 200


def test_statement_timeout_is_504(hurried: httpx.Client) -> None:
    answer = hurried.get("/sleep?seconds=3")
    detail = "A statement ran longer than the database allows this service"
    assert_problem(answer, problem("statement-timeout", "Gateway Timeout", 504, detail, "/sleep"))
    assert 1.4 < answer.elapsed.total_seconds() < 2.5
    assert hurried.get("/db").status_code == 200


def test_database_down_is_503_and_says_so(start_service: ServiceFactory, edition: Edition) -> None:
    """The service starts and stays up without a database."""
    url = f"postgresql://someone:{PASSWORD}@{HOST}:{free_port()}/nothing"
    service = start_service(edition, DATABASE_URL=url)
    with httpx.Client(base_url=service.url, timeout=20, verify=NO_TLS) as client:
        expected = {
            "/db": "The database cannot be reached",
            "/health/db": "Database down: it cannot be reached, or does not answer in time",
            "/readyz": "Database down: it cannot be reached, or does not answer in time",
        }
        for path, detail in expected.items():
            answer = client.get(path)
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["detail"].startswith(detail)
            detail = answer.json()["detail"]
            assert_problem(answer, problem("database-unavailable", "Service Unavailable", 503, detail, path))
            assert answer.elapsed.total_seconds() < 2
        for path in ("/plaintext", "/livez", "/pool", "/openapi.json"):
            assert client.get(path).status_code == 200
    assert PASSWORD not in service.log_path.read_text()


def test_wrong_database_user_is_503_without_the_password(
    start_service: ServiceFactory, edition: Edition, database_url: str
) -> None:
    url = database_url.replace("postgres@", f"nobody:{PASSWORD}@")
    assert PASSWORD in url
    service = start_service(edition, DATABASE_URL=url)
    answer = httpx.get(service.url + "/db", verify=NO_TLS)
    assert answer.status_code == 503
    assert_discreet(answer)
    assert PASSWORD not in service.log_path.read_text()


def test_statement_that_fails_is_a_500_without_its_text(
    start_service: ServiceFactory, edition: Edition, new_database: str
) -> None:
    """A table that somebody dropped is a bug of the installation: logged, and told to nobody else."""
    service = start_service(edition, DATABASE_URL=new_database)
    with httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        assert client.get("/fortunes").status_code == 200
        connection = psycopg2.connect(new_database)
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE fortune")
        connection.close()
        answer = client.get("/fortunes")
        assert_problem(answer, BUG | {"instance": "/fortunes"})
        assert client.get("/db").status_code == 200
    assert "fortune" in service.log_path.read_text()


@pytest.fixture
def broken(database_url: str, edition: Edition, tmp_path: Path) -> Iterator[Service]:
    """Run a service whose endpoints have bugs."""
    environ = {
        "DATABASE_URL": database_url,
        "HOST": HOST,
        f"{edition.upper()}_PORT": "{port}",
        "PYTHONPATH": str(ROOT),
    }
    spec = ServiceSpec(edition, (sys.executable, "-m", "tests.broken", edition), environ)
    with Service(spec, log_directory=tmp_path) as service:
        yield service


def test_wrong_shapes_and_bugs_are_500(broken: Service) -> None:
    """An answer that is not the contract's is never sent."""
    with httpx.Client(base_url=broken.url, verify=NO_TLS) as client:
        for name in [*WRONG, *WRONG_CHUNKS]:
            request = example(name, 1)
            assert_problem(request.send(client), BUG | {"instance": request.target.partition("?")[0]})
            if request.method == "GET":
                assert client.head(request.target).status_code == 500
        assert client.get("/livez").status_code == 200


def test_bug_is_logged_with_its_trace_id(broken: Service) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    traceparent = f"00-{trace_id}-00f067aa0ba902b7-01"
    with httpx.Client(base_url=broken.url, verify=NO_TLS) as client:
        answer = client.get("/cpu?iterations=1", headers={"traceparent": traceparent})
        unnamed = client.get("/cpu?iterations=1", headers=[(b"traceparent", b"00-nonsense\xff-01")])
    assert answer.status_code == unnamed.status_code == 500
    log = broken.log_path.read_text()
    assert log.count(f"Bug while answering /cpu (trace id {trace_id})") == 1
    assert log.count("Bug while answering /cpu (trace id ") == 2
    assert log.count(f"RuntimeError: {SECRET}") == 2
    assert "nonsense" not in log
