"""What a traced request tells of session, connection and statements, held against the database's own word."""

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolWaitTimeout

from shared import schemas
from shared.config import Edition
from shared.trace.sql import WATCH

from .cluster import rows
from .test_trouble_cancellation import MOST_WAITS
from .test_trouble_cancellation import CancelledAt
from .traced_database import AsgiRequests
from .traced_database import ClientLeft
from .traced_database import LoopFactory
from .traced_database import Request
from .traced_database import Statement
from .traced_database import idle_connection
from .traced_database import requests_of
from .traced_database import traced

PID: Statement = (text("SELECT pg_backend_pid()"), {})
SECRET = "geheim-4711"
KEPT = (text("SELECT set_config('trace.kept', :value, false)"), {"value": SECRET})
FAILS = (text("SELECT CAST(CAST(:value AS text) AS integer)"), {"value": SECRET})
MARK = "SELECT pg_backend_pid() AS request_{request}_step_{step} FROM pg_sleep(0.01)"
CALLS = (
    "SELECT query, calls FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid "
    "WHERE datname = current_database() AND query NOT LIKE '%%pg_stat_statements%%'"
)


def sleep(seconds: float) -> Statement:
    """Return a statement that takes some time."""
    return text("SELECT 1 FROM pg_sleep(:seconds)"), {"seconds": seconds}


def first_words(url: str) -> Counter[str]:
    """Return how often statements with a first word ran, as the server counted them."""
    found: Counter[str] = Counter()
    for query, calls in rows(url, CALLS):
        found[query.split()[0].rstrip(";")] += calls
    return found


@pytest.mark.parametrize(
    ("endpoint", "parameters"),
    [
        ("db", schemas.SeededParameters()),
        ("queries", schemas.QueriesParameters(queries=7)),
        ("updates", schemas.QueriesParameters(queries=5)),
        ("fortunes", schemas.NoParameters()),
    ],
)
def test_statements_are_those_that_the_server_counted(
    edition: Edition, new_database: str, endpoint: str, parameters: schemas.Parameters
) -> None:
    """Each statement once, with BEGIN and COMMIT where messages or stages show them."""
    with requests_of(edition, new_database, trace=True) as requests:
        requests.run(Request(endpoint=endpoint, parameters=parameters))
        rows(new_database, "SELECT pg_stat_statements_reset()")
        request = traced(edition, endpoint=endpoint, parameters=parameters)
        requests.run(request)
        assert request.error is None
        counted = first_words(new_database)
    sql = request.stages("sql")
    seen = Counter(stage.facts["statement"].split()[0] for stage in sql)
    seen.update(stage.facts["action"] for stage in request.stages("commit"))
    seen["BEGIN"] = sum(sent.get("verb") == "BEGIN" for stage in sql for sent in stage.facts["wire"]["sent"])
    assert +seen == counted
    names = [stage.name for stage in request.stages()]
    ends = ["commit", "release"] if endpoint == "updates" else ["release"]
    assert names == ["session", "checkout", *(["sql"] * len(sql)), *ends]
    assert [stage.start_ns for stage in request.stages()] == sorted(stage.start_ns for stage in request.stages())
    assert all(stage.start_ns <= stage.end_ns for stage in request.stages())


def test_statements_of_a_stream_are_recorded_until_its_end(edition: Edition, new_database: str) -> None:
    """They go to the session's connection, not through the session."""
    with requests_of(edition, new_database, trace=True) as requests:
        request = traced(edition, endpoint="stream", parameters=schemas.StreamParameters(rows=1_200))
        requests.run(request)
        assert request.error is None
    declare, *fetches = request.stages("sql")
    assert declare.facts["statement"].startswith("DECLARE")
    assert len(fetches) == len(request.answer)
    assert sum(fetch.facts["rows"] for fetch in fetches) == 1_200
    assert request.facts("commit")["action"] == "COMMIT"


