"""C4: the server turns bytes into an interface call and back into bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from time import sleep
from typing import Any

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.claims import client
from shared.lab.claims.bench import EDITIONS
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Lane
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Span
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import Timeline
from shared.lab.claims.wire import Reading
from shared.lab.claims.wire import cut
from shared.lab.claims.wire import read_request
from shared.lab.claims.wire import talk
from shared.lab.parity.message import Request
from shared.lab.parity.message import Response
from shared.lab.parity.transport import parse
from shared.lab.services.process import HOST
from shared.lab.services.process import Service
from shared.trace.document import StageDocument
from shared.trace.document import TraceDocument
from shared.trace.document import adapter

ASK = ("X-Trace", "values")
EVERY_BYTE = bytes(range(256))
# Each says something that a server has to do: a query, an encoded path, repeated fields, a body, bodies in chunks.
REQUESTS: Mapping[str, Request] = {
    "GET": Request("GET", "/plaintext", (ASK,)),
    "a query and a repeated field": Request(
        "GET", "/queries?queries=3&x=%20y", (ASK, ("X-Note", "one"), ("X-Note", "two"), ("X-Space", "  around  "))
    ),
    "a path that is percent-encoded": Request("GET", "/accounts/%C3%A5%2E", (ASK,)),
    "a path that nobody serves": Request("GET", "/nowhere", (ASK,)),
    "HEAD": Request("HEAD", "/json", (ASK,)),
    "a body with its length": Request("POST", "/echo", (ASK, ("Content-Type", "x/y")), EVERY_BYTE),
    "a body in chunks": Request(
        "POST", "/echo", (ASK, ("Content-Type", "x/y")), chunks=(EVERY_BYTE, b"\r\n0\r\n\r\n", b"end")
    ),
    "an answer in chunks": Request("GET", "/stream?rows=1200", (ASK,)),
}
SHOWN = "a body in chunks"
PAUSE_S = 0.002
TRACE_WAIT_S = 5.0
POLL_S = 0.005

# PEP 3333, "environ Variables": those that must be there; an empty SCRIPT_NAME, PATH_INFO or QUERY_STRING may be left
# out, which neither server does.
ENVIRON_KEYS = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL",
    "wsgi.version", "wsgi.url_scheme", "wsgi.input", "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess",
    "wsgi.run_once",
)  # fmt: skip
# ASGI specification, "HTTP & WebSocket ASGI Message Format", connection scope: those without a default.
SCOPE_KEYS = ("type", "asgi", "http_version", "method", "path", "query_string", "headers")
# Where the stages of a trace stand between the two sockets.
LANES: Mapping[str, tuple[str, ...]] = {
    "bytes in": ("receive",),
    "bytes to call": ("parse", "dispatch"),
    "application": ("route", "validate", "session", "checkout", "sql", "commit", "release", "serialize"),
    "call to bytes": ("respond", "encode"),
    "bytes out": ("send",),
}
# The first of each must begin in this order.
ORDER = ("receive", "parse", "respond", "encode", "send")

# What may be wrong with an exchange; by the name of its figure.
FAULTS: Mapping[str, str] = {
    "unrecorded": "requests of which the trace did not keep every byte",
    "in_differ": "requests whose received bytes, as traced, were not those that the client sent",
    "keys_missing": "requests called with an environ or scope that lacked a required key",
    "call_differ": "requests whose environ or scope did not say what their bytes say",
    "body_differ": "echoed bodies that were not the bytes that the client had framed",
    "handed_differ": "answers whose status or body on the wire was not what the application handed over",
    "out_differ": "answers whose sent bytes, as traced, were not those that the client received",
    "disordered": "requests whose stages were not receive, parse, respond, encode, send",
}


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request to one edition.

    Attributes:
        sent: Bytes that the client gave to its socket.
        received: Bytes that it got.
        answer: The same, read as an answer.
        document: What the service recorded.
    """

    sent: bytes
    received: bytes
    answer: Response
    document: TraceDocument

    @property
    def call(self) -> Mapping[str, Any]:
        """The environ or the scope with which the application was called."""
        for stage in self.document["stages"]:
            if stage["name"] == "parse" and "interface" in stage["facts"]:
                found: Mapping[str, Any] = stage["facts"]["value"]
                return found
        return {}

    @property
    def calls_out(self) -> tuple[str, ...]:
        """What the application called, or yielded, to answer."""
        return tuple(str(stage["facts"]["call"]) for stage in _stages(self.document, "respond"))


