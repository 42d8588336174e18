"""Messages of PostgreSQL's protocol: split from bytes, read from libpq's own words, and counted on both drivers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
import uvloop
from sqlalchemy import text

from shared import schemas
from shared.config import Edition
from shared.config import Settings
from shared.engine import engine_options
from shared.trace import wire_asyncpg
from shared.trace import wire_psycopg2
from shared.trace.wire import BACKEND
from shared.trace.wire import FRONTEND
from shared.trace.wire import MOST_LISTED
from shared.trace.wire import Exchange
from shared.trace.wire import Splitter
from shared.trace.wire_psycopg2 import Psycopg2Tap

from .cluster import tcp_postgres
from .traced_database import AsgiRequests
from .traced_database import LoopFactory
from .traced_database import Request
from .traced_database import idle_connection
from .traced_database import requests_of
from .traced_database import traced

# Looks like messages to whoever reads libpq's lines one by one.
FORGED = 'x"\nF\t12\tQuery\t "COMMIT"\nB\t5\tReadyForQuery\t I\nB\t11\tDataRow\t 1 1 \'1\'\n \\x00\ny'
ONE = (text("SELECT CAST(:value AS text) AS it"), {"value": "one"})
LOOPS = [pytest.param(None, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


def message(kind: bytes, payload: bytes = b"") -> bytes:
    """Return a message as the protocol has it."""
    return kind + (4 + len(payload)).to_bytes(4) + payload


def sent(stage_facts: dict[str, Any]) -> list[str]:
    """Return the messages that went to the server, queries with their first word."""
    return [" ".join([item["message"], *filter(None, [item.get("verb")])]) for item in stage_facts["wire"]["sent"]]


def received(stage_facts: dict[str, Any]) -> dict[str, int]:
    """Return how many messages of each kind came from the server."""
    return {item["message"]: item["count"] for item in stage_facts["wire"]["received"]}


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 64, 10_000])
def test_messages_are_found_however_the_bytes_are_cut(step: int) -> None:
    """Types, sizes and rows, with the header itself in pieces."""
    stream = b"".join(
        [
            message(b"T", b"\0\1" + b"name\0" + bytes(18)),
            *[message(b"D", bytes(300)) for _ in range(3)],
            message(b"C", b"FETCH 3\0"),
            message(b"I"),
            message(b"Z", b"T"),
        ]
    )
    exchange = Exchange()
    splitter = Splitter(BACKEND, exchange.receive)
    for at in range(0, len(stream), step):
        splitter.feed(stream[at : at + step])
    facts = exchange.facts()
    assert facts["received"] == [
        {"message": "RowDescription", "count": 1, "bytes": 30},
        {"message": "DataRow", "count": 3, "bytes": 915},
        {"message": "CommandComplete", "count": 1, "bytes": 13},
        {"message": "EmptyQueryResponse", "count": 1, "bytes": 5},
        {"message": "ReadyForQuery", "count": 1, "bytes": 6},
    ]
    assert facts["bytes_received"] == len(stream)
    assert exchange.rows == 3


def test_round_trip_is_something_sent_and_then_answered() -> None:
    """However many messages either has; what is not answered is none."""
    exchange = Exchange()
    asks, answers = Splitter(FRONTEND, exchange.send), Splitter(BACKEND, exchange.receive)
    answers.feed(message(b"N", b"\0"))
    asks.feed(message(b"P", b"name\0select $1\0\0\0") + message(b"D", b"Sname\0") + message(b"H"))
    answers.feed(message(b"1"))
    answers.feed(message(b"t", b"\0\0") + message(b"n"))
    asks.feed(message(b"B", bytes(12)))
    asks.feed(memoryview(message(b"E", bytes(5)) + message(b"S")))
    answers.feed(message(b"2") + message(b"Z", b"I"))
    asks.feed(message(b"X"))
    facts = exchange.facts()
    assert facts["round_trips"] == 2
    assert sent({"wire": facts}) == ["Parse SELECT", "Describe", "Flush", "Bind", "Execute", "Sync", "Terminate"]


def test_first_messages_are_listed_and_the_others_counted() -> None:
    """Their bytes are counted, too."""
    exchange = Exchange()
    Splitter(FRONTEND, exchange.send).feed(message(b"S") * (MOST_LISTED + 3))
    facts = exchange.facts()
    assert (len(facts["sent"]), facts["sent_left_out"], facts["bytes_sent"]) == (MOST_LISTED, 3, 5 * (MOST_LISTED + 3))


@pytest.mark.parametrize("verb", ["'geheim'", "17", "$$x$$", "/*a*/", '"t"', ""])
def test_first_word_is_a_word_or_nothing(verb: str) -> None:
    """A value that stands first is not told."""
    exchange = Exchange()
    Splitter(FRONTEND, exchange.send).feed(message(b"Q", f"{verb}\0".encode()))
    assert exchange.facts()["sent"] == [{"message": "Query", "bytes": 6 + len(verb), "verb": ""}]


def exchanged(connection: psycopg2.extensions.connection, query: str, values: Sequence[Any]) -> Exchange:
    """Return what one query, or its failure, sends and receives."""
    tap = Psycopg2Tap(connection)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
    except psycopg2.Error:
        pass
    exchange = tap.take()
    tap.stop()
    return exchange


@pytest.mark.parametrize(
    ("query", "answers"),
    [
        ("SELECT %s, %s", {"RowDescription": 1, "DataRow": 1, "CommandComplete": 1, "ReadyForQuery": 1}),
        ("SELECT %s || CAST(%s AS integer)", {"ErrorResponse": 1, "ReadyForQuery": 1}),
        (
            "DO $x$ BEGIN RAISE NOTICE '%%', %s; RAISE WARNING '%%', %s; END $x$",
            {"NoticeResponse": 2, "CommandComplete": 1, "ReadyForQuery": 1},
        ),
    ],
    ids=["value", "error", "notice"],
)
def test_text_that_looks_like_messages_is_not_counted(
    connection: psycopg2.extensions.connection, query: str, answers: dict[str, int]
) -> None:
    """In a query, in a value, in an error that quotes it and in notices."""
    exchange = exchanged(connection, query, (FORGED, FORGED))
    facts = {"wire": exchange.facts()}
    assert sent(facts) == ["Query " + query.split()[0]]
    assert received(facts) == answers
    with connection.cursor() as cursor:
        assert facts["wire"]["bytes_sent"] == 6 + len(cursor.mogrify(query, (FORGED, FORGED)))
    assert facts["wire"]["round_trips"] == 1


def test_psycopg2_tap_gives_its_memory_back_and_leaves_the_connection_as_it_was(database_url: str) -> None:
    """After a use, after a close, and when nothing was sent."""
    before = len(wire_psycopg2._open)
    connection = psycopg2.connect(database_url)
    for _ in range(3):
        assert exchanged(connection, "SELECT repeat('x', 1000) FROM generate_series(1, %s)", (500,)).rows == 500
        assert len(wire_psycopg2._open) == before
    tap = Psycopg2Tap(connection)
    assert not tap.take().has_sent
    connection.close()
    assert sent({"wire": tap.take().facts()}) == ["Terminate"]
    tap.stop()
    tap.stop()
    assert len(wire_psycopg2._open) == before


def test_psycopg2_counts_of_one_exchange_are_not_in_the_next(connection: psycopg2.extensions.connection) -> None:
    """A short one after a long one."""
    tap = Psycopg2Tap(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT generate_series(1, 2000)")
        assert tap.take().rows == 2_000
        cursor.execute("SELECT 1")
        assert tap.take().facts()["bytes_sent"] == 6 + len("SELECT 1")
    assert not tap.take().has_sent
    tap.stop()


def test_psycopg2_sends_one_query_with_the_values_in_it(new_database: str) -> None:
    """The first time as the second: nothing is prepared. A transaction begins with a query of its own."""
    with requests_of("wsgi", new_database, trace=True) as requests:
        request = traced("wsgi", ONE, ONE)
        requests.run(request)
        begun = traced("wsgi", ONE, ONE, is_writing=True)
        requests.run(begun)
    query = "SELECT CAST('one' AS text) AS it"
    for stage in request.stages("sql"):
        assert sent(stage.facts) == ["Query SELECT"]
        assert received(stage.facts) == {"RowDescription": 1, "DataRow": 1, "CommandComplete": 1, "ReadyForQuery": 1}
        assert stage.facts["wire"]["round_trips"] == 1
        assert stage.facts["wire"]["bytes_sent"] == 6 + len(query)
        assert stage.facts["interpolated"] is True
    first, second = begun.stages("sql")
    assert sent(first.facts) == ["Query BEGIN", "Query SELECT"]
    assert first.facts["wire"]["round_trips"] == 2
    assert sent(second.facts) == ["Query SELECT"]
    assert sent(begun.facts("commit")) == ["Query COMMIT"]
    assert begun.facts("commit")["wire"]["round_trips"] == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_asyncpg_prepares_first_and_then_only_binds(new_database: str, loop: LoopFactory) -> None:
    """Two round trips, then one with less than half the bytes. A transaction begins with a query of its own."""
    with requests_of("asgi", new_database, loop, trace=True) as requests:
        request = traced("asgi", ONE, ONE)
        requests.run(request)
        begun = traced("asgi", ONE, is_writing=True)
        requests.run(begun)
    first, second = [stage.facts for stage in request.stages("sql")]
    assert sent(first) == ["Parse SELECT", "Describe", "Flush", "Bind", "Execute", "Sync"]
    assert first["wire"]["round_trips"] == 2
    assert received(first) == {
        **{"ParseComplete": 1, "ParameterDescription": 1, "RowDescription": 1},
        **{"BindComplete": 1, "DataRow": 1, "CommandComplete": 1, "ReadyForQuery": 1},
    }
    assert sent(second) == ["Bind", "Execute", "Sync"]
    assert second["wire"]["round_trips"] == 1
    assert received(second) == {"BindComplete": 1, "DataRow": 1, "CommandComplete": 1, "ReadyForQuery": 1}
    # The statement's text is sent once.
    assert first["wire"]["bytes_sent"] > len(first["statement"]) + second["wire"]["bytes_sent"]
    assert first["interpolated"] is False
    assert sent(begun.facts("sql"))[0] == "Query BEGIN"
    assert begun.facts("sql")["wire"]["round_trips"] == 2
    assert sent(begun.facts("commit")) == ["Query COMMIT"]


@pytest.mark.parametrize("loop", LOOPS)
def test_many_rows_are_counted_in_whatever_pieces_they_come(new_database: str, loop: LoopFactory) -> None:
    """Both drivers receive the same rows; their number is the messages' number."""
    wide = (text("SELECT repeat('x', 300) FROM generate_series(1, :rows)"), {"rows": 5_000})
    editions: tuple[Edition, ...] = ("wsgi", "asgi")
    for edition in editions:
        with requests_of(edition, new_database, loop, trace=True) as requests:
            request = traced(edition, wide)
            requests.run(request)
        facts = request.facts("sql")
        assert facts["rows"] == 5_000
        (data,) = [item for item in facts["wire"]["received"] if item["message"] == "DataRow"]
        # One column: type, length, number of columns, length of the value.
        assert data == {"message": "DataRow", "count": 5_000, "bytes": 5_000 * (1 + 4 + 2 + 4 + 300)}


