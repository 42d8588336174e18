"""Traces made by hand, for tests of what is made from them: the same request to both editions, without any service."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from itertools import pairwise
from typing import Any

from shared.config import Edition
from shared.lab.tracing.result import ClientTimes
from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.trace.document import Gap
from shared.trace.document import StageDocument
from shared.trace.document import TraceDocument
from shared.trace.recorder import StageName

ORIGIN_NS = 8_640_123_456_789
RECORDER_NS = 900


@dataclass(slots=True)
class Draft:
    """A row of stages that grows from left to right.

    Attributes:
        edition: Whose it is.
        now_ns: Where the next stage begins, after the client's first sent byte.
        stages: Those that are there.
    """

    edition: Edition
    now_ns: int
    stages: list[StageDocument] = field(default_factory=list)

    def add(
        self, name: StageName, duration_us: float, *, gap_us: float = 1.5, inside: int | None = None, **facts: Any
    ) -> int:
        """Add a stage behind the last one, or inside another, at a distance from its start; return its index."""
        begins_ns = self.now_ns if inside is None else self.stages[inside]["start_ns"] - ORIGIN_NS
        start_ns = ORIGIN_NS + begins_ns + round(gap_us * 1_000)
        duration_ns = round(duration_us * 1_000)
        worker = "thread ThreadPoolExecutor-0_3" if self.edition == "wsgi" else "task 41"
        self.stages.append(
            {
                "name": name,
                "start_ns": start_ns,
                "end_ns": start_ns + duration_ns,
                "duration_ns": duration_ns,
                "own_ns": duration_ns,
                "parent": inside,
                "worker": worker,
                "recorder_ns": RECORDER_NS,
                "facts": facts,
            }
        )
        if inside is None:
            self.now_ns = start_ns - ORIGIN_NS + duration_ns
        else:
            self.stages[inside]["own_ns"] -= duration_ns
        return len(self.stages) - 1

    def document(self, target: str) -> TraceDocument:
        """Return it as a document, with the gaps between its stages."""
        top = [(index, stage) for index, stage in enumerate(self.stages) if stage["parent"] is None]
        gaps: list[Gap] = [
            {
                "start_ns": left["end_ns"],
                "end_ns": right["start_ns"],
                "duration_ns": right["start_ns"] - left["end_ns"],
                "recorder_ns": min(RECORDER_NS, right["start_ns"] - left["end_ns"]),
                "after": before,
                "before": after,
            }
            for (before, left), (after, right) in pairwise(top)
            if right["start_ns"] > left["end_ns"]
        ]
        started_ns, ended_ns = self.stages[0]["start_ns"], max(stage["end_ns"] for stage in self.stages)
        return {
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "edition": self.edition,
            "method": "GET",
            "target": target,
            "endpoint": "db",
            "status": 200,
            "outcome": "answered",
            "time_utc": "2026-11-22T13:45:01.123456+00:00",
            "duration_ns": ended_ns - started_ns,
            "schema_version": 1,
            "parent_span_id": None,
            "template": "/db",
            "process_id": 41_233,
            "started_ns": started_ns,
            "ended_ns": ended_ns,
            "stages": self.stages,
            "gaps": gaps,
            "recorder_ns": RECORDER_NS * len(self.stages),
            "left_out": 0,
            "reveals_values": False,
        }


def make_pair(
    *,
    target: str = "/db",
    statements: int = 1,
    dispatch_us: Mapping[Edition, float] | None = None,
    checkout_us: float = 14.0,
    more_facts: Mapping[str, Any] | None = None,
    body: bytes = b'{"id":4174,"randomNumber":331}',
) -> TracePair:
    """Return a request to both editions.

    Args:
        target: The request's target.
        statements: How many SQL statements it takes.
        dispatch_us: How long it queues in each edition, in microseconds.
        checkout_us: How long it waits for a connection.
        more_facts: Facts of the validate stage beside its own.
        body: Of the answer.
    """
    queues = dispatch_us or {"wsgi": 96.0, "asgi": 12.0}
    editions: tuple[Edition, Edition] = ("wsgi", "asgi")
    wsgi, asgi = (
        _traced(edition, target, statements, queues[edition], checkout_us, more_facts or {}, body)
        for edition in editions
    )
    return TracePair(f"wsgi-vs-asgi trace GET {target} --html trace.html", "GET", target, wsgi, asgi)


def _traced(
    edition: Edition,
    target: str,
    statements: int,
    dispatch_us: float,
    checkout_us: float,
    more_facts: Mapping[str, Any],
    body: bytes,
) -> TracedRequest:
    is_wsgi = edition == "wsgi"
    draft = Draft(edition, 21_000 if is_wsgi else 34_000)
    lines = (f"GET {target} HTTP/1.1", "Host: 127.0.0.1:8001", "Authorization: *******", "X-Trace: 1", "", "")
    head = "\r\n".join(lines).encode("utf-8", "replace")
    server = "gunicorn" if is_wsgi else "uvicorn"
    answer = f"HTTP/1.1 200 OK\r\nServer: {server}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": target, "SERVER_PORT": "8001", "wsgi.multithread": True}
    scope = {"type": "http", "path": target, "headers": [["host", "127.0.0.1:8001"], ["authorization", "*******"]]}
    waits: dict[str, Any] = {"queue": "thread" if is_wsgi else "task", "waiting": 3, "workers": 10 if is_wsgi else 4}
    if is_wsgi:
        draft.add("dispatch", dispatch_us, gap_us=0, **waits)
    at_ns = ORIGIN_NS + draft.now_ns + 4_000
    draft.add(
        "receive", 9 if is_wsgi else 0.4, bytes=_shown(head), reads=[{"at_ns": at_ns, "size": len(head)}], part="head"
    )
    interface = "environ" if is_wsgi else "scope"
    draft.add("parse", 71 if is_wsgi else 38, interface=interface, value=environ if is_wsgi else scope)
    if not is_wsgi:
        draft.add("dispatch", dispatch_us, **waits)
    draft.add("route", 13, template="/db", endpoint="db", path_parameters={})
    draft.add("validate", 6, model="DbParameters", parameters={"seed": None}, **more_facts)
    _database(draft, statements, checkout_us)
    draft.add("serialize", 5, bytes=len(body), content_type="application/json")
    call = "start_response(status, headers)" if is_wsgi else "send(http.response.start)"
    draft.add("respond", 4, call=call, status=200, header_fields=3, bytes=0)
    draft.add("encode", 17 if is_wsgi else 8, bytes=len(answer) - len(body))
    draft.add("send", 32 if is_wsgi else 26, bytes=_shown(answer), left_in_buffer=0)
    document = draft.document(target)
    last_ns = document["ended_ns"] + 31_000
    client = ClientTimes(ORIGIN_NS, ORIGIN_NS + 19_000, last_ns - 2_000, last_ns)
    return TracedRequest(edition, document, client, head, answer)


def _database(draft: Draft, statements: int, checkout_us: float) -> None:
    is_wsgi = draft.edition == "wsgi"
    pool = {"size": 10, "checked_out": 3, "idle": 7, "overflow": 0, "waiting": 0}
    draft.add("session", 9, gap_us=4, isolation_level="READ COMMITTED")
    for number in range(statements):
        sent = (
            [{"message": "Query", "bytes": 78}]
            if is_wsgi
            else [{"message": "Bind", "bytes": 41}, {"message": "Execute", "bytes": 10}]
        )
        wire = {
            "sent": sent,
            "received": [
                {"message": "DataRow", "count": 1, "bytes": 23},
                {"message": "ReadyForQuery", "count": 1, "bytes": 6},
            ],
            "round_trips": 1,
            "bytes_sent": sum(message["bytes"] for message in sent if isinstance(message["bytes"], int)),
            "bytes_received": 29,
        }
        first_us = checkout_us + 40 if number == 0 else 0
        outer = draft.add(
            "sql",
            (212 if is_wsgi else 236) + first_us + (number * 37) % 90,
            gap_us=6,
            statement="SELECT world.id, world.randomnumber \nFROM world \nWHERE world.id = "
            + ("%(id)s" if is_wsgi else "$1::INTEGER"),
            parameters=1,
            rows=1,
            wire=wire,
            interpolated=is_wsgi,
        )
        if number == 0:
            draft.add(
                "checkout",
                checkout_us,
                gap_us=11,
                inside=outer,
                waited_ns=round(checkout_us * 800),
                waiters_ahead=2,
                connection="reused",
                backend_pid=41_902,
                pool_before=pool,
                pool_after={**pool, "checked_out": 4, "idle": 6},
            )
    draft.add("release", 37 if is_wsgi else 62, pool_after=pool, reset="ROLLBACK")


def _shown(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "text": data.decode("latin-1"), "kept": len(data)}
