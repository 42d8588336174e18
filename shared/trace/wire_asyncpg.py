"""Counts the messages of an asyncpg connection between the driver's protocol and the event loop's transport.

asyncpg's protocol is compiled and keeps the transport to itself, so something must stand between them from the connect
on. It hands the transport's own methods through: until a connection is tapped, it adds no call.
"""

import sys
from collections.abc import Callable
from typing import Any

from .wire import BACKEND
from .wire import FRONTEND
from .wire import CannotTapError
from .wire import Exchange
from .wire import Splitter


class Tappable:
    """A transport as the driver's protocol sees it.

    Args:
        transport: The event loop's transport.
    """

    __slots__ = ("abort", "get_extra_info", "pause_reading", "resume_reading", "transport", "write", "writelines")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.write: Callable[[Any], None] = transport.write
        self.writelines: Callable[[Any], None] = transport.writelines

    def __getattr__(self, name: str) -> Any:
        """Return what else a transport has."""
        return getattr(self.transport, name)


class AsyncpgTap:
    """Counts what an asyncpg connection writes and reads.

    Args:
        connection: An asyncpg connection that `connect` has made.

    Raises:
        CannotTapError: If another made it, or it is closed.
    """

    def __init__(self, connection: Any) -> None:
        self._protocol = connection._protocol
        found = getattr(self._protocol, "tappable", None)
        if found is None or found.transport.is_closing():
            raise CannotTapError("the driver's transport cannot be seen")
        self._tappable: Tappable = found
        self._exchange = Exchange()
        # They outlive an exchange: what is taken may end within a message, after a cancellation.
        self._sent = Splitter(FRONTEND, lambda *message: self._exchange.send(*message))
        self._read = Splitter(BACKEND, lambda *message: self._exchange.receive(*message))
        self._deliver = self._protocol.data_received
        self._tappable.write = self._write
        self._tappable.writelines = self._write_lines
        self._protocol.data_received = self._received
        # uvloop calls what the protocol had when it was set.
        self._tappable.transport.set_protocol(self._protocol)

    def take(self) -> Exchange:
        """Return what was counted since the last time."""
        exchange = self._exchange
        self._exchange = Exchange()
        return exchange

    def stop(self) -> None:
        """Put the transport's and the protocol's own methods back."""
        transport = self._tappable.transport
        self._tappable.write = transport.write
        self._tappable.writelines = transport.writelines
        del self._protocol.data_received
        if not transport.is_closing():
            transport.set_protocol(self._protocol)

    def _write(self, data: Any) -> None:
        self._sent.feed(data)
        self._tappable.transport.write(data)

    def _write_lines(self, lines: Any) -> None:
        kept = list(lines)
        for line in kept:
            self._sent.feed(line)
        self._tappable.transport.writelines(kept)

    def _received(self, data: bytes) -> None:
        self._read.feed(data)
        self._deliver(data)


async def connect(*arguments: Any, **options: Any) -> Any:
    """Connect as asyncpg does, with a transport that can be tapped; SQLAlchemy's `async_creator_fn`.

    The driver is the one that SQLAlchemy has loaded.
    """
    driver = sys.modules["asyncpg"]
    _make_tappable(driver.protocol)
    return await driver.connect(*arguments, **options)


def _make_tappable(module: Any) -> None:
    """Have a driver's module make protocols that see a `Tappable` in place of their transport."""
    driver_protocol = getattr(module, "Protocol", None)
    if driver_protocol is None or hasattr(driver_protocol, "tappable"):
        return

    def connection_made(self: Any, transport: Any) -> None:
        self.tappable = Tappable(transport)
        driver_protocol.connection_made(self, self.tappable)

    members = {"tappable": None, "connection_made": connection_made}
    module.Protocol = type("TappableProtocol", (driver_protocol,), members)
