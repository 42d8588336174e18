"""Applications of other people, started under the servers and with the settings that the editions have.

They live with their own dependencies: the interpreter may be that of another virtual environment, which then needs both
servers. What it lacks beside them (the C parser, the fast event loop) is left out of the command, recorded and doubted.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.config import Edition
from shared.config import Settings
from shared.errors import UsageError
from shared.lab.foreign.interpreter import Interpreter
from shared.lab.results.terms import Reservation
from shared.lab.services.process import HOST
from shared.lab.services.process import ServiceSpec
from shared.serving import BACKLOG

MODULE = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
# A factory of a WSGI application may have arguments, as gunicorn reads them; uvicorn calls its own without any.
REFERENCE = re.compile(rf"(?P<module>{MODULE}):(?P<name>{MODULE})(?P<call>\([^()]*\))?")
# Seconds without a sign of life after which gunicorn replaces a worker, as for the WSGI edition.
HEARTBEAT_TIMEOUT_S = 30
# In memory, where there is a file system of it: its heartbeat cannot stall on a disk.
HEARTBEAT_DIRECTORY = Path("/dev/shm")
# A module of the standard library without any name that gunicorn would take for a setting: otherwise a gunicorn.conf.py
# beside the application would be read.
NO_CONFIGURATION = "python:errno"
# An application may take its time for the first answer; the ready check waits for any, whatever it says.
FIRST_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Reference:
    """An application by the text that names it to its server.

    Attributes:
        interface: Which interface it has.
        text: As given.
        target: Module and name, without a call.
        call: The call with its parentheses, if it is a factory; "" if it is the application itself.
    """

    interface: Edition
    text: str
    target: str
    call: str

    @classmethod
    def parse(cls, interface: Edition, text: str) -> "Reference":
        """Return what a text such as package.module:app or package.module:create_app() names.

        Raises:
            UsageError: If it names nothing that the interface's server could load.
        """
        found = REFERENCE.fullmatch(text)
        option = f"--{interface}"
        if found is None:
            why = "expected package.module:app, or package.module:create_app() for a factory"
            raise UsageError(f"{option} {text!r} names no application", why=why)
        call = found["call"] or ""
        if interface == "asgi" and call not in ("", "()"):
            hint = f"write a factory without arguments that calls {found['name']}"
            raise UsageError(f"{option} {text!r} cannot be loaded", why="uvicorn calls without arguments", hint=hint)
        return cls(interface, text, f"{found['module']}:{found['name']}", call)


@dataclass(frozen=True, slots=True)
class Command:
    """How an application is started.

    Attributes:
        argv: Program and arguments; {port} stands for the port.
        settings: Effective settings by name, for the manifest.
        reservations: What its environment lacks.
    """

    argv: tuple[str, ...]
    settings: Mapping[str, str]
    reservations: tuple[Reservation, ...]


def wsgi_command(reference: Reference, interpreter: Interpreter, settings: Settings) -> Command:
    """Return how a WSGI application is started: gunicorn, thread worker, the settings of the WSGI edition."""
    has_parser = interpreter.has("gunicorn_h1c")
    wanted: dict[str, str | None] = {
        "bind": f"{HOST}:{{port}}",
        "config": NO_CONFIGURATION,
        "workers": str(settings.wsgi_workers),
        "worker-class": "gthread",
        "threads": str(settings.wsgi_threads),
        "backlog": str(BACKLOG),
        "keep-alive": str(settings.keep_alive),
        "timeout": str(HEARTBEAT_TIMEOUT_S),
        "graceful-timeout": str(round(settings.graceful_timeout)),
        "limit-request-line": str(settings.max_line_bytes),
        "limit-request-fields": str(settings.max_header_count),
        "limit-request-field_size": str(settings.max_header_bytes),
        "http-parser": "fast" if has_parser else "python",
        "forwarded-allow-ips": "",
        "log-level": settings.log_level,
        "no-control-socket": None,
    }
    if os.access(HEARTBEAT_DIRECTORY, os.W_OK):
        wanted["worker-tmp-dir"] = str(HEARTBEAT_DIRECTORY)
    found = list(_left_out(reference.interface, "gunicorn", wanted, interpreter))
    if not has_parser:
        found.append(_lack(reference.interface, "python_parser", "gunicorn_h1c", "gunicorn parses requests in Python",
                           interpreter))  # fmt: skip
    return _command(reference, interpreter, "gunicorn", wanted, [reference.target + reference.call], found)


def asgi_command(reference: Reference, interpreter: Interpreter, settings: Settings) -> Command:
    """Return how an ASGI application is started: uvicorn with the settings of the ASGI edition."""
    has_loop, has_parser = interpreter.has("uvloop"), interpreter.has("httptools")
    wanted = {
        "host": HOST,
        "port": "{port}",
        "workers": str(settings.asgi_workers),
        "loop": "uvloop" if has_loop else "asyncio",
        "http": "httptools" if has_parser else "h11",
        "ws": "none",
        # Unlike the editions, an application need not know of lifespans.
        "lifespan": "auto",
        "backlog": str(BACKLOG),
        "timeout-keep-alive": str(settings.keep_alive),
        "timeout-graceful-shutdown": str(round(settings.graceful_timeout)),
        "log-level": settings.log_level,
        "no-access-log": None,
        "no-proxy-headers": None,
    }
    found = list(_left_out(reference.interface, "uvicorn", wanted, interpreter))
    if not has_loop:
        found.append(_lack(reference.interface, "slow_loop", "uvloop", "asyncio's own event loop runs", interpreter))
    if not has_parser:
        found.append(_lack(reference.interface, "python_parser", "httptools", "h11 parses requests in Python",
                           interpreter))  # fmt: skip
    words = [*(["--factory"] if reference.call else []), reference.target]
    return _command(reference, interpreter, "uvicorn", wanted, words, found)


def spec(reference: Reference, command: Command, directory: Path | None, first_target: str) -> ServiceSpec:
    """Return how to start an application on a port of its own; it is ready when it answers anything.

    Args:
        reference: The application.
        command: Its server's command line.
        directory: Working directory, from which it is imported; None for this process's own.
        first_target: Asked by GET until there is an answer.
    """
    return ServiceSpec(
        f"{reference.interface} application",
        command.argv,
        # What is set here would come between the command line and the application.
        {"GUNICORN_CMD_ARGS": "", "PYTHONUNBUFFERED": "1"},
        ready_path=first_target,
        directory=directory,
        answer_timeout_s=FIRST_ANSWER_S,
        takes_any_status=True,
    )


def _command(
    reference: Reference,
    interpreter: Interpreter,
    server: str,
    wanted: Mapping[str, str | None],
    words: list[str],
    reservations: list[Reservation],
) -> Command:
    used = {name: value for name, value in wanted.items() if interpreter.takes(server, name)}
    options = [word for name, value in used.items() for word in (f"--{name}", value) if word is not None]
    settings = {
        "APPLICATION": reference.text,
        "PYTHON": f"{interpreter.path} ({interpreter.version})",
        "SERVER": f"{server} {interpreter.packages[server]}",
        **{name.upper().replace("-", "_"): "yes" if value is None else value for name, value in used.items()},
        "PACKAGES": ", ".join(f"{name} {version}" for name, version in sorted(interpreter.packages.items())),
    }
    return Command((interpreter.path, "-m", server, *options, *words), settings, tuple(reservations))


def _left_out(interface: Edition, server: str, wanted: Mapping[str, str | None], interpreter: Interpreter) -> (
    list[Reservation]
):  # fmt: skip
    unknown = [name for name in wanted if not interpreter.takes(server, name)]
    if not unknown:
        return []
    version = interpreter.packages[server]
    message = f"{server} {version} does not take {', '.join(unknown)}, so its own defaults hold there"
    return [Reservation("older_server", message, interpreter.install_line([server]), interface)]


def _lack(interface: Edition, code: str, package: str, consequence: str, interpreter: Interpreter) -> Reservation:
    message = f"its environment has no {package}, so {consequence}, which costs each request more"
    return Reservation(code, message, interpreter.install_line([package]), interface)
