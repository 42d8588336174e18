"""Who may have a request traced, and who may read the traces."""

import re
from hmac import compare_digest

from shared.config import Settings
from shared.config import is_loopback
from shared.errors import Forbidden
from shared.errors import MalformedRequest

TRACE_HEADER = "X-Trace"
TOKEN_HEADER = "X-Trace-Token"

# RFC 9110, section 7.2: a name or an address, that of version 6 in brackets, and perhaps a port.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")

# What the header asks for, and whether values are shown then.
_ASKED = {"1": False, "values": True}


class Gate:
    """Decides by the project's settings.

    Args:
        settings: The project's settings.

    Attributes:
        is_open: Whether any request may be traced.
    """

    def __init__(self, settings: Settings) -> None:
        self.is_open = settings.is_tracing
        token = settings.trace_token
        self._token = None if token is None else token.get_secret_value().encode()

    def admit(self, value: str | None, token: str | None) -> bool | None:
        """Tell whether a request is traced.

        Args:
            value: Its X-Trace header.
            token: Its X-Trace-Token header.

        Returns:
            None: it is not. False: it is, values masked. True: it is, values shown.
        """
        if value is None or not self.is_open or not self._knows(token):
            return None
        return _ASKED.get(value)

    def check_reader(self, host: str | None, token: str | None) -> None:
        """Let a request read traces, or refuse it.

        Without a token to know a reader by, anything that runs on this machine may read, but no web page: its scripts
        reach a loopback address under a name that their own server made point there, and Host holds that name.

        Args:
            host: Its Host header.
            token: Its X-Trace-Token header.

        Raises:
            Forbidden: If the token is missing or wrong.
            MalformedRequest: If no token is set, and the request was sent to another name than this machine's.
        """
        if not self._knows(token):
            raise Forbidden(f"Traces are read with the token of this service, in {TOKEN_HEADER}")
        if self._token is None and not is_loopback(_name_in(host or "")):
            raise MalformedRequest("Without TRACE_TOKEN, traces are read under localhost, 127.0.0.1 or [::1] only")

    def _knows(self, token: str | None) -> bool:
        if self._token is None:
            return True
        # Header fields are bytes, read as latin-1.
        return compare_digest((token or "").encode("latin-1", "replace"), self._token)


def _name_in(host: str) -> str:
    """Return a Host field without its port; "" for what is none."""
    found = _HOST.fullmatch(host)
    return found[1] if found else ""
