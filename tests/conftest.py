"""Fixtures of the whole suite: a real PostgreSQL of its own, and both editions as running services."""

import os
import signal
import socket
import ssl
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg2
import psycopg2.extensions
import pytest
from playwright.sync_api import Browser
from sqlalchemy.engine import make_url

from shared import postgres
from shared.config import Edition
from shared.config import Settings
from shared.lab import databases
from shared.lab.claims.bench import Bench
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.lab.services.process import choose_cores
from shared.lab.services.process import edition_spec
from tests.browser import chromium

# The secret with which tests, like the parity check, may fix random numbers.
CHECK_TOKEN = "token-of-the-tests"

# The services speak plain HTTP; a client of its own would read the system's certificates each time.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

ServiceFactory = Callable[..., Service]


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Keep the developer's own settings out of the tests."""
    kept = {key: value for key, value in os.environ.items() if key.lower() in Settings.model_fields}
    for key in kept:
        del os.environ[key]
    # A shell starts what runs in its background deaf to Ctrl-C, and so would be every command that a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the suite's own PostgreSQL."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def database_url(clean_environment: None, data_dir: Path) -> Iterator[str]:
    """Run a PostgreSQL for the whole session and return its URL."""
    with postgres.acquire(data_dir) as lease:
        yield lease.url


@pytest.fixture
def silent_ports() -> Iterator[dict[str, str]]:
    """Return settings by which nothing listens on the editions' ports, nor can: the test has bound them."""
    with ExitStack() as stack:
        ports = []
        for _ in range(2):
            held = stack.enter_context(socket.socket())
            held.bind((HOST, 0))
            ports.append(str(held.getsockname()[1]))
        yield {"WSGI_PORT": ports[0], "ASGI_PORT": ports[1]}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg2.extensions.connection]:
    """Return the tests' own connection, in autocommit, to look at what the services did."""
    found = psycopg2.connect(database_url)
    found.autocommit = True
    yield found
    found.close()


@pytest.fixture
def new_database(database_url: str, connection: psycopg2.extensions.connection) -> Iterator[str]:
    """Create an empty database beside the shared one and return its URL; dropped afterwards."""
    name = f"test_{os.getpid()}_{os.urandom(4).hex()}"
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
        yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def services(database_url: str, data_dir: Path) -> Iterator[dict[Edition, Service]]:
    """Run both editions on seeded data for the whole session, with the lab's endpoints and the check's token."""
    environ = {"DATABASE_URL": database_url, "DATA_DIR": str(data_dir), "LAB": "1", "CHECK_TOKEN": CHECK_TOKEN}
    # One test alone makes as many traces as are kept by default.
    environ["TRACE_ENTRIES"] = "2000"
    with ExitStack() as stack:
        editions: tuple[Edition, ...] = ("wsgi", "asgi")
        found = {edition: stack.enter_context(Service(edition_spec(edition, environ))) for edition in editions}
        # Schema and seed data are there from the first request that needs them; tests may look before they ask.
        for service in found.values():
            assert httpx.get(service.url + "/db", verify=NO_TLS).status_code == 200
        yield found


@pytest.fixture
def start_service(database_url: str, data_dir: Path, tmp_path: Path) -> Iterator[ServiceFactory]:
    """Return a function that starts a service of the test's own: (edition, KEY=value...); stopped afterwards.

    Its log stays in the test's temporary directory.
    """
    with ExitStack() as stack:

        def start(edition: Edition, **environ: str) -> Service:
            spec = edition_spec(
                edition, {"DATABASE_URL": database_url, "DATA_DIR": str(data_dir), "LAB": "1", **environ}
            )
            return stack.enter_context(Service(spec, log_directory=tmp_path / "logs"))

        yield start


@pytest.fixture(params=["wsgi", "asgi"])
def edition(request: pytest.FixtureRequest) -> Edition:
    """Run a test once for each edition."""
    chosen: Edition = request.param
    return chosen


@pytest.fixture
def client(services: dict[Edition, Service], edition: Edition) -> Iterator[httpx.Client]:
    """Return an HTTP client of the edition under test."""
    with httpx.Client(base_url=services[edition].url, timeout=20, verify=NO_TLS) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests of a module."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def bench(database_url: str) -> Iterator[Bench]:
    """Return where an experiment takes place, on two databases of its own."""
    own = databases.new_pair(database_url, "claims")
    with databases.created(database_url, own):
        yield Bench({"wsgi": own[0], "asgi": own[1]}, choose_cores(), lambda _: None)
