"""The parent's side of the load client: start it, give it a slice to run, take its raw samples in.

One client may be several processes, where one processor cannot offer enough: each has connections of its own, and what
they saw is merged in order of completion.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter_ns
from types import TracebackType
from typing import Any
from typing import TypeVar

import numpy as np

from shared.errors import EnvironmentFailure
from shared.lab.load.process import ClientProcess
from shared.lab.load.schedule import Pattern
from shared.lab.load.schedule import slow_indices
from shared.lab.results.record import RequestErrors
from shared.lab.results.record import Samples

CONNECT_TIMEOUT_S = 5.0
# Several processes begin together, so long after they were told, in nanoseconds: commands and schedules take a while.
LEAD_NS = 50_000_000
CLOSED = Pattern()

Table = TypeVar("Table", Samples, RequestErrors)


@dataclass(frozen=True, slots=True, eq=False)
class ClientSlice:
    """What the client saw in one slice; the fields mean what they mean in shared.lab.results.record.Slice."""

    start_ns: int
    window_start_ns: int
    window_end_ns: int
    elapsed_s: float
    client_cpu_s: float
    reconnects: int
    samples: Samples
    errors: RequestErrors


class LoadClient:
    """A load client, kept alive over many slices; use it as a context manager.

    Args:
        cores: Processors for it; each process has one to itself if there are enough. Empty for none in particular.
        processes: How many processes it is.

    Attributes:
        processes: How many processes it is.
    """

    def __init__(self, *, cores: frozenset[int] = frozenset(), processes: int = 1) -> None:
        self.processes = processes
        self._cores = sorted(cores)
        self._members: list[ClientProcess] = []
        # Members that have connections to what was prepared last.
        self._used = 0
        self._stack = ExitStack()

    @property
    def pids(self) -> list[int]:
        """Ids of its processes."""
        return [member.pid for member in self._members]

    def __enter__(self) -> "LoadClient":
        with ExitStack() as stack:
            for number in range(self.processes):
                is_enough = len(self._cores) >= self.processes
                member = ClientProcess(frozenset(self._cores[number : number + 1] if is_enough else self._cores))
                stack.callback(member.end)
                self._members.append(member)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._members = []
        self._stack.close()

    def prepare(
        self,
        host: str,
        port: int,
        *,
        connections: int,
        fresh: bool = False,
        opens: bool = True,
        slow_share: float = 0.0,
        slow_bytes_per_s: int = 0,
    ) -> list[str]:
        """Have connections to an address before the slice that uses them.

        Args:
            host: Numeric address.
            port: Port.
            connections: How many, dealt out to the processes in turn.
            fresh: Whether to replace those that are open already.
            opens: Whether to open those that are not; the open model does that when a request needs it.
            slow_share: Share of the connections that read slowly, 0 to 1.
            slow_bytes_per_s: How fast these read.

        Returns:
            Why some could not be opened; the slice will try them again and record the errors.

        Raises:
            EnvironmentFailure: If the client ended or does not answer.
        """
        self._used = min(connections, self.processes)
        slow = slow_indices(connections, slow_share)
        command: dict[str, object] = {
            "command": "prepare",
            "host": host,
            "port": port,
            "slow": sorted(slow),
            "slow_bytes_per_s": slow_bytes_per_s,
            "timeout_s": CONNECT_TIMEOUT_S,
            "fresh": fresh,
            "opens": opens,
        }
        # Those left out keep no connection from before.
        answers = self._ask(
            self._running(),
            lambda member: {**command, "indices": list(range(member, connections, self.processes))},
            expected_s=CONNECT_TIMEOUT_S,
        )
        return [str(failure) for head, _, _ in answers for failure in head["failures"]]

    def run(
        self,
        host: str,
        port: int,
        requests: bytes | Sequence[bytes],
        *,
        ramp_s: float,
        window_s: float,
        timeout_s: float,
        pattern: Pattern = CLOSED,
        grace_s: float = 1.0,
    ) -> ClientSlice:
        """Load a prepared address for one slice, and wait for what is in flight at its end.

        Args:
            host: Numeric address, as prepared.
            port: Port, as prepared.
            requests: Bytes of one whole request, or of several.
            ramp_s: Load before the measured window, in seconds.
            window_s: Measured window, in seconds.
            timeout_s: A response that takes longer, in seconds, is an error.
            pattern: Which request is sent when.
            grace_s: How long after the window a request of the open model may still be sent, in seconds.

        Raises:
            EnvironmentFailure: If the client ended or does not answer.
        """
        texts = [requests] if isinstance(requests, bytes) else requests
        members = self._running()[: max(1, self._used)]
        command: dict[str, object] = {
            "command": "run",
            "host": host,
            "port": port,
            "requests": [each.decode("latin-1") for each in texts],
            "start_ns": perf_counter_ns() + LEAD_NS if len(members) > 1 else 0,
            "ramp_s": ramp_s,
            "window_s": window_s,
            "timeout_s": timeout_s,
            "grace_s": grace_s,
            "members": len(members),
        }
        shape = dataclasses.asdict(pattern)
        # Each process deals from its own decks, or all would send the same requests at the same moments.
        answers = self._ask(
            members,
            lambda member: {
                **command,
                "member": member,
                "pattern": {**shape, "seed": f"{pattern.seed}/{member}"},
            },
            expected_s=ramp_s + window_s + grace_s + 2 * timeout_s,
        )
        first = answers[0][0]
        return ClientSlice(
            start_ns=int(first["start_ns"]),
            window_start_ns=int(first["window_start_ns"]),
            window_end_ns=int(first["window_end_ns"]),
            elapsed_s=max(float(head["elapsed_s"]) for head, _, _ in answers),
            client_cpu_s=max(float(head["client_cpu_s"]) for head, _, _ in answers),
            reconnects=sum(int(head["reconnects"]) for head, _, _ in answers),
            samples=_merged(Samples, [samples for _, samples, _ in answers], by="done_ns"),
            errors=_merged(RequestErrors, [errors for _, _, errors in answers], by="at_ns"),
        )

    def _ask(
        self, members: Sequence[ClientProcess], command: Callable[[int], dict[str, object]], *, expected_s: float
    ) -> list[tuple[dict[str, Any], Samples, RequestErrors]]:
        """Give every member its command, then take the answers in."""
        for number, member in enumerate(members):
            member.tell(command(number))
        return [member.answer(expected_s) for member in members]

    def _running(self) -> list[ClientProcess]:
        if not self._members:
            raise EnvironmentFailure("the load client is not running", hint="use it inside a with block")
        return self._members


def _merged(kind: type[Table], tables: Sequence[Table], *, by: str) -> Table:
    """Return the rows of all tables in the order of one column."""
    if len(tables) == 1:
        return tables[0]
    names = [field.name for field in dataclasses.fields(kind)]
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    order = np.argsort(columns[by], kind="stable")
    return kind(**{name: column[order] for name, column in columns.items()})
