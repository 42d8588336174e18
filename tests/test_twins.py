"""The twins are the same program: each file is classified, and the pairs are compared line by line."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy import text
from sqlalchemy.orm import Session

import asgi_app.database
import asgi_app.endpoints
import wsgi_app.database
import wsgi_app.endpoints
from shared import twins
from shared.config import Settings
from shared.config import load
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.engine import Source
from shared.twins import File
from shared.twins import compare

TWINS = [file for file in twins.FILES if file.kind == "twin"]
SEAMS = [file for file in twins.FILES if file.kind == "seam"]
BY_NAME = {file.name: file for file in twins.FILES}
ENDPOINTS = BY_NAME["endpoints.py"]
DATABASE = BY_NAME["database.py"]

SESSION_SETTINGS = (
    "transaction_isolation",
    "default_transaction_isolation",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "client_encoding",
    "search_path",
    "synchronous_commit",
)


def replaced(source: str, old: str, new: str) -> str:
    """Return a source with its first `old` replaced; a doctored pair that is none would prove nothing."""
    assert old in source
    return source.replace(old, new, 1)


@pytest.mark.parametrize("package", [twins.ASGI, twins.WSGI])
def test_every_file_is_classified(package: str) -> None:
    """No file of either edition is unlisted, missing or on one side only."""
    found = {path.relative_to(twins.ROOT / package).as_posix() for path in (twins.ROOT / package).rglob("*.py")}
    assert found == set(BY_NAME)


def test_classification_has_no_doubles() -> None:
    assert len(BY_NAME) == len(twins.FILES)


def test_twins_are_not_empty() -> None:
    assert {"database.py", "endpoints.py"} <= {file.name for file in TWINS}


@pytest.mark.parametrize("file", SEAMS, ids=lambda file: file.name)
def test_seams_have_a_reason_and_no_table(file: File) -> None:
    assert file.reason.endswith(".")
    assert "\n" not in file.reason
    assert not file.names
    assert not file.imports


@pytest.mark.parametrize("name", ["app.py", "pipeline.py", "server.py"])
def test_seams_say_so_where_they_stand(name: str) -> None:
    for source in twins.texts(BY_NAME[name]):
        assert source.startswith('"""SEAM: ')


@pytest.mark.parametrize("file", TWINS, ids=lambda file: file.name)
def test_twins_are_the_same_program(file: File) -> None:
    assert compare(*twins.texts(file), file) == []


def test_endpoints_differ_by_async_and_await_only() -> None:
    assert not ENDPOINTS.names
    assert not ENDPOINTS.imports


def test_extents_count_the_lines_that_differ(tmp_path: Path) -> None:
    """The figures of `make twins`, on a pair counted by hand."""
    for package, source in ((twins.ASGI, "a\nasync b\nc\nd\n"), (twins.WSGI, "a\nb\nc\n")):
        (tmp_path / package).mkdir()
        for file in twins.FILES:
            (tmp_path / package / file.name).write_text(source)
    assert {(extent.differing, extent.total) for extent in twins.extents(tmp_path)} == {(2, 4)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Hello, World!"', '"Hello, world!"'),
        ("# One row more than asked for", "# One row less than asked for"),
        ('"""Open an account."""', '"""Open the account."""'),
        ("SERIALIZABLE_RETRIES = 3", "SERIALIZABLE_RETRIES = 4"),
        ("    worlds.append(", "    worlds.insert("),
        ("from shared import work\n", ""),
        ("from shared import work\n", "from shared import seed\n"),
        ("    begin(session)\n", ""),
        ("def db(", "async def db("),
        ('row[0], "randomNumber"', 'row[0], "randomnumber"'),
    ],
    ids=["text", "comment", "docstring", "number", "call", "import lost", "import", "line lost", "async", "key"],
)
def test_doctored_pairs_are_rejected(old: str, new: str) -> None:
    asgi, wsgi = twins.texts(ENDPOINTS)
    assert compare(asgi, replaced(wsgi, old, new), ENDPOINTS) != []


@pytest.mark.parametrize("addition", ["x = 1\n", "\n", "# a comment\n"], ids=["code", "blank", "comment"])
def test_a_line_added_at_the_end_is_rejected(addition: str) -> None:
    """The flaw of httpcore's script, whose zip is not strict."""
    asgi, wsgi = twins.texts(ENDPOINTS)
    assert compare(asgi, wsgi + addition, ENDPOINTS) != []
    assert compare(asgi + addition, wsgi, ENDPOINTS) != []


def test_swapped_lines_are_rejected() -> None:
    asgi, wsgi = twins.texts(ENDPOINTS)
    swapped = wsgi.splitlines(keepends=True)
    at = swapped.index("    result = session.execute(statements.INSERT_ACCOUNT, values)\n")
    swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    assert compare(asgi, "".join(swapped), ENDPOINTS) != []


def test_a_comment_that_names_async_is_not_derived() -> None:
    """Only names in code are replaced: a twin's comment and docstring are identical text."""
    plain = File("x.py", "twin", "A made-up pair.")
    assert compare('"""The async session."""\n', '"""The session."""\n', plain) != []
    assert compare("# await it\n", "# it\n", plain) != []
    assert compare('x = "await it"\n', 'x = "it"\n', plain) != []
    assert compare("x = await  it\n", "x = it\n", plain) == []


