"""Numbers as text: the only place that rounds, and the only one that knows milliseconds."""

from math import floor
from math import log10

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


def expected(number: float) -> str:
    """Return an expected count, which need not be whole, with one decimal."""
    return f"{number:.1f}"


def per_request(number: float | None) -> str:
    """Return how many of something a request took, two decimals below 10; those that all requests have are whole."""
    if number is None:
        return NOTHING
    return f"{number:.0f}" if abs(number - round(number)) < 0.005 or number >= 100 else f"{number:.2f}"


def milliseconds_per_thousand(seconds_per_request: float | None) -> str:
    """Return milliseconds per 1,000 requests from seconds per request."""
    return NOTHING if seconds_per_request is None else f"{seconds_per_request * 1e6:,.0f}"


def maybe_count(number: int | None) -> str:
    """Return a count, or that there is none."""
    return NOTHING if number is None else count(number)


def megabytes(size_bytes: int | None) -> str:
    """Return bytes as whole megabytes (10^6)."""
    return NOTHING if size_bytes is None else f"{size_bytes / 1e6:,.0f}"


def exact(number: float) -> str:
    """Return a number with six significant figures, to tell it from a bound that it is near."""
    return f"{number:.6g}"


def significant(number: float) -> str:
    """Return a number with three significant figures, from 1,000 on whole and with thousands separated."""
    return f"{number:,.0f}" if abs(number) >= 999.5 else f"{number:.3g}"


def interval(value: float, low: float, high: float) -> str:
    """Return a number with its interval, such as 1.2475 [1.2461, 1.2494]: the width has two significant figures."""
    width = high - low
    if not 0 < width < float("inf"):
        return f"{significant(value)} [{significant(low)}, {significant(high)}]"
    places = min(max(1 - floor(log10(width)), 0), 6)
    return f"{value:,.{places}f} [{low:,.{places}f}, {high:,.{places}f}]"


def time_unit(seconds: float) -> tuple[float, str]:
    """Return how many of the unit that suits a time are in a second, and the unit."""
    return next(((n, unit) for n, unit in ((1e6, "µs"), (1e3, "ms")) if 0 < abs(seconds) < 1e3 / n), (1.0, "s"))


def duration(seconds: float) -> str:
    """Return a length of time in whole seconds, from a minute on with minutes, such as 18 min 05 s."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def ratio(value: float, low: float, high: float, places: int = 2) -> str:
    """Return a ratio with its interval, such as 2.76 [2.71, 2.81]."""
    return f"{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def interval_microseconds(value: float, low: float, high: float) -> str:
    """Return seconds with their interval as microseconds, such as 12.3 [10.1, 14.5] or 1,234 [1,200, 1,268]."""
    places = 1 if max(abs(low), abs(high)) < 99.95e-6 else 0
    return "{} [{}, {}]".format(*(f"{number * 1e6:,.{places}f}" for number in (value, low, high)))


def span(duration_ns: int) -> str:
    """Return nanoseconds with the unit that suits them, such as 12.3 µs, 1.234 ms or 2.50 s."""
    size = abs(duration_ns)
    if size < 999_950:
        return f"{duration_ns / 1e3:.1f}{NO_BREAK}µs"
    return f"{duration_ns / 1e6:,.3f}{NO_BREAK}ms" if size < 999_999_500 else f"{duration_ns / 1e9:,.2f}{NO_BREAK}s"


def span_microseconds(duration_ns: int, *, signed: bool = False) -> str:
    """Return nanoseconds as microseconds, one decimal, for columns that are compared."""
    return f"{duration_ns / 1e3:+,.1f}" if signed and abs(duration_ns) >= 50 else f"{duration_ns / 1e3:,.1f}"


def percentage(share: float) -> str:
    """Return a share as a percentage with as many decimals as it has, such as 3 % or 0.5 %."""
    return f"{share * 100:.4g}{NO_BREAK}%"


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


def visible(text: str) -> str:
    r"""Return text in which every character can be seen: others become \n, \x00, \u2028 and the like."""
    return "".join(c if c.isprintable() or c == NO_BREAK else c.encode("unicode_escape").decode("ascii") for c in text)
