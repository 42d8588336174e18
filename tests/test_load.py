"""The load client against scripted servers: what is measured is what happened, and errors are told apart."""

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from shared.errors import EnvironmentFailure
from shared.lab.load.driver import ClientSlice
from shared.lab.load.driver import LoadClient
from shared.lab.results.record import ERROR_KINDS
from shared.lab.services.process import free_port
from tests.scripted_server import OK
from tests.scripted_server import serving

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture(scope="module")
def client() -> Iterator[LoadClient]:
    with LoadClient() as started:
        yield started


def load(
    client: LoadClient, port: int, *, connections: int = 4, window_s: float = 0.3, timeout_s: float = 2.0
) -> ClientSlice:
    client.prepare("127.0.0.1", port, connections=connections, fresh=True)
    return client.run("127.0.0.1", port, REQUEST, ramp_s=0.0, window_s=window_s, timeout_s=timeout_s)


def error_names(piece: ClientSlice) -> Counter[str]:
    return Counter(ERROR_KINDS[kind] for kind in piece.errors.kind.tolist())


async def answer_ok(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
    writer.write(OK)


def test_counts_what_the_server_saw(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        piece = load(client, server.port)
        assert len(piece.samples) == server.requests > 0
        assert server.connections == 4
    assert (len(piece.errors), piece.reconnects) == (0, 0)
    assert set(piece.samples.status.tolist()) == {200}
    assert set(piece.samples.size_bytes.tolist()) == {len(OK)}
    assert set(piece.samples.connection.tolist()) == {0, 1, 2, 3}


def test_time_stamps_of_a_request_are_in_order(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        piece = load(client, server.port)
    samples = piece.samples
    assert (samples.intended_ns <= samples.sent_ns).all()
    assert (samples.sent_ns < samples.first_byte_ns).all()
    assert (samples.first_byte_ns <= samples.done_ns).all()
    assert (np.diff(samples.done_ns) >= 0).all()
    assert piece.start_ns <= samples.intended_ns.min()
    assert samples.intended_ns.max() < piece.window_end_ns


def test_next_request_is_due_when_the_last_answer_is_complete(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        samples = load(client, server.port, connections=1).samples
    assert (samples.intended_ns[1:] == samples.done_ns[:-1]).all()


def test_known_delay_is_measured_as_that_delay(client: LoadClient) -> None:
    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        await asyncio.sleep(0.05)
        writer.write(OK)

    with serving(wait) as server:
        samples = load(client, server.port, window_s=0.5).samples
    times_s = (samples.done_ns - samples.sent_ns) / 1e9
    assert times_s.min() >= 0.049
    assert np.median(times_s) < 0.1


def test_first_byte_and_last_byte_are_told_apart(client: LoadClient) -> None:
    async def dribble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(OK[:-2])
        await asyncio.sleep(0.05)
        writer.write(OK[-2:])

    with serving(dribble) as server:
        samples = load(client, server.port).samples
    assert ((samples.done_ns - samples.first_byte_ns) / 1e9).min() >= 0.04


def test_stalled_server_shows_in_the_samples(client: LoadClient) -> None:
    """One stall of 0.4 s is a sample of 0.4 s on the connection it hit, although it outlasts the window."""

    async def stall_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 20:
            await asyncio.sleep(0.4)
        writer.write(OK)

    with serving(stall_once) as server:
        samples = load(client, server.port, connections=2, window_s=0.3).samples
    times_s = (samples.done_ns - samples.intended_ns) / 1e9
    assert times_s.max() >= 0.39
    assert (times_s > 0.3).sum() == 1


def test_response_past_the_time_out_is_an_error_and_no_sample(client: LoadClient) -> None:
    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int) -> None:
        await asyncio.sleep(30)

    with serving(never) as server:
        piece = load(client, server.port, connections=3, timeout_s=0.2)
    assert len(piece.samples) == 0
    assert set(error_names(piece)) == {"timeout"}
    assert len(piece.errors) >= 3


def test_connection_close_reconnects_and_loses_nothing(client: LoadClient) -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    with serving(close) as server:
        piece = load(client, server.port)
        assert len(piece.samples) == server.requests > 4
    assert len(piece.errors) == 0
    assert piece.reconnects >= len(piece.samples) - 4


def test_body_that_ends_with_the_connection_is_complete(client: LoadClient) -> None:
    async def until_end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nas long as it lasts")
        await writer.drain()
        writer.close()

    with serving(until_end) as server:
        piece = load(client, server.port)
        assert len(piece.samples) == server.requests > 0
    assert len(piece.errors) == 0


def test_chunked_bodies_are_read_to_their_end(client: LoadClient) -> None:
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    async def chunked(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(response[:60])
        await asyncio.sleep(0)
        writer.write(response[60:])

    with serving(chunked) as server:
        piece = load(client, server.port)
        assert len(piece.samples) == server.requests > 0
    assert (len(piece.errors), piece.reconnects) == (0, 0)
    assert set(piece.samples.size_bytes.tolist()) == {len(response)}


def test_interim_response_is_not_the_response(client: LoadClient) -> None:
    async def early(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)

    with serving(early) as server:
        piece = load(client, server.port)
        assert len(piece.samples) == server.requests > 0
    assert set(piece.samples.status.tolist()) == {200}


def test_other_statuses_are_responses_with_their_status(client: LoadClient) -> None:
    async def mostly_busy(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" if number % 3 else OK)

    with serving(mostly_busy) as server:
        piece = load(client, server.port)
        expected = {503: server.requests - server.requests // 3, 200: server.requests // 3}
    assert Counter(piece.samples.status.tolist()) == expected


def test_reset_is_an_error_of_its_own_kind(client: LoadClient) -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        linger_on_for_0_s = b"\1\0\0\0\0\0\0\0"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_on_for_0_s)
        writer.close()

    with serving(reset) as server:
        piece = load(client, server.port)
        assert len(piece.errors) == server.requests > 0
    assert set(error_names(piece)) == {"reset"}
    assert len(piece.samples) == 0


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"], ids=["nothing", "half"])
def test_end_before_the_response_is_a_premature_close(client: LoadClient, sent: bytes) -> None:
    async def leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(sent)
        writer.close()

    with serving(leave) as server:
        piece = load(client, server.port)
        assert len(piece.errors) == server.requests > 0
    assert set(error_names(piece)) == {"premature_close"}
    assert len(piece.samples) == 0


def test_what_is_not_http_is_a_parse_error(client: LoadClient) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")

    with serving(babble) as server:
        piece = load(client, server.port)
    assert set(error_names(piece)) == {"parse"}


def test_refused_connections_are_errors_at_a_bounded_rate(client: LoadClient) -> None:
    port = free_port()
    failures = client.prepare("127.0.0.1", port, connections=2, fresh=True)
    piece = client.run("127.0.0.1", port, REQUEST, ramp_s=0.0, window_s=0.3, timeout_s=1.0)
    assert len(failures) == 2
    assert set(error_names(piece)) == {"refused"}
    assert 2 <= len(piece.errors) <= 40


def test_one_client_runs_many_slices_on_the_same_connections(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        for _ in range(5):
            client.prepare("127.0.0.1", server.port, connections=4)
            piece = client.run("127.0.0.1", server.port, REQUEST, ramp_s=0.0, window_s=0.05, timeout_s=1.0)
            assert len(piece.samples) > 0
        assert server.connections == 4


def test_fewer_connections_may_follow_more(client: LoadClient) -> None:
    with serving(answer_ok) as server:
        load(client, server.port, connections=8, window_s=0.05)
        client.prepare("127.0.0.1", server.port, connections=2)
        piece = client.run("127.0.0.1", server.port, REQUEST, ramp_s=0.0, window_s=0.05, timeout_s=1.0)
    assert set(piece.samples.connection.tolist()) == {0, 1}
    assert len(piece.errors) == 0


def test_large_request_body_arrives_whole(client: LoadClient) -> None:
    size = 3_000_000
    request = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> None:
        await reader.readexactly(size)
        writer.write(OK)

    with serving(swallow) as server:
        client.prepare("127.0.0.1", server.port, connections=2, fresh=True)
        piece = client.run("127.0.0.1", server.port, request, ramp_s=0.0, window_s=0.2, timeout_s=5.0)
        assert len(piece.samples) == server.requests > 0
    assert len(piece.errors) == 0


def test_client_that_is_gone_is_reported() -> None:
    with LoadClient() as client:
        (pid,) = client.pids
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(EnvironmentFailure, match="load client ended with exit code -9"):
            client.prepare("127.0.0.1", 1, connections=1)
