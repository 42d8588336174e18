"""A listener that refuses: nobody new, and everybody whom the kernel has answered already."""

import socket

import pytest

from shared.lab.services.process import HOST
from shared.serving import refuse_connections


def test_nobody_new_is_let_in() -> None:
    with socket.create_server((HOST, 0)) as listener:
        with socket.create_connection(listener.getsockname(), 5) as before:
            refuse_connections(listener)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(listener.getsockname(), 5).close()
            accepted, _ = listener.accept()
            with accepted:
                before.sendall(b"x")
                assert accepted.recv(1) == b"x"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_who_takes_himself_for_connected_is_let_in() -> None:
    """The kernel has answered him; TCP_DEFER_ACCEPT holds the rest of the handshake back until he sends something."""
    with socket.create_server((HOST, 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        listener.settimeout(2)
        with socket.create_connection(listener.getsockname(), 5) as client:
            refuse_connections(listener)
            client.sendall(b"x")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(1) == b"x"
