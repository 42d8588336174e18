"""SEAM: gunicorn with the settings of shared.config."""

import os
import time
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from shared import metrics
from shared.config import Settings
from shared.serving import BACKLOG
from shared.serving import refuse_connections

# Seconds without a sign of life after which gunicorn replaces a worker; not a limit on requests.
HEARTBEAT_TIMEOUT_S = 30
# The heartbeat file is touched every second; memory, where there is a file system of it, cannot stall on a disk.
HEARTBEAT_DIRECTORY = Path("/dev/shm")
# Before the listeners are closed: clients whose connections have begun become connected, and are served.
HANDSHAKE_S = 0.05


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings."""
    return {
        "bind": [f"[{settings.host}]:{settings.wsgi_port}" if ":" in settings.host
                 else f"{settings.host}:{settings.wsgi_port}"],
        "workers": settings.wsgi_workers,
        "threads": settings.wsgi_threads,
        "worker_class": "wsgi_app.tracing.TracingWorker" if settings.is_tracing else "wsgi_app.pipeline.Worker",
        "backlog": BACKLOG,
        "keepalive": settings.keep_alive,
        "timeout": HEARTBEAT_TIMEOUT_S,
        "graceful_timeout": round(settings.graceful_timeout),
        "limit_request_line": settings.max_line_bytes,
        "limit_request_fields": settings.max_header_count,
        "limit_request_field_size": settings.max_header_bytes,
        "http_parser": "fast",
        # Nothing here trusts a header to say who the client is, or which part of the path is the application's.
        "forwarded_allow_ips": "",
        "loglevel": settings.log_level,
        # Two instances of one user would share it.
        "control_socket_disable": True,
        "worker_tmp_dir": str(HEARTBEAT_DIRECTORY) if os.access(HEARTBEAT_DIRECTORY, os.W_OK) else None,
        "post_worker_init": _worker_started,
        "child_exit": lambda arbiter, worker: metrics.forget(worker.pid),
    }  # fmt: skip


class PatientArbiter(Arbiter):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's first process, which stops on Ctrl-C as on SIGTERM; a second Ctrl-C stops it at once."""

    def handle_int(self) -> None:
        """Stop gracefully."""
        self.handle_term()

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers, who must find no connection that comes after their last look."""
        for listener in self.LISTENERS:
            refuse_connections(listener.sock)
        time.sleep(HANDSHAKE_S)
        super().stop(graceful)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn, configured in code."""

    def __init__(self, settings: Settings) -> None:
        self._options = options(settings)
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings over."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Serve until a signal stops it."""
        PatientArbiter(self).run()

    def load(self) -> Any:
        """Return the application; called in each worker, after fork."""
        from .app import app

        return app


def serve(settings: Settings) -> int:
    """Serve until a signal stops it; return the exit code."""
    try:
        Server(settings).run()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _worker_started(worker: Any) -> None:
    worker.wsgi.start()
