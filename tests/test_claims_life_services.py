"""Claims about the life of engines, connections and Sessions: each experiment run in its shortest form."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from shared.errors import EnvironmentFailure
from shared.lab.claims import c10_order
from shared.lab.claims import c12_outage
from shared.lab.claims import c14_empty_pool
from shared.lab.claims import c19_session_life
from shared.lab.claims import c21_reuse
from shared.lab.claims import c22_shutdown
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Timeline
from shared.lab.claims.crowd import Crowd
from shared.lab.claims.crowd import asking
from shared.lab.claims.outage import door
from shared.lab.watch.sessions import Sessions

from .clients import eventually
from .scripted_server import OK
from .scripted_server import serving


@pytest.mark.slow
def test_shutdown_loses_nothing_within_the_grace(bench: Bench) -> None:
    finding = c22_shutdown.measure(bench, {"trials": 1, "clients": 2, "seconds": 0.2})
    for figures in finding.measured.values():
        # The request that outlasts the grace is what it depends on, in both editions; nothing else was wrong.
        assert (ruling := c22_shutdown.rule(figures)).verdict == "depends", ruling
        assert figures.number("accepted") > 10
        assert figures.number("loaded_opened") > figures.number("loaded_unclosed") == 0
    wsgi, asgi = finding.measured["wsgi"], finding.measured["asgi"]
    # gunicorn kills what outlasts the grace, and nothing is disposed of; uvicorn cancels it and lives on to dispose.
    assert wsgi.number("overlong_unclosed") == wsgi.number("overlong_opened") > 0
    assert asgi.number("overlong_unclosed") == 0
    assert c22_shutdown.explain(finding)


@pytest.mark.slow
def test_service_starts_without_its_database_and_recovers(bench: Bench) -> None:
    finding = c12_outage.measure(bench, {"trials": 1, "outages": 1, "down_s": 0.1})
    for figures in finding.measured.values():
        assert (ruling := c12_outage.rule(figures)).verdict == "confirmed", ruling
        assert figures.number("asked_with") == 2 * len(c12_outage.WITH_DATABASE)
    assert c12_outage.explain(finding)


@pytest.mark.slow
def test_released_connections_are_reused(bench: Bench) -> None:
    finding = c21_reuse.measure(bench, {"requests": 10, "bursts": 2, "pool_size": 3})
    for figures in finding.measured.values():
        assert (ruling := c21_reuse.rule(figures)).verdict == "depends", ruling
        assert (figures.number("alone_pids"), figures.number("opened")) == (1, 3)
        assert figures.number("overflow_closed") > 0
    assert c21_reuse.explain(finding)


@pytest.mark.slow
def test_session_lives_longer_and_shorter_than_its_connection(bench: Bench) -> None:
    finding = c19_session_life.measure(bench, {"trials": 1, "sessions": 4})
    for figures in finding.measured.values():
        assert (ruling := c19_session_life.rule(figures)).verdict == "refuted", ruling
        assert (figures.number("served_by"), figures.number("of_one")) == (1, 2)
        assert figures.number("unpooled_at_close_most") == 0
    for picture in finding.pictures:
        assert isinstance(picture, Timeline)
        assert [lane.name for lane in picture.lanes[-2:]] == ["connection of the pool", "database session (backend)"]
        assert all(span.start_s <= span.end_s for lane in picture.lanes for span in lane.spans)
    assert c19_session_life.explain(finding)


@pytest.mark.slow
def test_pool_grows_with_need_alone(bench: Bench) -> None:
    finding = c14_empty_pool.measure(bench, {"pool_size": 3, "requests": 5})
    for figures in finding.measured.values():
        assert (ruling := c14_empty_pool.rule(figures)).verdict == "confirmed", ruling
        assert figures.text("growth") == "0, 0, 1, 2, 3, 3"
    assert c14_empty_pool.explain(finding)


@pytest.mark.slow
def test_order_is_kept_by_all_but_the_first_request(bench: Bench) -> None:
    finding = c10_order.measure(bench, {"trials": 1, "requests": 3})
    for figures in finding.measured.values():
        ruling = c10_order.rule(figures)
        assert ruling.verdict == "depends"
        assert "first of its process" in ruling.because
        assert figures.number("returned_in_close") == figures.number("closed_before_answer") == 3
    assert c10_order.explain(finding)


def test_door_is_shut_until_it_is_opened(bench: Bench) -> None:
    with door(bench.urls["wsgi"]) as way:
        for _ in range(2):
            with pytest.raises(EnvironmentFailure):
                Sessions(way.url)
            way.open()
            with Sessions(way.url) as sessions:
                assert sessions.count() == 0
            way.shut()


def test_door_over_tcp_stays_where_it_is() -> None:
    """The service's URL does not change while its database goes and comes."""
    with door("postgresql://someone@127.0.0.1:5/some") as way:
        assert way.url.startswith("postgresql://someone@127.0.0.1:")
        for _ in range(2):
            way.open()
            way.shut()


def test_door_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with door(f"postgresql://someone@/some?host={tmp_path}&port=5432") as way:
        place = Path(way._address.removeprefix("unix:"))
        place.mkdir()
        with pytest.raises(EnvironmentFailure, match="cannot be opened"):
            way.open()


def test_crowd_tells_answered_refused_and_lost_apart() -> None:
    """A server that hangs up on every third request, and is gone in the end."""

    async def two_of_three(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if number % 3:
            writer.write(OK)
        else:
            writer.close()

    with serving(two_of_three) as server:
        crowd = Crowd(server.port, kept=["/a"], fresh=["/b"])
        eventually(lambda: server.requests > 30, 10)
    time.sleep(0.2)
    found = crowd.stop()
    assert {exchange.fate for exchange in found} == {"answered", "refused", "lost"}
    assert {exchange.target for exchange in found} == {"/a", "/b"}
    answered = [exchange for exchange in found if exchange.fate == "answered"]
    lost = [exchange for exchange in found if exchange.fate == "lost"]
    assert {exchange.status for exchange in answered} == {200}
    # Clients on their way when the server goes lose one each beside those that it hung up on.
    assert abs(len(lost) - server.requests // 3) <= 2
    assert server.connections > len(lost)
    assert all(exchange.began_ns < exchange.done_ns for exchange in found)


def test_clients_end_with_the_block_however_it_ends() -> None:
    async def answered(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(OK)

    with serving(answered) as server:
        with pytest.raises(RuntimeError, match="no more"), asking(server.port, kept=["/"] * 3):
            raise RuntimeError("no more")
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("crowd")]
