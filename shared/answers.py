"""Results and failures to what is sent: status, header fields and body, equal in both editions.

An endpoint's result is checked against the contract first, so a wrong shape is a 500 and never a wrong answer.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from secrets import token_hex
from time import monotonic
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter
from pydantic import ValidationError

from . import schemas
from .contract import Endpoint
from .errors import DatabaseUnavailable
from .errors import InternalError
from .errors import RequestError
from .errors import request_error

PROBLEM = "application/problem+json"
PROBLEM_TYPE = "urn:wsgi-vs-asgi:problem:"

HeaderList = list[tuple[str, str]]

# https://www.w3.org/TR/trace-context/, section 3.2: version, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

# Each request of an outage fails; a log line for each would tell no more.
OUTAGE_LOG_INTERVAL_S = 5.0
_told_at = float("-inf")

_log = logging.getLogger(__name__)
_problem_adapter = TypeAdapter(schemas.Problem)


@dataclass(slots=True)
class Answer:
    """What is sent.

    Attributes:
        status: HTTP status code.
        headers: Header fields, without those that the server adds.
        body: The whole body; empty where the body is streamed.
    """

    status: int
    headers: HeaderList
    body: bytes = b""


class Renderer:
    """Turns an endpoint's results into answers.

    Args:
        endpoint: The entry that says what a right result is.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._adapter: TypeAdapter[Any] = TypeAdapter(endpoint.answer)
        self._validate = self._adapter.validator.validate_python
        self._to_json = self._adapter.serializer.to_json
        self._to_bytes: Callable[[Any], bytes] = endpoint.render or self._to_json
        self._headers: HeaderList = [*endpoint.headers]
        if endpoint.content_type:
            self._headers.insert(0, ("Content-Type", endpoint.content_type))
        self._is_plain = not endpoint.location and endpoint.answer not in (None, schemas.BodyBytes)

    def whole(self, result: Any) -> Answer:
        """Return the answer to a result that is sent at once.

        Raises:
            pydantic.ValidationError: If the result is not what the contract says.
        """
        result = self._validate(result, strict=True)
        if self._is_plain:
            body = self._to_bytes(result)
            return Answer(self._endpoint.status, [*self._headers, ("Content-Length", str(len(body)))], body)
        if self._endpoint.answer is None:
            return Answer(self._endpoint.status, [*self._endpoint.headers])
        headers = [*self._headers]
        if isinstance(result, schemas.BodyBytes):
            headers.insert(0, ("Content-Type", result.content_type))
            body = result.body
        else:
            headers.append(("Location", self._endpoint.location.format(id=result.id)))
            body = self._to_bytes(result)
        return Answer(self._endpoint.status, [*headers, ("Content-Length", str(len(body)))], body)

    def streamed(self, parameters: Any) -> Answer:
        """Return the head of an answer whose body is an iterator; its length is told where it is known."""
        headers = [*self._headers]
        if self._endpoint.length is not None:
            headers.append(("Content-Length", str(self._endpoint.length(parameters))))
        return Answer(self._endpoint.status, headers)


def chunk(piece: object) -> bytes:
    """Return a chunk of a streamed answer.

    Raises:
        TypeError: If it is no bytes; servers differ in what they make of others, None among them.
    """
    if not isinstance(piece, bytes):
        raise TypeError(f"a streamed answer is made of bytes, not of {type(piece).__name__}")
    return piece


def problem(error: RequestError, path: str | None) -> Answer:
    """Return the problem document of a failed request.

    Args:
        error: What failed.
        path: The request's path, decoded; answered percent-encoded, as a URI reference must be. None where the
            request was refused before its path was known.
    """
    document = schemas.Problem(
        type=PROBLEM_TYPE + error.slug,
        title=error.status.phrase,
        status=error.status,
        detail=error.detail,
        instance=None if path is None else quote(path, safe="/:@!$&'()*+,;=~", errors="surrogatepass"),
        errors=list(error.errors) or None,
    )
    body = _problem_adapter.dump_json(document, exclude_none=True)
    headers = [("Content-Type", PROBLEM), *error.headers, ("Content-Length", str(len(body)))]
    if error.close:
        headers.append(("Connection", "close"))
    return Answer(error.status, headers, body)


def failure(error: BaseException, path: str, traceparent: str | None) -> Answer:
    """Return the answer to whatever was raised while a request was answered; what nobody foresaw is logged.

    Args:
        error: What was raised.
        path: The request's path, decoded.
        traceparent: The W3C Trace Context header, whose trace id is logged; without one a new id is.
    """
    known = None if isinstance(error, ValidationError) else request_error(error)
    if known is None:
        found = _TRACEPARENT.fullmatch(traceparent or "")
        trace_id = found[1] if found else token_hex(16)
        _log.error("Bug while answering %s (trace id %s)", quote(path), trace_id, exc_info=error)
        known = InternalError("The service failed; its log tells why")
    elif isinstance(known, DatabaseUnavailable):
        _tell_outage(error)
    return problem(known, path)


def _tell_outage(error: BaseException) -> None:
    """Log why the database cannot be used, now and then; no driver puts a password into its messages."""
    global _told_at
    cause = error.__cause__ if isinstance(error, RequestError) else error
    if cause is None or monotonic() - _told_at < OUTAGE_LOG_INTERVAL_S:
        return
    _told_at = monotonic()
    reason = getattr(cause, "orig", None) or cause
    first_line, _, _ = str(reason).strip().partition("\n")
    _log.warning("The database cannot be used: %s: %s", type(reason).__name__, first_line)


def options(allow: str) -> Answer:
    """Return the answer to OPTIONS."""
    return Answer(HTTPStatus.NO_CONTENT, [("Allow", allow)])


def raw(answer: Answer, server: str) -> bytes:
    """Return an answer as the bytes of an HTTP/1.1 response, for requests that a server refuses by itself.

    Args:
        answer: What is sent.
        server: Value of the Server field.
    """
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Server: {server}",
        f"Date: {formatdate(usegmt=True)}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
