"""Counts the messages of a psycopg2 connection, as libpq itself tells them.

libpq writes one line for each message to a C stream (`PQtrace`, since PostgreSQL 14 in the form read here). The stream
is memory of the C library; it holds values, and is freed when the connection goes back to the pool.
"""

import ctypes
import re
import sys
from functools import cache
from typing import Any

from .wire import LENGTH_BYTES
from .wire import PEEKED_BYTES
from .wire import CannotTapError
from .wire import Exchange

# https://www.postgresql.org/docs/current/libpq-control.html: no timestamps.
_SUPPRESS_TIMESTAMPS = 1
_LINE = re.compile(rb'([FB])\t(\d+)\t(\w+)(?:\t "?)?')
# What libpq writes behind the last field of an error or a notice.
_END_OF_FIELDS = b"\\x00\n"
# Open taps; the C library writes into their memory, which must not go while it does.
_open: set["Psycopg2Tap"] = set()


class Psycopg2Tap:
    """Has libpq write down the messages of a connection.

    Args:
        connection: A psycopg2 connection.

    Raises:
        CannotTapError: If this libpq or C library cannot do that.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._text = ctypes.c_void_p()
        self._size = ctypes.c_size_t()
        try:
            self._pq = _libpq()
            self._c = _libc()
        except (OSError, AttributeError, KeyError) as error:
            raise CannotTapError("this libpq does not tell its messages") from error
        self._stream = self._c.open_memstream(ctypes.byref(self._text), ctypes.byref(self._size))
        if not self._stream:
            raise CannotTapError("there is no memory for libpq to write to")
        _open.add(self)
        self._pq.PQtrace(connection.pgconn_ptr, self._stream)
        self._pq.PQsetTraceFlags(connection.pgconn_ptr, _SUPPRESS_TIMESTAMPS)

    def take(self) -> Exchange:
        """Return what was counted since the last time."""
        exchange = Exchange()
        if self._stream:
            self._c.fflush(self._stream)
            read(ctypes.string_at(self._text, self._size.value), exchange)
            # The next messages are written over these.
            self._c.fseeko(self._stream, 0, 0)
        return exchange

    def stop(self) -> None:
        """End the writing and free the memory."""
        if not self._stream:
            return
        # A closed connection has none; libpq's own end has forgotten the stream then.
        pointer = self._connection.pgconn_ptr
        if pointer is not None:
            self._pq.PQuntrace(pointer)
        self._c.fclose(self._stream)
        self._c.free(self._text)
        self._stream = None
        _open.discard(self)


def read(text: bytes, exchange: Exchange) -> None:
    """Count the messages that libpq has written down.

    A query's text, and a server's error, may have line ends of their own and look like messages; they are passed over
    by their length.
    """
    at = 0
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None:
            at = _behind(text, b"\n", at)
            continue
        size, message = int(line[2]), line[3].decode()
        count = exchange.send if line[1] == b"F" else exchange.receive
        # The length on the line counts itself, but not the type, one byte; a text in it ends with a zero.
        end_of_text = line.end() + size - LENGTH_BYTES - 1
        count(message, size + 1, text[line.end() : min(end_of_text, line.end() + PEEKED_BYTES)])
        if message == "Query":
            at = _behind(text, b"\n", end_of_text)
        elif message in ("ErrorResponse", "NoticeResponse"):
            # Each field is shown longer than it was sent.
            at = _behind(text, _END_OF_FIELDS, end_of_text + 1 - len(_END_OF_FIELDS))
        else:
            at = _behind(text, b"\n", line.end())


def _behind(text: bytes, end: bytes, at: int) -> int:
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)


@cache
def _libpq() -> ctypes.CDLL:
    # The driver's own libpq, whichever it was linked with: looked up through the module that is loaded.
    path = sys.modules["psycopg2._psycopg"].__file__
    library = ctypes.CDLL(path)
    library.PQtrace.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.PQsetTraceFlags.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.PQuntrace.argtypes = [ctypes.c_void_p]
    return library


@cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.open_memstream.restype = ctypes.c_void_p
    library.open_memstream.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.fflush.argtypes = [ctypes.c_void_p]
    library.fseeko.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    library.fclose.argtypes = [ctypes.c_void_p]
    library.free.argtypes = [ctypes.c_void_p]
    return library
