"""A parity check's result as text: the table, then every difference with both answers side by side."""

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TextIO

from shared.lab.parity.result import Difference
from shared.lab.parity.result import ParityResult
from shared.report import format
from shared.report.side_by_side import GAP
from shared.report.side_by_side import side_by_side
from shared.report.side_by_side import width_of
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

# Differences beyond these are named in a line each: what follows from one cause repeats itself.
SHOWN = 25


def print_parity(result: ParityResult, stream: TextIO) -> None:
    """Print the result: rich on a terminal, plain aligned lines elsewhere."""
    draw(sheet(result), stream)
    for line in details(result, width_of(stream)):
        stream.write(line + "\n")


def sheet(result: ParityResult) -> Sheet:
    """Return the table: a line for each group of cases, and one for all of them."""
    rows = [
        Row(
            (
                group.group,
                "differs" if group.differences else "equal" if group.cases else "not compared",
                format.count(group.cases),
                format.count(group.requests),
                format.count(group.differences),
                format.count(group.known),
                format.count(group.not_compared),
            ),
            (),
        )
        for group in result.groups
    ]
    total = ("cases", "requests", "differences", "known", "not_compared")
    sums = tuple(format.count(sum(getattr(group, name) for group in result.groups)) for name in total)
    rows.append(Row(("all", "equal" if result.is_equal else "differs", *sums), ()))
    heads = ("group", "result", "cases", "requests", "differences", "known", "not compared")
    where = (
        "started for this check, each on a database of its own" if result.urls is None else " and ".join(result.urls)
    )
    notes = [
        f"Editions: {where}. Scope: {result.scope}. {result.duration_s:.1f} s.",
        _statements(result),
        "Known: differences between the two servers on requests that HTTP forbids, listed below.",
    ]
    return Sheet("Parity of both editions", heads, tuple(rows), (), tuple(notes))


def details(result: ParityResult, width: int) -> Iterator[str]:
    """Yield the lines below the table."""
    for number, difference in enumerate(result.differences[:SHOWN], start=1):
        yield from _difference(difference, f"Difference {number} of {len(result.differences)}", width)
    if result.differences[SHOWN:]:
        yield f"{len(result.differences) - SHOWN} more differences, by name only:"
        for difference in result.differences[SHOWN:]:
            facts = ", ".join(fact.what for fact in difference.facts)
            yield from _wrapped(f"{difference.group}: {difference.case} ({facts})", width)
        yield ""
    if result.known:
        yield "Known server differences, on requests that reach at most one application:"
        for known in result.known:
            yield from _wrapped(f"{known.case}: wsgi {known.wsgi}, asgi {known.asgi}. {known.reason}.", width)
        yield ""
    if result.not_compared:
        yield "Not compared:"
        reasons = Counter(item.reason for item in result.not_compared)
        for reason, count in reasons.items():
            yield from _wrapped(f"{format.count(count)}: {reason}", width)
            same = [item for item in result.not_compared if item.reason == reason]
            for group in dict.fromkeys(item.group for item in same):
                names = "; ".join(item.case for item in same if item.group == group)
                yield from textwrap.wrap(f"{group}: {names}", width, initial_indent=GAP * 2, subsequent_indent=GAP * 3)
        yield ""


def _statements(result: ParityResult) -> str:
    if result.statements is None:
        return f"SQL statements were not counted: {result.statements_why}."
    wsgi, asgi = (format.count(number) for number in result.statements)
    return f"SQL statements, counted at the database for each request: {wsgi} by wsgi, {asgi} by asgi."


def _difference(difference: Difference, title: str, width: int) -> Iterator[str]:
    yield f"{title}: {difference.group}, {difference.case}"
    yield from side_by_side("", "wsgi", "asgi", width)
    for fact in difference.facts:
        yield from side_by_side(fact.what, fact.wsgi, fact.asgi, width)
    # Not wrapped: they are there to be copied.
    for edition, lines in (("wsgi", difference.wsgi_lines), ("asgi", difference.asgi_lines)):
        for line in lines:
            yield f"{GAP}{edition}$ {line}"
    yield f"{GAP}Services: {difference.setup}"
    yield ""


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=GAP + "- ", subsequent_indent=GAP * 2)
