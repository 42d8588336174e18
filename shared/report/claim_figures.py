"""What was measured of a claim as texts: one line for each figure, the editions beside each other."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from shared.lab.claims.claim import SUBJECTS
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import Verdict
from shared.lab.claims.result import Claims
from shared.lab.claims.result import Outcome
from shared.report import format

EDITIONS: tuple[Subject, Subject] = ("wsgi", "asgi")
# What the column of a claim says whose experiment failed.
NOT_DONE = "not done"


@dataclass(frozen=True, slots=True)
class FigureLine:
    """One figure of all who have it.

    Attributes:
        label: What it is.
        cells: Value with its interval and unit, one for each subject of the claim.
        trials: From how many trials; several numbers where subjects differ.
    """

    label: str
    cells: tuple[str, ...]
    trials: str


def subjects(measured: Mapping[Subject, object]) -> tuple[Subject, ...]:
    """Return whose figures there are, in the order of columns."""
    return tuple(subject for subject in SUBJECTS if subject in measured)


def verdicts(found: Claims) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heads and lines of the table of verdicts, by number of claim.

    It has a column for both editions, one for what they share where a claim is about that, and one for all of it.
    """
    columns = SUBJECTS if any("shared" in outcome.rulings for outcome in found.outcomes) else EDITIONS
    rows = [
        (outcome.claim.name, outcome.claim.statement, *(verdict(outcome, each) for each in columns), overall(outcome))
        for outcome in found.outcomes
    ]
    rows += [
        (failure.claim.name, failure.claim.statement, *(format.NOTHING for _ in columns), NOT_DONE)
        for failure in found.failures
    ]
    return ("claim", "statement", *columns, "verdict"), sorted(rows, key=lambda row: int(row[0].removeprefix("C")))


def verdict(outcome: Outcome, subject: Subject) -> str:
    """Return the word of a subject's verdict; nothing where a claim is not about it."""
    ruling = outcome.rulings.get(subject)
    return format.NOTHING if ruling is None else ruling.verdict


def overall(outcome: Outcome) -> str:
    """Return the word of the verdict of all."""
    return outcome.overall.verdict


def counts(found: Claims) -> str:
    """Return how many claims have which verdict, such as 3 claims: 2 confirmed, 1 refuted."""
    order: tuple[Verdict, ...] = ("confirmed", "refuted", "depends", "undecided")
    numbers = [(word, sum(outcome.overall.verdict == word for outcome in found.outcomes)) for word in order]
    told = [f"{number} {word}" for word, number in numbers if number]
    if found.failures:
        told.append(f"{len(found.failures)} {NOT_DONE}")
    whole = len(found.outcomes) + len(found.failures)
    return f"{whole} claim{'' if whole == 1 else 's'}: {', '.join(told)}"


def lines(measured: Mapping[Subject, Figures]) -> tuple[FigureLine, ...]:
    """Return every figure, in the order in which subjects tell them, all of a name in one line.

    Times are in the unit that suits the longest of a line.
    """
    by_name: dict[str, dict[Subject, Figure]] = {}
    for subject in subjects(measured):
        for figure in measured[subject].figures:
            by_name.setdefault(figure.name, {})[subject] = figure
    return tuple(_line(found, subjects(measured)) for found in by_name.values())


def _line(found: Mapping[Subject, Figure], columns: Sequence[Subject]) -> FigureLine:
    figures = list(found.values())
    trials = list(dict.fromkeys(figure.trials for figure in figures))
    longest = max((abs(figure.value) for figure in figures if not isinstance(figure.value, str | bool)), default=0.0)
    return FigureLine(
        label=figures[0].label,
        cells=tuple(value(found[column], longest) if column in found else format.NOTHING for column in columns),
        trials=" | ".join(f"{number:,}" for number in trials),
    )


def value(figure: Figure, longest: float | None = None) -> str:
    """Return a figure's value with its interval, if it has one, and its unit.

    Args:
        figure: The figure.
        longest: The value that decides the unit of a time; its own if None.
    """
    if isinstance(figure.value, bool):
        return "yes" if figure.value else "no"
    if isinstance(figure.value, str):
        return figure.value
    scale, unit = 1.0, figure.unit
    if unit == "s":
        scale, unit = format.time_unit(figure.value if longest is None else longest)
    if figure.low is not None and figure.high is not None:
        text = format.interval(figure.value * scale, figure.low * scale, figure.high * scale)
    elif isinstance(figure.value, int) and scale == 1:
        text = f"{figure.value:,}"
    else:
        text = format.significant(figure.value * scale)
    return f"{text} {unit}".rstrip()
