"""The parity check where DATABASE_URL is of a MariaDB: databases of its own there, every case, nothing left behind."""

import pytest

from shared.config import load
from shared.lab.parity import check
from tests.mariadb_server import rows
from tests.mariadb_server import running


@pytest.mark.slow
def test_editions_are_equal_on_mariadb() -> None:
    with running() as url:
        found = check.run(load({"DATABASE_URL": url}, ""), None, lambda _: None, scope="quick")
        left = rows(url, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'parity%'")
    assert found.differences == ()
    assert sum(group.cases for group in found.groups) > 100
    assert found.statements is None
    assert "PostgreSQL" in found.statements_why
    assert left == []
