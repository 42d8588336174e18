"""Two answers beside each other, as lines of text."""

import shutil
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from typing import TextIO

from shared.report.table import PLAIN_WIDTH

LEAST_WIDTH = 80
MOST_WIDTH = 120
WHAT_WIDTH = 18
GAP = "  "


def width_of(stream: TextIO) -> int:
    """Return how wide lines for a stream may be: a terminal's own width within bounds, a fixed one elsewhere."""
    if not stream.isatty():
        return PLAIN_WIDTH
    return max(LEAST_WIDTH, min(shutil.get_terminal_size().columns, MOST_WIDTH))


def side_by_side(what: str, left: str, right: str, width: int) -> Iterator[str]:
    """Yield the lines of one fact: its name, and the two values in columns of equal width."""
    column = (width - WHAT_WIDTH - 3 * len(GAP)) // 2
    columns = [_cell(what, WHAT_WIDTH), _cell(left, column), _cell(right, column)]
    for cells in zip_longest(*columns, fillvalue=""):
        yield (GAP + f"{cells[0]:{WHAT_WIDTH}}{GAP}{cells[1]:{column}}{GAP}{cells[2]}").rstrip()


def _cell(text: str, width: int) -> list[str]:
    # Cut anywhere rather than at spaces: what is shown are bytes, and spaces among them count.
    if len(text) > width and " " not in text[:width]:
        return [text[at : at + width] for at in range(0, len(text), width)]
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
