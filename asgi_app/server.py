"""SEAM: uvicorn with the settings of shared.config."""

import signal
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from shared.config import Settings
from shared.serving import BACKLOG
from shared.serving import refuse_connections

# Exit code of a worker that could not start; uvicorn names it in a private place.
STARTUP_FAILURE = 3
# Given as text, so that each worker process imports it for itself.
APPLICATION = "asgi_app.app:app"


def options(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's settings."""
    return {
        "host": settings.host,
        "port": settings.asgi_port,
        "workers": settings.asgi_workers,
        "loop": "uvloop",
        "http": "asgi_app.tracing:TracingProtocol" if settings.is_tracing else "asgi_app.pipeline:Protocol",
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


class Supervisor(Multiprocess):
    """uvicorn's supervisor of several workers, which stops listening when they do.

    The kernel goes on accepting while anybody listens, and nobody would ever answer.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # At once, not when the signal's turn comes: Ctrl-C reaches the workers at the same time as this process.
        for listener in self.sockets:
            refuse_connections(listener)
        self.signal_queue.append(number)

    def terminate_all(self) -> None:
        """Stop the workers."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def serve(settings: Settings) -> int:
    """Serve until a signal stops it; return the exit code."""
    # uvicorn ends by raising the signal that stopped it once more, for whatever handler was there before; a stop that
    # was asked for is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(APPLICATION, **options(settings))
    try:
        sockets = [_listener(config)]
        if settings.asgi_workers > 1:
            supervisor = Supervisor(config, sockets)
            supervisor.run()
            return int(any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes))
        server = uvicorn.Server(config)
        server.run(sockets)
    except SystemExit as ended:
        return int(ended.code or 0)
    return int(not server.started)


def _listener(config: uvicorn.Config) -> socket.socket:
    """Return what the service listens on; where another one does already, end as uvicorn does.

    Two services may be bound to one port as long as neither listens. uvicorn leaves listening to the event loop, and
    uvloop keeps it to itself when that fails.
    """
    listener = config.bind_socket()
    try:
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise SystemExit(STARTUP_FAILURE) from None
    return listener