def test_the_end_of_the_file_is_compared() -> None:
    assert compare("x = 1\n", "x = 1", File("x.py", "twin", "A made-up pair.")) != []


@pytest.mark.parametrize("table", ["names", "imports"])
def test_unused_entries_of_the_table_are_rejected(table: str) -> None:
    asgi, wsgi = twins.texts(DATABASE)
    names = {**DATABASE.names, **({"AsyncEngine": "Engine"} if table == "names" else {})}
    imports = {**DATABASE.imports, **({("a", "b"): ("c", "d")} if table == "imports" else {})}
    differences = compare(asgi, wsgi, File("database.py", "twin", "With one entry too many.", names, imports))
    assert [difference.line for difference in differences] == [0]
    assert "never used" in differences[0].found


@pytest.mark.parametrize("name", list(DATABASE.names))
def test_missing_entries_of_the_table_are_rejected(name: str) -> None:
    fewer = {key: value for key, value in DATABASE.names.items() if key != name}
    file = File("database.py", "twin", "With one entry too few.", fewer, DATABASE.imports)
    assert compare(*twins.texts(DATABASE), file) != []


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_endpoints_are_of_their_edition(endpoint: Endpoint) -> None:
    """Stripping cannot see a lost `async`, and Starlette would send such a function to a thread: seen here."""
    asynchronous = getattr(asgi_app.endpoints, endpoint.name)
    synchronous = getattr(wsgi_app.endpoints, endpoint.name)
    is_asynchronous = inspect.isasyncgenfunction if endpoint.streams else inspect.iscoroutinefunction
    assert is_asynchronous(asynchronous)
    assert inspect.isgeneratorfunction(synchronous) == endpoint.streams
    assert not is_asynchronous(synchronous)


@pytest.mark.parametrize("endpoint", CONTRACT, ids=lambda endpoint: endpoint.name)
def test_endpoint_docstrings_are_the_contracts_sentences(endpoint: Endpoint) -> None:
    assert getattr(wsgi_app.endpoints, endpoint.name).__doc__ == endpoint.summary


def _look(connection: Connection) -> dict[str, Any]:
    found = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in SESSION_SETTINGS}
    begun = [connection.execute(text("SELECT transaction_timestamp()")).scalar_one() for _ in range(2)]
    found["autocommit"] = begun[0] != begun[1]
    return found


def _pool_figures(pool: Any) -> dict[str, Any]:
    keys = ("_max_overflow", "_timeout", "_recycle", "_pre_ping", "_use_threadlocal", "_reset_on_return")
    figures = {key: getattr(pool, key, None) for key in keys}
    return {**figures, "size": pool.size(), "lifo": pool._pool.use_lifo}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "POOL_SIZE": "3",
            "POOL_MAX_OVERFLOW": "2",
            "STATEMENT_TIMEOUT": "4.5",
            "ISOLATION_LEVEL": "REPEATABLE READ",
        },
    ],
    ids=["defaults", "changed"],
)
def test_both_editions_have_the_same_resources(database_url: str, values: dict[str, str]) -> None:
    """Same pool, same isolation, same timeouts: read from both engines and from the database's own view of them."""
    settings = load(values, dotenv_path="")
    wsgi = wsgi_app.database.Database(settings, Source(database_url, lambda: None))

    async def look_async() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        database = asgi_app.database.Database(settings, Source(database_url, lambda: None))
        try:
            async with database.engine.connect() as reading:
                reads = await reading.run_sync(_look)
            async with database.open_session() as session:
                await asgi_app.database.begin(session)
                connection = await session.connection()
                writes = await connection.run_sync(_look)
            return _pool_figures(database.engine.pool), reads, writes
        finally:
            await database.dispose()

    try:
        with wsgi.engine.connect() as connection:
            reads = _look(connection)
        with wsgi.open_session() as session:
            wsgi_app.database.begin(session)
            writes = _look(session.connection())
        assert (_pool_figures(wsgi.engine.pool), reads, writes) == asyncio.run(look_async())
    finally:
        wsgi.dispose()
    assert _pool_figures(wsgi.engine.pool)["size"] == settings.pool_size
    assert reads["autocommit"]
    assert not writes["autocommit"]
    assert writes["transaction_isolation"] == settings.isolation_level.lower()


def _session_options(session: Session) -> dict[str, Any]:
    return {
        "class": type(session),
        "autoflush": session.autoflush,
        "expire_on_commit": session.expire_on_commit,
        "info": session.info,
    }


def test_sessions_are_made_alike(database_url: str) -> None:
    settings = Settings()
    wsgi = wsgi_app.database.Database(settings, Source(database_url, lambda: None))

    async def options() -> dict[str, Any]:
        database = asgi_app.database.Database(settings, Source(database_url, lambda: None))
        async with database.open_session() as session:
            return _session_options(session.sync_session)

    with wsgi.open_session() as session:
        found = _session_options(session)
    assert found == asyncio.run(options())
    assert found["expire_on_commit"] is False


def test_worker_counts_are_equal_by_default() -> None:
    settings = Settings()
    assert settings.workers("wsgi") == settings.workers("asgi")
