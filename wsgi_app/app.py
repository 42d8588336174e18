"""SEAM: environ in, iterable of bytes out (PEP 3333).

What a request means (routes, validation, answers) is decided in `shared`; what it does, in `endpoints`. Here the two
are joined to the interface: where the bytes of a request come from, and how an answer is handed over.
"""

import atexit
import os
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import closing
from contextlib import nullcontext
from functools import partial
from http import HTTPStatus
from itertools import chain
from threading import Lock
from time import perf_counter
from typing import Any
from wsgiref.types import StartResponse
from wsgiref.types import WSGIEnvironment

from shared import answers
from shared import contract
from shared import routing
from shared import schemas
from shared.answers import Answer
from shared.body import ByteLimit
from shared.config import Settings
from shared.config import load
from shared.contract import Endpoint
from shared.engine import locate
from shared.errors import MalformedRequest
from shared.errors import RequestTimeout
from shared.metrics import instruments
from shared.trace import stages
from shared.trace.recorder import Trace
from shared.trace.recorder import current
from shared.validation import Binder
from shared.watchdog import Watchdog

from . import endpoints
from .concurrency import Around
from .concurrency import Session
from .database import Database
from .database import get_db
from .exchange import called
from .exchange import hand_over

READ_BYTES = 65_536
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
CLOSE = ("Connection", "close")
_NO_PARAMETERS: dict[str, str] = {}


def open_db(database: Database, endpoint: str) -> Around[Session]:
    """Return a session around an endpoint."""
    return Around(get_db(database, endpoint))


class Request:
    """What the service reads of an environ."""

    __slots__ = ("environ", "method", "path")

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        path: str = environ["PATH_INFO"] or "/"
        # PEP 3333: the decoded bytes of the path, as latin-1.
        self.path = path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """Return a header field's value, repeated fields joined by commas."""
        key = name.upper().replace("-", "_")
        value = self.environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key)
        return None if value is None else str(value)

    def chunks(self, limit: ByteLimit) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            BodyTooLarge: When it exceeds the limit.
            RequestTimeout: When the client sends nothing for too long.
        """
        stream = self.environ["wsgi.input"]
        # A server that does not end the stream itself must not be read beyond the declared length.
        is_terminated = bool(self.environ.get("wsgi.input_terminated"))
        while is_terminated or limit.received < (limit.declared or 0):
            try:
                chunk = stream.read(
                    READ_BYTES if is_terminated else min(READ_BYTES, (limit.declared or 0) - limit.received)
                )
            except TimeoutError:
                raise RequestTimeout("The body did not arrive in time", close=True) from None
            except Exception as error:
                # Each server has its own exceptions for a client that left or sent no body that could be one.
                raise MalformedRequest("The body cannot be read", close=True) from error
            if not chunk:
                break
            limit.count(len(chunk))
            yield chunk
        limit.end()


class Handler:
    """Answers the requests of one endpoint.

    Args:
        endpoint: The contract's entry.
        settings: The project's settings.
        database: Returns the process's database.
    """

    def __init__(self, endpoint: Endpoint, settings: Settings, database: Callable[[], Database]) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._database = database
        self._function: Callable[..., Any] = getattr(endpoints, endpoint.name)
        token = settings.check_token
        self._bind = Binder(endpoint, token.get_secret_value() if token else None)
        self._renderer = answers.Renderer(endpoint)
        self._limit = settings.max_upload_bytes if endpoint.body == "stream" else settings.max_body_bytes
        self.book = instruments().meter(endpoint.name)

    def __call__(
        self,
        request: Request,
        path: dict[str, str],
        trace: Trace | None,
    ) -> tuple[Answer, Iterable[bytes]]:
        """Return the answer's head and its body."""
        endpoint = self._endpoint
        body = b"" if endpoint.body == "none" else self._body(request)
        query = request.environ["QUERY_STRING"]
        parameters = self._bind(path, query, request.header, body) if type(body) is bytes else body
        if trace is not None:
            trace.finish(partial(stages.validation, parameters))
        if endpoint.streams:
            return self._streamed(request, parameters)
        if endpoint.needs == "nothing":
            result = self._function(None, parameters)
        else:
            with self._first_argument() as argument:
                result = self._function(argument, parameters)
        if trace is not None:
            trace.begin("serialize")
        answer = self._renderer.whole(result)
        return answer, () if request.method == "HEAD" else (answer.body,)

    def _body(self, request: Request) -> bytes | schemas.BodyBytes | schemas.BodyStream[Iterator[bytes]]:
        """Return the body, or parameters that are nothing but the body."""
        limit = ByteLimit(self._limit, request.header("Content-Length"))
        if self._endpoint.body == "stream":
            return schemas.BodyStream(chunks=request.chunks(limit))
        body = b"".join(request.chunks(limit))
        if self._endpoint.body == "json":
            return body
        return schemas.BodyBytes(body=body, content_type=request.header("Content-Type") or contract.BYTES)

    def _first_argument(self) -> AbstractContextManager[Any]:
        match self._endpoint.needs:
            case "session":
                return open_db(self._database(), self._endpoint.name)
            case "database":
                return nullcontext(self._database())
            case "nothing":
                return nullcontext()

    def _streamed(self, request: Request, parameters: Any) -> tuple[Answer, Iterable[bytes]]:
        chunks = self._stream(parameters)
        # The first chunk is made before the head is sent, so that a failure can still be answered as one.
        first = next(chunks, b"")
        if request.method == "HEAD":
            chunks.close()
            return self._renderer.streamed(parameters), ()
        return self._renderer.streamed(parameters), Chunks(first, chunks)

    def _stream(self, parameters: Any) -> Generator[bytes, None, None]:
        with self._first_argument() as argument, closing(self._function(argument, parameters)) as chunks:
            for chunk in chunks:
                yield answers.chunk(chunk)


