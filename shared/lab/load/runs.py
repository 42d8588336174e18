"""One slice of load as the connections see it: what each does next, in the closed model and in the open one."""

from abc import ABC
from abc import abstractmethod
from array import array
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

from shared.lab.load import wire
from shared.lab.load.alarm import Alarm
from shared.lab.load.schedule import Pattern
from shared.lab.load.schedule import abort_draws
from shared.lab.load.schedule import request_order
from shared.lab.load.wire import Columns

if TYPE_CHECKING:
    from shared.lab.load.connection import Connection

# After a refused or failed connection; bounds the rate of errors against a dead server.
RETRY_PAUSE_S = 0.02
# Servers close idle connections after 2 s (gunicorn) or 5 s (uvicorn) by default; a request sent at that very moment
# would be lost, so a connection that has waited longer than this is replaced before it is used again.
REPLACE_IDLE_NS = 1_500_000_000
# When a request is given up that is not.
NEVER = -1.0
PLAIN = (0, NEVER)


@dataclass(frozen=True, slots=True)
class Task:
    """What a slice is asked to do.

    Attributes:
        requests: Bytes of each request.
        pattern: Which is sent, and which are given up.
        start_ns: Start of the load.
        end_ns: End of the measured window; nothing is due from here on.
        timeout_s: A response that takes longer is an error, in seconds.
        grace_s: How long after the end a request that is due may still be sent, in seconds; open model only.
    """

    requests: Sequence[bytes]
    pattern: Pattern
    start_ns: int
    end_ns: int
    timeout_s: float
    grace_s: float


class Run(ABC):
    """One slice under way.

    Args:
        task: What is to be done.
        connections: Those that take part.
        alarm: Rings when a request is due or to be given up.
        on_finished: Called when the last connection has finished.

    Attributes:
        columns: The raw record.
        reconnects: Connections opened again.
        service_ns: How long the last answer to each request took.
    """

    def __init__(
        self, task: Task, connections: "Sequence[Connection]", alarm: Alarm, on_finished: Callable[[], None]
    ) -> None:
        self.requests = task.requests
        self.end_ns = task.end_ns
        self.timeout_s = task.timeout_s
        self.start_ns = task.start_ns
        self.connections = connections
        self.alarm = alarm
        self.columns = Columns()
        self.reconnects = 0
        self.service_ns = [0] * len(task.requests)
        self._order = request_order(task.pattern.weights, task.pattern.seed)
        self._marked, self._moments = abort_draws(task.pattern.abort_share, task.pattern.seed)
        self._owed_aborts = 0
        self._position = 0
        self._is_plain = len(task.requests) == 1 and not self._marked
        self._active = len(connections)
        self._on_finished = on_finished

    @abstractmethod
    def begin(self) -> None:
        """Let every connection take part."""

    @abstractmethod
    def proceed(self, connection: "Connection", now_ns: int) -> None:
        """Say what a connection does that has just become free; it may have been closed."""

    @abstractmethod
    def recover(self, connection: "Connection", now_ns: int) -> None:
        """Say what a connection does whose request has failed."""

    @abstractmethod
    def is_over_for(self, now_ns: int) -> bool:
        """Tell whether it is too late to send what had to wait for its connection to be opened."""

    @abstractmethod
    def too_late(self, connection: "Connection", intended_ns: int) -> None:
        """Say what a connection does whose request was due then and comes too late."""

    @abstractmethod
    def refused(self, connection: "Connection", kind: int, intended_ns: int) -> None:
        """Say what a connection does that could not be opened for a request."""

    def draw(self) -> tuple[int, float]:
        """Return which request is sent next, and after which share of its usual time it is given up, or NEVER.

        A request that was to be given up and was answered before leaves that to the next one.
        """
        if self._is_plain:
            return PLAIN
        position = self._position
        self._position += 1
        number = self._order[position % len(self._order)]
        if not self._marked:
            return number, NEVER
        is_marked = self._marked[position % len(self._marked)]
        if not is_marked and self._owed_aborts:
            self._owed_aborts -= 1
            is_marked = True
        return number, self._moments[position % len(self._moments)] if is_marked else NEVER

    def owe_abort(self) -> None:
        """Note that an answer came before its request could be given up."""
        self._owed_aborts += 1

    def leave(self) -> None:
        """Note that one connection has finished."""
        self._active -= 1
        if self._active == 0:
            self._on_finished()


class ClosedRun(Run):
    """Each connection sends when its last answer is complete."""

    def begin(self) -> None:
        """Send on every connection."""
        for connection in self.connections:
            connection.begin(self)
            self.proceed(connection, self.start_ns)

    def proceed(self, connection: "Connection", now_ns: int) -> None:
        """Send the next request, due now."""
        if perf_counter_ns() >= self.end_ns:
            connection.leave()
        elif connection.is_open:
            connection.send(now_ns, 0)
        else:
            connection.reopen(now_ns, 0, pause_s=0.0)

    def recover(self, connection: "Connection", now_ns: int) -> None:
        """Connect again after a pause; the next request is due now."""
        if now_ns >= self.end_ns:
            connection.leave()
        else:
            connection.reopen(now_ns, 0, pause_s=RETRY_PAUSE_S)

    def is_over_for(self, now_ns: int) -> bool:
        """Tell whether the window has ended."""
        return now_ns >= self.end_ns

    def too_late(self, connection: "Connection", intended_ns: int) -> None:
        """Finish: without an end of the window the request would have been sent later."""
        connection.leave()

    def refused(self, connection: "Connection", kind: int, intended_ns: int) -> None:
        """Record the request as failed; the next is due now."""
        now_ns = perf_counter_ns()
        self.columns.add_error(kind, connection=connection.index, intended_ns=intended_ns, at_ns=now_ns)
        connection.reopen(now_ns, 0, pause_s=RETRY_PAUSE_S)


