"""The database of each edition without its server: requests one after the other, or at once, each with its trace."""

import asyncio
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any
from typing import Protocol

from sqlalchemy import Pool
from sqlalchemy import TextClause
from sqlalchemy.pool import ConnectionPoolEntry

import asgi_app.database
import asgi_app.endpoints
import wsgi_app.database
import wsgi_app.endpoints
from shared import schemas
from shared.config import Edition
from shared.config import Settings
from shared.engine import locate
from shared.trace.recorder import Stage
from shared.trace.recorder import Trace
from shared.trace.recorder import current

Statement = tuple[TextClause, dict[str, Any]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop] | None


class ClientLeft(Exception):
    """Raised where a server would notice that nobody reads the answer."""


@dataclass
class Request:
    """What is asked of the database, and what became of it.

    Attributes:
        statements: Executed one after the other, in place of an endpoint.
        endpoint: The endpoint's name.
        parameters: The endpoint's parameters.
        is_writing: Whether the statements are in a transaction.
        trace: Its trace; None: it is not traced.
        leaves_after: Chunks of a streamed answer after which the client leaves.
        answer: The last statement's value, or the endpoint's answer.
        error: What ended it.
    """

    statements: Sequence[Statement] = ()
    endpoint: str = "db"
    parameters: Any = None
    is_writing: bool = False
    trace: Trace | None = None
    leaves_after: int | None = None
    answer: Any = None
    error: BaseException | None = None

    def stages(self, *names: str) -> list[Stage]:
        """Return the trace's stages of some names, in their order; of all names if none is given."""
        assert self.trace is not None
        return [stage for stage in self.trace.stages if not names or stage.name in names]

    def facts(self, name: str) -> dict[str, Any]:
        """Return the facts of the only stage of a name."""
        (stage,) = self.stages(name)
        return stage.facts


class Requests(Protocol):
    """One edition's database."""

    @property
    def pool(self) -> Pool:
        """The engine's pool."""

    def run(self, *requests: Request) -> None:
        """Serve requests, all at once; those behind the first start when the one before waits or has ended."""

    def state(self) -> schemas.Pool:
        """Return the pool's state."""


def traced(edition: Edition, *statements: Statement, reveals_values: bool = False, **options: Any) -> Request:
    """Return a request with a trace."""
    trace = Trace(edition=edition, reveals_values=reveals_values, started_ns=monotonic_ns())
    return Request(statements, trace=trace, **options)


class WsgiRequests:
    """Each request in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.database = wsgi_app.database.Database(settings, locate(settings))
        self.database.prepare()

    @property
    def pool(self) -> Pool:
        """The engine's pool."""
        return self.database.engine.pool

    def run(self, *requests: Request) -> None:
        """Serve requests, all at once."""
        with ThreadPoolExecutor(len(requests)) as executor:
            list(executor.map(self._serve, requests))

    def state(self) -> schemas.Pool:
        """Return the pool's state."""
        return self.database.pool()

    def _serve(self, request: Request) -> None:
        token = current.set(request.trace)
        try:
            with contextmanager(wsgi_app.database.get_db)(self.database, request.endpoint) as session:
                if request.is_writing:
                    wsgi_app.database.begin(session)
                for statement, values in request.statements:
                    request.answer = session.execute(statement, values).all()
                if request.endpoint == "stream":
                    request.answer = []
                    for chunk in wsgi_app.endpoints.stream(session, request.parameters):
                        request.answer.append(chunk)
                        if len(request.answer) == request.leaves_after:
                            raise ClientLeft
                elif not request.statements:
                    request.answer = getattr(wsgi_app.endpoints, request.endpoint)(session, request.parameters)
        except Exception as error:
            request.error = error
        finally:
            current.reset(token)


class AsgiRequests:
    """Each request in a task of its own."""

    def __init__(self, settings: Settings, loop_factory: LoopFactory) -> None:
        self.runner = asyncio.Runner(loop_factory=loop_factory)
        self.database = self.runner.run(self._open(settings))

    @property
    def pool(self) -> Pool:
        """The engine's pool."""
        return self.database.engine.pool

    def run(self, *requests: Request) -> None:
        """Serve requests, all at once."""
        self.runner.run(self._run(requests))

    def state(self) -> schemas.Pool:
        """Return the pool's state."""
        return self.database.pool()

    async def _open(self, settings: Settings) -> asgi_app.database.Database:
        database = asgi_app.database.Database(settings, locate(settings))
        await database.prepare()
        return database

    async def _run(self, requests: Sequence[Request]) -> None:
        await asyncio.gather(*(self.serve(request) for request in requests))

    async def serve(self, request: Request) -> None:
        """Serve one request."""
        token = current.set(request.trace)
        try:
            async with asynccontextmanager(asgi_app.database.get_db)(self.database, request.endpoint) as session:
                if request.is_writing:
                    await asgi_app.database.begin(session)
                for statement, values in request.statements:
                    result = await session.execute(statement, values)
                    request.answer = result.all()
                if request.endpoint == "stream":
                    request.answer = []
                    async for chunk in asgi_app.endpoints.stream(session, request.parameters):
                        request.answer.append(chunk)
                        if len(request.answer) == request.leaves_after:
                            raise ClientLeft
                elif not request.statements:
                    request.answer = await getattr(asgi_app.endpoints, request.endpoint)(session, request.parameters)
        except Exception as error:
            request.error = error
        finally:
            current.reset(token)


@contextmanager
def idle_connection(requests: Requests) -> Iterator[ConnectionPoolEntry]:
    """Take a connection out of the pool to look at it, as it lies there between two requests."""
    record = requests.pool._do_get()
    try:
        yield record
    finally:
        requests.pool._do_return_conn(record)


@contextmanager
def requests_of(
    edition: Edition,
    url: str,
    loop_factory: LoopFactory = None,
    **settings: Any,
) -> Iterator[Requests]:
    """Open an edition's database; closed afterwards.

    Args:
        edition: Which edition.
        url: Where the database is.
        loop_factory: Makes the event loop, of the edition that has one.
        **settings: Beyond the default ones.
    """
    chosen = Settings(database_url=url, **settings)
    if edition == "wsgi":
        threads = WsgiRequests(chosen)
        try:
            yield threads
        finally:
            threads.database.dispose()
        return
    tasks = AsgiRequests(chosen, loop_factory)
    with tasks.runner:
        try:
            yield tasks
        finally:
            tasks.runner.run(tasks.database.dispose())
