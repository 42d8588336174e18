"""A trace as a document: what `/traces/{id}` answers, what the store keeps and what every export is made from.

Times are nanoseconds of the monotonic clock, equal for all processes of a machine. Stages are in order of their start;
stages at the top, together with the gaps between them, add up to the whole.
"""

from typing import Any
from typing import Literal
from typing import NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from shared.config import Edition

from .recorder import Outcome
from .recorder import StageName

SCHEMA_VERSION: Literal[1] = 1


class ShownBytes(TypedDict):
    """Bytes as text.

    Attributes:
        size: How many there were.
        text: The first of them, one character a byte (latin-1); masked bytes are asterisks.
        kept: How many `text` shows.
    """

    size: int
    text: str
    kept: int


class StageDocument(TypedDict):
    """One stage.

    Attributes:
        name: Which stage.
        start_ns: Its start.
        end_ns: Its end.
        duration_ns: Between them.
        own_ns: The duration without the stages inside it.
        parent: Index of the stage around it; None at the top.
        worker: The thread or task that ran it.
        recorder_ns: What recording it took; lies outside of it.
        facts: What is known of it; bytes are `ShownBytes`.
    """

    name: StageName
    start_ns: int
    end_ns: int
    duration_ns: int
    own_ns: int
    parent: int | None
    worker: str
    recorder_ns: int
    facts: dict[str, Any]


class Gap(TypedDict):
    """Time between stages at the top that no stage accounts for.

    Attributes:
        start_ns: Its start.
        end_ns: Its end.
        duration_ns: Between them.
        recorder_ns: How much of it the recorder spent.
        after: Index of the stage before it; None before the first.
        before: Index of the stage behind it; None behind the last.
    """

    start_ns: int
    end_ns: int
    duration_ns: int
    recorder_ns: int
    after: int | None
    before: int | None


class StalledThread(TypedDict):
    """Where a thread stood when a stall was noticed.

    Attributes:
        name: The thread's name; of an event loop, that.
        waits_for: What it waited for, in words.
        place: The innermost line of the project's code, or at all; None where nobody could look.
        called_by: Lines of the project's code around it, from the innermost.
        innermost: The innermost line at all.
    """

    name: str
    waits_for: str
    place: str | None
    called_by: list[str]
    innermost: str | None


class StallDocument(TypedDict):
    """A time, at least partly within the trace's, during which everybody in the process had to wait; in lab mode only.

    Attributes:
        kind: Of which kind, in words.
        start_ns: Its start, at the latest.
        end_ns: Its end, or when the document was made where it lasted longer.
        duration_ns: Between them.
        threads: What was going on.
    """

    kind: str
    start_ns: int
    end_ns: int
    duration_ns: int
    threads: list[StalledThread]


class TraceSummary(TypedDict):
    """What the list of traces says of each.

    Attributes:
        trace_id: 32 hexadecimal digits, those of the client's traceparent where it sent one.
        span_id: 16 hexadecimal digits of this request alone.
        edition: Which edition served it.
        method: The request's method.
        target: Its target, masked.
        endpoint: The contract's name of it; None where there is none.
        status: Of the answer; None where none was sent.
        outcome: How the request ended.
        time_utc: When it began, ISO 8601.
        duration_ns: The whole.
    """

    trace_id: str
    span_id: str
    edition: Edition
    method: str
    target: str
    endpoint: str | None
    status: int | None
    outcome: Outcome
    time_utc: str
    duration_ns: int


class TraceDocument(TraceSummary):
    """One request from the bytes that came in to the bytes that went out.

    Attributes:
        schema_version: Of this document.
        parent_span_id: The caller's span, from its traceparent.
        template: The path as the contract has it; None where no route matched.
        error: Name of the exception that ended it.
        process_id: Who served it.
        started_ns: Start of the first stage.
        ended_ns: End of the whole.
        stages: In order of their start.
        gaps: Between the stages at the top.
        recorder_ns: What recording took altogether.
        left_out: Stages beyond those kept; their time shows as gaps.
        reveals_values: Whether values that are masked otherwise are shown.
        stalls: Stalls of the process meanwhile; left out where there was none.
    """

    schema_version: Literal[1]
    parent_span_id: str | None
    template: str | None
    error: NotRequired[str | None]
    process_id: int
    started_ns: int
    ended_ns: int
    stages: list[StageDocument]
    gaps: list[Gap]
    recorder_ns: int
    left_out: int
    reveals_values: bool
    stalls: NotRequired[list[StallDocument]]


class TraceList(TypedDict):
    """The recent traces, latest first."""

    traces: list[TraceSummary]


adapter: TypeAdapter[TraceDocument] = TypeAdapter(TraceDocument)