class OpenRun(Run):
    """Requests fall due on a schedule, whatever becomes of those before them.

    One that finds no idle connection waits in a backlog, first in, first out. The backlog is bounded by the number of
    requests due in the slice, and by time: what has not been sent within the grace after the window is recorded as an
    error of kind not_sent.

    A connection is opened when a request needs it and none is idle, and never in advance: a server with threads may
    give one of them to each new connection until it sends something (gunicorn's does), so that a few idle ones
    would hold up all others.
    """

    def __init__(
        self,
        task: Task,
        connections: "Sequence[Connection]",
        alarm: Alarm,
        on_finished: Callable[[], None],
        *,
        due_ns: "array[int]",
    ) -> None:
        super().__init__(task, connections, alarm, on_finished)
        self._due_ns = due_ns
        self._next_due = 0
        self._deadline_ns = task.end_ns + int(task.grace_s * 1e9)
        self._backlog: deque[int] = deque()
        self._idle: deque[Connection] = deque()
        # Those that take part and are not open.
        self._cold: list[Connection] = []
        # The connection used last comes first, so that those beyond what the load needs stay unused. Slow readers would
        # then hardly ever have their turn.
        self._rotates = any(connection.slow_bytes_per_s for connection in connections)
        self._is_over = False

    def begin(self) -> None:
        """Wait for the first moment; those that were used last come first."""
        for connection in sorted(self.connections, key=lambda each: each.idle_since_ns):
            connection.begin(self)
            (self._idle if connection.is_open else self._cold).append(connection)
        self._set_alarm()

    def proceed(self, connection: "Connection", now_ns: int) -> None:
        """Send what has waited longest; without any, wait for what falls due."""
        if self._is_over:
            connection.leave()
        elif self._backlog:
            due_ns = self._backlog.popleft()
            if connection.is_open:
                connection.send(due_ns, wire.WAITED)
            else:
                connection.reopen(due_ns, wire.WAITED, pause_s=0.0)
            self._end_if_done(now_ns)
        elif connection.is_open:
            connection.idle_since_ns = now_ns
            self._idle.append(connection)
        else:
            self._cold.append(connection)

    def recover(self, connection: "Connection", now_ns: int) -> None:
        """Go on like every other; how many fail is bounded by how many are due."""
        self.proceed(connection, now_ns)

    def is_over_for(self, now_ns: int) -> bool:
        """Tell whether the grace has ended."""
        return now_ns >= self._deadline_ns

    def too_late(self, connection: "Connection", intended_ns: int) -> None:
        """Record the request as not sent, and finish."""
        self._not_sent(intended_ns, perf_counter_ns())
        connection.leave()

    def refused(self, connection: "Connection", kind: int, intended_ns: int) -> None:
        """Record the request as failed."""
        now_ns = perf_counter_ns()
        self.columns.add_error(kind, connection=connection.index, intended_ns=intended_ns, at_ns=now_ns)
        self.proceed(connection, now_ns)

    def _arrive(self) -> None:
        """Send, or put into the backlog, all that is due."""
        now_ns = perf_counter_ns()
        due_ns, number = self._due_ns, self._next_due
        while number < len(due_ns) and due_ns[number] <= now_ns:
            self._dispatch(due_ns[number], now_ns)
            number += 1
        self._next_due = number
        self._set_alarm()

    def _dispatch(self, due_ns: int, now_ns: int) -> None:
        while self._idle:
            connection = self._idle.popleft() if self._rotates else self._idle.pop()
            if connection.is_open and now_ns - connection.idle_since_ns < REPLACE_IDLE_NS:
                connection.send(due_ns, 0)
                return
            connection.retire()
            self._cold.append(connection)
        if self._cold:
            self._cold.pop().reopen(due_ns, wire.WAITED, pause_s=0.0)
        else:
            self._backlog.append(due_ns)

    def _set_alarm(self) -> None:
        if self._next_due < len(self._due_ns):
            self.alarm.at(self._due_ns[self._next_due], self._arrive)
        else:
            self.alarm.at(self.end_ns, self._end)

    def _end(self) -> None:
        self._end_if_done(perf_counter_ns())
        if not self._is_over:
            self.alarm.at(self._deadline_ns, self._give_up)

    def _end_if_done(self, now_ns: int) -> None:
        if now_ns >= self.end_ns and self._next_due == len(self._due_ns) and not self._backlog and not self._is_over:
            self._is_over = True
            for connection in (*self._idle, *self._cold):
                connection.leave()
            self._idle.clear()
            self._cold.clear()

    def _give_up(self) -> None:
        now_ns = perf_counter_ns()
        while self._backlog:
            self._not_sent(self._backlog.popleft(), now_ns)
        self._end_if_done(now_ns)

    def _not_sent(self, due_ns: int, now_ns: int) -> None:
        self.columns.add_error(wire.NOT_SENT, connection=wire.NO_CONNECTION, intended_ns=due_ns, at_ns=now_ns)
