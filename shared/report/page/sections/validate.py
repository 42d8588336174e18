"""The instrument's own validation as a section of a page: the tables of `make validate`, the outcome first."""

from collections.abc import Mapping
from typing import Any

from shared.lab.validity.document import parse
from shared.report import validity
from shared.report.page.content import Block
from shared.report.page.content import Details
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text
from shared.report.table import Sheet


def section(document: Mapping[str, Any]) -> Section:
    """Return the section.

    Raises:
        ValueError: If the document is no validation, or one of another version.
    """
    found = parse(document)
    sheets = validity.sheets(found)
    blocks: list[Block] = [Text(f"{validity.line(found)}."), *_blocks(validity.outcome_sheet(found))]
    blocks += [Details(sheet.title, tuple(_blocks(sheet))) for sheet in sheets]
    hint = "What is known beforehand was shown to the instrument, and this is what it said."
    return Section("validate", "Is the instrument to be believed?", blocks, hint)


def _blocks(sheet: Sheet) -> list[Block]:
    table = Table(sheet.heads, tuple(row.cells for row in sheet.rows), sheet.title, words=2)
    return [table, *(Text(note, "note") for note in sheet.notes)]
