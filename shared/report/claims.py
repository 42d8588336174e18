"""Claims on a terminal: a table of verdicts, and each claim's figures where somebody asks for them."""

import textwrap
from collections.abc import Sequence
from typing import TextIO

from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figure
from shared.lab.claims.result import Claims
from shared.lab.claims.result import Outcome
from shared.report import format
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

WIDTH = 100
STATEMENT_WIDTH = 60


def print_claims(claims: Sequence[Claim], stream: TextIO) -> None:
    """Print what would be tested, by which rule, and what may be changed."""
    for claim in claims:
        print(f"{claim.name}  {claim.statement}", file=stream)
        _print_parts(_words(claim), stream)
        for option in claim.options:
            print(
                f"     --set {option.name}={option.default}  {option.help} ({option.least:g} to {option.most:g})",
                file=stream,
            )


def print_outcomes(found: Claims, stream: TextIO, *, is_verbose: bool) -> None:
    """Print the table of verdicts; before it, where that is wanted, everything of each claim."""
    if is_verbose:
        for outcome in found.outcomes:
            print_outcome(outcome, stream)
    rows = [
        Row((outcome.claim.name, _shortened(outcome.claim.statement), outcome.overall.verdict), ())
        for outcome in found.outcomes
    ]
    rows += [
        Row((failure.claim.name, _shortened(failure.claim.statement), "not done"), ()) for failure in found.failures
    ]
    manifest = found.manifest
    notes = (
        "What made each verdict: wsgi-vs-asgi claims C11 (any number).",
        f"{manifest.cpu_model}, {manifest.cores} cores, {manifest.python}, {manifest.time_utc}.",
    )
    draw(Sheet("Claims, put to the test", ("claim", "statement", "verdict"), tuple(rows), (), notes), stream)


def print_outcome(outcome: Outcome, stream: TextIO) -> None:
    """Print everything of one claim."""
    claim = outcome.claim
    print(f"{claim.name}  {claim.statement}\n", file=stream)
    _print_parts(_words(claim), stream)
    rows = [
        Row((subject, figure.label, value(figure), interval(figure), str(figure.trials)), ())
        for subject, figures in outcome.finding.measured.items()
        for figure in figures.figures
    ]
    heads = ("subject", "figure", "measured", "95 % interval", "trials")
    draw(Sheet("Measured", heads, tuple(rows), (), ()), stream)
    verdicts = [(subject, f"{ruling.verdict}: {ruling.because}") for subject, ruling in outcome.rulings.items()]
    _print_parts([*verdicts, ("verdict", outcome.overall.verdict)], stream)
    print(file=stream)
    _print_parts([("why", outcome.explanation)], stream)
    _print_parts([("note", note) for note in outcome.finding.notes], stream)
    if claim.depends_on_machine:
        _print_parts([("note", "another machine may come to another verdict")], stream)
    _print_parts([("source", f"{source.title}, {source.url}") for source in claim.sources], stream)
    _print_parts([("again", outcome.command)], stream)
    print(file=stream)


def value(figure: Figure) -> str:
    """Return a figure's value with its unit."""
    if isinstance(figure.value, bool):
        return "yes" if figure.value else "no"
    if isinstance(figure.value, str):
        return format.visible(figure.value)
    text = f"{figure.value:,}" if isinstance(figure.value, int) else _rounded(figure.value)
    return f"{text} {figure.unit}".rstrip()


def interval(figure: Figure) -> str:
    """Return a figure's interval; empty where it has none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"[{_rounded(figure.low)}, {_rounded(figure.high)}]"


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.3g}"


def _words(claim: Claim) -> list[tuple[str, str]]:
    return [("predicts", claim.prediction), ("does", claim.method), ("rule", claim.rule_words)]


def _print_parts(parts: Sequence[tuple[str, str]], stream: TextIO) -> None:
    for name, text in parts:
        lead = f"     {name:9}"
        print(textwrap.fill(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)), file=stream)


def _shortened(text: str) -> str:
    return textwrap.shorten(text, STATEMENT_WIDTH, placeholder=" ...")
