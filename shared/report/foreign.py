"""Why two applications were not compared: both answers side by side, with the commands that ask again."""

import textwrap
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TextIO

from shared.lab.foreign.result import TargetCheck
from shared.lab.foreign.result import TargetDifference
from shared.report.side_by_side import GAP
from shared.report.side_by_side import side_by_side
from shared.report.side_by_side import width_of


def print_differences(result: TargetCheck, commands: Sequence[str], stream: TextIO) -> None:
    """Print every difference, both answers side by side, with the commands that ask again.

    Args:
        result: What was found.
        commands: What starts the applications again; nothing where they run anyway.
        stream: Where to.
    """
    width = width_of(stream)
    for number, difference in enumerate(result.differences, start=1):
        title = f"Difference {number} of {len(result.differences)}: {difference.target}, {difference.kind}"
        for line in (title, *_lines(difference, width), ""):
            stream.write(line + "\n")
    if commands:
        stream.write("\n".join(("Start them again with:", *(GAP + command for command in commands), "", "")))


def _lines(difference: TargetDifference, width: int) -> Iterator[str]:
    yield from side_by_side("", *difference.heads, width)
    for fact in difference.facts:
        yield from side_by_side(fact.what, fact.left, fact.right, width)
    # Not wrapped: they are there to be copied.
    for command in difference.commands:
        yield f"{GAP}{command}"
    yield from textwrap.wrap(
        f"{difference.hint}", width, initial_indent=GAP, subsequent_indent=GAP * 2, break_on_hyphens=False
    )
