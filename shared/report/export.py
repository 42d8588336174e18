"""Comparisons for programs and pages: one JSON object, CSV with a line per cell, and a Markdown table."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import fields

from shared.errors import UsageError
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.server import ServerSummary
from shared.lab.results.summary import VALUE_OF
from shared.report.table import Sheet
from shared.report.table import bench_sheet
from shared.report.table import comparison_sheet

PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
# Each is one number; memory over the rounds is several.
SERVER_COLUMNS = tuple(field.name for field in fields(ServerSummary) if field.name != "resident_bytes")
# What Markdown, or a table of it, would take for its own.
MARKUP = str.maketrans({"\\": "\\\\", "|": "\\|", "`": "\\`", "*": "\\*", "<": "&lt;", "\r": " ", "\n": " "})


def choose(*, wants_json: bool, wants_csv: bool, wants_markdown: bool) -> Callable[[Comparison], str] | None:
    """Return what makes the text in the format that is asked for; None if none is.

    Raises:
        UsageError: If more than one is asked for.
    """
    wishes = ((as_json, wants_json), (as_csv, wants_csv), (as_markdown, wants_markdown))
    chosen = [make for make, is_wanted in wishes if is_wanted]
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
    ratios = [f"{measure}_over_{comparison.baseline}" for measure in VALUE_OF]
    heads = [
        *("scenario", "load", "subject", "rps", *(f"{name}_s" for name in PERCENTILES)),
        *("errors", "rejected", "cpu_s_per_request", "peak_bytes"),
        *(f"{ratio}{end}" for ratio in ratios for end in ("", "_low", "_high")),
        *SERVER_COLUMNS,
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for cell in comparison.cells:
        writer.writerow(
            [
                *(cell.scenario, str(cell.load), cell.subject, cell.achieved_rps),
                *map(cell.percentiles_s.get, PERCENTILES),
                *(cell.error_count, cell.rejected_count, cell.server_cpu_s_per_request, cell.server_peak_bytes),
                *_ratios(comparison, cell),
                *(None if cell.server is None else getattr(cell.server, name) for name in SERVER_COLUMNS),
            ]
        )
    return text.getvalue()


def as_markdown(comparison: Comparison) -> str:
    """Return the printed table as one of GitHub's, then every doubt and every note as a list."""
    sheet = comparison_sheet(comparison) if comparison.kind == "compare" else bench_sheet(comparison)
    lines = [*_table(sheet), ""]
    lines += [_doubt(doubt, shows_load=sheet.shows_loads) for doubt in comparison.doubts]
    lines += [f"- {_escape(note)}" for note in sheet.notes]
    return "\n".join(lines) + "\n"


def _ratios(comparison: Comparison, cell: CellSummary) -> list[float | None]:
    """Return value and interval of each of a cell's ratios to the baseline."""
    columns: list[float | None] = []
    for measure in VALUE_OF:
        ratio = comparison.ratio(cell.scenario, cell.load, cell.subject, measure)
        columns += [None] * 3 if ratio is None else [ratio.value, ratio.low, ratio.high]
    return columns


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
