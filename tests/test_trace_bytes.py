"""The bytes in a trace are those that the client sent and got, however they were cut."""

import random

import pytest

from shared.config import Edition
from shared.lab.services.process import Service

from .clients import once
from .clients import request
from .traced import ASK_VALUES
from .traced import assert_sound
from .traced import crossed
from .traced import exchange
from .traced import ids
from .traced import read_trace
from .traced import stages
from .traced import traced

LAST = ("Connection", "close")
SEED = 20_261_122
JSON = ("Content-Type", "application/json")
CHUNKED = ("Transfer-Encoding", "chunked")

BODY = b'{"owner":"Ada"}'
IN_CHUNKS = b"4\r\nabcd\r\n1a;extension=1\r\nzyxwvutsrqponmlkjihgfe\r\n\r\n\r\n0\r\n\r\n"
WITH_TRAILER = b"3\r\n\r\n\n\r\n0\r\nX-Sum: 17\r\n\r\n"

REQUESTS: dict[str, bytes] = {
    "plaintext": traced("GET", "/plaintext", [LAST]),
    "query": traced("GET", "/queries?queries=3", [LAST]),
    "stream": traced("GET", "/stream?rows=1200", [LAST]),
    "head": traced("HEAD", "/fortunes", [LAST]),
    "options": traced("OPTIONS", "/db", [LAST]),
    "unknown": traced("GET", "/nowhere", [LAST]),
    "body": traced("POST", "/accounts", [LAST, JSON], BODY),
    "chunked": traced("POST", "/echo", [LAST, CHUNKED]) + IN_CHUNKS,
    "trailer": traced("POST", "/upload", [LAST, CHUNKED]) + WITH_TRAILER,
    "old": b"GET /json HTTP/1.0\r\nX-Trace: values\r\n\r\n",
    "spelling": b"GET /json HTTP/1.1\r\nHost: a\r\nx-TRACE:values  \r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_bytes_of_the_trace_are_those_of_the_client(
    services: dict[Edition, Service], edition: Edition, name: str
) -> None:
    port = services[edition].port
    received = exchange(port, [REQUESTS[name]])
    (trace_id,) = ids(received)
    document = read_trace(port, trace_id)
    assert crossed(document, "receive") == REQUESTS[name]
    assert crossed(document, "send") == received
    assert document["outcome"] == "answered"
    assert_sound(document)


def _cut(data: bytes, chance: random.Random, most: int) -> list[bytes]:
    places = sorted(chance.sample(range(1, len(data)), chance.randrange(1, most)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("name", ["plaintext", "body", "chunked", "trailer"])
@pytest.mark.parametrize("turn", range(3))
def test_fragments_are_put_together(services: dict[Edition, Service], edition: Edition, name: str, turn: int) -> None:
    port = services[edition].port
    chance = random.Random(SEED + turn)
    fragments = _cut(REQUESTS[name], chance, 6)
    received = exchange(port, fragments, pause_s=0.015)
    document = read_trace(port, ids(received)[0])
    assert crossed(document, "receive") == REQUESTS[name]
    assert crossed(document, "send") == received
    assert_sound(document)


def test_each_byte_may_come_alone(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    data = REQUESTS["chunked"]
    received = exchange(port, [bytes([byte]) for byte in data], pause_s=0.001)
    document = read_trace(port, ids(received)[0])
    assert crossed(document, "receive") == data
    head = stages(document, "receive")[0]
    assert sum(read["size"] for read in head["facts"]["reads"]) >= head["facts"]["bytes"]["size"]
    assert_sound(document)


PIPELINED = [
    traced("GET", "/plaintext"),
    request("GET", "/json"),
    traced("POST", "/echo", [("Content-Type", "text/plain")], b"no line ends here"),
    request("POST", "/echo", [CHUNKED]) + IN_CHUNKS,
    traced("POST", "/echo", [CHUNKED]) + IN_CHUNKS,
    request("POST", "/echo", body=b"untraced, and X-Trace: values\r\n\r\nis a part of it"),
    traced("GET", "/db"),
    traced("GET", "/json", [LAST]),
]


@pytest.mark.parametrize("turn", range(4))
def test_pipelined_requests_are_told_apart(services: dict[Edition, Service], edition: Edition, turn: int) -> None:
    port = services[edition].port
    data = b"".join(PIPELINED)
    fragments = [data] if turn == 0 else _cut(data, random.Random(SEED + turn), 9)
    received = exchange(port, fragments, answers=len(PIPELINED), pause_s=0.01)
    documents = [read_trace(port, trace_id) for trace_id in ids(received)]
    assert [crossed(document, "receive") for document in documents] == [
        sent for sent in PIPELINED if ASK_VALUES[0].encode() in sent.partition(b"\r\n\r\n")[0]
    ]
    place = 0
    for document in documents:
        answer = crossed(document, "send")
        place = received.index(answer, place) + len(answer)
        assert_sound(document)


IN_LINES = [
    request("GET", "/json"),
    request("POST", "/echo", body=b"lines\nthat end\n"),
    traced("POST", "/echo", [("Content-Type", "text/plain")], b"so\ndo these\n"),
    request("GET", "/plaintext"),
    traced("GET", "/db"),
    request("POST", "/echo", body=b"X-Trace: values\r\n\r\n"),
    request("POST", "/echo", [CHUNKED]) + b"3\r\nabc\r\n0\r\nX-Trace: values\r\n\r\n",
    traced("GET", "/json", [LAST]),
]
LINE_ENDS = [place for place, byte in enumerate(b"".join(IN_LINES), 1) if byte == ord("\n")][:-1]


@pytest.mark.parametrize("behind", [0, 2], ids=["at a line's end", "behind a line's end"])
def test_pipeline_may_be_cut_at_any_line(services: dict[Edition, Service], edition: Edition, behind: int) -> None:
    port = services[edition].port
    data = b"".join(IN_LINES)
    expected = [sent for sent in IN_LINES if ASK_VALUES[0].encode() in sent.partition(b"\r\n\r\n")[0]]
    for place in [end + behind for end in LINE_ENDS]:
        received = exchange(port, [data[:place], data[place:]], answers=len(IN_LINES), pause_s=0.01)
        documents = [read_trace(port, trace_id) for trace_id in ids(received)]
        assert [crossed(document, "receive") for document in documents] == expected, data[:place]
        assert received.count(b"HTTP/1.1 200 OK\r\n") == len(IN_LINES)


def test_asked_for_body_shows_the_invitation(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    data = traced("POST", "/echo", [LAST, ("Expect", "100-continue"), ("Content-Type", "text/plain")], b"at once")
    head, end, body = data.partition(b"\r\n\r\n")
    received = exchange(port, [head + end, body], pause_s=0.1)
    document = read_trace(port, ids(received)[0])
    assert crossed(document, "send") == received
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_long_bodies_are_counted_and_not_kept(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    reply = once(port, traced("POST", "/upload", [], bytes(3_000_000)))
    document = read_trace(port, reply.headers["x-trace-id"])
    received = stages(document, "receive")
    assert sum(stage["facts"]["bytes"]["size"] for stage in received) > 3_000_000
    assert sum(stage["facts"]["bytes"]["kept"] for stage in received) <= 65_536


def test_untraced_neighbours_leave_no_bytes(services: dict[Edition, Service], edition: Edition) -> None:
    port = services[edition].port
    received = exchange(port, [request("GET", "/json"), traced("GET", "/json", [LAST])], answers=2, pause_s=0.05)
    assert len(ids(received)) == 1
