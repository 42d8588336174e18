"""Where a request of the ASGI edition turns back; `shared.lab.controls.ladder` puts these in their places."""

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from typing import Any

from sqlalchemy import Integer
from sqlalchemy import literal_column
from sqlalchemy import select

from shared import schemas
from shared.answers import Answer
from shared.contract import JSON
from shared.lab.ladder import rungs

CONSTANT = rungs.path(1)
FIELDS = [("Content-Type", JSON), ("Content-Length", str(len(rungs.BODY)))]
WIRE_FIELDS = [(name.lower().encode(), value.encode()) for name, value in FIELDS]
SELECT_ONE = select(literal_column("1", Integer))

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Message, Receive, Send], Awaitable[None]]


def constant(application: Application) -> Application:
    """Return an application that answers one path with constant bytes, and leaves all others to the edition's."""

    async def call(self: Any, scope: Message, receive: Receive, send: Send) -> None:
        # The lifespan has no path.
        if scope.get("path") == CONSTANT:
            await send({"type": "http.response.start", "status": 200, "headers": [*WIRE_FIELDS]})
            await send({"type": "http.response.body", "body": rungs.BODY})
            return
        await application(self, scope, receive, send)

    return call


def routed(handler: type[Any]) -> type[Any]:
    """Return a handler that answers as soon as it is found."""

    class Routed(handler):  # type: ignore[misc]  # which class it is, is known only at run time
        async def __call__(self, request: Any, path: Any, trace: Any) -> tuple[Answer, None]:
            return Answer(200, [*FIELDS], rungs.BODY), None

    return Routed


async def validated(nothing: None, parameters: schemas.QueriesParameters) -> list[dict[str, int]]:
    """Answer a constant row."""
    return [rungs.ROW]


async def in_session(session: Any, parameters: schemas.QueriesParameters) -> list[dict[str, int]]:
    """Leave the session unused."""
    return [rungs.ROW]


async def selected(session: Any, parameters: schemas.QueriesParameters) -> list[dict[str, int]]:
    """Take a connection as /queries does, and ask for nothing."""
    connection = await session.connection()
    result = await connection.execute(SELECT_ONE)
    result.one()
    return [rungs.ROW]