def test_connection_over_tcp_with_a_password_is_tapped(edition: Edition, tmp_path: Path) -> None:
    """What was said at the connect is no part of a statement."""
    with tcp_postgres(tmp_path) as url, requests_of(edition, url, trace=True) as requests:
        request = traced(edition, ONE)
        requests.run(request)
    assert request.answer == [("one",)]
    assert sent(request.facts("sql"))[-1] == ("Query SELECT" if edition == "wsgi" else "Sync")


@pytest.mark.parametrize("loop", LOOPS)
def test_asyncpg_transport_is_its_own_again_after_a_trace(new_database: str, loop: LoopFactory) -> None:
    """Its writes go to the event loop's method directly, its reads to the driver's."""
    with requests_of("asgi", new_database, loop, trace=True, pool_size=1) as requests:
        assert isinstance(requests, AsgiRequests)
        request = traced("asgi", endpoint="updates", parameters=schemas.QueriesParameters(queries=2))
        requests.run(request, Request([ONE]))
        assert request.error is None
        with idle_connection(requests) as record:
            driver_connection: Any = record.driver_connection
            protocol = driver_connection._protocol
            assert protocol.tappable.write == protocol.tappable.transport.write
            assert protocol.tappable.writelines == protocol.tappable.transport.writelines
            assert "data_received" not in vars(protocol)
            assert protocol.tappable.transport.get_protocol() is protocol


def test_asyncpg_connection_of_another_making_is_not_tapped(new_database: str) -> None:
    """Where its transport cannot be seen, a request is served as ever, and its trace says what is missing."""
    with requests_of("asgi", new_database, trace=True) as requests:
        with idle_connection(requests) as record:
            driver_connection: Any = record.driver_connection
            driver_connection._protocol.tappable = None
        request = traced("asgi", ONE)
        requests.run(request)
    assert request.answer == [("one",)]
    assert request.facts("sql")["wire"] is None
    assert request.facts("sql")["wire_missing"] == "the driver's transport cannot be seen"


def test_asyncpg_connects_as_ever_where_nothing_is_traced() -> None:
    """The driver's own connect, and no other protocol."""
    options = {trace: engine_options(Settings(trace=trace), "asgi", "asyncpg") for trace in (False, True)}
    assert "async_creator_fn" not in options[False]["connect_args"]
    assert options[True]["connect_args"]["async_creator_fn"] is wire_asyncpg.connect
