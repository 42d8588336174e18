"""SEAM: scope, receive and send (ASGI 3), dispatched by Starlette's Router.

What a request means (routes, validation, answers) is decided in `shared`; what it does, in `endpoints`. Here the two
are joined to the interface: where the bytes of a request come from, and how an answer is handed over.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from contextlib import aclosing
from contextlib import asynccontextmanager
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from functools import partial
from time import perf_counter
from typing import Any

from starlette.routing import Router
from starlette.types import Message
from starlette.types import Receive
from starlette.types import Scope
from starlette.types import Send

from shared import answers
from shared import contract
from shared import routing
from shared import schemas
from shared.answers import Answer
from shared.body import ByteLimit
from shared.body import check_headers
from shared.config import Settings
from shared.config import load
from shared.contract import Endpoint
from shared.engine import locate
from shared.errors import MalformedRequest
from shared.errors import RequestTimeout
from shared.metrics import SAMPLE_EVERY_S
from shared.metrics import instruments
from shared.stalls.watch import BEAT_S
from shared.stalls.watch import watch_loop
from shared.trace import stages
from shared.trace.recorder import Trace
from shared.trace.recorder import current
from shared.trace.store import flush_all
from shared.validation import Binder

from . import endpoints
from .concurrency import Around
from .concurrency import Session
from .concurrency import again_and_again
from .concurrency import sample_lag
from .database import Database
from .database import get_db

# How often a worker looks whether its supervisor is alive; gunicorn's own figure.
PARENT_CHECK_S = 1.0


def open_db(database: Database, endpoint: str) -> Around[Session]:
    """Return a session around an endpoint."""
    return Around(get_db(database, endpoint))


class Request:
    """What the service reads of a scope and its body messages."""

    __slots__ = ("_receive", "_timeout_s", "headers", "method", "path", "query")

    def __init__(self, scope: Scope, receive: Receive, timeout_s: float) -> None:
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self._receive = receive
        self._timeout_s = timeout_s

    def header(self, name: str) -> str | None:
        """Return a header field's value, repeated fields joined by commas (of Content-Type the last counts)."""
        wanted = name.lower().encode("latin-1")
        values = [value for field, value in self.headers if field == wanted]
        if not values:
            return None
        return (values[-1] if wanted == b"content-type" else b",".join(values)).decode("latin-1")

    async def chunks(self, limit: ByteLimit) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            BodyTooLarge: When it exceeds the limit.
            RequestTimeout: When the client sends nothing for too long.
        """
        more = True
        while more:
            try:
                async with asyncio.timeout(self._timeout_s):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout("The body did not arrive in time", close=True) from None
            if message["type"] == "http.disconnect":
                raise MalformedRequest("The body cannot be read", close=True)
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            limit.count(len(chunk))
            if chunk:
                yield chunk
        limit.end()

    async def left(self) -> None:
        """Return when the client has left; only for requests whose body is read or unwanted."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


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

    async def __call__(
        self,
        request: Request,
        path: dict[str, str],
        trace: Trace | None,
    ) -> tuple[Answer, "Chunks | None"]:
        """Return the answer, and the chunks of its body where it is streamed."""
        endpoint = self._endpoint
        body = b"" if endpoint.body == "none" else await self._body(request)
        parameters = self._bind(path, request.query, request.header, body) if type(body) is bytes else body
        if trace is not None:
            trace.finish(partial(stages.validation, parameters))
        if endpoint.streams:
            return await self._streamed(request, parameters)
        if endpoint.needs == "nothing":
            result = await self._function(None, parameters)
        else:
            async with self._first_argument() as argument:
                result = await self._function(argument, parameters)
        if trace is not None:
            trace.begin("serialize")
        return self._renderer.whole(result), None

    async def _body(self, request: Request) -> bytes | schemas.BodyBytes | schemas.BodyStream[AsyncIterator[bytes]]:
        """Return the body, or parameters that are nothing but the body."""
        limit = ByteLimit(self._limit, request.header("Content-Length"))
        if self._endpoint.body == "stream":
            return schemas.BodyStream(chunks=request.chunks(limit))
        body = b"".join([chunk async for chunk in request.chunks(limit)])
        if self._endpoint.body == "json":
            return body
        return schemas.BodyBytes(body=body, content_type=request.header("Content-Type") or contract.BYTES)

    def _first_argument(self) -> AbstractAsyncContextManager[Any]:
        match self._endpoint.needs:
            case "session":
                return open_db(self._database(), self._endpoint.name)
            case "database":
                return nullcontext(self._database())
            case "nothing":
                return nullcontext()

    async def _streamed(self, request: Request, parameters: Any) -> tuple[Answer, "Chunks | None"]:
        chunks = self._stream(parameters)
        # The first chunk is made before the head is sent, so that a failure can still be answered as one.
        first = await anext(chunks, None)
        if request.method == "HEAD":
            await chunks.aclose()
            return self._renderer.streamed(parameters), None
        return self._renderer.streamed(parameters), Chunks(first, chunks)

    async def _stream(self, parameters: Any) -> AsyncGenerator[bytes, None]:
        async with self._first_argument() as argument, aclosing(self._function(argument, parameters)) as chunks:
            async for chunk in chunks:
                yield answers.chunk(chunk)


