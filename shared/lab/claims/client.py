"""Requests of an experiment: one, or several at the same moment, with the times they took."""

from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field
from http.client import HTTPConnection
from http.client import HTTPException
from threading import Barrier
from time import monotonic_ns

from shared.errors import EnvironmentFailure
from shared.lab.services.process import HOST
from shared.lab.services.process import Service

# The header by which the watched editions name a request in their log (`shared.lab.controls.watched`).
REQUEST_NAME = "X-Watch"
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    Attributes:
        target: As on the request line.
        name: By which a watched edition's log knows it; empty for none.
        method: Its method.
        body: Its body.
        headers: Other fields.
    """

    target: str
    name: str = ""
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and when; nanoseconds of the monotonic clock, which the services' logs share.

    Attributes:
        status: Its status.
        body: Its body.
        headers: Its fields, names in lower case.
        sent_ns: Just before the request was sent on an open connection.
        done_ns: When the answer was complete.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    sent_ns: int
    done_ns: int

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return (self.done_ns - self.sent_ns) / 1e9


def ask(service: Service, request: Ask | str, *, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send a request on a connection of its own.

    Raises:
        EnvironmentFailure: If there is no answer.
    """
    return together(service, [request], timeout_s=timeout_s)[0]


def together(service: Service, requests: Sequence[Ask | str], *, timeout_s: float = TIMEOUT_S) -> list[Answer]:
    """Send requests at the same moment, each on a connection of its own, and wait for all answers.

    Raises:
        EnvironmentFailure: If one has no answer.
    """
    plans = [[Ask(request) if isinstance(request, str) else request] for request in requests]
    return [answer for (answer,) in side_by_side(service, plans, timeout_s=timeout_s)]


def side_by_side(
    service: Service, plans: Sequence[Sequence[Ask]], *, timeout_s: float = TIMEOUT_S
) -> list[list[Answer]]:
    """Let clients begin at the same moment, each sending its requests one after the other on a connection of its own.

    Args:
        service: Whom they ask.
        plans: Each client's requests, in order.
        timeout_s: How long one answer may take, in seconds.

    Returns:
        Each client's answers.

    Raises:
        EnvironmentFailure: If a request has no answer.
    """
    barrier = Barrier(len(plans))
    with ThreadPoolExecutor(len(plans)) as threads:
        return list(threads.map(lambda plan: _client(service, plan, barrier, timeout_s), plans))


def _client(service: Service, plan: Sequence[Ask], barrier: Barrier, timeout_s: float) -> list[Answer]:
    connection = HTTPConnection(HOST, service.port, timeout=timeout_s)
    answers: list[Answer] = []
    try:
        try:
            connection.connect()
        finally:
            # Also where it cannot connect, or the others would wait for ever.
            barrier.wait()
        for request in plan:
            named = {REQUEST_NAME: request.name} if request.name else {}
            sent_ns = monotonic_ns()
            connection.request(request.method, request.target, request.body, {**named, **request.headers})
            response = connection.getresponse()
            body = response.read()
            done_ns = monotonic_ns()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answers.append(Answer(response.status, body, headers, sent_ns, done_ns))
    except (OSError, HTTPException) as error:
        request = plan[len(answers)]
        raise EnvironmentFailure(
            f"{service.spec.name} gave no answer to {request.method} {request.target}",
            why=f"{type(error).__name__}: {error}; {len(answers)} of the client's {len(plan)} were answered",
            hint=f"see {service.log_path}",
        ) from error
    finally:
        connection.close()
    return answers
