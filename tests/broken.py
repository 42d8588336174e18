"""Either edition with bugs, served as it would be without them: python -m tests.broken wsgi|asgi.

Functions are exchanged before the application starts, which finds them by their names.
"""

import importlib
import sys
from collections.abc import AsyncIterator
from collections.abc import Iterator
from typing import Any

from shared import schemas
from shared.serving import main

SECRET = "hunter2-in-an-exception"


def _returning(result: Any, *, is_async: bool) -> Any:
    def function(first: Any, parameters: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    async def coroutine(first: Any, parameters: Any) -> Any:
        return function(first, parameters)

    return coroutine if is_async else function


def _streaming(chunk: Any, *, is_async: bool) -> Any:
    def generator(first: Any, parameters: Any) -> Iterator[Any]:
        yield chunk

    async def async_generator(first: Any, parameters: Any) -> AsyncIterator[Any]:
        yield chunk

    return async_generator if is_async else generator


# Answers of the wrong shape, by endpoint: another member, a text for a number, a lost member, null, no text, a model
# and a dataclass that were made without a check.
WRONG: dict[str, Any] = {
    "json": {"greeting": "Hello"},
    "db": {"id": "1", "randomNumber": 2},
    "queries": [{"id": 1}],
    "docs": None,
    "plaintext": 5,
    "wait": schemas.Waited.model_construct(seconds="soon"),  # type: ignore[arg-type]  # the same
    "echo": schemas.BodyBytes(body="text", content_type="text/plain"),  # type: ignore[arg-type]  # what is to be refused
    "cpu": RuntimeError(SECRET),
}
# Chunks that are no bytes.
WRONG_CHUNKS: dict[str, Any] = {"pattern": "text", "stream": None}


if __name__ == "__main__":
    edition = sys.argv[1]
    endpoints = importlib.import_module(f"{edition}_app.endpoints")
    for name, result in WRONG.items():
        setattr(endpoints, name, _returning(result, is_async=edition == "asgi"))
    for name, chunk in WRONG_CHUNKS.items():
        setattr(endpoints, name, _streaming(chunk, is_async=edition == "asgi"))
    server = importlib.import_module(f"{edition}_app.server")
    sys.exit(main("wsgi" if edition == "wsgi" else "asgi", server.serve))
