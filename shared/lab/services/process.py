"""Services as processes: started on a free port, ready when they answer, stopped without leaving anything behind."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.services import supervisor
from shared.lab.services import usage

HOST = "127.0.0.1"
PORT_ATTEMPTS = 5
POLL_S = 0.02
LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How to start one service; the text {port} in arguments and environment values becomes the chosen port.

    Attributes:
        name: Label in messages and in the name of the log file.
        argv: Program and arguments.
        environ: Environment variables added to this process's own.
        ready_path: Path that answers 200 once the service is up.
        directory: Working directory; None for this process's own.
        answer_timeout_s: How long one answer to that may take, in seconds.
        takes_any_status: Whether any answer at all says that it is up.
    """

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    ready_path: str = "/livez"
    directory: Path | None = None
    answer_timeout_s: float = 1.0
    takes_any_status: bool = False


@dataclass(frozen=True, slots=True)
class CoreRoles:
    """Which processors the servers and the load client are pinned to; empty means not pinned.

    Attributes:
        server: Processors of every server; only one server is under load at a time.
        client: Processors of the load client.
    """

    server: frozenset[int]
    client: frozenset[int]

    @property
    def are_apart(self) -> bool:
        """Whether server and client cannot take time from each other."""
        return bool(self.server) and bool(self.client) and not self.server & self.client


def choose_cores(server_cores: int = 1, client_cores: int = 1) -> CoreRoles:
    """Give the first processors to the servers and the next to the load client; nobody is pinned on one processor.

    Args:
        server_cores: How many processors the servers get, at most all but one.
        client_cores: How many the load client gets, at most what is left.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return CoreRoles(frozenset(), frozenset())
    count = min(max(server_cores, 1), len(allowed) - 1)
    return CoreRoles(frozenset(allowed[:count]), frozenset(allowed[count : count + max(client_cores, 1)]))


def edition_spec(edition: Edition, environ: Mapping[str, str]) -> ServiceSpec:
    """Return how to start an edition on a port of its own."""
    own = {"HOST": HOST, f"{edition.upper()}_PORT": "{port}"}
    return ServiceSpec(edition, (sys.executable, "-m", f"{edition}_app"), {**environ, **own})


def free_port() -> int:
    """Return a port that was free a moment ago; whoever binds it must be ready to find it taken."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


class Service:
    """One running service; use it as a context manager.

    Args:
        spec: How to start it.
        cores: Processors to pin it and its workers to; empty for none.
        ready_timeout_s: How long it may take to answer, in seconds.
        stop_timeout_s: How long a graceful stop may take, in seconds.
        log_directory: Where its output goes and stays; if None, a temporary file that is kept only after a failure.

    Attributes:
        port: Port it listens on.
        log_path: File with its standard output and error.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        *,
        cores: frozenset[int] = frozenset(),
        ready_timeout_s: float = 30.0,
        stop_timeout_s: float = 15.0,
        log_directory: Path | None = None,
    ) -> None:
        self.spec = spec
        self.cores = cores
        self.ready_timeout_s = ready_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self._keep_log = log_directory is not None
        directory = log_directory or Path(tempfile.gettempdir())
        directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{spec.name.replace(' ', '-')}-", suffix=".log", dir=directory)
        os.close(handle)
        self.log_path = Path(name)
        self.port = 0
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._is_asked = False

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it and return once it answers.

        Raises:
            EnvironmentFailure: If it ends first, or does not answer in time; the end of its log is in the message.
        """
        for attempt in range(PORT_ATTEMPTS):
            self.port = free_port()
            self._spawn()
            try:
                self._await_ready()
            except EnvironmentFailure:
                self.kill()
                if attempt + 1 < PORT_ATTEMPTS and "address already in use" in self.log_tail().lower():
                    continue
                raise
            except BaseException:
                self.kill()
                raise
            return

    def ask_to_stop(self) -> None:
        """Ask it to stop, once, and do not wait."""
        if self._supervisor is None or self._is_asked:
            return
        self._is_asked = True
        with contextlib.suppress(ProcessLookupError):
            self._supervisor.send_signal(signal.SIGTERM)

    def stop(self) -> int | None:
        """Ask it to stop, wait, and kill what is left; return its exit code, or None if it was not running.

        Raises:
            EnvironmentFailure: If it had to be killed.
        """
        if self._supervisor is None:
            return None
        self.ask_to_stop()
        try:
            return self._supervisor.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            raise EnvironmentFailure(
                f"{self.spec.name} did not stop within {self.stop_timeout_s:g} s of SIGTERM and was killed",
                why=f"its log ends:\n{self.log_tail()}",
                hint=f"see {self.log_path}",
            ) from None
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the whole process group and wait for its end."""
        process, self._supervisor = self._supervisor, None
        if process is None:
            return
        # The group's id is the supervisor's pid, which stays reserved until the last member has ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()

    def pids(self) -> list[int]:
        """Return its processes, workers included."""
        if self._supervisor is None:
            return []
        return [pid for pid in usage.tree(self._supervisor.pid) if pid != self._supervisor.pid]

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Return the last lines it printed."""
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
            if not self._keep_log:
                self.log_path.unlink(missing_ok=True)
            return
        # Whatever ended the block is the news; a stop that fails as well must not replace it.
        with contextlib.suppress(EnvironmentFailure):
            self.stop()

    def _spawn(self) -> None:
        port = str(self.port)
        cores = ",".join(str(core) for core in sorted(self.cores)) or "-"
        command = [argument.replace("{port}", port) for argument in self.spec.argv]
        environ = {key: value.replace("{port}", port) for key, value in self.spec.environ.items()}
        self._is_asked = False
        with self.log_path.open("wb") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, cores, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environ},
                cwd=self.spec.directory,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        assert self._supervisor is not None
        deadline = time.monotonic() + self.ready_timeout_s
        answer = "no answer yet"
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._supervisor.wait(POLL_S)
                raise EnvironmentFailure(
                    f"{self.spec.name} ended with exit code {code} before it answered on port {self.port}",
                    why=f"its log ends:\n{self.log_tail()}",
                    hint=f"see {self.log_path}",
                )
            answer = probe(self.port, self.spec.ready_path, timeout_s=self.spec.answer_timeout_s)
            if answer == "200" or (self.spec.takes_any_status and answer.isdigit()):
                # Another program may have taken the port first and answer in its place.
                if usage.listens(self.pids(), self.port):
                    return
                answer = f"{answer} from a process that is not its own"
        raise EnvironmentFailure(
            f"{self.spec.name} did not answer {self.spec.ready_path} "
            f"{'' if self.spec.takes_any_status else 'with 200 '}within {self.ready_timeout_s:g} s",
            why=f"last try: {answer}; its log ends:\n{self.log_tail()}",
            hint=f"see {self.log_path}",
        )


def probe(port: int, path: str, *, timeout_s: float = 1.0) -> str:
    """Return the status of one GET as text, or why there is none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


@contextmanager
def running(specs: Sequence[ServiceSpec], *, cores: frozenset[int] = frozenset()) -> Iterator[tuple[Service, ...]]:
    """Start the services one after the other, and stop them all together at the end, however it comes."""
    with ExitStack() as stack:
        services: list[Service] = []
        for spec in specs:
            services.append(stack.enter_context(Service(spec, cores=cores)))
            # Called before that service is waited for, so that none begins to stop only when another has ended.
            stack.callback(_ask_all, services)
        yield tuple(services)


def _ask_all(services: Sequence[Service]) -> None:
    for service in services:
        service.ask_to_stop()
