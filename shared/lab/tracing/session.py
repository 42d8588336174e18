"""Sends the same request to both editions, traced, and fetches what they recorded."""

import contextlib
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pydantic import ValidationError

from shared.config import Edition
from shared.config import Settings
from shared.contract import CONTRACT
from shared.errors import EnvironmentFailure
from shared.lab.parity.transport import Address
from shared.lab.tracing.exchange import Connection
from shared.lab.tracing.exchange import Exchange
from shared.lab.tracing.load import Background
from shared.lab.tracing.load import background
from shared.lab.tracing.request import Request
from shared.lab.tracing.result import Traced
from shared.lab.tracing.result import TracedRequest
from shared.lab.tracing.result import TracePair
from shared.lab.tracing.services import EDITIONS
from shared.lab.tracing.services import Progress
from shared.lab.tracing.services import Services
from shared.lab.tracing.services import get
from shared.lab.tracing.services import ready
from shared.lab.tracing.services import token_field
from shared.lab.tracing.services import trace_token
from shared.trace.document import TraceDocument
from shared.trace.document import adapter
from shared.trace.recorder import Octets
from shared.trace.redaction import SECRET_FIELDS
from shared.trace.redaction import Redactor
from shared.trace.redaction import masked

# A trace is stored when its last byte is sent, a moment before or after the client has read it.
TRACE_WAIT_S = 2.0
POLL_S = 0.01
# A server takes a moment to look at a connection again that it has just answered on.
IDLE_S = 0.01
# Makes a service that was just started connect, fill the tables if need be, and its driver learn the types; traced, so
# that what records is warm, too.
WARM_UP = ("/readyz", "/db", "/db", "/db")
# What is done once for a target, such as compiling its statements, is done then.
TARGET_WARM_UPS = 3
# A slow target is not asked again for its warm-up's sake.
WARM_UP_S = 1.0
SAFE_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command asks for.

    Attributes:
        request: The request.
        repeats: How often each edition gets it.
        connections: How many others keep an edition busy meanwhile; 0 for none.
        reveals_values: Whether values are shown that are masked otherwise.
    """

    request: Request
    repeats: int = 1
    connections: int = 0
    reveals_values: bool = False


def run(settings: Settings, wanted: Wanted, progress: Progress) -> Traced:
    """Trace a request in both editions, alternating which comes first, and end all that was started.

    Args:
        settings: The project's settings.
        wanted: What to trace, and how.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service cannot be started, does not answer or does not trace.
        UsageError: If a running service wants another token.
    """
    with ExitStack() as stack:
        services = stack.enter_context(ready(settings, progress))
        busy = stack.enter_context(background(wanted.request, wanted.connections))
        sides = {edition: stack.enter_context(_side(edition, services, settings, wanted, busy)) for edition in EDITIONS}
        for edition in services.started:
            sides[edition].warm_up()
        pairs = []
        for number in range(wanted.repeats):
            if wanted.repeats > 1 or wanted.connections:
                progress(f"request {number + 1} of {wanted.repeats}")
            # What the first of a pair does to a machine's caches must not always favour the same edition.
            order = EDITIONS if number % 2 == 0 else EDITIONS[::-1]
            found = {edition: sides[edition].trace() for edition in order}
            pairs.append(_pair(wanted, found["wsgi"], found["asgi"]))
        return Traced(tuple(pairs), busy.loads() if busy else (), services.started)


@dataclass(frozen=True, slots=True)
class _Side:
    """One edition under trace."""

    edition: Edition
    address: Address
    connection: Connection
    token: str | None
    wanted: Wanted
    busy: Background | None

    def warm_up(self) -> None:
        wanted = self.wanted.request
        requests = [Request("GET", target) for target in WARM_UP]
        requests += [wanted] * TARGET_WARM_UPS if wanted.method in SAFE_METHODS else []
        began = time.monotonic()
        for number, request in enumerate(requests):
            if number < len(WARM_UP) or time.monotonic() - began < WARM_UP_S:
                self.connection.exchange(self._payload(request))

    def trace(self) -> TracedRequest:
        """Send the request once, traced, on a connection that is open and idle."""
        payload = self._payload(self.wanted.request)
        self._freshen()
        with self.busy.on(self.edition, self.address) if self.busy else contextlib.nullcontext():
            exchange = self.connection.exchange(payload)
        document = self._document(exchange)
        redactor = _redactor(document)
        sent, received = (
            redactor.received([Octets(len(exchange.sent), exchange.sent)]),
            redactor.sent([Octets(len(exchange.received), exchange.received)]),
        )
        return TracedRequest(
            self.edition,
            document,
            exchange.times,
            "".join(sent).encode("latin-1"),
            "".join(received).encode("latin-1"),
        )

    def _payload(self, request: Request) -> bytes:
        ask = {"X-Trace": "values" if self.wanted.reveals_values else "1", **token_field(self.token)}
        return request.wire(str(self.address), tuple(ask.items()))

    def _freshen(self) -> None:
        # Between two requests the server may have closed the connection, which shows only when it is used.
        alive = Request("GET", "/livez").wire(str(self.address))
        try:
            self.connection.exchange(alive)
        except EnvironmentFailure:
            self.connection.exchange(alive)
        time.sleep(IDLE_S)

    def _document(self, exchange: Exchange) -> TraceDocument:
        trace_id = exchange.headers.get("x-trace-id")
        if trace_id is None:
            raise EnvironmentFailure(
                f"The {self.edition} edition answered without a trace",
                why=f"its answer {exchange.status} has no X-Trace-Id",
                hint="A request that a server refuses unread has no trace; for any other, look at TRACE: make config",
            )
        deadline = time.monotonic() + TRACE_WAIT_S
        while True:
            try:
                status, document = get(self.address, f"/traces/{trace_id}", self.token)
            except OSError as error:
                raise EnvironmentFailure(
                    f"The {self.edition} edition at {self.address} does not hand its trace out", why=str(error)
                ) from error
            if status == 200:
                return self._checked(document)
            if time.monotonic() > deadline:
                raise EnvironmentFailure(
                    f"The {self.edition} edition has no trace {trace_id}",
                    why=f"GET /traces/{trace_id} still answers {status} after {TRACE_WAIT_S:g} s",
                    hint="Look whether it keeps enough of them: TRACE_ENTRIES, TRACE_BYTES",
                )
            time.sleep(POLL_S)

    def _checked(self, document: object) -> TraceDocument:
        try:
            return adapter.validate_python(document)
        except ValidationError as error:
            raise EnvironmentFailure(
                f"The {self.edition} edition's trace is no trace document",
                why=f"{error.error_count()} of its members are not as expected",
                hint="Restart the services, so that they are of this version",
            ) from error


@contextlib.contextmanager
def _side(
    edition: Edition, services: Services, settings: Settings, wanted: Wanted, busy: Background | None
) -> Iterator[_Side]:
    address = services.addresses[edition]
    with Connection(address) as connection:
        yield _Side(edition, address, connection, trace_token(settings), wanted, busy)


def _redactor(document: TraceDocument) -> Redactor:
    """Return what masks the client's own record as the service has masked its."""
    entry = next((each for each in CONTRACT if each.name == document["endpoint"]), None)
    return Redactor(document["template"], entry, reveals_values=document["reveals_values"])


def _pair(wanted: Wanted, wsgi: TracedRequest, asgi: TracedRequest) -> TracePair:
    redactor = _redactor(wsgi.document)
    target = redactor.target(wanted.request.target)
    return TracePair(_command(wanted, target), wanted.request.method, target, wsgi, asgi)


def _command(wanted: Wanted, target: str) -> str:
    """Return the command that repeats it, with what was typed as a value masked unless it may be shown."""
    request, reveals = wanted.request, wanted.reveals_values
    words = ["wsgi-vs-asgi", "trace", request.method, target]
    for name, value in request.headers:
        is_shown = reveals and name.lower() not in SECRET_FIELDS
        words += ["--header", f"{name}: {value if is_shown else masked(value)}"]
    if request.body is not None:
        text = request.body.decode("utf-8", "replace")
        words += ["--body", text if reveals else masked(text)]
    if wanted.repeats > 1:
        words += ["--repeat", str(wanted.repeats)]
    if wanted.connections:
        words += ["--under-load", str(wanted.connections)]
    if reveals:
        words.append("--values")
    return shlex.join(words)
