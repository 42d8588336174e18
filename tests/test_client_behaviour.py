"""Mixes, clients that leave or read slowly, several client processes, and the client's own limits."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.lab.load import limits
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.load.schedule import Pattern
from shared.lab.load.schedule import request_order
from shared.lab.planning.plan import Part
from shared.lab.planning.plan import Scenario
from shared.lab.results.record import ABORTED
from shared.lab.results.record import SLOW
from shared.lab.services.process import CoreRoles
from tests.scripted_server import OK
from tests.scripted_server import serving

MIX = Scenario("mix", "/a", parts=(Part("/a", 6), Part("/b", 3), Part("/c", 1)))
PLAIN = Pattern()


@pytest.fixture(scope="module")
def client() -> Iterator[LoadClient]:
    with LoadClient() as started:
        yield started


@pytest.fixture(scope="module")
def two() -> Iterator[LoadClient]:
    with LoadClient(processes=2) as started:
        yield started


def load(
    client: LoadClient,
    port: int,
    *,
    scenario: Scenario = MIX,
    pattern: Pattern = PLAIN,
    connections: int = 4,
    window_s: float = 0.4,
    slow_share: float = 0.0,
    slow_bytes_per_s: int = 0,
) -> ClientSlice:
    client.prepare(
        "127.0.0.1",
        port,
        connections=connections,
        fresh=True,
        opens=pattern.rate is None,
        slow_share=slow_share,
        slow_bytes_per_s=slow_bytes_per_s,
    )
    requests = scenario.requests("test") if len(pattern.weights) > 1 else scenario.request_bytes("test")
    return client.run("127.0.0.1", port, requests, ramp_s=0.0, window_s=window_s, timeout_s=3.0, pattern=pattern)


def targets(heads: list[bytes]) -> list[str]:
    return [head.split(b" ", 2)[1].decode() for head in heads]


async def answer_ok(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(OK)


async def answer_later(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    await asyncio.sleep(0.02)
    writer.write(OK)


# Mixes


def test_mix_is_sent_in_its_order_and_every_sample_says_what_it_was(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        piece = load(client, server.port, pattern=Pattern(weights=MIX.weights, seed="9"), connections=1)
        seen = targets(server.heads)
    expected = request_order(MIX.weights, "9/0")
    assert len(seen) > 50
    assert [MIX.parts[number].target for number in expected[: len(seen)]] == seen[: len(expected)]
    assert [MIX.parts[number].target for number in piece.samples.request] == seen


def test_mix_has_its_shares_over_several_connections(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        piece = load(client, server.port, pattern=Pattern(weights=MIX.weights), connections=8)
        counted = Counter(targets(server.heads))
    total = counted.total()
    assert total == len(piece.samples) > 100
    for part in MIX.parts:
        # Whole decks of ten hold the shares exactly; the last one may be cut.
        assert counted[part.target] == pytest.approx(total * part.weight / 10, abs=10)


def test_both_sides_of_a_round_are_sent_the_same_requests(client: LoadClient) -> None:
    orders = []
    for _ in range(2):
        with serving(answer_ok) as server:
            load(client, server.port, pattern=Pattern(weights=MIX.weights, seed="same"), connections=1)
            orders.append(targets(server.heads))
    shorter = min(map(len, orders))
    assert orders[0][:shorter] == orders[1][:shorter]


# Clients that leave


def test_share_of_the_requests_is_given_up_and_recorded_apart(client: LoadClient) -> None:
    with serving(answer_later) as server:
        piece = load(client, server.port, pattern=Pattern(abort_share=0.2), connections=16, window_s=0.6)
        assert server.requests <= len(piece.samples) + len(piece.errors)
    assert set(piece.errors.kind.tolist()) == {ABORTED}
    share = len(piece.errors) / (len(piece.errors) + len(piece.samples))
    assert share == pytest.approx(0.2, abs=0.08)
    assert piece.reconnects == 0
    # At random moments of an answer's time, not all at once.
    after_s = (piece.errors.at_ns - piece.errors.sent_ns) / 1e9
    assert (after_s < 0.01).any()
    assert (after_s > 0.01).any()
    assert after_s.max() < 0.05


def test_abort_that_an_answer_forestalls_falls_to_the_next_request(client: LoadClient) -> None:
    """Every other answer comes long before most shares of the last one's time have passed; the share holds."""

    async def uneven(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await asyncio.sleep(0.03 if number % 2 else 0.001)
        writer.write(OK)

    with serving(uneven) as server:
        piece = load(client, server.port, pattern=Pattern(abort_share=0.3), connections=16, window_s=1.0)
    share = len(piece.errors) / (len(piece.errors) + len(piece.samples))
    assert len(piece.samples) > 100
    assert share == pytest.approx(0.3, abs=0.06)


def test_server_sees_a_reset(client: LoadClient) -> None:
    seen: Counter[str] = Counter()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        try:
            seen["end" if await asyncio.wait_for(reader.read(1), 0.05) == b"" else "more"] += 1
        except ConnectionResetError:
            seen["reset"] += 1
            raise
        except TimeoutError:
            writer.write(bytes(100))

    with serving(watch) as server:
        piece = load(client, server.port, pattern=Pattern(abort_share=0.3), connections=8, window_s=0.4)
    assert seen["reset"] > 5
    assert seen["end"] <= 8  # the last ones, when the client closes what it has
    assert (piece.errors.kind == ABORTED).all()


def test_open_load_goes_on_when_clients_leave(client: LoadClient) -> None:
    with serving(answer_later) as server:
        pattern = Pattern(rate=200, is_constant=True, abort_share=0.2)
        piece = load(client, server.port, pattern=pattern, connections=32, window_s=0.5)
    assert len(piece.samples) + len(piece.errors) == 100
    assert set(piece.errors.kind.tolist()) == {ABORTED}
    assert 8 <= len(piece.errors) <= 35


# Clients that read slowly


async def answer_much(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000))
    await writer.drain()