class Chunks:
    """A streamed body; the server closes it at the last byte or when the client has left."""

    def __init__(self, first: bytes, rest: Generator[bytes, None, None]) -> None:
        self._first = first
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        return chain((self._first,), self._rest)

    def close(self) -> None:
        """End the stream, and with it its session."""
        self._rest.close()


class Application:
    """The WSGI application; nothing is opened before the first request of a process."""

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        """Forget what another process has opened: a connection has one user."""
        self._lock = Lock()
        self._is_started = False

    def start(self) -> None:
        """Read the settings and make the engine, once for each process (a forked worker makes its own).

        Raises:
            AppError: If the settings are unusable or the embedded PostgreSQL cannot be started.
        """
        with self._lock:
            if self._is_started:
                return
            settings = load()
            self._is_tracing = settings.is_tracing
            self.database = Database(settings, locate(settings))
            self._end_watch = Watchdog(self.database.engine, settings.request_timeout).start()
            table = routing.resources(
                contract.endpoints(lab=settings.lab, trace=settings.is_tracing),
                lambda endpoint: Handler(endpoint, settings, lambda: self.database),
            )
            self._routes = routing.routes(table, lambda resource: resource)
            self._literal = routing.literal(self._routes)
            self._book_other = instruments().meter("(none)")
            self._is_started = True
            # At the process's end under any server; it comes after the last of its threads.
            atexit.register(self.stop)

    def stop(self) -> None:
        """Close what the process has opened."""
        if self._is_started:
            self._is_started = False
            self._end_watch()
            self.database.dispose()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started = perf_counter()
        if not self._is_started:
            self.start()
        trace = current.get() if self._is_tracing else None
        if trace is not None:
            called(trace, environ)
        request = Request(environ)
        book = self._book_other
        body: Iterable[bytes]
        try:
            resource, path = self._literal.get(request.path), _NO_PARAMETERS
            if resource is None:
                resource, path = routing.find(self._routes, request.path)
            handler = resource.handlers.get(request.method)
            if trace is not None:
                name = None if handler is None else handler.name
                trace.turn("validate", partial(stages.routing, trace, resource.path, name))
            if handler is not None:
                book = handler.book
                answer, body = handler(request, path, trace)
            elif request.method == "OPTIONS":
                answer, body = answers.options(resource.allow), ()
            else:
                resource.refuse(request.method)
        except Exception as error:
            if trace is not None:
                trace.fail(error)
                trace.begin("serialize")
            answer = answers.failure(error, request.path, request.header("traceparent"))
            if CLOSE in answer.headers:
                _close_after(start_response)
                answer.headers.remove(CLOSE)
            body = () if request.method == "HEAD" else (answer.body,)
        if trace is not None:
            trace.turn("respond", partial(stages.serialization, answer))
            answer.headers.extend(stages.answer_fields(trace))
        start_response(STATUS_LINES[answer.status], answer.headers)
        book(answer.status, perf_counter() - started)
        return body if trace is None else hand_over(trace, answer, body)


def _close_after(start_response: StartResponse) -> None:
    """Have gunicorn end the connection with this answer: PEP 3333 leaves the Connection field to the server."""
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is not None:
        force_close()


app = Application()