def measure(bench: Bench, options: Options) -> Finding:
    """Send every request several times to both editions, and compare the client's bytes with the service's record."""
    trials, pieces = int(options["trials"]), int(options["pieces"])
    measured: dict[Subject, Figures] = {}
    lanes: list[Lane] = []
    for edition in EDITIONS:
        bench.progress(f"C4: {edition}, {len(REQUESTS)} requests, {trials} times")
        found: dict[str, list[Exchanged]] = {}
        with bench.service(edition, TRACE="1") as service:
            for _ in range(trials):
                for name, request in REQUESTS.items():
                    found.setdefault(name, []).append(_exchange(service, request, pieces))
        measured[edition] = _figures(edition, found)
        lanes += _lanes(edition, found[SHOWN][-1].document)
    return Finding(measured, (Timeline(f"One request, from bytes to bytes: {SHOWN}", tuple(lanes)),))


def _exchange(service: Service, request: Request, pieces: int) -> Exchanged:
    sent = request.wire(f"{HOST}:{service.port}")
    try:
        received = talk(HOST, service.port, cut(sent, pieces), pause_s=PAUSE_S)
    except OSError as error:
        raise EnvironmentFailure(
            f"{service.spec.name} gave no answer to {request.method} {request.target}",
            why=f"{type(error).__name__}: {error}",
            hint=f"see {service.log_path}",
        ) from error
    answer = parse(received, is_head=request.method == "HEAD")[-1]
    trace_id = answer.header("x-trace-id")
    if trace_id is None:
        raise EnvironmentFailure(
            f"{service.spec.name} answered {request.method} {request.target} without a trace",
            why=f"the answer is {answer.line}",
        )
    return Exchanged(sent, received, answer, _document(service, trace_id))


def _document(service: Service, trace_id: str) -> TraceDocument:
    # A trace is stored when its last byte is sent, a moment before or after the client has read it.
    deadline = monotonic() + TRACE_WAIT_S
    while (answer := client.ask(service, f"/traces/{trace_id}")).status != 200:
        if monotonic() > deadline:
            raise EnvironmentFailure(
                f"{service.spec.name} has no trace {trace_id}",
                why=f"GET /traces/{trace_id} still answers {answer.status} after {TRACE_WAIT_S:g} s",
            )
        sleep(POLL_S)
    return adapter.validate_python(json.loads(answer.body))


def _figures(edition: Edition, found: Mapping[str, list[Exchanged]]) -> Figures:
    every = [each for exchanges in found.values() for each in exchanges]
    faults = {name: sum(_has(edition, each, name) for each in every) for name in FAULTS}
    shown = found[SHOWN][-1]
    sizes = [(len(each.sent), len(each.received)) for each in every]
    added = sorted({len(each.answer.headers) - _handed_fields(each.document) for each in every})
    interface = "environ" if edition == "wsgi" else "scope"
    calls = dict.fromkeys(call for each in every for call in each.calls_out)
    return Figures(
        (
            Figure("requests", "requests, each traced and kept by the client", len(every)),
            *(Figure(name, label, faults[name], trials=len(every)) for name, label in FAULTS.items()),
            Figure("bytes_in", "bytes sent in all", sum(size for size, _ in sizes), "bytes", len(every)),
            Figure("bytes_out", "bytes received in all", sum(size for _, size in sizes), "bytes", len(every)),
            Figure("interface", "what the application is called with", f"{interface}, {len(shown.call)} keys"),
            Figure("calls_out", "what the application answers with", "; ".join(calls), trials=len(every)),
            Figure("fields_added_least", "fewest header fields that the server added", added[0], trials=len(every)),
            Figure("fields_added_most", "most header fields that the server added", added[-1], trials=len(every)),
        )
    )


