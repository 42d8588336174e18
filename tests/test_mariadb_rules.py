"""What is decided about MariaDB without one: drivers, statements, what its errors mean, who is left out without it."""

import os
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import ClauseElement
from sqlalchemy import Executable
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError

from shared import errors
from shared import statements
from shared.config import Edition
from shared.config import load
from shared.engine import MARIADB_DRIVERS
from shared.engine import engine_options
from shared.engine import engine_url
from shared.errors import UsageError
from shared.lab.services import mariadb
from shared.mariadb.statements import COUNTERPARTS
from shared.twins import ROOT

PASSWORD = "canary-9d1e-secret"


@pytest.mark.parametrize("edition", ["wsgi", "asgi"])
def test_each_edition_adds_its_own_driver(edition: Edition) -> None:
    (own,) = MARIADB_DRIVERS[edition]
    for scheme in ("mysql", "mariadb", f"mysql+{own}"):
        assert load({"DATABASE_URL": f"{scheme}://u:p@h:5/d"}, "").database_url is not None
        url = engine_url(f"{scheme}://u:p@h:5/d?unix_socket=/x", edition)
        assert url.drivername == f"mysql+{own}"
        assert (url.username, url.password, url.host, url.port, url.database) == ("u", "p", "h", 5, "d")


@pytest.mark.parametrize(("edition", "driver"), [("wsgi", "aiomysql"), ("asgi", "pymysql"), ("wsgi", "psycopg2")])
def test_driver_of_the_other_edition_is_refused(edition: Edition, driver: str) -> None:
    with pytest.raises(UsageError) as refusal:
        engine_url(f"mysql+{driver}://u:{PASSWORD}@h/d", edition)
    assert MARIADB_DRIVERS[edition][0] in refusal.value.why
    assert "mysql://" in refusal.value.hint
    assert PASSWORD not in str(refusal.value)


def test_both_drivers_are_told_the_same() -> None:
    wsgi, asgi = (
        engine_options(load({}, ""), edition, MARIADB_DRIVERS[edition][0])["connect_args"]
        for edition in ("wsgi", "asgi")
    )
    assert wsgi.pop("program_name") == "wsgi-vs-asgi wsgi"
    assert asgi.pop("program_name") == "wsgi-vs-asgi asgi"
    assert wsgi == asgi


def test_every_statement_that_only_postgresql_understands_has_a_counterpart() -> None:
    """By what MariaDB lacks; the rest is run on a real one by other tests."""
    lacking = ("unnest", "ON CONFLICT", "pg_sleep", "SHOW server", "DECLARE", "FETCH")
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped upstream
    for name, statement in vars(statements).items():
        if name.isupper() and isinstance(statement, Executable) and isinstance(statement, ClauseElement):
            text = str(statement.compile(dialect=dialect))
            is_foreign = any(word in text for word in lacking) or ("UPDATE" in text[:6] and "RETURNING" in text)
            assert (statement in COUNTERPARTS) == is_foreign, name


@pytest.mark.parametrize(
    ("number", "sqlstate", "expected"),
    [
        (1040, "08004", errors.DatabaseUnavailable),
        (1045, "28000", errors.DatabaseUnavailable),
        (1049, "42000", errors.DatabaseUnavailable),
        (1114, "HY000", errors.DatabaseUnavailable),
        (1927, "70100", errors.DatabaseUnavailable),
        (2003, None, errors.DatabaseUnavailable),
        (2013, None, errors.DatabaseUnavailable),
        (1205, "HY000", errors.StatementTimeout),
        (1317, "70100", errors.StatementTimeout),
        (1969, "70100", errors.StatementTimeout),
        (1213, "40001", errors.Conflict),
        (1020, "HY000", errors.Conflict),
        (1054, "42S22", None),
        (1064, "42000", None),
        (4025, "23000", None),
    ],
)
def test_error_of_the_server_is_what_it_is_on_postgresql(
    number: int, sqlstate: str | None, expected: type[errors.RequestError] | None
) -> None:
    """None: a bug of ours, which is a 500."""
    raised = pymysql.err.OperationalError(number, "text", **({"sqlstate": sqlstate} if sqlstate else {}))
    for error in (raised, OperationalError("SELECT", {}, raised)):
        found = errors.request_error(error)
        assert (None if found is None else type(found)) == expected


def test_deadlock_may_be_repeated() -> None:
    deadlock, syntax = (
        OperationalError("UPDATE", {}, pymysql.err.OperationalError(number, "text")) for number in (1213, 1064)
    )
    assert errors.is_serialization_failure(deadlock)
    assert not errors.is_serialization_failure(syntax)


@pytest.mark.parametrize("ci", ["", "true"])
def test_tests_say_what_they_leave_out(ci: str) -> None:
    """Where no server is found they name the package; where all are asked for they fail."""
    code = (
        "from shared.lab.services import mariadb\nmariadb.PROGRAMS = ()\n"
        "import pytest\nfrom tests import mariadb_server\n"
        "try:\n    with mariadb_server.running(): print('runs')\n"
        "except (pytest.skip.Exception, pytest.fail.Exception) as end: print(type(end).__name__, end)\n"
    )
    environ = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Failed" if ci else "Skipped")
    assert f"apt-get install {mariadb.PACKAGE}" in done.stdout


def test_absent_driver_is_named() -> None:
    with pytest.raises(UsageError, match="names the driver nonsense"):
        engine_url("mysql+nonsense://h/d", "wsgi")


@pytest.mark.parametrize("command", [["claims", "C15"], ["ladder"], ["validate"], ["bench-services"], ["bench-trace"]])
def test_command_that_needs_postgresql_says_so(command: list[str], tmp_path: Path) -> None:
    environ = {**os.environ, "DATABASE_URL": f"mysql://u:{PASSWORD}@h/d", "PYTHONPATH": str(ROOT)}
    code = "import sys; from shared.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == UsageError.exit_code, done.stderr
    assert "on PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
