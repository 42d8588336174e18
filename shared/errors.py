"""Every failure a user can meet: the families, and how a request's failure becomes an HTTP answer.

Families follow what the caller can do about it. Failures of a request carry an HTTP status and are rendered as
RFC 9457 problem documents; failures of a command carry an exit code and are printed by the command line.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from typing import ClassVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolWaitTimeout

# Seconds a client is asked to wait before it tries again after a 503.
RETRY_AFTER_S = 1

# SQLSTATE codes and classes, PostgreSQL's appendix A.
QUERY_CANCELED = "57014"
SERIALIZATION_CODES = frozenset({"40001", "40P01"})
# 08 connection exception, 57P operator intervention, 53 insufficient resources (too many connections, disk full),
# 28 and 3D: this configuration cannot log in to that database.
UNAVAILABLE_CLASSES = ("08", "57P", "53", "28", "3D")
# One text, whichever layer of whichever driver noticed.
UNREACHABLE = "The database cannot be reached, or went away during the request"
# What drivers raise without a SQLSTATE when there is no connection, or none any more.
CONNECTION_ERRORS = frozenset({"DatabaseError", "OperationalError", "InterfaceError"})
# Where drivers, and SQLAlchemy's imitation of one for asyncpg, define their errors.
DRIVER_MODULES = ("psycopg2", "psycopg.", "asyncpg.", "pymysql.", "sqlalchemy.dialects.")
# What PostgreSQL has a code for, and MariaDB only a number of its own beside a general code:
# https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference.
MARIADB_STATES = {
    # A table or the disk is full; out of memory or of threads.
    **dict.fromkeys((1021, 1037, 1038, 1041, 1114, 1135), "53000"),
    # Too many connections, for all or for one user; the server stops, or somebody has ended the connection.
    **dict.fromkeys((1040, 1203, 1226), "53300"),
    **dict.fromkeys((1053, 1077, 1079, 1927), "57P01"),
    # No such user, or no such database for them.
    **dict.fromkeys((1044, 1045, 1698), "28000"),
    1049: "3D000",
    # Somebody else holds a lock for too long; the statement itself takes too long, or was ended.
    **dict.fromkeys((1205, 1317, 1969), QUERY_CANCELED),
    # A deadlock; a row has changed since the transaction's snapshot.
    1213: "40P01",
    1020: "40001",
}
# From the client's part of a driver: it never reached the server, or lost it.
MARIADB_CLIENT_NUMBERS = range(2_000, 3_000)


class AppError(Exception):
    """Root of every failure that is expected and explained.

    Attributes:
        exit_code: Exit code of a command that ends with it (1 check failed, 2 usage, 3 environment,
            4 what was to be compared is not comparable).
    """

    exit_code: ClassVar[int] = 1


class CommandError(AppError):
    """A command cannot go on: what failed, the measured why, and what to do next.

    Args:
        what: What failed, in one clause.
        why: What was seen that shows it.
        hint: The next command or change to try.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        self.what = what
        self.why = why
        self.hint = hint
        # A reason that is a clause goes on in the sentence of what failed.
        reason = ("; " if why[:1].islower() else ". ") + why if why else ""
        super().__init__(what + reason + (f". {hint}" if hint else ""))


class CheckFailed(CommandError):
    """A check or a threshold failed."""

    exit_code = 1


class UsageError(CommandError):
    """The command was called, or configured, in a way that cannot work."""

    exit_code = 2


class EnvironmentFailure(CommandError):
    """Something this machine must provide is missing or broken."""

    exit_code = 3


class NotComparable(CommandError):
    """What was to be compared differs where it must not: services in their answers, results in their conditions."""

    exit_code = 4


class RequestError(AppError):
    """Root of what makes a request fail; one problem document each.

    Args:
        detail: What is wrong with this request; may be shown to anybody.
        headers: Header fields the answer carries beside the usual ones.
        errors: For 422, one record for each field.
        close: Whether the connection ends with the answer, because the rest of the request was not read.
    """

    status: ClassVar[HTTPStatus]
    slug: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        errors: Sequence[Mapping[str, Any]] = (),
        close: bool = False,
    ) -> None:
        self.detail = detail
        self.headers = headers
        self.errors = errors
        self.close = close
        super().__init__(detail)


class MalformedRequest(RequestError):
    """The bytes are not what they claim to be."""

    status = HTTPStatus.BAD_REQUEST
    slug = "malformed-request"


class Forbidden(RequestError):
    """The secret that this path needs is missing or wrong."""

    status = HTTPStatus.FORBIDDEN
    slug = "forbidden"


