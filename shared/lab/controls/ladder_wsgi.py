"""Where a request of the WSGI edition turns back; `shared.lab.controls.ladder` puts these in their places."""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse
from wsgiref.types import WSGIEnvironment

from sqlalchemy import Integer
from sqlalchemy import literal_column
from sqlalchemy import select

from shared import schemas
from shared.answers import Answer
from shared.contract import JSON
from shared.lab.ladder import rungs

CONSTANT = rungs.path(1)
FIELDS = [("Content-Type", JSON), ("Content-Length", str(len(rungs.BODY)))]
SELECT_ONE = select(literal_column("1", Integer))

Application = Callable[[Any, WSGIEnvironment, StartResponse], Iterable[bytes]]


def constant(application: Application) -> Application:
    """Return an application that answers one path with constant bytes, and leaves all others to the edition's."""

    def call(self: Any, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == CONSTANT:
            start_response("200 OK", [*FIELDS])
            return (rungs.BODY,)
        return application(self, environ, start_response)

    return call


def routed(handler: type[Any]) -> type[Any]:
    """Return a handler that answers as soon as it is found."""

    class Routed(handler):  # type: ignore[misc]  # which class it is, is known only at run time
        def __call__(self, request: Any, path: Any, trace: Any) -> tuple[Answer, Iterable[bytes]]:
            return Answer(200, [*FIELDS], rungs.BODY), (rungs.BODY,)

    return Routed


def validated(nothing: None, parameters: schemas.QueriesParameters) -> list[dict[str, int]]:
    """Answer a constant row."""
    return [rungs.ROW]


def in_session(session: Any, parameters: schemas.QueriesParameters) -> list[dict[str, int]]:
    """Leave the session unused."""
    return [rungs.ROW]


def selected(session: Any, parameters: schemas.QueriesParameters) -> list[dict[str, int]]:
    """Take a connection as /queries does, and ask for nothing."""
    connection = session.connection()
    result = connection.execute(SELECT_ONE)
    result.one()
    return [rungs.ROW]
