"""Traces as OpenTelemetry spans, sent over OTLP/HTTP: one span for the request, one for each stage in it.

They show less than the document does: sizes in place of bytes, and values masked even where the client asked to see its
own. The libraries come with the extra `otel`; nothing imports this module unless TRACE_OTLP_ENDPOINT is set.
"""

import logging
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as SDK_VERSION
from opentelemetry.trace import SpanContext
from opentelemetry.trace import SpanKind
from opentelemetry.trace import Status
from opentelemetry.trace import StatusCode
from opentelemetry.trace import TraceFlags
from requests import Session

from shared.config import Edition

from .document import StageDocument
from .document import TraceDocument
from .redaction import Redactor
from .sender import Deliver

# For one batch with all its repetitions, in seconds.
SEND_TIMEOUT_S = 5.0

PREFIX = "wsgi_vs_asgi."
# Facts that the semantic conventions have a name for: https://opentelemetry.io/docs/specs/semconv/.
NAMES = {
    "statement": "db.query.text",
    "rows": "db.response.returned_rows",
    "status": "http.response.status_code",
    "error": "error.type",
}
# Facts that hold numbers of the project's own; of these, the numbers are told.
NUMBERS = frozenset({"bytes", "wire", "pool_before", "pool_after"})
# Methods that the conventions know; any other is a client's text and no name for a span.
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
AT_DATABASE = frozenset({"sql", "commit"})

# The wall clock may be this far from where it was expected before it counts as set anew.
_STEP_NS = 1_000_000_000
_SCOPE = InstrumentationScope("wsgi-vs-asgi")
_offset_ns = 0


def epoch_offset_ns() -> int:
    """Return what makes monotonic nanoseconds those since the epoch.

    It is the same for all of a process's traces, so that their order and their distances are those of the monotonic
    clock; with an offset of its own, each would jump by the error of two reads. It changes only where the wall clock
    was set, or the machine slept.
    """
    global _offset_ns
    found_ns = time.time_ns() - time.monotonic_ns()
    if abs(found_ns - _offset_ns) > _STEP_NS:
        _offset_ns = found_ns
    return _offset_ns


def spans(found: TraceDocument, offset_ns: int, system: str) -> list[ReadableSpan]:
    """Return the spans of a trace, the request's first.

    Args:
        found: The trace.
        offset_ns: Added to its times.
        system: The database's kind by the semantic conventions: postgresql or mariadb.
    """
    redactor = Redactor(found["template"], None, reveals_values=False)
    resource = _resource(found["edition"], found["process_id"])
    root = _context(found["trace_id"], found["span_id"])
    parent_id = found["parent_span_id"]
    made = [
        ReadableSpan(
            _root_name(found),
            context=root,
            parent=None if parent_id is None else _context(found["trace_id"], parent_id, is_remote=True),
            resource=resource,
            attributes=_root_attributes(found, redactor),
            kind=SpanKind.SERVER,
            status=_status(_root_error(found)),
            start_time=found["started_ns"] + offset_ns,
            end_time=found["ended_ns"] + offset_ns,
            instrumentation_scope=_SCOPE,
        )
    ]
    contexts = [
        _context(found["trace_id"], _stage_id(found["span_id"], place)) for place in range(len(found["stages"]))
    ]
    for stage, context in zip(found["stages"], contexts, strict=True):
        made.append(
            ReadableSpan(
                stage["name"],
                context=context,
                parent=root if stage["parent"] is None else contexts[stage["parent"]],
                resource=resource,
                attributes=dict(_stage_attributes(stage, redactor, system)),
                kind=SpanKind.CLIENT if stage["name"] in AT_DATABASE else SpanKind.INTERNAL,
                status=_status(stage["facts"].get("error")),
                start_time=stage["start_ns"] + offset_ns,
                end_time=stage["end_ns"] + offset_ns,
                instrumentation_scope=_SCOPE,
            )
        )
    return made


def connect(endpoint: str, system: str) -> Deliver:
    """Return what sends traces to a receiver.

    Args:
        endpoint: Its URL, path included. Of the SDK's own settings, those for headers, certificates and compression
            (OTEL_EXPORTER_OTLP_...) hold as well.
        system: The database's kind, as `spans` takes it.
    """
    failures = _Failures()
    # The exporter would import what makes a session only now, in the midst of requests.
    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_TIMEOUT_S, session=Session())

    def deliver(batch: Sequence[TraceDocument]) -> str | None:
        failures.last = ""
        made = [span for found in batch for span in spans(found, epoch_offset_ns(), system)]
        if exporter.export(made) is SpanExportResult.SUCCESS:
            return None
        return failures.last or "no reason given"

    return deliver


class _Failures(logging.Handler):
    """Takes what the SDK would log of every single failure, and keeps the last."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""
        logger = logging.getLogger(OTLPSpanExporter.__module__)
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.last = record.getMessage()


@lru_cache(maxsize=8)
def _resource(edition: Edition, process_id: int) -> Resource:
    # Made by hand: Resource.create() needs new threads, which a process that ends does not get any more.
    return Resource(
        {
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": SDK_VERSION,
            "service.namespace": "wsgi-vs-asgi",
            "service.name": edition,
            "process.pid": process_id,
        }
    )


def _context(trace_id: str, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))


def _stage_id(span_id: str, place: int) -> str:
    """Return the id of a stage's span, the same one whenever it is asked for."""
    return blake2b(f"{span_id} {place}".encode(), digest_size=8).hexdigest()


def _status(error: str | None) -> Status:
    return Status(StatusCode.UNSET if error is None else StatusCode.ERROR)


def _root_name(found: TraceDocument) -> str:
    method = found["method"] if found["method"] in METHODS else "HTTP"
    return method if found["template"] is None else f"{method} {found['template']}"


def _root_error(found: TraceDocument) -> str | None:
    """Return what the conventions call error.type; for a server, no status below 500 is one."""
    error = found.get("error")
    if error is not None:
        return error
    status = found["status"]
    if status is not None and status >= 500:
        return str(status)
    return "failed" if found["outcome"] == "failed" else None


def _root_attributes(found: TraceDocument, redactor: Redactor) -> dict[str, Any]:
    is_known = found["method"] in METHODS
    attributes = {
        "http.request.method": found["method"] if is_known else "_OTHER",
        "url.scheme": "http",
        "url.path": redactor.path(found["target"].partition("?")[0]),
        "http.route": found["template"],
        "http.response.status_code": found["status"],
        "error.type": _root_error(found),
        PREFIX + "edition": found["edition"],
        PREFIX + "endpoint": found["endpoint"],
        PREFIX + "outcome": found["outcome"],
        PREFIX + "recorder_ns": found["recorder_ns"],
        PREFIX + "left_out": found["left_out"],
    }
    return {key: value for key, value in attributes.items() if value is not None}


def _stage_attributes(stage: StageDocument, redactor: Redactor, system: str) -> Iterator[tuple[str, Any]]:
    yield PREFIX + "worker", stage["worker"]
    yield PREFIX + "own_ns", stage["own_ns"]
    if stage["name"] in AT_DATABASE:
        yield "db.system.name", system
    facts = stage["facts"]
    plain = {key: value for key, value in facts.items() if isinstance(value, bool | int | float | str)}
    for key, value in redactor.facts(plain).items():
        yield NAMES.get(key, PREFIX + key), value
    for key in NUMBERS & facts.keys():
        if isinstance(facts[key], Mapping):
            for name, value in facts[key].items():
                if isinstance(value, int | float):
                    yield f"{PREFIX}{key}.{name}", value
