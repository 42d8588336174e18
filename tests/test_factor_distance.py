"""The proxy that puts a database farther away, measured with a scripted server that answers at once."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.lab.factors import distance
from shared.lab.factors import proxy

QUESTION = b"question"


class Echo(asyncio.Protocol):
    """Sends back what it gets, closes when it is asked to, and counts who is there."""

    def __init__(self, present: set["Echo"]) -> None:
        self._present = present

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._present.add(self)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        if data == b"leave":
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._present.discard(self)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[tuple[str, set[Echo]]]:
    """Yield the URL of a server that answers at once, at a socket named as PostgreSQL's, and who is connected to it."""
    loop, present = asyncio.new_event_loop(), set[Echo]()
    listening = loop.create_unix_server(lambda: Echo(present), str(tmp_path / ".s.PGSQL.5432"))
    server = loop.run_until_complete(listening)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"postgresql://someone@/some?host={tmp_path}&port=5432", present

    async def end() -> None:
        server.close()
        for each in tuple(present):
            each.transport.abort()

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    kind, _, where = distance.target_of(url).partition(":")
    assert kind == "unix"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(where)
        yield client


def ask(client: socket.socket) -> float:
    began = time.perf_counter()
    client.sendall(QUESTION)
    assert client.recv(100) == QUESTION
    return time.perf_counter() - began


def median_s(url: str, times: int) -> float:
    with connected(url) as client:
        ask(client)
        return sorted(ask(client) for _ in range(times))[times // 2]


def test_round_trip_is_longer_by_what_was_asked_for(echo: tuple[str, set[Echo]]) -> None:
    url, _ = echo
    found_s = {}
    for added_ms in (0.0, 2.0, 40.0):
        with distance.at(url, added_ms) as distant:
            found_s[added_ms] = median_s(distant.url, 9)
    assert 0.0015 < found_s[2.0] - found_s[0.0] < 0.012
    assert 0.035 < found_s[40.0] - found_s[0.0] < 0.080


def test_connections_do_not_wait_for_each_other(echo: tuple[str, set[Echo]]) -> None:
    """Ten questions over ten connections take one round trip, not ten."""
    url, _ = echo
    with distance.at(url, 100.0) as distant:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(10)]
        try:
            for client in clients:
                client.settimeout(10)
                client.connect(distance.target_of(distant.url).removeprefix("unix:"))
                ask(client)
            began = time.perf_counter()
            for client in clients:
                client.sendall(QUESTION)
            assert {client.recv(100) for client in clients} == {QUESTION}
            assert 0.095 < time.perf_counter() - began < 0.500
        finally:
            for client in clients:
                client.close()


def test_what_follows_does_not_wait_for_what_is_on_its_way(echo: tuple[str, set[Echo]]) -> None:
    """The delay is that of a line: twenty messages, 10 ms apart, all arrive one delay after they were sent."""
    url, _ = echo
    with distance.at(url, 100.0) as distant, connected(distant.url) as client:
        ask(client)
        began = time.perf_counter()
        for number in range(20):
            client.sendall(b"%08d" % number)
            time.sleep(0.01)
        received = b""
        while len(received) < 160:
            received += client.recv(1_000)
        assert received == b"".join(b"%08d" % number for number in range(20))
        assert time.perf_counter() - began < 1.0


def test_more_than_may_be_on_its_way_arrives_whole(echo: tuple[str, set[Echo]]) -> None:
    url, _ = echo
    sent = os.urandom(1_000_000) * 9
    with distance.at(url, 20.0) as distant, connected(distant.url) as client:
        sender = threading.Thread(target=client.sendall, args=(sent,))
        sender.start()
        received = bytearray()
        while len(received) < len(sent):
            piece = client.recv(1_000_000)
            assert piece
            received += piece
        sender.join()
    assert received == sent
    assert len(sent) > 2 * proxy.ON_ITS_WAY_BYTES


