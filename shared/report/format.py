"""Numbers as text: the only place that rounds, and the only one that knows milliseconds."""

NOTHING = "-"
# Between a number and its unit, in text that is broken into lines by whoever shows it.
NO_BREAK = "\N{NO-BREAK SPACE}"


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


def exact(number: float) -> str:
    """Return a number with six significant figures, to tell it from a bound that it is near."""
    return f"{number:.6g}"


def duration(seconds: float) -> str:
    """Return a length of time in whole seconds, from a minute on with minutes, such as 18 min 05 s."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def ratio(value: float, low: float, high: float, places: int = 2) -> str:
    """Return a ratio with its interval, such as 2.76 [2.71, 2.81]."""
    return f"{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def span(duration_ns: int) -> str:
    """Return nanoseconds with the unit that suits them, such as 12.3 µs, 1.234 ms or 2.50 s."""
    size = abs(duration_ns)
    if size < 999_950:
        return f"{duration_ns / 1e3:.1f}{NO_BREAK}µs"
    return f"{duration_ns / 1e6:,.3f}{NO_BREAK}ms" if size < 999_999_500 else f"{duration_ns / 1e9:,.2f}{NO_BREAK}s"


def span_microseconds(duration_ns: int, *, signed: bool = False) -> str:
    """Return nanoseconds as microseconds, one decimal, for columns that are compared."""
    return f"{duration_ns / 1e3:+,.1f}" if signed and abs(duration_ns) >= 50 else f"{duration_ns / 1e3:,.1f}"


def share(part: float, whole: float) -> str:
    """Return a part as a percentage of the whole."""
    if not whole:
        return NOTHING
    return f"under 1{NO_BREAK}%" if 0 < part / whole < 0.01 else f"{part / whole * 100:.0f}{NO_BREAK}%"


def round_span(duration_ns: int) -> str:
    """Return round nanoseconds, such as those on an axis, with their unit and without zeros at the end."""
    size = abs(duration_ns)
    value, unit = next(
        (size / n, unit) for n, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")) if size >= n or n == 1
    )
    return f"{'-' if duration_ns < 0 else ''}{value:g}{NO_BREAK}{unit}"
