"""Either edition with bugs, served as it would be without them: python -m tests.broken wsgi|asgi.

Functions are exchanged before the application starts, which finds them by their names.
"""

import importlib
import sys
from typing import Any

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


# Answers of the wrong shape, by endpoint: another member, a text for a number, a lost member, null, no text.
WRONG: dict[str, Any] = {
    "json": {"greeting": "Hello"},
    "db": {"id": "1", "randomNumber": 2},
    "queries": [{"id": 1}],
    "docs": None,
    "plaintext": 5,
    "cpu": RuntimeError(SECRET),
}


if __name__ == "__main__":
    edition = sys.argv[1]
    endpoints = importlib.import_module(f"{edition}_app.endpoints")
    for name, result in WRONG.items():
        setattr(endpoints, name, _returning(result, is_async=edition == "asgi"))
    server = importlib.import_module(f"{edition}_app.server")
    sys.exit(main("wsgi" if edition == "wsgi" else "asgi", server.serve))
