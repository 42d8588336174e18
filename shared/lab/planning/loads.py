"""From words on a command line to loads, and to what the clients do that is not polite."""

import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

from shared.errors import UsageError
from shared.lab.planning.plan import Arrivals
from shared.lab.planning.plan import Behaviour
from shared.lab.planning.plan import Load

MAX_CONNECTIONS = 1_000
# More than one process in Python can send anywhere; what it can send here is measured at the start of a comparison.
MAX_RATE = 50_000
# Fewer requests due in a window make no percentiles, and often no request at all.
MIN_DUE_PER_WINDOW = 5
# Requests of an open model in flight at most: as many as the highest level of the full profile, so that a server never
# meets more at once than the closed model has shown it at.
OPEN_CONNECTIONS = 128
MAX_PROCESSES = 16
# Cores beside the client's: one for the servers and one for the database.
OTHER_CORES = 2
MOST_DEFAULT_PROCESSES = 4
MAX_BYTES_PER_S = 2**30
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
CONCURRENCY: Final = "--concurrency"
RATE: Final = "--rate"


def closed_loads(texts: Sequence[str]) -> tuple[Load, ...]:
    """Return the closed loads that --concurrency names, each once.

    Args:
        texts: Each one number of connections, or several with commas between them.

    Raises:
        UsageError: If one is no whole number, or out of bounds.
    """
    return tuple(dict.fromkeys(Load(_connections(CONCURRENCY, part)) for part in parts(texts)))


def open_loads(
    texts: Sequence[str], *, window_s: float, arrivals: Arrivals | None, connections: str | None
) -> tuple[Load, ...]:
    """Return the open loads that --rate names, each once.

    Args:
        texts: Each one number of requests per second, or several with commas between them.
        window_s: Length of a measured window, in seconds.
        arrivals: How requests fall due; None for Poisson arrivals.
        connections: Requests in flight at most; None for OPEN_CONNECTIONS.

    Raises:
        UsageError: If one is no number, out of bounds, or too low for the window.
    """
    ceiling = OPEN_CONNECTIONS if connections is None else _connections("--connections", connections)
    rates = [_rate(part, window_s) for part in parts(texts)]
    return tuple(dict.fromkeys(Load(ceiling, rate, arrivals or "poisson") for rate in rates))


def behaviour(*, abort: str | None, slow_read: str | None, slow_rate: int | None) -> Behaviour:
    """Return what clients do that is not polite.

    Args:
        abort: Share of the requests that are given up, such as 5%; None for none.
        slow_read: Share of the connections that read slowly, such as 10%; None for none.
        slow_rate: How many bytes per second these read; None for the default.

    Raises:
        UsageError: If a value is none, or out of bounds.
    """
    if slow_rate is not None and slow_read is None:
        raise UsageError("--slow-rate needs --slow-read", why="no connection would read slowly", hint="--slow-read 10%")
    pace = (
        Behaviour().slow_bytes_per_s if slow_rate is None else int(within("--slow-rate", slow_rate, 1, MAX_BYTES_PER_S))
    )
    return Behaviour(
        abort_share=_share("--abort", abort), slow_share=_share("--slow-read", slow_read), slow_bytes_per_s=pace
    )


def processes(asked: int | None, cores: int) -> int:
    """Return how many processes the load client has.

    Args:
        asked: What --clients says; None for the default: one on up to three cores, then one for each further core, up
            to four.
        cores: Cores that may be used.

    Raises:
        UsageError: If it is out of bounds.
    """
    if asked is None:
        return max(1, min(cores - OTHER_CORES, MOST_DEFAULT_PROCESSES))
    return int(within("--clients", asked, 1, MAX_PROCESSES))


def parts(texts: Iterable[str]) -> list[str]:
    """Return what stands between the commas of texts."""
    return [part.strip() for text in texts for part in text.split(",")]


def within(option: str, value: float, least: float, most: float) -> float:
    """Return a value that an option may have.

    Raises:
        UsageError: If it may not.
    """
    # Written so that NaN is refused, too.
    if not least <= value <= most:
        raise UsageError(f"{option} {value} is out of bounds", why=f"it can be {least} to {most}")
    return value


def _connections(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{option} takes whole numbers", why=f"got {text!r}", hint=f"As in {option} 32")
    # A number too long to be one of connections need not be read whole.
    return int(within(option, int(text[:9]), 1, MAX_CONNECTIONS))


def _rate(text: str, window_s: float) -> float:
    if not NUMBER.fullmatch(text):
        raise UsageError(f"{RATE} takes requests per second", why=f"got {text!r}", hint=f"As in {RATE} 200,500")
    rate = within(RATE, float(text), 0.1, MAX_RATE)
    if rate * window_s < MIN_DUE_PER_WINDOW:
        raise UsageError(
            f"{RATE} {text} is too low for windows of {window_s:g} s",
            why=f"{rate * window_s:.1f} requests would be due in a window; at least {MIN_DUE_PER_WINDOW} are needed",
            hint=f"--seconds {MIN_DUE_PER_WINDOW / rate:g}, or a higher rate",
        )
    return rate


def _share(option: str, text: str | None) -> float:
    if text is None:
        return 0.0
    number = text.removesuffix("%")
    if number == text or not NUMBER.fullmatch(number):
        raise UsageError(f"{option} takes a share in per cent", why=f"got {text!r}", hint=f"As in {option} 5%")
    return within(option, float(number), 0.1, 50) / 100
