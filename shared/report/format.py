"""Numbers as text: the only place that rounds, and the only one that knows milliseconds."""

NOTHING = "-"


def rate(per_second: float) -> str:
    """Return a rate with about three significant figures, thousands separated."""
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.1f}"


def milliseconds(seconds: float | None) -> str:
    """Return seconds as milliseconds, two decimals below 100 ms."""
    if seconds is None:
        return NOTHING
    value = seconds * 1e3
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def microseconds(seconds: float | None) -> str:
    """Return seconds as whole microseconds."""
    return NOTHING if seconds is None else f"{seconds * 1e6:,.0f}"


def cpu_s_per_thousand(seconds_per_request: float | None) -> str:
    """Return CPU seconds per 1,000 requests from CPU seconds per request."""
    return NOTHING if seconds_per_request is None else f"{seconds_per_request * 1e3:.3f}"


def count(number: int) -> str:
    """Return a count, thousands separated."""
    return f"{number:,}"


def ratio(value: float, low: float, high: float) -> str:
    """Return a ratio with its interval, such as 2.76 [2.71, 2.81]."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
