"""A comparison on one screen: the answer in words, the table, each kind of doubt once, and what was not tested."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase
from typing import TextIO

from rich.console import Console
from rich.text import Text

from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.report import words
from shared.report.table import PLAIN_WIDTH
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import comparison_sheet
from shared.report.table import draw
from shared.report.table import plain_lines

# Items of one claim, so that a comparison of many scenarios still fits a screen; the page has them all.
MOST = 6


def print_summary(comparison: Comparison, stream: TextIO) -> None:
    """Print what `make compare` found."""
    sheet = comparison_sheet(comparison)
    marks = _marks(sheet)
    answer = words.answer(comparison)
    is_terminal = stream.isatty()
    console = Console(file=stream) if is_terminal else None
    width = min(console.width, PLAIN_WIDTH) if console else PLAIN_WIDTH

    def say(text: str, *, indent: str = "", style: str = "") -> None:
        for line in textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent + "  "):
            if console:
                console.print(Text(line, style=style))
            else:
                stream.write(line + "\n")

    say(answer.headline, style="bold")
    for claim in answer.claims:
        say(f"- {claim.head}: {_few(claim.items)}.")
    stream.write("\n")
    if console:
        draw(_marked(sheet, marks), stream)
    else:
        stream.write("\n".join(plain_lines(_marked(sheet, marks))).rstrip() + "\n")
    stream.write("\n")
    for mark, found in marks.items():
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        first = found[0]
        say(f"! {mark}) {first.code}: {first.message}{more}. Next: {first.next_step}.", style="yellow")
    for text in (*answer.cautions, answer.untested, *sheet.notes):
        # Which doubts touch what, and what chance does, stands in the table and its notes.
        if not text.startswith(("Doubt", "Of ")):
            say(text, style="dim")


def _few(items: Sequence[str]) -> str:
    rest = f"; and {len(items) - MOST} more" if len(items) > MOST else ""
    return "; ".join(items[:MOST]) + rest


def _marks(sheet: Sheet) -> dict[str, list[Doubt]]:
    """Return the doubts of each kind by the letter that stands beside the figures they touch."""
    by_code: dict[str, list[Doubt]] = {}
    for doubt in (*sheet.doubts, *(doubt for row in sheet.rows for doubt in row.doubts)):
        by_code.setdefault(doubt.code, []).append(doubt)
    return {_letter(number): found for number, found in enumerate(by_code.values())}


def _letter(number: int) -> str:
    return ascii_lowercase[number] if number < len(ascii_lowercase) else str(number)


def _marked(sheet: Sheet, marks: dict[str, list[Doubt]]) -> Sheet:
    """Return the table with letters in the place of doubts."""
    letter_of = {found[0].code: mark for mark, found in marks.items()}
    everywhere = {doubt.code for doubt in sheet.doubts}
    rows = []
    for row in sheet.rows:
        codes = dict.fromkeys(doubt.code for doubt in row.doubts if doubt.code not in everywhere)
        rows.append(Row((*row.cells, "".join(sorted(letter_of[code] for code in codes))), ()))
    heads = (*sheet.heads, "doubts")
    return replace(sheet, title="", heads=heads, rows=tuple(rows), doubts=(), notes=())