def _has(edition: Edition, each: Exchanged, fault: str) -> bool:
    """Tell whether an exchange has a fault."""
    document, reading = each.document, read_request(each.sent)
    match fault:
        case "unrecorded":
            pieces = [stage["facts"]["bytes"] for stage in _stages(document, "receive", "send")]
            return bool(document["left_out"]) or any(piece["kept"] != piece["size"] for piece in pieces)
        case "in_differ":
            return _crossed(document, "receive") != each.sent
        case "keys_missing":
            return not set(ENVIRON_KEYS if edition == "wsgi" else SCOPE_KEYS) <= each.call.keys()
        case "call_differ":
            return not (_is_environ_of(each.call, reading) if edition == "wsgi" else _is_scope_of(each.call, reading))
        case "body_differ":
            return reading.path == "/echo" and each.answer.body != reading.body
        case "handed_differ":
            return not _is_handed(each, is_head=reading.method == "HEAD")
        case "out_differ":
            return _crossed(document, "send") != each.received
    starts = [stages[0]["start_ns"] for name in ORDER if (stages := _stages(document, name))]
    return len(starts) < len(ORDER) or starts != sorted(starts)


def _is_environ_of(environ: Mapping[str, Any], reading: Reading) -> bool:
    """Tell whether an environ says what a request's bytes say, and of its fields nothing else (PEP 3333)."""
    fields = {_environ_key(name): value for name, value in reading.joined.items()}
    given = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_")) and value != ""}
    return given == fields and (
        environ.get("REQUEST_METHOD"),
        environ.get("PATH_INFO"),
        environ.get("QUERY_STRING"),
        environ.get("SERVER_PROTOCOL"),
    ) == (reading.method, reading.decoded_path.decode("latin-1"), reading.query, f"HTTP/{reading.version}")


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _is_scope_of(scope: Mapping[str, Any], reading: Reading) -> bool:
    """Tell whether a scope says what a request's bytes say (ASGI specification, HTTP connection scope)."""
    return (
        scope.get("type"),
        scope.get("method"),
        scope.get("http_version"),
        scope.get("path"),
        scope.get("raw_path"),
        scope.get("query_string"),
        tuple((name, value) for name, value in scope.get("headers", ())),
    ) == (
        "http",
        reading.method,
        reading.version,
        reading.decoded_path.decode("utf-8"),
        reading.path,
        reading.query,
        reading.fields,
    )


def _is_handed(each: Exchanged, *, is_head: bool) -> bool:
    """Tell whether status and size of the body on the wire are those that the application handed over."""
    responds = _stages(each.document, "respond")
    statuses = [stage["facts"]["status"] for stage in responds if "status" in stage["facts"]]
    sizes = [stage["facts"]["bytes"] for stage in responds if "bytes" in stage["facts"]]
    if not sizes and not is_head:
        # A WSGI body that is whole is returned, not called with; its size is known where it was made.
        sizes = [stage["facts"]["bytes"] for stage in _stages(each.document, "serialize")]
    return statuses == [each.answer.status] and sum(sizes) == len(each.answer.body)


def _handed_fields(document: TraceDocument) -> int:
    found = [stage["facts"].get("header_fields") for stage in _stages(document, "respond")]
    return next((int(count) for count in found if count is not None), 0)


def _stages(document: TraceDocument, *names: str) -> list[StageDocument]:
    return [stage for stage in document["stages"] if stage["name"] in names]


def _crossed(document: TraceDocument, name: str) -> bytes:
    """Return the bytes that a trace says were received, or sent."""
    return b"".join(stage["facts"]["bytes"]["text"].encode("latin-1") for stage in _stages(document, name))