def test_slow_readers_take_as_long_as_they_read_and_others_do_not(client: LoadClient) -> None:
    with serving(answer_much) as server:
        piece = load(client, server.port, connections=4, slow_share=0.25, slow_bytes_per_s=200_000, window_s=0.4)
    samples = piece.samples
    slow = samples.flags & SLOW != 0
    times_s = (samples.done_ns - samples.sent_ns) / 1e9
    assert len(piece.errors) == 0
    assert set(samples.connection[slow].tolist()) == {0}
    assert set(samples.connection[~slow].tolist()) == {1, 2, 3}
    assert times_s[slow].min() >= 0.28  # 60 kB at 200 kB/s
    assert times_s[slow].max() < 1.0
    assert np.median(times_s[~slow]) < 0.1
    assert set(samples.size_bytes.tolist()) == {60_042}


def test_connections_read_fast_again_when_no_longer_slow(client: LoadClient) -> None:
    with serving(answer_much) as server:
        load(client, server.port, connections=2, slow_share=1.0, slow_bytes_per_s=500_000, window_s=0.1)
        piece = load(client, server.port, connections=2, window_s=0.1)
    assert set(piece.samples.flags.tolist()) == {0}


# Several processes


@pytest.mark.parametrize("rate", [None, 300.0])
def test_two_processes_are_one_client(two: LoadClient, rate: float | None) -> None:
    with serving(answer_ok) as server:
        piece = load(two, server.port, pattern=Pattern(rate=rate, is_constant=True), connections=6)
        assert len(piece.samples) == server.requests > 100
        if rate is None:
            assert server.connections == 6
            assert set(piece.samples.connection.tolist()) == set(range(6))
    assert len(piece.errors) == 0
    assert (np.diff(piece.samples.done_ns) >= 0).all()
    if rate is not None:
        due_ns = np.sort(piece.samples.intended_ns - piece.start_ns)
        assert due_ns.tolist() == [int(number / rate * 1e9) for number in range(120)]
        # Each process has connections with numbers of its own.
        assert len({number % 2 for number in piece.samples.connection.tolist()}) == 2


def test_process_without_a_connection_is_left_out(two: LoadClient) -> None:
    with serving(answer_ok) as server:
        piece = load(two, server.port, connections=1, window_s=0.1)
    assert set(piece.samples.connection.tolist()) == {0}


def test_processes_end_with_the_client() -> None:
    with LoadClient(processes=2) as started:
        pids = started.pids
        assert len(pids) == 2
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


# Its limits


def test_limits_are_measured_against_a_responder_of_its_own(client: LoadClient) -> None:
    found = limits.measure(client, CoreRoles(frozenset(), frozenset()))
    assert found.processes == 1
    assert found.highest_rps > 500
    assert 0 < found.cpu_share < 1.1
    assert 0 < found.timing_rate <= limits.TIMING_RATE
    assert 0 < found.timing_error_s["p50"] <= found.timing_error_s["p99"] < 0.5
