"""Comparisons for programs and pages: one JSON object, CSV with a line per cell, and a Markdown table."""

import csv
import io
import json
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import fields
from types import MappingProxyType
from typing import Literal

from shared.errors import UsageError
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.server import ServerSummary
from shared.lab.results.summary import VALUE_OF
from shared.lab.statistics import Ratio
from shared.report.table import Sheet
from shared.report.table import bench_sheet
from shared.report.table import comparison_sheet

Format = Literal["json", "csv", "markdown"]
PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
FIGURE_HEADS = (
    *("scenario", "load", "subject", "rps", *(f"{name}_s" for name in PERCENTILES)),
    *("errors", "rejected", "cpu_s_per_request", "peak_bytes"),
)
# Each is one number; memory over the rounds is several.
SERVER_COLUMNS = tuple(field.name for field in fields(ServerSummary) if field.name != "resident_bytes")
# What Markdown, or a table of it, would take for its own.
MARKUP = str.maketrans({"\\": "\\\\", "|": "\\|", "`": "\\`", "*": "\\*", "<": "&lt;", "\r": " ", "\n": " "})


def choose(*, wants_json: bool, wants_csv: bool, wants_markdown: bool) -> Format | None:
    """Return the format that is asked for; None if none is.

    Raises:
        UsageError: If more than one is asked for.
    """
    wishes: tuple[tuple[Format, bool], ...] = (("json", wants_json), ("csv", wants_csv), ("markdown", wants_markdown))
    chosen = [name for name, is_wanted in wishes if is_wanted]
    if len(chosen) > 1:
        raise UsageError("Only one format can be printed", hint="give one of --json, --csv and --markdown")
    return chosen[0] if chosen else None


def as_json(comparison: Comparison) -> str:
    """Return one JSON object: the result's file without its slices.

    Times are in seconds and sizes in bytes, not rounded; ratios are subject over baseline with their 95 % interval.
    """
    document = {
        "schema_version": comparison.schema_version,
        "kind": comparison.kind,
        "manifest": asdict(comparison.manifest),
        "timing": asdict(comparison.timing),
        "subjects": comparison.subjects,
        "baseline": comparison.baseline,
        "scenarios": [{**asdict(each), "body": each.body.decode("latin-1")} for each in comparison.scenarios],
        "loads": [asdict(load) for load in comparison.loads],
        "ratios": [asdict(ratio) for ratio in comparison.ratios],
        "doubts": [asdict(doubt) for doubt in comparison.doubts],
        "cells": [asdict(cell) for cell in comparison.cells],
        "foreign_load": [asdict(foreign) for foreign in comparison.foreign_load],
        "stops": [asdict(stop) for stop in comparison.stops],
        "until": comparison.until,
        "limits": None if comparison.limits is None else asdict(comparison.limits),
        "terms": None if comparison.terms is None else asdict(comparison.terms),
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def as_csv(comparison: Comparison) -> str:
    """Return a line per cell under a line of names; not rounded, and empty where nothing was measured.

    Times are in seconds; load is a number of connections or a rate, cpu_s_per_request processor time of the
    server per 2xx response, peak_bytes its resident memory. The ratio columns are empty for the baseline. The last ones
    tell what the server used, named and meant as in ServerSummary.
    """
    cells = [
        (*figures(cell), *ratio_columns(_ratios(comparison, cell)), *server_figures(cell)) for cell in comparison.cells
    ]
    return csv_text((*FIGURE_HEADS, *ratio_heads(comparison.baseline), *SERVER_COLUMNS), cells)


def csv_text(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return lines under a line of names; None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(lines)
    return text.getvalue()


def figures(cell: CellSummary) -> tuple[object, ...]:
    """Return a cell's columns under FIGURE_HEADS."""
    return (
        *(cell.scenario, str(cell.load), cell.subject, cell.achieved_rps),
        *map(cell.percentiles_s.get, PERCENTILES),
        *(cell.error_count, cell.rejected_count, cell.server_cpu_s_per_request, cell.server_peak_bytes),
    )


def server_figures(cell: CellSummary) -> tuple[object, ...]:
    """Return a cell's columns under SERVER_COLUMNS."""
    return tuple(None if cell.server is None else getattr(cell.server, name) for name in SERVER_COLUMNS)


def ratio_heads(below: str) -> tuple[str, ...]:
    """Return the names of the columns of every ratio to something and of the ends of its interval."""
    return tuple(f"{measure}_over_{below}{end}" for measure in VALUE_OF for end in ("", "_low", "_high"))


def ratio_columns(ratios: Iterable[Ratio | None]) -> tuple[float | None, ...]:
    """Return value and interval of one ratio for each measure, in the order of the heads."""
    return tuple(
        value
        for ratio in ratios
        for value in ((None, None, None) if ratio is None else (ratio.value, ratio.low, ratio.high))
    )


def as_markdown(comparison: Comparison) -> str:
    """Return the printed table as one of GitHub's, then every doubt and every note as a list."""
    sheet = comparison_sheet(comparison) if comparison.kind == "compare" else bench_sheet(comparison)
    return markdown(sheet, comparison.doubts)


def markdown(sheet: Sheet, doubts: Iterable[Doubt]) -> str:
    """Return a table as one of GitHub's, then doubts and its notes as a list."""
    lines = [*_table(sheet), ""]
    lines += [_doubt(doubt, shows_load=sheet.shows_loads) for doubt in doubts]
    lines += [f"- {_escape(note)}" for note in sheet.notes]
    return "\n".join(lines) + "\n"


# How a comparison is printed in each format.
TEXT_OF: Mapping[Format, Callable[[Comparison], str]] = MappingProxyType(
    {"json": as_json, "csv": as_csv, "markdown": as_markdown}
)


def _ratios(comparison: Comparison, cell: CellSummary) -> list[Ratio | None]:
    """Return each of a cell's ratios to the baseline."""
    return [comparison.ratio(cell.scenario, cell.load, cell.subject, measure) for measure in VALUE_OF]


def _table(sheet: Sheet) -> list[str]:
    marks = ["---" if place < 2 else "---:" for place in range(len(sheet.heads))]
    return [_row(sheet.heads), f"|{'|'.join(marks)}|", *(_row(row.cells) for row in sheet.rows)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_escape, cells))} |"


def _doubt(doubt: Doubt, *, shows_load: bool) -> str:
    load = f"at {doubt.load}" if shows_load and doubt.load else ""
    where = " ".join(_escape(part) for part in (doubt.scenario, load, doubt.subject) if part)
    title = f"**{doubt.code}**, {where}" if where else f"**{doubt.code}**"
    return f"- {title}: {_escape(doubt.message)}. Next: {_escape(doubt.next_step)}."


def _escape(text: str) -> str:
    return text.translate(MARKUP)
