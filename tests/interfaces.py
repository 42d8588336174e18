"""Either edition behind a checker of its interface, on a server of its own: python -m tests.interfaces wsgi|asgi PORT.

WSGI: the standard library's validator on the standard library's server, which does not end the input by itself. ASGI:
the checker below, on uvicorn. A violation is a traceback in the log.
"""

import socketserver
import sys
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import MutableMapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.simple_server import WSGIServer
from wsgiref.simple_server import make_server
from wsgiref.validate import validator

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
# https://asgi.readthedocs.io/en/latest/specs/lifespan.html
LIFESPAN = {"lifespan.startup.complete", "lifespan.startup.failed", "lifespan.shutdown.complete"}


class Violation(AssertionError):
    """An application broke the interface's rules."""


def rule(holds: bool, text: str) -> None:
    """Raise unless a rule holds."""
    if not holds:
        raise Violation(text)


class Exchange:
    """One HTTP request: the order and the types of its messages (ASGI 3, HTTP and WebSocket specification 2.3)."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_disconnected = False
        self.is_started = False
        self.is_complete = False

    async def receive(self) -> Message:
        """Hand a message to the application."""
        rule(not self._is_disconnected, "received again after http.disconnect")
        message = await self._receive()
        self._is_disconnected = message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Take a message from the application."""
        rule(not self.is_complete, f"sent {message['type']} after the last body")
        match message["type"]:
            case "http.response.start":
                rule(not self.is_started, "started twice")
                self.is_started = True
                rule(isinstance(message["status"], int) and 200 <= message["status"] < 600, "status is no final one")
                self._check_headers(message["status"], list(message["headers"]))
            case "http.response.body":
                rule(self.is_started, "a body before the start")
                rule(type(message.get("body", b"")) is bytes, "a body that is not bytes")
                more = message.get("more_body", False)
                rule(type(more) is bool, "more_body is no bool")
                self.is_complete = not more
            case other:
                raise Violation(f"sent {other}")
        rule(set(message) <= {"type", "status", "headers", "body", "more_body"}, f"unknown keys in {set(message)}")
        await self._send(message)

    def _check_headers(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        names = [name for name, _ in headers]
        rule(all(type(name) is type(value) is bytes for name, value in headers), "headers are not bytes")
        rule(all(name == name.lower() for name in names), "header names are not in lower case")
        rule(not any(set(value) & {0, 10, 13} for _, value in headers), "a header's value has a line break")
        rule(b"transfer-encoding" not in names, "the framing is the server's")
        rule((status == 204) != (b"content-type" in names), "a type without a body, or a body without one")
        rule(len(names) == len(set(names)), "a header twice")


def checked(application: Application) -> Application:
    """Return an application that raises where the one given breaks the rules."""

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":

            async def send_lifespan(message: Message) -> None:
                rule(message["type"] in LIFESPAN, f"sent {message['type']}")
                await send(message)

            await application(scope, receive, send_lifespan)
            return
        exchange = Exchange(receive, send)
        await application(scope, exchange.receive, exchange.send)
        rule(exchange.is_complete or exchange._is_disconnected, "returned before the last body")

    return run


class ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    """The standard library's server, a thread for each connection."""

    daemon_threads = True


def serve_wsgi(port: int) -> None:
    """Serve the WSGI edition behind wsgiref's validator until a signal ends the process."""
    from wsgi_app.app import app

    # The validator's type wants an application that names its arguments as PEP 3333 does.
    application: Any = app
    make_server(HOST, port, validator(application), ThreadingServer, WSGIRequestHandler).serve_forever()


def serve_asgi(port: int) -> None:
    """Serve the ASGI edition behind the checker until a signal ends the process."""
    import uvicorn

    from asgi_app.app import app

    application: Any = checked(app)
    uvicorn.run(application, host=HOST, port=port, lifespan="on", http="httptools", access_log=False)


if __name__ == "__main__":
    {"wsgi": serve_wsgi, "asgi": serve_asgi}[sys.argv[1]](int(sys.argv[2]))