def _lanes(edition: Edition, document: TraceDocument) -> list[Lane]:
    began_ns = document["started_ns"]
    return [
        Lane(
            f"{edition}: {lane}",
            tuple(
                Span(
                    (stage["start_ns"] - began_ns) / 1e9,
                    (stage["end_ns"] - began_ns) / 1e9,
                    stage["name"],
                    f"{stage['name']} on {stage['worker']}",
                )
                for stage in _stages(document, *names)
            ),
        )
        for lane, names in LANES.items()
    ]


def rule(figures: Figures) -> Ruling:
    """Confirmed if no exchange has a fault; undecided if bytes were not recorded; else refuted."""
    requests = figures.number("requests")
    if figures.number("unrecorded"):
        return Ruling("undecided", f"of {figures.number('unrecorded'):g} requests the trace did not keep every byte")
    found = [name for name in FAULTS if figures.number(name)]
    if found:
        said = "; ".join(f"{figures.number(name):g} of {requests:g} {FAULTS[name]}" for name in found)
        return Ruling("refuted", said)
    return Ruling("confirmed", f"of {requests:g} requests none differed from its bytes in the call or in the answer")


def explain(finding: Finding) -> str:
    """Return what was measured, and what the two interfaces say."""
    parts = []
    for edition, figures in finding.measured.items():
        parts.append(
            f"{edition}: {figures.number('requests'):g} requests of {figures.number('bytes_in'):,.0f} bytes in all; "
            f"the application was called with {figures.text('interface')}, answered with {figures.text('calls_out')}, "
            f"and {figures.number('bytes_out'):,.0f} bytes came back, with {figures.number('fields_added_least'):g} to "
            f"{figures.number('fields_added_most'):g} header fields that the server had added; "
            f"{sum(figures.number(name) for name in FAULTS):g} deviations."
        )
    differ = sum(figures.number("body_differ") for figures in finding.measured.values())
    return (
        f"{' '.join(parts)} What an application sees is never the request's bytes: by PEP 3333 the server calls it "
        "with a dictionary, environ, and a start_response to call; the variables in it are those of CGI, whose path "
        "is decoded. By the ASGI specification it awaits it with a scope, in which path is decoded and headers and "
        "query_string are bytes, and takes the answer as messages. In both, framing is the server's: of the bodies "
        "that /echo got, some "
        f"of them sent in chunks, {differ:g} were not what had been framed."
    )


CLAIM = Claim(
    number=4,
    statement="The server turns bytes into an interface call and back into bytes.",
    prediction=(
        "The bytes that a service records at both ends are the client's own; between them stand an environ or a scope "
        "that says what the request's bytes say, and a status, header fields and body that are what the answer's say."
    ),
    method=(
        f"With TRACE=1, {len(REQUESTS)} kinds of requests ({', '.join(REQUESTS)}) are sent over plain sockets, cut "
        "into pieces, and each one's trace is read at /traces/{id}. The client reads its own bytes by hand and "
        "compares: bytes received and sent as traced; method, path, query, protocol and every header field of the "
        "environ or scope; the body that /echo got; status and size of the body that the application "
        "handed over; the order of the stages."
    ),
    rule_words=(
        "Confirmed if no request shows any difference; undecided if a trace did not keep every byte; refuted otherwise."
    ),
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=10,
    options=(
        Option("trials", 5, "how often each request is sent", 1, 200),
        Option("pieces", 3, "into how many pieces a request's bytes are cut", 1, 50),
    ),
    sources=(
        Source("PEP 3333: Python Web Server Gateway Interface", "https://peps.python.org/pep-3333/"),
        Source("RFC 3875: CGI, 4.1.5 PATH_INFO", "https://www.rfc-editor.org/rfc/rfc3875.html#section-4.1.5"),
        Source("ASGI: HTTP & WebSocket message format", "https://asgi.readthedocs.io/en/latest/specs/www.html"),
    ),
)
