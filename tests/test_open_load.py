"""The open model against scripted servers: the schedule is kept, a stall shows, and the backlog has its bounds."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from time import perf_counter_ns

import numpy as np
import pytest

from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.load.schedule import due_offsets_ns
from shared.lab.planning.plan import Load
from shared.lab.results import arrivals
from shared.lab.results.record import ERROR_KINDS
from shared.lab.results.record import WAITED
from shared.lab.results.record import Slice
from shared.lab.services.process import free_port
from tests.lab_records import make_slice
from tests.scripted_server import OK
from tests.scripted_server import Script
from tests.scripted_server import serving

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
NO_ERRORS: Counter[str] = Counter()


@pytest.fixture(scope="module")
def client() -> Iterator[LoadClient]:
    with LoadClient() as started:
        yield started


def load(
    client: LoadClient,
    port: int,
    *,
    rate: float | None,
    connections: int = 64,
    is_constant: bool = True,
    ramp_s: float = 0.0,
    window_s: float = 0.5,
    timeout_s: float = 2.0,
    grace_s: float = 1.0,
) -> ClientSlice:
    client.prepare("127.0.0.1", port, connections=connections, fresh=True, opens=rate is None)
    pattern = Pattern(rate=rate, is_constant=is_constant, seed="1")
    return client.run(
        "127.0.0.1",
        port,
        REQUEST,
        ramp_s=ramp_s,
        window_s=window_s,
        timeout_s=timeout_s,
        pattern=pattern,
        grace_s=grace_s,
    )


def error_names(piece: ClientSlice) -> Counter[str]:
    return Counter(ERROR_KINDS[kind] for kind in piece.errors.kind.tolist())


def record(piece: ClientSlice, rate: float) -> Slice:
    """Return the slice as it would stand in a result."""
    return replace(
        make_slice("a", rps=1),
        load=Load(64, rate, "constant"),
        start_ns=piece.start_ns,
        window_start_ns=piece.window_start_ns,
        window_end_ns=piece.window_end_ns,
        samples=piece.samples,
        errors=piece.errors,
    )


def stall_at(number: int, stall_s: float) -> Script:
    """Return a script whose whole server stops once, when it sees a certain request."""
    until = 0.0

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: int) -> None:
        nonlocal until
        if seen == number:
            until = monotonic() + stall_s
        if (left := until - monotonic()) > 0:
            await asyncio.sleep(left)
        writer.write(OK)

    return answer


async def answer_ok(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(OK)


async def answer_slowly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    await asyncio.sleep(0.1)
    writer.write(OK)


async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize("is_constant", [True, False], ids=["constant", "poisson"])
def test_requests_are_due_by_the_schedule_whatever_the_server_does(client: LoadClient, is_constant: bool) -> None:
    with serving(answer_slowly) as server:
        piece = load(client, server.port, rate=200, is_constant=is_constant, ramp_s=0.1)
        assert server.requests == len(piece.samples)
    # A client of one process draws with this seed.
    expected = due_offsets_ns(200, 0.6, is_constant=is_constant, seed="1/0")
    assert sorted(piece.samples.intended_ns - piece.start_ns) == expected.tolist()
    assert error_names(piece) == NO_ERRORS
    assert (piece.samples.sent_ns >= piece.samples.intended_ns).all()
    assert piece.window_start_ns == piece.start_ns + 100_000_000


def test_requests_that_find_a_connection_are_sent_when_they_are_due(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        late_s = arrivals.timing_errors_s(record(load(client, server.port, rate=200), 200))
    assert len(late_s) > 50
    # The loop's own timers would be late by up to 1 ms, half a millisecond in the median.
    assert np.median(late_s) < 0.0005


def test_stall_shows_in_every_request_due_meanwhile(client: LoadClient) -> None:
    """0.4 s at 200 a second: 80 requests waited, the first for 0.4 s and the last for next to nothing."""
    with serving(stall_at(20, 0.4)) as server:
        piece = load(client, server.port, rate=200, connections=200, window_s=0.8)
    times_s = (piece.samples.done_ns - piece.samples.intended_ns) / 1e9
    assert error_names(piece) == NO_ERRORS
    assert times_s.max() >= 0.39
    assert 55 <= (times_s > 0.1).sum() <= 90
    assert 30 <= (times_s > 0.2).sum() <= 70


def test_same_stall_is_one_sample_of_each_connection_in_the_closed_model(client: LoadClient) -> None:
    with serving(stall_at(20, 0.4)) as server:
        piece = load(client, server.port, rate=None, connections=4, window_s=0.8)
    times_s = (piece.samples.done_ns - piece.samples.intended_ns) / 1e9
    assert (times_s > 0.3).sum() == 4


def test_requests_beyond_the_connections_wait_in_order(client: LoadClient) -> None:
    """Two connections and answers of 0.1 s are 20 a second; of 40 a second half queue, and are counted from due."""
    with serving(answer_slowly) as server:
        piece = load(client, server.port, rate=40, connections=2)
        assert server.connections <= 2
    samples = piece.samples
    assert error_names(piece) == NO_ERRORS
    by_due = np.argsort(samples.intended_ns)
    assert (np.diff(samples.sent_ns[by_due]) > 0).all()
    waited = samples.flags & WAITED != 0
    assert waited.sum() >= 15
    assert ((samples.done_ns - samples.intended_ns) / 1e9).max() >= 0.3
    made = arrivals.arrivals_of([record(piece, 40)])
    assert made.due == 20
    assert 6 <= made.backlog_max <= 12
    assert 6 <= made.backlog_end <= 12
    assert made.surplus >= made.backlog_end
    assert made.offered_rps == pytest.approx(40)


def test_what_is_never_sent_is_an_error_of_its_own(client: LoadClient) -> None:
    with serving(answer_slowly) as server:
        began_ns = perf_counter_ns()
        piece = load(client, server.port, rate=100, connections=2, grace_s=0.2)
        took_s = (perf_counter_ns() - began_ns) / 1e9
        assert server.requests == len(piece.samples)
    assert len(piece.samples) + len(piece.errors) == 50
    assert set(error_names(piece)) == {"not_sent"}
    # 0.7 s of two connections are about 14 answers.
    assert 8 <= len(piece.samples) <= 18
    assert took_s < 2.5
    cut_ns = piece.window_end_ns + 200_000_000
    assert (piece.errors.at_ns >= cut_ns).all()
    assert (piece.errors.at_ns < cut_ns + 150_000_000).all()
    assert set(piece.errors.sent_ns.tolist()) == {0}
    assert arrivals.backlog_at(record(piece, 100), piece.window_end_ns) >= 30


def test_server_that_never_answers_costs_time_outs_and_no_more(client: LoadClient) -> None:
    with serving(never) as server:
        piece = load(client, server.port, rate=100, connections=4, timeout_s=0.2, grace_s=0.1)
    counted = error_names(piece)
    assert counted.total() == 50
    assert set(counted) == {"timeout", "not_sent"}
    assert len(piece.samples) == 0


def test_refused_connections_are_errors_of_the_requests_that_were_due(client: LoadClient) -> None:
    piece = load(client, free_port(), rate=100)
    assert error_names(piece) == {"refused": 50}


def test_no_connection_is_opened_before_a_request_needs_it(client: LoadClient) -> None:
    """Servers with threads may give each new connection one until it sends something."""
    with serving(answer_ok) as server:
        piece = load(client, server.port, rate=50, connections=64)
        assert server.connections <= 5
    assert (error_names(piece), piece.reconnects) == (NO_ERRORS, 0)


def test_connections_closed_by_the_server_lose_nothing(client: LoadClient) -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    with serving(close) as server:
        piece = load(client, server.port, rate=100, connections=8)
        assert len(piece.samples) == server.requests == 50
    assert error_names(piece) == NO_ERRORS
    assert piece.reconnects >= 30


def test_slices_of_both_models_may_follow_each_other(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        for rate in (None, 200, None, 200):
            client.prepare("127.0.0.1", server.port, connections=8, opens=rate is None)
            pattern = Pattern(rate=rate, is_constant=True)
            piece = client.run(
                "127.0.0.1", server.port, REQUEST, ramp_s=0.0, window_s=0.1, timeout_s=1.0, pattern=pattern
            )
            assert error_names(piece) == NO_ERRORS
            every_ns = np.diff(np.sort(piece.samples.intended_ns))
            assert len(every_ns) == 19 if rate else len(every_ns) > 0
            assert (abs(every_ns - 5_000_000) <= 1).all() == (rate is not None)
        assert server.connections == 8
