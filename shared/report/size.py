"""Sizes of pools and time-outs on a terminal: each rule with its figures, and the queue predicted and measured."""

import textwrap
from collections.abc import Sequence
from typing import TextIO

from shared.lab.results.record import Manifest
from shared.lab.sizing.result import Measured
from shared.lab.sizing.result import Value
from shared.lab.sizing.rules import VERDICTS
from shared.lab.sizing.rules import Check
from shared.lab.sizing.rules import Report
from shared.report import format
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

WIDTH = 100


def print_report(report: Report, stream: TextIO) -> None:
    """Print the table of rules, and in words what follows from each; a rung that holds says all in its figures."""
    rows = tuple(Row((check.subject, check.name, check.figures, check.verdict), ()) for check in report.checks)
    draw(Sheet("What fits, and what does not", ("edition", "what", "figures", "verdict"), rows, (), ()), stream)
    for check in report.checks:
        if check.rule != check.name or check.verdict != "kept":
            _print(check, stream)
    counts = {verdict: len(report.of(verdict)) for verdict in VERDICTS}
    print(f"Rules: {', '.join(f'{count} {verdict}' for verdict, count in counts.items() if count)}.", file=stream)


def print_measured(measured: Sequence[Measured], manifest: Manifest, stream: TextIO) -> None:
    """Print the queue of each edition: predicted, simulated and measured."""
    heads = (
        *("edition", "wait for a connection", "as asked", "predicted", "simulated"),
        *("measured [95 %]", "over predicted"),
    )
    rows = []
    for each in measured:
        lines: tuple[tuple[str, str, Value], ...] = (
            ("share that waits", "probability", each.probability),
            ("mean, ms", "mean_s", each.mean_s),
            ("p99, ms", "p99_s", each.p99_s),
        )
        for name, field, found in lines:
            predicted = (getattr(waits, field) for waits in (each.asked, each.expected, each.simulated))
            error = found.error(getattr(each.expected, field))
            cells = (_text(value, field) for value in predicted)
            rows.append(
                Row(
                    (
                        each.edition if field == "probability" else "",
                        name,
                        *cells,
                        f"{_text(found.value, field)} [{_text(found.low, field)}, {_text(found.high, field)}]",
                        format.NOTHING if error is None else f"{error:+.0%}",
                    ),
                    (),
                )
            )
    notes = [_how(each) for each in measured]
    notes += [
        "as asked: for the rate and the sleep that were asked for. predicted: for the rate and the hold time that were "
        "measured. simulated: first come, first served, with the very arrivals and hold times that were measured; what "
        "is left between it and the measurement is not chance, but the order of the line and the cost of a hand-over.",
        f"seed {manifest.seed}; {manifest.cpu_model}, {manifest.cores} cores, {manifest.python}, {manifest.time_utc}.",
    ]
    draw(Sheet("The queue for connections", heads, tuple(rows), (), tuple(notes)), stream)


def _how(measured: Measured) -> str:
    approximate = (
        ""
        if measured.approximate_mean_s is None
        else f"; mean by Cosmetatos's approximation {_text(measured.approximate_mean_s, 'mean_s')} ms"
    )
    kinds = ("constant", "exponential") if measured.approximate_mean_s is not None else ("exponential", "constant")
    return (
        f"{measured.edition}: {measured.requests:,} requests in {measured.rounds} rounds, {measured.rate:.4g}/s, "
        f"each with a connection for {format.milliseconds(measured.hold_s)} ms (scatter {measured.hold_scatter:.0%}); "
        f"most in flight {measured.most_in_flight} with room for {measured.places}. Predicted for {kinds[0]} hold times"
        f"{approximate}; {kinds[1]} ones would wait {_text(measured.other.mean_s, 'mean_s')} ms."
    )


def _text(value: float, field: str) -> str:
    return f"{value:.1%}" if field == "probability" else format.milliseconds(value)


def _print(check: Check, stream: TextIO) -> None:
    lead = f"{check.verdict + ':':9}"
    text = f"{check.subject}, {check.name}: {check.why}. Rule: {check.rule}."
    print(textwrap.fill(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)), file=stream)
