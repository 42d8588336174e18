"""Servers that an edition does not run on by itself: gunicorn's ASGI worker, and granian for both interfaces.

Servers and editions are named as text: the lab imports neither.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from shared.config import Edition
from shared.config import Settings
from shared.serving import BACKLOG

Serve = Callable[[Settings], int]

# What gunicorn's options for the WSGI edition say about its threads and its application object.
WSGI_ONLY = ("threads", "post_worker_init", "worker_class")


def gunicorn_asgi(*, loop: str, parser: str) -> Serve:
    """Return what serves the ASGI edition on gunicorn's own ASGI worker, with the WSGI edition's gunicorn settings.

    Args:
        loop: uvloop or asyncio.
        parser: fast or python, gunicorn's names.
    """
    server = import_module("wsgi_app.server")
    original = server.options

    def options(settings: Settings) -> dict[str, Any]:
        kept = {name: value for name, value in original(settings).items() if name not in WSGI_ONLY}
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return {
            **kept,
            "bind": [f"{host}:{settings.asgi_port}"],
            "workers": settings.asgi_workers,
            "worker_class": "asgi",
            "asgi_loop": loop,
            "asgi_lifespan": "on",
            "http_parser": parser,
        }

    base: Any = server.Server

    class Server(base):  # type: ignore[misc]  # imported by name
        def load(self) -> Any:
            return import_module("asgi_app.app").app

    vars(server).update(options=options, Server=Server)
    serve: Serve = server.serve
    return serve


def granian(edition: Edition, *, loop: str) -> Serve:
    """Return what serves an edition on granian, with as many processes and threads as the edition has.

    Args:
        edition: Which.
        loop: uvloop or asyncio; for the ASGI edition.
    """

    def serve(settings: Settings) -> int:
        from granian import Granian
        from granian.constants import HTTPModes
        from granian.constants import Interfaces
        from granian.constants import Loops
        from granian.log import LogLevels

        Granian(
            f"{edition}_app.app:app",
            address=settings.host,
            port=settings.port(edition),
            interface=Interfaces(edition),
            workers=settings.workers(edition),
            # None: granian's own choice, which for ASGI is the only one.
            blocking_threads=settings.wsgi_threads if edition == "wsgi" else None,
            loop=Loops(loop),
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            log_level=LogLevels(settings.log_level),
            workers_kill_timeout=round(settings.graceful_timeout),
        ).serve()
        return 0

    return serve