class NotFound(RequestError):
    """There is nothing under that path or id."""

    status = HTTPStatus.NOT_FOUND
    slug = "not-found"


class MethodNotAllowed(RequestError):
    """The path exists, but not for this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    slug = "method-not-allowed"


class RequestTimeout(RequestError):
    """The client did not send its body in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    slug = "request-timeout"


class Conflict(RequestError):
    """The request does not fit the present state; a changed or repeated one may."""

    status = HTTPStatus.CONFLICT
    slug = "conflict"


class BodyTooLarge(RequestError):
    """The body exceeds what this path accepts."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "body-too-large"


class UnsupportedMediaType(RequestError):
    """The body is not of a type this path reads."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    slug = "unsupported-media-type"


class InvalidRequest(RequestError):
    """Well-formed, but a value is missing, of the wrong type or out of range."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid-request"


class UriTooLong(RequestError):
    """The request line exceeds what the service reads."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    slug = "uri-too-long"


class UnmetExpectation(RequestError):
    """The client expects what this service does not do."""

    status = HTTPStatus.EXPECTATION_FAILED
    slug = "expectation-failed"


class HeadersTooLarge(RequestError):
    """Too many header fields, or too many bytes of them."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    slug = "headers-too-large"


class InternalError(RequestError):
    """A bug: the service's fault, not the client's."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    slug = "internal-error"


class Unavailable(RequestError):
    """Nothing is wrong with the request; the same one may succeed later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers=(("Retry-After", str(RETRY_AFTER_S)),))


class PoolTimeout(Unavailable):
    """No connection of the pool became free in time."""

    slug = "pool-exhausted"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or went away during the request."""

    slug = "database-unavailable"


class Draining(Unavailable):
    """The process is stopping and finishes what it has accepted."""

    slug = "draining"


class StatementTimeout(RequestError):
    """A statement ran longer than STATEMENT_TIMEOUT and was cancelled by the database."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    slug = "statement-timeout"


def sqlstate(error: DBAPIError) -> str | None:
    """Return the SQLSTATE a driver's error carries; None for one that the server did not send."""
    return _sqlstate(error.orig)


def is_serialization_failure(error: DBAPIError) -> bool:
    """Tell whether a transaction lost against a concurrent one and may simply be repeated."""
    return sqlstate(error) in SERIALIZATION_CODES


def request_error(error: BaseException) -> RequestError | None:
    """Return the request error that an exception raised while answering amounts to; None for a bug."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, PoolWaitTimeout):
        return PoolTimeout("No connection of the pool became free in time; every one is in use")
    if isinstance(error, DBAPIError):
        return _database_error(error.orig, is_disconnect=error.connection_invalidated)
    # SQLAlchemy wraps the errors of statements, not those of what it does around them, as setting the isolation level.
    if type(error).__module__.startswith(DRIVER_MODULES):
        return _database_error(error, is_disconnect=False)
    # A refused or timed-out connect is raised by asyncpg as the plain operating system's error.
    if isinstance(error, ConnectionError | FileNotFoundError | TimeoutError):
        return DatabaseUnavailable(UNREACHABLE)
    return None


def _database_error(error: BaseException | None, *, is_disconnect: bool) -> RequestError | None:
    state = _sqlstate(error)
    if state == QUERY_CANCELED:
        return StatementTimeout("A statement ran longer than the database allows this service")
    if state in SERIALIZATION_CODES:
        return Conflict("The request lost against a concurrent one; send it again")
    # Without a SQLSTATE the server said nothing: libpq could not connect, or the connection broke.
    is_unavailable = state.startswith(UNAVAILABLE_CLASSES) if state else type(error).__name__ in CONNECTION_ERRORS
    if is_disconnect or is_unavailable:
        return DatabaseUnavailable(UNREACHABLE)
    return None


def _sqlstate(error: BaseException | None) -> str | None:
    if type(error).__module__ == "pymysql.err":
        return _mariadb_state(error)
    state = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    return str(state) if state else None


def _mariadb_state(error: BaseException | None) -> str | None:
    """Return PostgreSQL's SQLSTATE for an error of MariaDB's; the server's own where both have the same."""
    number = error.args[0] if error is not None and error.args else None
    # A number of 0 comes with a connection that is closed already.
    if not isinstance(number, int) or not number or number in MARIADB_CLIENT_NUMBERS:
        return None
    return MARIADB_STATES.get(number, getattr(error, "sqlstate", None) or "HY000")
