"""What tracing a request in both editions gives: the services' documents and the client's own record."""

from dataclasses import dataclass

from shared.config import Edition
from shared.lab.results.record import Manifest
from shared.lab.statistics import Ratio
from shared.trace.document import TraceDocument


@dataclass(frozen=True, slots=True)
class ClientTimes:
    """The client's own times, in nanoseconds of the monotonic clock, which the services' documents share.

    Attributes:
        sent_start_ns: Before the first byte of the request was given to the socket.
        sent_end_ns: When its last byte had been.
        first_byte_ns: When the first byte of the answer had been read.
        last_byte_ns: When the last one had been.
    """

    sent_start_ns: int
    sent_end_ns: int
    first_byte_ns: int
    last_byte_ns: int


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """One request to one edition.

    Attributes:
        edition: Which edition served it.
        document: What the service recorded.
        client: What the client measured.
        sent: The request's bytes, masked unless values were asked for.
        received: The answer's bytes, chunk framing included, masked unless values were asked for.
    """

    edition: Edition
    document: TraceDocument
    client: ClientTimes
    sent: bytes
    received: bytes


@dataclass(frozen=True, slots=True)
class TracePair:
    """The same request, served by both editions.

    Attributes:
        command: The command that repeats it, masked unless values were asked for.
        method: The request's method.
        target: Its target, masked unless values were asked for.
        wsgi: The WSGI edition's.
        asgi: The ASGI edition's.
    """

    command: str
    method: str
    target: str
    wsgi: TracedRequest
    asgi: TracedRequest


@dataclass(frozen=True, slots=True)
class Load:
    """What kept an edition busy while it was traced.

    Attributes:
        edition: Which edition.
        connections: How many at a time, each sending when its last answer is complete.
        responses: Answers that they got.
        failures: Requests without an answer, and answers other than 2xx.
        duration_s: How long they did so, in seconds, over all slices.
    """

    edition: Edition
    connections: int
    responses: int
    failures: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Traced:
    """All that one command traced.

    Attributes:
        pairs: The request in both editions, once for each repetition, in the order of their sending.
        loads: What ran meanwhile; empty without load.
        started: Editions that were started for it.
    """

    pairs: tuple[TracePair, ...]
    loads: tuple[Load, ...]
    started: tuple[Edition, ...]


@dataclass(frozen=True, slots=True)
class RecorderCost:
    """What recording a traced request took, as its traces tell.

    Attributes:
        edition: Of which edition.
        target: What was requested.
        requests: How many.
        stages: Median number of stages.
        per_stage_ns: Median of a stage's recording.
        per_request_ns: Median of all recording of a request.
        share: Median of that over the request's duration.
    """

    edition: Edition
    target: str
    requests: int
    stages: int
    per_stage_ns: int
    per_request_ns: int
    share: float


@dataclass(frozen=True, slots=True)
class HookCost:
    """CPU per request of one service, nobody asking for a trace, over that of the edition without hooks.

    Attributes:
        edition: Which edition.
        target: What was requested.
        service: How it was started.
        cpu_s: CPU seconds of a request; median of the starts.
        ratios: To the baseline, one for each start.
        ratio: Their geometric mean with its 95 % interval; None for the baseline.
    """

    edition: Edition
    target: str
    service: str
    cpu_s: float
    ratios: tuple[float, ...]
    ratio: Ratio | None


# Of the file that `make bench-trace` writes.
BENCH_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class TraceBench:
    """The result of `make bench-trace`.

    Attributes:
        manifest: Where, when and with what it was made.
        starts: How often each service was started.
        seconds: Of volleys for each start and target.
        volley: Requests of one volley.
        hooks: What tracing costs those who do not ask for it.
        costs: What it costs those who do.
    """

    manifest: Manifest
    starts: int
    seconds: float
    volley: int
    hooks: tuple[HookCost, ...]
    costs: tuple[RecorderCost, ...]
