"""Records the stages of one request, in nanoseconds of the monotonic clock, which all processes of a machine share.

Nothing here runs for a request that is not traced: every place that records looks for a trace first, and finds None.
What a stage's own recording takes lies behind its end, so that it is no part of any stage; it is measured all the same.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from secrets import token_hex
from threading import current_thread
from time import monotonic_ns
from types import TracebackType
from typing import Any
from typing import Literal
from typing import NamedTuple
from typing import Self

from shared.config import Edition

from .context import TraceParent

StageName = Literal[
    "receive", "parse", "dispatch", "route", "validate", "session", "checkout", "sql", "commit", "release",
    "serialize", "respond", "encode", "send",
]  # fmt: skip
STAGES: tuple[StageName, ...] = (
    "receive", "parse", "dispatch", "route", "validate", "session", "checkout", "sql", "commit", "release",
    "serialize", "respond", "encode", "send",
)  # fmt: skip

# How a request ended: answered whole, its client gone before that, its task cancelled, or its connection broken off by
# a failure after the head was sent.
Outcome = Literal["answered", "client left", "cancelled", "failed"]

# Stages that one trace keeps; those beyond are counted, and their time shows as gaps.
MOST_STAGES = 1_000
# Bytes that one trace keeps of what it received and sent, altogether; what is beyond is counted.
MOST_BYTES = 65_536


Facts = Callable[[], dict[str, Any]]


class Octets(NamedTuple):
    """Bytes that crossed the socket: how many, and those of them that are kept."""

    size: int
    data: bytes


@dataclass(slots=True)
class Stage:
    """One stage of a request.

    Attributes:
        name: Which stage.
        start_ns: Its start on the monotonic clock.
        end_ns: Its end.
        worker: The thread or the task that ran it.
        facts: What is known of it; `Octets` are shown, masked, as text.
        cost_ns: What recording it took, beside the stage itself.
    """

    name: StageName
    start_ns: int
    end_ns: int
    worker: str
    facts: dict[str, Any]
    cost_ns: int = 0


def thread_name() -> str:
    """Return the name of the running thread."""
    return f"thread {current_thread().name}"


@dataclass(slots=True)
class Trace:
    """The stages of one request.

    Attributes:
        edition: Which edition serves it.
        reveals_values: Whether the client asked for values that are masked otherwise.
        who: Returns the name of the thread or task that runs.
        parent: What the client's traceparent said, if it sent one.
        started_ns: When the first of its bytes was read, or it began to queue for a thread.
    """

    edition: Edition
    reveals_values: bool
    started_ns: int
    parent: TraceParent | None = None
    who: Callable[[], str] = thread_name
    time_utc: datetime = field(default_factory=lambda: datetime.now(UTC))
    trace_id: str = ""
    span_id: str = field(default_factory=lambda: token_hex(8))
    stages: list[Stage] = field(default_factory=list)
    left_out: int = 0
    method: str = ""
    target: str = ""
    template: str | None = None
    endpoint: str | None = None
    status: int | None = None
    outcome: Outcome | None = None
    error: str | None = None
    ended_ns: int = 0
    # End of what came before the application was called.
    ready_ns: int = 0
    # When the application handed the server what it has not written yet; 0 while there is nothing.
    handed_ns: int = 0
    room: int = MOST_BYTES
    _doing: StageName | None = None
    _since_ns: int = 0

    def __post_init__(self) -> None:
        """Take the client's trace id, or a new one."""
        if not self.trace_id:
            self.trace_id = self.parent.trace_id if self.parent else token_hex(16)

    def record(
        self,
        name: StageName,
        start_ns: int,
        end_ns: int | None = None,
        gather: Facts | None = None,
        /,
        **facts: Any,
    ) -> Stage:
        """Record a stage that has ended.

        Args:
            name: Which stage.
            start_ns: Its start.
            end_ns: Its end; by default just now.
            gather: Returns facts that take time to gather; that time is the recorder's.
            **facts: What is known of it already.
        """
        now_ns = monotonic_ns()
        stage = Stage(name, start_ns, now_ns if end_ns is None else end_ns, self.who(), facts)
        if gather is not None:
            facts.update(gather())
        if len(self.stages) < MOST_STAGES:
            self.stages.append(stage)
        else:
            self.left_out += 1
        stage.cost_ns = monotonic_ns() - now_ns
        return stage

    def begin(self, name: StageName) -> None:
        """Begin a stage; it lasts until `turn`, `finish` or `fail`."""
        self._doing = name
        self._since_ns = monotonic_ns()

    def turn(self, name: StageName, facts: Facts | None = None) -> None:
        """End the stage that was begun, and begin the next where this one has been recorded."""
        self.finish(facts)
        self.begin(name)

    def finish(self, facts: Facts | None = None) -> None:
        """End the stage that was begun, if there is one; its facts are gathered behind its end."""
        if self._doing is not None:
            self.record(self._doing, self._since_ns, None, facts)
            self._doing = None

    def fail(self, error: BaseException) -> None:
        """End the stage that was begun, if there is one, by an error."""
        self.finish(lambda: {"error": type(error).__name__})

    def octets(self, data: bytes | bytearray | memoryview) -> Octets:
        """Return bytes as a fact, as many of them as there is room for."""
        kept = bytes(data[: self.room])
        self.room -= len(kept)
        return Octets(len(data), kept)

    def stage(self, name: StageName, /, **facts: Any) -> "OpenStage":
        """Return a context manager that records what runs in it as a stage."""
        return OpenStage(self, name, facts)

    def end(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """End the trace; the first call counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.error = type(error).__name__ if error is not None else self.error
            # An answered request ends with its last byte, not with what the server does then.
            now_ns = 0 if outcome == "answered" and self.stages else monotonic_ns()
            self.ended_ns = max([now_ns, *(stage.end_ns for stage in self.stages)])


class OpenStage:
    """A stage that is running; it ends with its block, also when that raises."""

    __slots__ = ("_name", "_start_ns", "_trace", "facts")

    def __init__(self, trace: Trace, name: StageName, facts: dict[str, Any]) -> None:
        self._trace = trace
        self._name = name
        self.facts = facts

    def __enter__(self) -> Self:
        self._start_ns = monotonic_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.facts["error"] = kind.__name__
        # The same mapping: what is known only behind the end, where it costs the stage nothing, is kept as well.
        self._trace.record(self._name, self._start_ns).facts = self.facts


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
