"""A database that goes away for one service and comes back, while everybody else goes on using it.

The service reaches it through a proxy at an address that stays; without the proxy nobody listens there, which is what a
database that is down looks like from outside.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic_ns

from shared.errors import EnvironmentFailure
from shared.lab.factors.distance import POSTGRES_PORT
from shared.lab.factors.distance import STOP_TIMEOUT_S
from shared.lab.factors.distance import target_of
from shared.lab.factors.distance import through
from shared.lab.services.process import HOST
from shared.lab.services.process import free_port


class Door:
    """The way to a database, shut until it is opened.

    Args:
        url: The database's URL.
        address: Where the way begins, in the proxy's form.

    Attributes:
        url: The database's URL by this way.
    """

    def __init__(self, url: str, address: str) -> None:
        self.url = through(url, address)
        self._target = target_of(url)
        self._address = address
        self._proxy: subprocess.Popen[str] | None = None

    def open(self) -> int:
        """Let connections through; return when the first could be made, by the monotonic clock in nanoseconds.

        Raises:
            EnvironmentFailure: If the proxy does not start.
        """
        self._proxy = subprocess.Popen(
            [sys.executable, "-m", "shared.lab.factors.proxy", self._address, self._target, "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for whoever uses it: services that stop still need their database.
            start_new_session=True,
        )
        assert self._proxy.stdout is not None
        said = self._proxy.stdout.readline()
        opened_ns = monotonic_ns()
        if not said:
            assert self._proxy.stderr is not None
            raise EnvironmentFailure(
                "The way to the database cannot be opened", why=self._proxy.stderr.read().strip()[-500:]
            )
        return opened_ns

    def shut(self) -> None:
        """End every connection and let none through; does nothing where it is shut already."""
        proxy, self._proxy = self._proxy, None
        if proxy is None:
            return
        with proxy:
            assert proxy.stdin is not None
            proxy.stdin.close()
            try:
                proxy.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                proxy.kill()


@contextmanager
def door(url: str) -> Iterator[Door]:
    """Yield a way to a database, shut at first and in the end; its kind of socket is that of the URL.

    Args:
        url: The database's URL.

    Raises:
        UsageError: If the URL names several servers.
    """
    with tempfile.TemporaryDirectory(prefix="outage-") as directory:
        is_local = target_of(url).startswith("unix:")
        address = f"unix:{Path(directory) / f'.s.PGSQL.{POSTGRES_PORT}'}" if is_local else f"tcp:{HOST}:{free_port()}"
        found = Door(url, address)
        try:
            yield found
        finally:
            found.shut()