def test_client_that_leaves_a_stream_has_it_rolled_back(edition: Edition, new_database: str) -> None:
    """The connection is kept, and watched no more."""
    with requests_of(edition, new_database, trace=True, pool_size=1) as requests:
        parameters = schemas.StreamParameters(rows=100_000)
        request = traced(edition, endpoint="stream", parameters=parameters, leaves_after=2)
        requests.run(request)
        assert isinstance(request.error, ClientLeft)
        assert request.facts("commit")["action"] == "ROLLBACK"
        assert request.facts("release")["reset"] == "isolation_level"
        after = traced(edition, PID)
        requests.run(after)
        assert after.facts("checkout")["connection"] == "reused"
        assert after.facts("checkout")["backend_pid"] == request.facts("checkout")["backend_pid"]


def test_checkout_tells_the_backend_and_whether_it_is_new(edition: Edition, new_database: str) -> None:
    """A connection is new once, and again after its end was noticed."""
    with requests_of(edition, new_database, trace=True, pool_size=2) as requests:
        # The preparation has opened the first one.
        first, second, third = traced(edition, PID), traced(edition, PID), traced(edition, PID)
        requests.run(first)
        rows(new_database, "SELECT pg_terminate_backend(%s)", (first.answer[0][0],))
        time.sleep(0.1)
        requests.run(second)
        requests.run(third)
    for request in (first, second, third):
        assert request.facts("checkout")["backend_pid"] == request.answer[0][0]
    assert [request.facts("checkout")["connection"] for request in (first, second, third)] == [
        "reused",
        "new",
        "reused",
    ]
    assert second.answer == third.answer != first.answer


def test_checkout_tells_the_pool_before_and_after(edition: Edition, new_database: str) -> None:
    """The one that was idle is in use, and idle again after its release."""
    with requests_of(edition, new_database, trace=True, pool_size=3) as requests:
        request = traced(edition, PID)
        requests.run(request)
    assert request.facts("session") == {"isolation_level": "READ COMMITTED"}
    idle = {"size": 3, "checked_out": 0, "idle": 1, "overflow": 0, "waiting": 0}
    facts = request.facts("checkout")
    assert facts["pool_before"] == idle
    assert facts["pool_after"] == {**idle, "checked_out": 1, "idle": 0}
    assert request.facts("release")["pool_after"] == idle
    assert (facts["waited_ns"], facts["waiters_ahead"]) == (0, 0)


def test_eleventh_request_tells_the_wait_that_the_pool_measured(edition: Edition, new_database: str) -> None:
    """Of eleven requests on ten connections one waits: its checkout is that wait, to the nanosecond."""
    with requests_of(edition, new_database, trace=True, pool_size=10) as requests:
        # Every connection is open, so that no checkout connects.
        requests.run(*[Request([sleep(0.2)]) for _ in range(10)])
        before = requests.state().totals.wait_s_sum
        asked = [traced(edition, sleep(0.3)) for _ in range(11)]
        requests.run(*asked)
        booked_ns = round((requests.state().totals.wait_s_sum - before) * 1e9)
    assert [request.error for request in asked] == [None] * 11
    (waited,) = [request for request in asked if request.facts("checkout")["waited_ns"]]
    (stage,) = waited.stages("checkout")
    assert abs(stage.facts["waited_ns"] - booked_ns) <= 1
    assert stage.facts["waited_ns"] > 100_000_000
    assert stage.end_ns - stage.start_ns >= stage.facts["waited_ns"]
    assert stage.facts["waiters_ahead"] == 0
    assert stage.facts["pool_before"]["checked_out"] == 10


def test_checkout_that_times_out_is_a_stage_with_its_error(edition: Edition, new_database: str) -> None:
    """Two wait for the only connection, in vain: each tells how long, and how many were before it."""
    settings: dict[str, Any] = {"pool_size": 1, "connect_timeout": 1.0, "pool_timeout": 1.1}
    with requests_of(edition, new_database, trace=True, **settings) as requests:
        holds, waits = Request([sleep(4)]), [traced(edition, PID), traced(edition, PID)]
        requests.run(holds, *waits)
        assert holds.error is None
        timeouts = requests.state().totals.timeouts
    assert timeouts == 2
    for request in waits:
        assert isinstance(request.error, PoolWaitTimeout)
        assert [stage.name for stage in request.stages()] == ["session", "checkout"]
        facts = request.facts("checkout")
        assert facts["error"] == "TimeoutError"
        assert facts["waited_ns"] >= 150_000_000
        assert "connection" not in facts
    assert sorted(request.facts("checkout")["waiters_ahead"] for request in waits) == [0, 1]


