"""SEAM: uvicorn with the settings of shared.config."""

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from shared.config import Settings
from shared.serving import BACKLOG

# Given as text, so that each worker process imports it for itself.
APPLICATION = "asgi_app.app:app"


def options(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's settings."""
    return {
        "host": settings.host,
        "port": settings.asgi_port,
        "workers": settings.asgi_workers,
        "loop": "uvloop",
        "http": "asgi_app.pipeline:Protocol",
        "ws": "none",
        "lifespan": "on",
        "backlog": BACKLOG,
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": round(settings.graceful_timeout),
        "log_level": settings.log_level,
        "access_log": False,
        # Nothing here trusts a header to say who the client is.
        "proxy_headers": False,
    }


class Server(uvicorn.Server):
    """uvicorn's server, which says on /readyz that it is stopping and loses no connection that was accepted."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin a graceful stop."""
        from .app import app

        if app.service is not None:
            app.service.database.is_draining = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: first let the loop take what the kernel has accepted already."""
        await asyncio.sleep(0)
        await super().shutdown(sockets)


def serve(settings: Settings) -> int:
    """Serve until a signal stops it; return the exit code."""
    # uvicorn ends by raising the signal that stopped it once more, for whatever handler was there before; a stop that
    # was asked for is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(APPLICATION, **options(settings))
    server = Server(config)
    if settings.asgi_workers > 1:
        Multiprocess(config, target=server.run, sockets=[config.bind_socket()]).run()
        return 0
    server.run()
    return 0 if server.started else 1
