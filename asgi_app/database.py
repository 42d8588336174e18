"""The engine, its pool and its sessions: one engine for each process, one session for each request that needs one."""

from collections.abc import AsyncIterator
from functools import partial
from time import monotonic_ns
from time import perf_counter

from sqlalchemy.ext.asyncio import create_async_engine

from shared import schemas
from shared import seed
from shared import statements
from shared.config import Settings
from shared.engine import Source
from shared.engine import engine_options
from shared.engine import engine_url
from shared.errors import UNREACHABLE
from shared.errors import DatabaseUnavailable
from shared.errors import PoolTimeout
from shared.errors import request_error
from shared.pool import PoolStatistics
from shared.pool import endpoint_name
from shared.pool import may_not_wait
from shared.pool import measure
from shared.pool import snapshot
from shared.trace.recorder import current

from .concurrency import EDITION
from .concurrency import Lock
from .concurrency import Session
from .concurrency import finish
from .concurrency import release
from .concurrency import run_sync
from .concurrency import within

# /health/db answers within 2 s whatever happens; this leaves room for the rest of the request.
PROBE_TIMEOUT_S = 1.5
# After a failed preparation, requests within this many seconds fail at once instead of each trying again.
PREPARE_AGAIN_S = 0.5


class Database:
    """The engine of one process, made after fork and lazily connected.

    Args:
        settings: The project's settings.
        source: Where the database is.
    """

    def __init__(self, settings: Settings, source: Source) -> None:
        self.settings = settings
        self.source = source
        self.is_draining = False
        # Every session has a copy of its own.
        self._session_info = {"isolation_level": settings.isolation_level}
        self.statistics = PoolStatistics()
        url = engine_url(source.url, EDITION)
        self.engine = create_async_engine(url, **engine_options(settings, EDITION, url.get_driver_name()))
        measure(self.engine.pool, self.statistics)
        self.is_prepared = False
        self._preparing = Lock()
        self._failed_at = float("-inf")

    async def prepare(self) -> None:
        """Create schema and seed data if they are missing; the first request after an outage does it, too.

        Raises:
            DatabaseUnavailable: If the preparation failed a moment ago.
            Exception: As the driver raises them.
        """
        async with self._preparing:
            if self.is_prepared:
                return
            if perf_counter() - self._failed_at < PREPARE_AGAIN_S:
                raise DatabaseUnavailable(UNREACHABLE)
            try:
                writing = self.engine.execution_options(isolation_level="READ COMMITTED")
                async with writing.begin() as connection:
                    await run_sync(connection, seed.create)
            except BaseException:
                self._failed_at = perf_counter()
                raise
            self.is_prepared = True

    async def probe(self) -> schemas.DatabaseHealth:
        """Ask the database for its version, in bounded time and without queueing for a connection.

        Raises:
            PoolTimeout: If every connection of the pool is in use.
            DatabaseUnavailable: If the database does not answer in time.
        """
        started = perf_counter()
        try:
            version = await within(PROBE_TIMEOUT_S, self._ask_version)
        except Exception as error:
            known = request_error(error)
            if isinstance(known, PoolTimeout):
                raise PoolTimeout("Pool full: every connection is in use, so the database was not asked") from error
            raise DatabaseUnavailable("Database down: it cannot be reached, or does not answer in time") from error
        return schemas.DatabaseHealth(status="ok", server_version=version, latency_s=perf_counter() - started)

    async def _ask_version(self) -> str:
        may_not_wait.set(True)
        endpoint_name.set("health_db")
        async with self.engine.connect() as connection:
            result = await connection.execute(statements.SERVER_VERSION)
            return str(result.scalar_one())

    def open_session(self) -> Session:
        """Return a new session; it takes a connection with its first statement."""
        trace = current.get()
        start_ns = 0 if trace is None else monotonic_ns()
        session = Session(self.engine, expire_on_commit=False, autoflush=False, info=self._session_info)
        if trace is not None:
            # The level of a transaction, which not every session begins.
            trace.record("session", start_ns, None, isolation_level=self.settings.isolation_level)
        return session

    def pool(self) -> schemas.Pool:
        """Return the state of the pool now."""
        return snapshot(self.engine.pool, self.statistics)

    async def dispose(self) -> None:
        """Close every connection; the embedded PostgreSQL stops with its last user."""
        await self.engine.dispose()
        self.source.release()


async def get_db(database: Database, endpoint: str) -> AsyncIterator[Session]:
    """Open a session around an endpoint.

    Committed when the endpoint asked for a transaction and succeeded, rolled back on any exit by exception, closed
    either way: its connection is back in the pool before the response is sent, or after its last byte where it is
    streamed.

    Args:
        database: The process's database.
        endpoint: Name on which the time a connection is held is booked.
    """
    if not database.is_prepared:
        await database.prepare()
    endpoint_name.set(endpoint)
    session = database.open_session()
    try:
        yield session
        if "is_writing" in session.info:
            await finish(session.commit)
    except BaseException:
        await finish(partial(abandon, session))
        raise
    await release(session)


async def abandon(session: Session) -> None:
    """Roll back and close a session; a connection that cannot even do that is thrown away.

    What made the request fail stays the error that is told.
    """
    try:
        await session.close()
    except Exception:
        await session.invalidate()


async def begin(session: Session, isolation_level: str | None = None) -> None:
    """Switch a transaction on; without one each statement of a session commits by itself.

    Args:
        session: The request's session.
        isolation_level: Its level; None: that of the settings.
    """
    session.info["is_writing"] = True
    _ = await session.connection(
        execution_options={"isolation_level": isolation_level or session.info["isolation_level"]},
    )