def test_failing_statement_is_rolled_back_and_told_by_its_class(edition: Edition, new_database: str) -> None:
    """In a transaction: the statement's error, then ROLLBACK."""
    with requests_of(edition, new_database, trace=True) as requests:
        request = traced(edition, PID, FAILS, is_writing=True)
        requests.run(request)
        assert isinstance(request.error, DBAPIError)
    good, bad = request.stages("sql")
    assert "error" not in good.facts
    assert (bad.facts["error"].removesuffix("Error"), bad.facts["sqlstate"]) == ("InvalidTextRepresentation", "22P02")
    assert request.facts("commit")["action"] == "ROLLBACK"
    assert "error" not in request.facts("commit")


def test_statement_timeout_is_told(edition: Edition, new_database: str) -> None:
    """Its SQLSTATE is query_canceled, and it took as long as it was allowed to."""
    ladder: dict[str, Any] = {"connect_timeout": 1.0, "pool_timeout": 1.1, "statement_timeout": 1.2}
    with requests_of(edition, new_database, trace=True, **ladder) as requests:
        request = traced(edition, sleep(30))
        requests.run(request)
    (stage,) = request.stages("sql")
    assert stage.facts["sqlstate"] == "57014"
    assert stage.facts["error"].startswith("QueryCanceled")
    assert 1_100_000_000 < stage.end_ns - stage.start_ns < 10_000_000_000
    assert request.facts("release")["reset"] == "none"


def test_killed_backend_is_told_and_its_connection_discarded(edition: Edition, new_database: str) -> None:
    """The statement has an error; the place in the pool is free again."""
    with requests_of(edition, new_database, trace=True, pool_size=1) as requests:
        request = traced(edition, PID, sleep(30), is_writing=True)
        ending = Thread(target=end_backend_that_sleeps, args=(new_database,))
        ending.start()
        requests.run(request)
        ending.join()
        assert isinstance(request.error, DBAPIError)
        assert requests.state().checked_out == 0
        after = traced(edition, PID)
        requests.run(after)
    assert "error" in request.stages("sql")[1].facts
    assert request.facts("release")["reset"] == "discarded"
    assert request.facts("release")["pool_after"]["checked_out"] == 0
    assert after.error is None
    assert after.facts("checkout")["connection"] == "new"


def end_backend_that_sleeps(url: str) -> None:
    """End the backend that runs pg_sleep, as soon as there is one."""
    kill = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%%pg_sleep%%'"
    )
    deadline = time.monotonic() + 20
    while not rows(url, kill)[0][0] and time.monotonic() < deadline:
        time.sleep(0.05)


def test_cancelled_task_is_told_and_its_connection_watched_no_more(new_database: str) -> None:
    """The statement ends with the cancellation; the next request finds the pool whole."""
    with requests_of("asgi", new_database, trace=True, pool_size=1) as requests:
        assert isinstance(requests, AsgiRequests)
        request = traced("asgi", PID, sleep(30), is_writing=True)

        async def cancel() -> None:
            task = asyncio.create_task(requests.serve(request))
            await asyncio.sleep(0.3)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        requests.runner.run(cancel())
        assert requests.state().checked_out == 0
        after = traced("asgi", PID)
        requests.run(after)
        assert after.error is None
        assert [stage.name for stage in after.stages()] == ["session", "checkout", "sql", "release"]
    assert request.stages("sql")[1].facts["error"] == "CancelledError"
    assert request.facts("release")["reset"] == "discarded"


