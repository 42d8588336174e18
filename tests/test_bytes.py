"""Bytes arrive and leave exactly as they are."""

import hashlib
import json
import random
from collections.abc import Iterator

import httpx
import psycopg2.extensions
import pytest

from shared.models import WORLD_ROWS
from shared.schemas import MAX_BYTES_SIZE

MEBIBYTE = 1_048_576
ALPHABET = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"


def noise(size: int) -> bytes:
    """Return bytes that no two of these tests share by chance, the same in each run."""
    return random.Random(size).randbytes(size)


def in_pieces(body: bytes, size: int) -> Iterator[bytes]:
    """Yield a body in pieces, for a chunked request."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, MEBIBYTE])
def test_echo_answers_the_same_bytes(client: httpx.Client, size: int) -> None:
    body = noise(size)
    answer = client.post("/echo", content=body, headers={"Content-Type": "image/x-noise; q=1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/x-noise; q=1"
    assert answer.headers["content-length"] == str(size)
    assert answer.content == body


@pytest.mark.parametrize("piece", [1, 1_000, 70_000])
def test_echo_takes_chunked_bodies(client: httpx.Client, piece: int) -> None:
    body = noise(2_000 if piece == 1 else 300_000)
    answer = client.post("/echo", content=in_pieces(body, piece))
    assert answer.content == body


def test_echo_without_a_type_is_just_bytes(client: httpx.Client) -> None:
    assert client.post("/echo", content=b"\x00\xff").headers["content-type"] == "application/octet-stream"


def test_echo_cannot_be_sniffed_as_something_to_run(client: httpx.Client) -> None:
    answer = client.post("/echo", content=b"<script>alert(1)</script>")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("size", [0, 1, 65_536, 5 * MEBIBYTE])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunked"])
def test_upload_tells_size_and_digest(client: httpx.Client, size: int, is_chunked: bool) -> None:
    body = noise(size)
    answer = client.post("/upload", content=in_pieces(body, 50_000) if is_chunked else body)
    assert answer.status_code == 200
    assert answer.json() == {"bytes": size, "sha256": hashlib.sha256(body).hexdigest()}


@pytest.mark.parametrize("rows", [1, 999, 1_000, 1_001, 10_000, 25_000])
def test_stream_cycles_through_world_in_order(
    client: httpx.Client, connection: psycopg2.extensions.connection, rows: int
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, randomnumber FROM world ORDER BY id")
        worlds = cursor.fetchall()
    expected = b"".join(
        json.dumps({"id": id, "randomNumber": number}, separators=(",", ":")).encode() + b"\n"
        for id, number in (worlds[n % WORLD_ROWS] for n in range(rows))
    )
    answer = client.get("/stream", params={"rows": rows})
    assert answer.headers["transfer-encoding"] == "chunked"
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(expected).digest()


def test_stream_begins_before_it_ends(client: httpx.Client) -> None:
    """The first rows arrive while the cursor is still open: its connection is in use."""
    with client.stream("GET", "/stream?rows=1000000") as answer:
        # Kept, since the client leaves as soon as nobody holds its iterator.
        lines = answer.iter_lines()
        assert next(lines).startswith('{"id":1,')
        pool = client.get("/pool").json()
    assert pool["checked_out"] >= 1, pool


@pytest.mark.parametrize("size", [0, 1, 64, 65_535, 65_536, 65_537, 3 * MEBIBYTE])
def test_bytes_are_the_pattern(client: httpx.Client, size: int) -> None:
    answer = client.get("/bytes", params={"size": size})
    assert answer.headers["content-length"] == str(size)
    assert answer.content == (ALPHABET * (size // 64 + 1))[:size]


@pytest.mark.slow
def test_bytes_reach_the_limit(client: httpx.Client) -> None:
    digest, size = hashlib.sha256(), 0
    with client.stream("GET", f"/bytes?size={MAX_BYTES_SIZE}") as answer:
        for chunk in answer.iter_raw():
            digest.update(chunk)
            size += len(chunk)
    assert size == MAX_BYTES_SIZE
    assert digest.digest() == hashlib.sha256(ALPHABET * (MAX_BYTES_SIZE // 64)).digest()


@pytest.mark.parametrize("iterations", [1, 2, 10, 12_345])
def test_cpu_result_is_that_of_the_generator(client: httpx.Client, iterations: int) -> None:
    """Checked in closed form: x -> a x + c applied n times is a^n x + c (a^n - 1) / (a - 1)."""
    a, c, m = 1_103_515_245, 12_345, 2**31
    power = pow(a, iterations, m * (a - 1))
    expected = (power + c * ((power - 1) // (a - 1))) % m
    assert client.get("/cpu", params={"iterations": iterations}).json() == {
        "iterations": iterations,
        "result": expected,
    }


@pytest.mark.parametrize("path", ["/sleep", "/wait", "/blocking"])
def test_waiting_takes_as_long_as_asked(client: httpx.Client, path: str) -> None:
    answer = client.get(path, params={"seconds": "0.2"})
    assert answer.json() == {"seconds": 0.2}
    assert answer.elapsed.total_seconds() >= 0.2
