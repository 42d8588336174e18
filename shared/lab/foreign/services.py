"""Services that somebody else started: which URLs may be loaded, and which processes answer there."""

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.lab.parity.transport import Address
from shared.lab.services import usage

CONNECT_TIMEOUT_S = 5.0
CONSENT = "--i-may-load-this-host"


@dataclass(frozen=True, slots=True)
class Service:
    """A service under a URL.

    Attributes:
        url: As given, without a slash at the end.
        address: Where it listens, the host as a number.
        host: Value of the Host field where that is not the address; "" where it is.
        is_here: Whether the address is a loopback one.
    """

    url: str
    address: Address
    host: str
    is_here: bool

    @classmethod
    def of(cls, url: str, *, may_load: bool) -> "Service":
        """Return the service under a URL.

        Args:
            url: Scheme, host and port.
            may_load: Whether a host other than this one may be loaded.

        Raises:
            UsageError: If the URL is not one of plain HTTP, or its host is another machine and that is not allowed, or
                has no IPv4 address.
        """
        parts = urlsplit(url)
        if parts.scheme == "https":
            raise UsageError(
                f"{url} cannot be measured",
                why="the load client speaks plain HTTP/1.1; over TLS it would measure encryption on both ends",
                hint="give the address behind the proxy that ends TLS",
            )
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise UsageError("A URL has more than scheme, host and port", hint="As in --a http://127.0.0.1:8001")
        named = Address.of(url)
        if ":" in named.host:
            raise UsageError(f"{url} has an IPv6 address", why="the load client uses IPv4", hint="As in 127.0.0.1")
        number = _loopback(named.host)
        is_here = number is not None
        if number is None and not may_load:
            raise UsageError(
                f"{named.host} is not this machine",
                why="what is compared is loaded as hard as it can bear, which only its owner may allow",
                hint=f"If you may: {CONSENT}",
            )
        address = Address(number or _resolve(named.host), named.port)
        return cls(url.rstrip("/"), address, "" if address == named else str(named), is_here)

    def require_answer(self) -> None:
        """Connect once.

        Raises:
            EnvironmentFailure: If nobody listens there.
        """
        try:
            socket.create_connection((self.address.host, self.address.port), CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise EnvironmentFailure(f"Nobody answers under {self.url}", why=str(error), hint="Start it") from error

    def pids(self) -> Callable[[], list[int]] | None:
        """Return what names its processes; None if they are on another machine, or not visible to this user."""
        roots = _listeners(self.address.port) if self.is_here else []
        if not roots:
            return None
        return lambda: list(dict.fromkeys(pid for root in roots for pid in usage.tree(root)))


def _loopback(host: str) -> str | None:
    """Return the number of a loopback host; None for any other, which is not even looked up."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return host if ipaddress.IPv4Address(host).is_loopback else None
    except ValueError:
        return None


def _resolve(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{host} has no IPv4 address", why=str(error), hint="The load client uses IPv4") from error
    return str(found[0][4][0])


def _listeners(port: int) -> list[int]:
    """Return the processes of this user that listen on a port."""
    me = os.getuid()
    mine = [process.pid for process in psutil.process_iter(["uids"]) if (u := process.info["uids"]) and u.real == me]
    return [pid for pid in mine if _listens(pid, port)]


def _listens(pid: int, port: int) -> bool:
    try:
        return usage.listens([pid], port)
    except psutil.AccessDenied:
        return False