@pytest.mark.slow
@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "connecting"])
def test_traced_request_cancelled_at_any_wait_leaves_the_pool_whole(
    new_database: str, loop: LoopFactory, is_cold: bool
) -> None:
    """One connection only; whatever ended the request, its checkout and its release are both told, or neither."""
    parameters = schemas.QueriesParameters(queries=3)
    with requests_of("asgi", new_database, loop, trace=True, pool_size=1) as requests:
        assert isinstance(requests, AsgiRequests)

        async def cancel(request: Request, k: int) -> int:
            if is_cold:
                await requests.database.engine.dispose()
            steps = CancelledAt(requests.serve(request), k, 1)

            async def run() -> None:
                await steps

            with suppress(asyncio.CancelledError):
                await asyncio.create_task(run())
            return steps.waits

        for k in range(1, MOST_WAITS):
            request = traced("asgi", endpoint="updates", parameters=parameters)
            waits = requests.runner.run(cancel(request, k))
            assert requests.state().checked_out == 0, f"cancelled at wait {k}"
            had_connection = [stage for stage in request.stages("checkout") if "connection" in stage.facts]
            assert len(request.stages("release")) == len(had_connection), f"cancelled at wait {k}"
            after = traced("asgi", PID)
            requests.run(after)
            assert after.error is None, f"cancelled at wait {k}"
            assert after.facts("sql")["rows"] == 1, f"cancelled at wait {k}"
            if waits < k:
                break
        assert k > 4


def test_untraced_request_records_nothing_and_leaves_nothing_behind(edition: Edition, new_database: str) -> None:
    """Not on the engine, and not on a connection that was traced before."""
    with requests_of(edition, new_database, trace=True, pool_size=1) as requests:
        request = traced(edition, PID, is_writing=True)
        requests.run(request)
        recorded = len(request.stages())
        plain = Request([PID])
        requests.run(plain)
        assert plain.answer == request.answer
        assert len(request.stages()) == recorded
        with idle_connection(requests) as held:
            assert WATCH not in held.info
        assert not requests.pool.dispatch.checkout
        assert not requests.pool.dispatch.checkin


def test_traced_requests_at_one_time_never_mix(edition: Edition, new_database: str) -> None:
    """Each of eight has its own statements, in its own order, on its own connection."""
    with requests_of(edition, new_database, trace=True, pool_size=4) as requests:
        marks: list[list[Statement]] = [
            [(text(MARK.format(request=request, step=step)), {}) for step in range(6)] for request in range(8)
        ]
        asked = [traced(edition, *statements) for statements in marks]
        requests.run(*asked, Request([sleep(0.05)]))
    for request, statements in zip(asked, marks, strict=True):
        assert request.error is None
        assert [stage.facts["statement"] for stage in request.stages("sql")] == [str(mark) for mark, _ in statements]
        assert request.facts("checkout")["backend_pid"] == request.answer[0][0]
        queries = [
            sent["message"]
            for stage in request.stages("sql")
            for sent in stage.facts["wire"]["sent"]
            if sent["message"] in ("Query", "Execute")
        ]
        assert len(queries) == 6


@pytest.mark.parametrize("is_writing", [False, True])
def test_masked_values_are_nowhere_in_the_facts(edition: Edition, new_database: str, is_writing: bool) -> None:
    """Neither in a statement, nor in a message, nor in an error whose text quotes it."""
    with requests_of(edition, new_database, trace=True) as requests:
        request = traced(edition, KEPT, FAILS, is_writing=is_writing)
        requests.run(request)
    assert request.error is not None
    assert SECRET in str(request.error.__cause__)
    told = json.dumps([stage.facts for stage in request.stages()])
    assert SECRET not in told
    assert "parameter_values" not in told
    assert [stage.facts["parameters"] for stage in request.stages("sql")] == [1, 1]


def test_values_are_shown_to_who_may_see_them(edition: Edition, new_database: str) -> None:
    """With the text that really was sent, where the driver puts the values in itself."""
    with requests_of(edition, new_database, trace=True) as requests:
        request = traced(edition, KEPT, reveals_values=True)
        requests.run(request)
    facts = request.facts("sql")
    assert facts["parameter_values"] in ({"value": SECRET}, [SECRET])
    assert SECRET not in facts["statement"]
    assert facts["interpolated"] == (edition == "wsgi")
    assert (SECRET in facts.get("query", "")) == facts["interpolated"]
