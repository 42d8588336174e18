"""The parity check where DATABASE_URL is of a MariaDB: databases of its own there, every case, nothing left behind."""

import re

import pytest
from sqlalchemy.engine import make_url

from shared.config import load
from shared.errors import UsageError
from shared.lab import databases
from shared.lab.parity import check
from tests.mariadb_server import rows
from tests.mariadb_server import running


@pytest.mark.slow
def test_user_who_may_not_create_databases_is_told_what_to_grant() -> None:
    """And with just that granted, the right is there."""
    with running() as url:
        rows(url, "CREATE USER restricted@'%' IDENTIFIED BY 'secret-word'")
        rows(url, f"GRANT ALL ON `{make_url(url).database}`.* TO restricted@'%'")
        of_restricted = make_url(url).set(username="restricted", password="secret-word")
        restricted = of_restricted.render_as_string(hide_password=False)
        with pytest.raises(UsageError) as refused:
            databases.require_right(restricted, "The parity check")
        assert "may not create them" in (refused.value.why or "")
        assert "secret-word" not in f"{refused.value} {refused.value.why} {refused.value.hint}"
        granted = re.findall("GRANT [^;]+", refused.value.hint or "")
        assert len(granted) == len(databases.PREFIXES)
        for each in granted:
            rows(url, each)
        databases.require_right(restricted, "The parity check")
        assert rows(url, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'parity%'") == []


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