def test_client_that_leaves_leaves_the_server_too(echo: tuple[str, set[Echo]]) -> None:
    url, present = echo
    with distance.at(url, 5.0) as distant:
        with connected(distant.url) as client:
            ask(client)
            assert len(present) == 1
        until = time.monotonic() + 5
        while present and time.monotonic() < until:
            time.sleep(0.01)
        assert not present


def test_server_that_closes_is_heard_after_its_last_word(echo: tuple[str, set[Echo]]) -> None:
    url, _ = echo
    with distance.at(url, 20.0) as distant, connected(distant.url) as client:
        client.sendall(b"leave")
        assert client.recv(100) == b"leave"
        assert client.recv(100) == b""


def test_server_that_is_not_there_refuses(tmp_path: Path) -> None:
    url = f"postgresql://someone@/some?host={tmp_path}"
    with distance.at(url, 1.0) as distant, connected(distant.url) as client:
        try:
            client.sendall(QUESTION)
            answer = client.recv(100)
        except ConnectionError:
            answer = b""
        assert answer == b""
        # It goes on for the next one.
        assert psutil.pid_exists(distant.pid)


def test_proxy_ends_with_its_user(echo: tuple[str, set[Echo]]) -> None:
    url, _ = echo
    with distance.at(url, 1.0) as distant:
        directory = Path(distance.target_of(distant.url).removeprefix("unix:")).parent
        assert psutil.pid_exists(distant.pid)
    assert not psutil.pid_exists(distant.pid)
    assert not directory.exists()


def test_proxy_ends_when_its_starter_is_killed(echo: tuple[str, set[Echo]]) -> None:
    url, _ = echo
    program = (
        "import sys, time; from shared.lab.factors import distance\n"
        "with distance.at(sys.argv[1], 1.0) as distant:\n"
        "    print(distant.pid, flush=True); time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
    with starter:
        assert starter.stdout is not None
        process = psutil.Process(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
    # A zombie of nobody's is an ended process, too, where nothing collects it.
    gone, alive = psutil.wait_procs([process], timeout=10)
    assert gone or alive[0].status() == psutil.STATUS_ZOMBIE


def test_tcp_stays_tcp() -> None:
    """The listener is on this machine only, and the URL keeps everything but the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"postgresql://someone:secret@127.0.0.1:{port}/some?sslmode=disable"
        with distance.at(url, 1.0) as distant:
            assert distance.target_of(distant.url).startswith("tcp:127.0.0.1:")
            assert distance.through(distant.url, f"tcp:127.0.0.1:{port}") == url
            host, _, own = distance.target_of(distant.url).removeprefix("tcp:").rpartition(":")
            with socket.create_connection((host, int(own))) as client:
                accepted, _ = listener.accept()
                with accepted:
                    client.sendall(QUESTION)
                    assert accepted.recv(100) == QUESTION
                    # A reset, as of a client that was killed in the middle of an answer, ends the other side, too.
                    accepted.settimeout(10)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                    assert accepted.recv(100) == b""


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("postgresql://a@/d?host=/var/run&port=5433", "unix:/var/run/.s.PGSQL.5433"),
        ("postgresql://a@/d?host=/var/run", "unix:/var/run/.s.PGSQL.5432"),
        ("postgresql://a@far/d", "tcp:far:5432"),
        ("postgresql://a@far:6000/d", "tcp:far:6000"),
        ("postgresql:///d", "tcp:127.0.0.1:5432"),
    ],
)
def test_target_is_where_the_driver_would_connect(url: str, target: str) -> None:
    assert distance.target_of(url) == target


def test_several_servers_are_refused() -> None:
    with pytest.raises(UsageError, match="one server"):
        distance.target_of("postgresql://a@/d?host=one,two")


def test_proxy_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than the address of a socket may be.
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(EnvironmentFailure, match="too long"), distance.at("postgresql://a@/d?host=/x", 1.0):
        pass
