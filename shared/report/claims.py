"""Claims on a terminal: a table of verdicts, and each claim's figures where somebody asks for them."""

import textwrap
from collections.abc import Iterator
from collections.abc import Sequence
from itertools import zip_longest
from typing import TextIO

from shared.lab.claims.claim import Claim
from shared.lab.claims.result import Claims
from shared.lab.claims.result import Outcome
from shared.lab.claims.result import Stated
from shared.report import claim_figures
from shared.report import format
from shared.report.side_by_side import width_of

GAP = "  "
INDENT = " " * 5
# No column is made narrower than this, however much stands beside it.
LEAST = 12
CAUTION = "another machine may come to another verdict"
Grid = Sequence[Sequence[str]]


def print_claims(claims: Sequence[Claim], stream: TextIO) -> None:
    """Print what would be tested, by which rule, how long that takes, and what may be changed."""
    width = width_of(stream)
    for claim in claims:
        stated = Stated.of(claim)
        _print_head(stated, stream, width)
        _print_parts([*_words(stated), ("takes", f"about {claim.seconds:g} s")], stream, width)
        _print_parts([*_cautions(stated), *_options(stated)], stream, width)
        print(file=stream)


def print_verdicts(found: Claims, stream: TextIO) -> None:
    """Print the table of verdicts, a line for each claim, and what could not be done."""
    width = width_of(stream)
    heads, rows = claim_figures.verdicts(found)
    words = max(len(cell) for row in [heads, *rows] for cell in row[2:])
    fixed = [5, 0, *([words] * len(heads[2:]))]
    fixed[1] = width - sum(fixed) - len(GAP) * (len(heads) - 1)
    print("Claims, put to the test\n", file=stream)
    shortened = [(row[0], textwrap.shorten(row[1], fixed[1], placeholder=" ..."), *row[2:]) for row in rows]
    _print_grid(heads, shortened, stream, fixed)
    print(file=stream)
    for failure in found.failures:
        told = f"{failure.claim.name} was not done: {failure.why}"
        _print_wrapped(f"! {told}", stream, width, "  ")
    dependent = [outcome.claim.name for outcome in found.outcomes if outcome.claim.depends_on_machine]
    if dependent:
        _print_wrapped(f"Of {', '.join(dependent)} {CAUTION}.", stream, width, "  ")
    manifest = found.manifest
    where = f"{manifest.cpu_model}, {manifest.cores} cores, {manifest.python}, {manifest.time_utc}."
    _print_wrapped(f"{claim_figures.counts(found)}. {where}", stream, width, "  ")


def print_outcome(outcome: Outcome, stream: TextIO, *, is_verbose: bool) -> None:
    """Print what was found of one claim, the editions beside each other.

    Args:
        outcome: The claim's outcome.
        stream: Where it is printed.
        is_verbose: Whether prediction, method, rule, sources and options are printed, too.
    """
    claim, width = outcome.claim, width_of(stream)
    _print_head(claim, stream, width)
    if is_verbose:
        _print_parts(_words(claim), stream, width)
    verdicts: list[tuple[str, str]] = [
        (subject, f"{ruling.verdict}: {ruling.because}") for subject, ruling in outcome.rulings.items()
    ]
    if len(verdicts) > 1:
        verdicts.append(("verdict", outcome.overall.verdict))
    _print_parts(verdicts, stream, width)
    print(file=stream)
    lines = claim_figures.lines(outcome.finding.measured)
    heads = ("figure", *claim_figures.subjects(outcome.finding.measured), "trials")
    rows = [(line.label, *line.cells, line.trials) for line in lines]
    _print_grid(heads, rows, stream, _widths([heads, *rows], width))
    print(file=stream)
    _print_parts([("why", outcome.explanation)], stream, width)
    _print_parts([("note", note) for note in outcome.finding.notes], stream, width)
    _print_parts(_cautions(claim), stream, width)
    if is_verbose:
        _print_parts([("source", f"{source.title}, {source.url}") for source in claim.sources], stream, width)
        _print_parts(_options(claim), stream, width)
    _print_parts([("again", outcome.command), ("took", format.duration(outcome.duration_s))], stream, width)
    print(file=stream)


def _words(claim: Stated) -> list[tuple[str, str]]:
    return [("predicts", claim.prediction), ("does", claim.method), ("rule", claim.rule_words)]


def _cautions(claim: Stated) -> list[tuple[str, str]]:
    return [("machine", CAUTION)] if claim.depends_on_machine else []


def _options(claim: Stated) -> list[tuple[str, str]]:
    return [
        (
            "option",
            f"--set {option.name}={option.default:g}: {option.help} ({option.least:g} to {option.most:g})",
        )
        for option in claim.options
    ]


def _print_head(claim: Stated, stream: TextIO, width: int) -> None:
    lead = f"{claim.name:3}{GAP}"
    print(
        textwrap.fill(format.visible(claim.statement), width, initial_indent=lead, subsequent_indent=INDENT),
        file=stream,
    )


def _print_parts(parts: Sequence[tuple[str, str]], stream: TextIO, width: int) -> None:
    for name, text in parts:
        _print_wrapped(f"{INDENT}{name:9}{text}", stream, width, " " * (len(INDENT) + 9))


def _print_wrapped(text: str, stream: TextIO, width: int, indent: str) -> None:
    # An address or a command that is longer than a line stays whole, to be copied.
    lines = textwrap.wrap(
        format.visible(text),
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    print("\n".join(lines), file=stream)


def _print_grid(heads: Sequence[str], rows: Grid, stream: TextIO, widths: Sequence[int]) -> None:
    for row in [heads, ["-" * width for width in widths], *rows]:
        for line in _row(row, widths):
            print(line, file=stream)


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    wrapped = [textwrap.wrap(format.visible(cell), width) or [""] for cell, width in zip(cells, widths, strict=True)]
    for parts in zip_longest(*wrapped, fillvalue=""):
        yield GAP.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def _widths(grid: Grid, most: int) -> list[int]:
    """Return widths of columns that fit into a line: those of their cells, the widest narrowed where they do not."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > most and max(widths) > LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths
