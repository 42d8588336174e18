"""What a traced request does with a connection of the pool: waits for it, uses it, returns it.

Watched is the connection that the pool hands to this one request, so that no other request passes a listener. Times are
those of the driver's own calls.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from time import monotonic_ns
from typing import Any

from sqlalchemy.pool import PoolProxiedConnection
from typing_extensions import TypedDict

from .recorder import StageName
from .recorder import Trace
from .wire import CannotTapError
from .wire import Exchange
from .wire import Tap
from .wire_asyncpg import AsyncpgTap
from .wire_psycopg2 import Psycopg2Tap

# Characters of a statement, and values of its parameters, that are kept.
MOST_STATEMENT = 4_096
MOST_VALUES = 100

_TAPS: dict[str, Callable[[Any], Tap]] = {"asyncpg": AsyncpgTap, "psycopg2": Psycopg2Tap}
# The drivers that put values into the statement itself.
INTERPOLATING = frozenset({"psycopg2", "pymysql", "aiomysql"})
# Of the status that comes with every answer of MariaDB's: a transaction is open.
MARIADB_IN_TRANSACTION = 0x0001
# The key of a watched connection's `info` under which it is found when it is returned.
WATCH = "trace_watch"


class PoolCounts(TypedDict):
    """Connections of a pool at one moment.

    Attributes:
        size: How many it keeps.
        checked_out: How many are in use.
        idle: How many are not.
        overflow: How many there are beyond those that it keeps.
        waiting: How many requests wait for one.
    """

    size: int
    checked_out: int
    idle: int
    overflow: int
    waiting: int


class CheckoutFacts(TypedDict):
    """What the pool finds out while it looks for a connection; durations in nanoseconds."""

    waited_ns: int
    waiters_ahead: int
    is_new: bool


# Of the checkout that runs, if its request is traced.
checkout: ContextVar[CheckoutFacts | None] = ContextVar("checkout", default=None)


def check_out(
    trace: Trace,
    connect: Callable[[], PoolProxiedConnection],
    counts: Callable[[], PoolCounts],
) -> PoolProxiedConnection:
    """Take a connection from a pool for a traced request, and watch it until it is returned.

    Args:
        trace: The request's trace.
        connect: Takes the connection.
        counts: Returns the pool's state now.

    Raises:
        Exception: As the pool raises them.
    """
    called_ns = monotonic_ns()
    found = CheckoutFacts(waited_ns=0, waiters_ahead=0, is_new=False)
    facts: dict[str, Any] = {"pool_before": counts()}
    connection: PoolProxiedConnection | None = None
    checkout.set(found)
    start_ns = monotonic_ns()
    try:
        connection = connect()
    except BaseException as error:
        facts |= _failure(error)
        raise
    finally:
        end_ns = monotonic_ns()
        # Not reset by a token: a task that is thrown away ends in another context.
        checkout.set(None)
        facts |= {"waited_ns": found["waited_ns"], "waiters_ahead": found["waiters_ahead"]}
        if connection is not None:
            facts |= {
                "connection": "new" if found["is_new"] else "reused",
                "backend_pid": _backend_pid(connection.driver_connection),
            }
        facts["pool_after"] = counts()
        stage = trace.record("checkout", start_ns, end_ns, **facts)
        stage.cost_ns = start_ns - called_ns + monotonic_ns() - end_ns
    watch = Watch(trace, connection)
    connection.info[WATCH] = watch
    # What SQLAlchemy asks of the connection that the pool hands out goes to the driver's; here by way of the watch.
    for name in ("cursor", "commit", "rollback"):
        setattr(connection, name, getattr(watch, name))
    stage.cost_ns += monotonic_ns() - watch.since_ns
    return connection


class Watch:
    """Records what one request does with one connection.

    Args:
        trace: The request's trace.
        connection: The connection, as the pool hands it out. It is not kept, or its end would not be noticed.
    """

    def __init__(self, trace: Trace, connection: PoolProxiedConnection) -> None:
        self.since_ns = monotonic_ns()
        self._trace = trace
        self._connection: Any = connection.dbapi_connection
        self._driver = type(connection.driver_connection).__module__.partition(".")[0]
        self._tap: Tap | None = None
        self._untapped = f"messages of the driver {self._driver} are not counted"
        self._is_in_transaction = False
        # Since when nothing but its return has happened to the connection.
        self._idle_ns = 0
        if self._driver in _TAPS:
            try:
                self._tap = _TAPS[self._driver](connection.driver_connection)
            except CannotTapError as error:
                self._untapped = str(error)

    def cursor(self, *arguments: Any, **options: Any) -> "WatchedCursor":
        """Return a cursor of the driver's whose statements are recorded."""
        return WatchedCursor(self._connection.cursor(*arguments, **options), self)

    def commit(self) -> None:
        """Commit; recorded if there is a transaction."""
        self._end_transaction("COMMIT", self._connection.commit)

    def rollback(self) -> None:
        """Roll back; recorded if there is a transaction."""
        self._end_transaction("ROLLBACK", self._connection.rollback)

    def execute(self, cursor: Any, function: Callable[..., Any], arguments: tuple[Any, ...], *, many: bool) -> Any:
        """Call a cursor's `execute` or `executemany` and record the statement.

        Args:
            cursor: The driver's cursor.
            function: Its method.
            arguments: The statement, and the parameters if there are any.
            many: Whether the statement is executed once for each of several parameters.
        """
        start_ns = monotonic_ns()
        error: BaseException | None = None
        try:
            return function(*arguments)
        except BaseException as raised:
            error = raised
            raise
        finally:
            end_ns = monotonic_ns()
            exchange = self._exchanged()
            facts = _statement(*arguments[:2], many=many)
            facts["rows"] = None if error or many else _rows(cursor, exchange)
            facts["interpolated"] = self._driver in INTERPOLATING and facts["parameters"] > 0
            if self._trace.reveals_values:
                facts |= _values(*arguments[1:2], query=getattr(cursor, "query", None))
            self._record("sql", start_ns, end_ns, facts | self._wire(exchange), error)

    def returned(self, give_back: Callable[[], None], counts: Callable[[], PoolCounts], *, is_lost: bool) -> None:
        """Return the connection to the pool and record it; it is not watched any more.

        Args:
            give_back: Returns it.
            counts: Returns the pool's state now.
            is_lost: Whether the connection is closed already, and only its place is returned.
        """
        start_ns = self._idle_ns or monotonic_ns()
        exchange = self._exchanged()
        if self._tap is not None:
            self._tap.stop()
            self._tap = None
        reset = "discarded" if is_lost else "isolation_level" if self._is_in_transaction else "none"
        facts: dict[str, Any] = {"reset": reset}
        error: BaseException | None = None
        try:
            give_back()
        except BaseException as raised:
            error = raised
            raise
        finally:
            end_ns = monotonic_ns()
            facts["pool_after"] = counts()
            if exchange is not None and exchange.has_sent:
                facts["wire"] = exchange.facts()
            self._record("release", start_ns, end_ns, facts, error)

    def _end_transaction(self, action: str, function: Callable[[], None]) -> None:
        is_in_transaction = _may_end(self._connection)
        start_ns = monotonic_ns()
        error: BaseException | None = None
        try:
            function()
        except BaseException as raised:
            error = raised
            raise
        finally:
            end_ns = monotonic_ns()
            exchange = self._exchanged()
            self._is_in_transaction |= is_in_transaction
            # In autocommit, and where no statement has begun a transaction, the driver had nothing to send.
            if error or (is_in_transaction and (exchange is None or exchange.has_sent)):
                self._record("commit", start_ns, end_ns, {"action": action, **self._wire(exchange)}, error)
                self._idle_ns = monotonic_ns()
            else:
                self._idle_ns = start_ns

    def _exchanged(self) -> Exchange | None:
        return None if self._tap is None else self._tap.take()

    def _wire(self, exchange: Exchange | None) -> dict[str, Any]:
        """Return what is told of the messages of one stage."""
        if exchange is None:
            return {"wire": None, "wire_missing": self._untapped}
        return {"wire": exchange.facts()}

    def _record(
        self,
        name: StageName,
        start_ns: int,
        end_ns: int,
        facts: dict[str, Any],
        error: BaseException | None,
    ) -> None:
        if error is not None:
            facts |= _failure(error)
        stage = self._trace.record(name, start_ns, end_ns, **facts)
        now_ns = monotonic_ns()
        stage.cost_ns = now_ns - end_ns
        # A connection that fails is thrown away at once.
        self._idle_ns = now_ns if error is not None else 0


class WatchedCursor:
    """A driver's cursor whose statements are recorded; all else is the cursor's own.

    Args:
        cursor: The driver's cursor.
        watch: Records.
    """

    __slots__ = ("_cursor", "_watch")

    def __init__(self, cursor: Any, watch: Watch) -> None:
        object.__setattr__(self, "_cursor", cursor)
        object.__setattr__(self, "_watch", watch)

    def execute(self, *arguments: Any) -> Any:
        """Execute a statement."""
        return self._watch.execute(self._cursor, self._cursor.execute, arguments, many=False)

    def executemany(self, *arguments: Any) -> Any:
        """Execute a statement once for each of several parameters."""
        return self._watch.execute(self._cursor, self._cursor.executemany, arguments, many=True)

    def __getattr__(self, name: str) -> Any:
        """Return what else a cursor has."""
        return getattr(self._cursor, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the cursor."""
        setattr(self._cursor, name, value)


def _statement(statement: Any, parameters: Any = None, *, many: bool) -> dict[str, Any]:
    """Return a statement as it was given to the driver, and how many parameters it has."""
    # A driver's helper may have put the values in already, and gives bytes.
    text = statement if isinstance(statement, str) else ""
    facts: dict[str, Any] = {"statement": text[:MOST_STATEMENT]}
    if len(text) > MOST_STATEMENT:
        facts["statement_left_out"] = len(text) - MOST_STATEMENT
    sets = list(parameters or ()) if many else [parameters or ()]
    if many:
        facts["executions"] = len(sets)
    facts["parameters"] = len(sets[0]) if sets else 0
    return facts


def _values(parameters: Any = None, *, query: Any) -> dict[str, Any]:
    """Return what only a client that may see values is shown."""
    facts: dict[str, Any] = {"parameter_values": _plain(parameters)}
    if isinstance(query, bytes):
        facts["query"] = query[:MOST_STATEMENT].decode("utf-8", "replace")
    return facts


def _plain(value: Any) -> Any:
    """Return a parameter's value as JSON can hold it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal() | date():
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in list(value.items())[:MOST_VALUES]}
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case Sequence():
            return [_plain(item) for item in value[:MOST_VALUES]]
        case _:
            return str(value)


def _rows(cursor: Any, exchange: Exchange | None) -> int | None:
    """Return how many rows a statement returned or changed, as far as it is known."""
    if cursor.rowcount >= 0:
        return int(cursor.rowcount)
    return None if exchange is None else exchange.rows


def _failure(error: BaseException) -> dict[str, Any]:
    """Return what is told of an error: never its message, which may hold values."""
    own = error
    # SQLAlchemy raises a general class for what asyncpg says more of.
    if type(error).__module__.startswith("sqlalchemy.") and error.__cause__ is not None:
        own = error.__cause__
    facts = {"error": type(own).__name__}
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return facts | {"sqlstate": code} if code else facts


def _may_end(connection: Any) -> bool:
    """Tell whether a connection has a transaction to end, as far as its driver knows."""
    if hasattr(connection, "get_autocommit"):  # pymysql, aiomysql
        return bool(getattr(connection, "driver_connection", connection).server_status & MARIADB_IN_TRANSACTION)
    return not connection.autocommit


def _backend_pid(driver_connection: Any) -> int | None:
    """Return the process of the server behind a connection, without asking it."""
    for name in ("get_backend_pid", "get_server_pid", "thread_id"):
        if hasattr(driver_connection, name):
            return int(getattr(driver_connection, name)())
    return None
