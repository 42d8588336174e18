"""An external PostgreSQL over TCP with a password: served, and the password is told to nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.config import Edition

from .clients import bad_log_lines
from .clients import eventually
from .clients import get
from .clients import once
from .clients import post
from .cluster import PASSWORD
from .cluster import sessions
from .cluster import tcp_postgres
from .conftest import ServiceFactory


@pytest.fixture(scope="module")
def tcp_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tcp_postgres(tmp_path_factory.mktemp("tcp")) as url:
        yield url


def told_everywhere(pids: list[int]) -> bytes:
    """Return what any user of the machine may read about processes."""
    return b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


@pytest.mark.slow
def test_external_database_over_tcp_is_served_and_its_password_told_to_nobody(
    edition: Edition, start_service: ServiceFactory, tcp_url: str
) -> None:
    service = start_service(edition, DATABASE_URL=tcp_url, LOG_LEVEL="debug")
    body = {"source_id": 1, "target_id": 2, "amount": 1}
    replies = [
        *(get(service.port, path) for path in ("/db", "/updates?queries=5", "/stream?rows=10", "/health/db")),
        once(service.port, post("/transfers", body)),
    ]
    assert [reply.status for reply in replies] == [200, 200, 200, 200, 201]
    others = [get(service.port, path) for path in ("/pool", "/metrics", "/openapi.json", "/sleep?seconds=31")]
    secret = PASSWORD.encode()
    assert not any(secret in reply.body for reply in [*replies, *others])
    assert secret not in told_everywhere(service.pids())
    assert sessions(tcp_url, edition) >= 1
    assert service.stop() == 0
    eventually(lambda: sessions(tcp_url, edition) == 0, 2)
    assert secret not in service.log_path.read_bytes()
    assert bad_log_lines(service) == []


def test_wrong_password_is_503_and_the_log_says_why_without_it(
    edition: Edition, start_service: ServiceFactory, tcp_url: str
) -> None:
    wrong = "wrong-canary-91c2"
    service = start_service(edition, DATABASE_URL=tcp_url.replace(PASSWORD, wrong))
    assert get(service.port, "/plaintext").status == 200
    reply = get(service.port, "/db")
    assert (reply.status, reply.problem, reply.headers["retry-after"]) == (503, "database-unavailable", "1")
    assert get(service.port, "/readyz").status == 503
    service.stop()
    log = service.log_path.read_text()
    assert 'password authentication failed for user "owner"' in log
    assert wrong not in log
    assert bad_log_lines(service) == []
