"""The session's own part: reads without a transaction, on the one connection that the request holds."""

from collections.abc import Callable
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy import create_engine
from sqlalchemy import event
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import QueuePool

from shared.config import load
from shared.engine import engine_options
from shared.engine import engine_url
from shared.pool import PoolStatistics
from shared.pool import measure
from shared.session import CoreSession

BACKEND = text("SELECT pg_backend_pid()")
LEVEL = text("SHOW transaction_isolation")
STARTED = text("SELECT now() = statement_timestamp()")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Return an engine as the WSGI edition makes it; a request that held two of its two connections would show."""
    url = engine_url(database_url, "wsgi")
    made = create_engine(url, **{**engine_options(load(), "wsgi", "psycopg2"), "pool_size": 2})
    measure(made.pool, PoolStatistics())
    yield made
    made.dispose()


def held(engine: Engine) -> int:
    """Return how many connections are checked out."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


def test_reads_are_in_no_transaction(engine: Engine) -> None:
    session = CoreSession(engine)
    assert held(engine) == 0
    for _ in range(3):
        # In a transaction the second statement's time would not be the transaction's any more.
        assert session.execute(STARTED).scalar_one() is True
        assert not session.in_transaction()
        assert held(engine) == 1
    session.close()
    assert held(engine) == 0


def test_a_transaction_after_a_read_holds_one_connection(engine: Engine) -> None:
    session = CoreSession(engine)
    session.execute(BACKEND)
    session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
    assert session.in_transaction()
    assert held(engine) == 1
    assert session.execute(LEVEL).scalar_one() == "serializable"
    assert session.execute(STARTED).scalar_one() is False
    session.commit()
    assert held(engine) == 0
    assert session.execute(STARTED).scalar_one() is True
    session.close()
    assert held(engine) == 0


@pytest.mark.parametrize("end", [CoreSession.commit, CoreSession.rollback, CoreSession.close])
def test_connection_is_given_back_at_every_end(engine: Engine, end: Callable[[CoreSession], None]) -> None:
    session = CoreSession(engine)
    end(session)
    for options in (None, {"isolation_level": "READ COMMITTED"}):
        session.connection(execution_options=options).execute(BACKEND)
        assert held(engine) == 1
        end(session)
        assert held(engine) == 0


@pytest.mark.parametrize("use", [lambda s: s.execute(BACKEND), CoreSession.commit, CoreSession.close])
def test_second_user_is_refused_while_a_connection_is_taken(engine: Engine, use: Callable[[CoreSession], None]) -> None:
    """As by Session itself: otherwise one of two connections would be nobody's."""
    session = CoreSession(engine)
    refused = []

    def taken(*_: object) -> None:
        with pytest.raises(InvalidRequestError, match="concurrent operations are not permitted") as caught:
            use(session)
        refused.append(caught.value.code)

    event.listen(engine.pool, "checkout", taken)
    session.execute(BACKEND)
    assert refused == ["isce"]
    assert held(engine) == 1
    session.close()
    assert held(engine) == 0


def test_close_rolls_a_transaction_back(engine: Engine) -> None:
    session = CoreSession(engine)
    session.connection(execution_options={"isolation_level": "READ COMMITTED"})
    session.execute(text("CREATE TABLE rolled_back (id integer)"))
    session.close()
    assert session.execute(text("SELECT to_regclass('rolled_back')")).scalar_one() is None
    session.close()


@pytest.mark.parametrize("is_writing", [False, True])
def test_invalidate_throws_the_connection_away(engine: Engine, *, is_writing: bool) -> None:
    session = CoreSession(engine)
    if is_writing:
        session.connection(execution_options={"isolation_level": "READ COMMITTED"})
    first = session.execute(BACKEND).scalar_one()
    session.invalidate()
    assert held(engine) == 0
    assert session.execute(BACKEND).scalar_one() != first
    session.close()


def test_books_are_opened_by_what_needs_them(engine: Engine) -> None:
    session = CoreSession(engine, expire_on_commit=False, info={"level": "x"})
    session.execute(BACKEND)
    assert not session.in_transaction()
    session.close()
    assert "identity_map" not in vars(session)
    session.begin()
    assert session.in_transaction()
    assert vars(session)["expire_on_commit"] is False
    assert session.info == {"level": "x"}
    assert len(session.identity_map) == 0
    session.rollback()
    assert not session.in_transaction()


def test_attribute_that_no_session_has_is_an_error(engine: Engine) -> None:
    session = CoreSession(engine)
    with pytest.raises(AttributeError, match="'CoreSession' object has no attribute 'nothing'"):
        _ = getattr(session, "nothing")  # noqa: B009 - the type checker knows that there is none
    assert session.is_active
