"""Both editions, ready to be traced: those that run already, or started here."""

import json
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.client import HTTPException
from typing import Any

from shared.config import Edition
from shared.config import Settings
from shared.engine import locate
from shared.errors import EnvironmentFailure
from shared.errors import UsageError
from shared.lab.parity.transport import Address
from shared.lab.services.process import edition_spec
from shared.lab.services.process import running

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")
# A service on this machine answers in a millisecond; one that is stopped is found out at once.
PROBE_TIMEOUT_S = 2.0
# Listens everywhere, so it is reached at the loopback address.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Services:
    """Where both editions answer.

    Attributes:
        addresses: Of each edition.
        started: Those that were started here and end with the command.
    """

    addresses: dict[Edition, Address]
    started: tuple[Edition, ...]


@contextmanager
def ready(settings: Settings, progress: Progress) -> Iterator[Services]:
    """Use the editions that listen on their ports, start the others on free ports, and stop those at the end.

    Args:
        settings: The project's settings.
        progress: Called with one line that says which.

    Raises:
        EnvironmentFailure: If a running edition does not trace, or one cannot be started.
        UsageError: If a running edition wants a token that is not set.
    """
    token = trace_token(settings)
    found = {edition: _listening(settings, edition, token) for edition in EDITIONS}
    missing = tuple(edition for edition in EDITIONS if found[edition] is None)
    with ExitStack() as stack:
        addresses = {edition: address for edition, address in found.items() if address is not None}
        for edition, address in addresses.items():
            progress(f"{edition}: using the service that runs on {address}")
        if missing:
            progress(f"starting {' and '.join(missing)} with TRACE=1")
            source = locate(settings)
            stack.callback(source.release)
            environ = {"DATABASE_URL": source.url, "TRACE": "1"}
            started = stack.enter_context(running([edition_spec(edition, environ) for edition in missing]))
            for edition, service in zip(missing, started, strict=True):
                addresses[edition] = Address.of(service.url)
                progress(f"{edition}: started on {addresses[edition]}")
        yield Services(addresses, missing)


def trace_token(settings: Settings) -> str | None:
    """Return the secret that a traced request must carry."""
    return settings.trace_token.get_secret_value() if settings.trace_token else None


def token_field(token: str | None) -> dict[str, str]:
    """Return the header field that lets a request be traced."""
    return {"X-Trace-Token": token} if token else {}


def get(address: Address, path: str, token: str | None) -> tuple[int, Any]:
    """Return the status of a GET and its JSON; None for what is no JSON.

    Raises:
        OSError: If nobody listens there or the connection breaks.
    """
    connection = HTTPConnection(address.host, address.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={**token_field(token), "Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from error
    finally:
        connection.close()
    with suppress(ValueError):
        return response.status, json.loads(body)
    return response.status, None


def _listening(settings: Settings, edition: Edition, token: str | None) -> Address | None:
    """Return where an edition runs already; None if nothing, or another program, listens on its port."""
    address = Address(EVERYWHERE.get(settings.host, settings.host), settings.port(edition))
    try:
        status, traces = get(address, "/traces", token)
        is_ours = status == 200 or get(address, "/livez", None) == (200, {"status": "ok"})
    except OSError:
        return None
    if status == 200 and isinstance(traces, dict) and "traces" in traces:
        return address
    if not is_ours:
        return None
    if status in (401, 403):
        raise UsageError(
            f"The {edition} edition on {address} does not let this command trace",
            why=f"GET /traces: {status}; TRACE_TOKEN is {'another' if token else 'not set here'}",
            hint="Set TRACE_TOKEN to the service's own",
        )
    raise EnvironmentFailure(
        f"The {edition} edition on {address} does not trace",
        why=f"tracing is off there: GET /traces answers {status}",
        hint=f"Start it with TRACE=1 make run-{edition}, or stop it: make trace then starts its own",
    )