@dataclass(slots=True)
class Chunks:
    """A streamed body: the chunk that was made already, and the rest, which whoever has it must close."""

    first: bytes | None
    rest: AsyncGenerator[bytes, None]


class Service:
    """What the application's lifespan opens: settings, engine and routes of one process."""

    def __init__(self) -> None:
        self.settings = settings = load()
        self._is_tracing = settings.is_tracing
        self.database = Database(settings, locate(settings))
        self._book_other = instruments().meter("(none)")
        table = routing.resources(
            contract.endpoints(lab=settings.lab, trace=settings.is_tracing),
            lambda endpoint: Handler(endpoint, settings, lambda: self.database),
        )
        self.routes = routing.routes(table, lambda resource: _AsResource(self, resource))

    async def respond(
        self,
        resource: routing.Resource[Handler] | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer one request."""
        started = perf_counter()
        trace = current.get() if self._is_tracing else None
        if trace is not None:
            trace.begin("route")
        request = Request(scope, receive, self.settings.request_timeout)
        book = self._book_other
        chunks = None
        try:
            if not app.is_bounded:
                check_headers(self.settings, request.headers)
            if resource is None:
                raise routing.unknown_path()
            handler = resource.handlers.get(request.method)
            if trace is not None:
                name = None if handler is None else handler.name
                trace.turn("validate", partial(stages.routing, trace, resource.path, name))
            if handler is not None:
                book = handler.book
                answer, chunks = await handler(request, scope["path_params"], trace)
            elif request.method == "OPTIONS":
                answer = answers.options(resource.allow)
            else:
                resource.refuse(request.method)
        except Exception as error:
            if trace is not None:
                trace.fail(error)
                trace.begin("serialize")
            answer = answers.failure(error, request.path, request.header("traceparent"))
        if trace is not None:
            trace.finish(partial(stages.serialization, answer))
            answer.headers.extend(stages.answer_fields(trace))
        book(answer.status, perf_counter() - started)
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": list(map(_encoded, answer.headers)),
                }
            )
            if chunks is None:
                await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})
            else:
                await self._send_stream(request, chunks, send)
        finally:
            if chunks is not None:
                await chunks.rest.aclose()

    async def _send_stream(self, request: Request, chunks: Chunks, send: Send) -> None:
        """Send chunks until the last one, or until the client has left or reads nothing for too long."""
        left = asyncio.ensure_future(request.left())
        bound_s = None if app.is_bounded else self.settings.graceful_timeout
        try:
            chunk = chunks.first
            while chunk is not None:
                if left.done():
                    return
                async with asyncio.timeout(bound_s):
                    await send(_body(chunk, more=True))
                chunk = await anext(chunks.rest, None)
            await send(_body(b"", more=False))
        finally:
            left.cancel()


@lru_cache(maxsize=1_024)
def _encoded(field: tuple[str, str]) -> tuple[bytes, bytes]:
    """Return a header field as ASGI wants it; most answers repeat those of others."""
    return field[0].lower().encode("latin-1"), field[1].encode("latin-1")


def _body(chunk: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


class _AsResource:
    """One path as the ASGI application that Starlette's Route calls."""

    def __init__(self, service: Service, resource: routing.Resource[Handler]) -> None:
        self._service = service
        self._resource = resource

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        # The coroutine itself, not another one around it: this is the way of every request.
        return self._service.respond(self._resource, scope, receive, send)


class Application(Router):
    """The ASGI application: Starlette's Router, whose routes exist while the lifespan lasts."""

    def __init__(self) -> None:
        super().__init__(redirect_slashes=False, default=self._unknown, lifespan=self._lifespan)
        self.service: Service | None = None
        # Set where the server itself limits headers, while it reads them, and tells readers that have stopped from
        # slow ones (`pipeline`).
        self.is_bounded = False
        self._literal: dict[str, _AsResource] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the lifespan."""
        resource = self._literal.get(scope["path"]) if scope["type"] == "http" else None
        if resource is None:
            await super().__call__(scope, receive, send)
        else:
            scope["path_params"] = {}
            await resource(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        self.service = service = Service()
        self.routes = service.routes
        self._literal = routing.literal(service.routes)
        tasks = [asyncio.create_task(_end_with_parent())]
        if service.settings.sample_load:
            tasks.append(asyncio.create_task(sample_lag(SAMPLE_EVERY_S, instruments().loop_lag)))
        end_watch = None
        if service.settings.lab:
            beat, end_watch = watch_loop()
            tasks.append(asyncio.create_task(again_and_again(BEAT_S, beat)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if end_watch is not None:
                end_watch()
            self.routes = []
            self._literal = {}
            self.service = None
            await service.database.dispose()
            # A worker of several ends without its interpreter's farewell.
            if service.settings.is_tracing:
                flush_all()

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.service is None:
            raise RuntimeError("The application was called without its lifespan; serve it with lifespan on")
        await self.service.respond(None, scope, receive, send)


async def _end_with_parent() -> None:
    """Stop a worker whose supervisor was killed, as gunicorn's workers stop; uvicorn's would serve on as orphans."""
    if multiprocessing.parent_process() is None:
        return
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of a parent's death
        await asyncio.sleep(PARENT_CHECK_S)
    signal.raise_signal(signal.SIGTERM)


app = Application()
