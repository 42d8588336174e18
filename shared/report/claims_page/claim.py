"""One claim as a section of the page: verdict, what was stated before measuring, figures, pictures, explanation."""

from collections.abc import Mapping
from types import MappingProxyType

from shared.lab.claims.claim import Options
from shared.lab.claims.result import Failure
from shared.lab.claims.result import Outcome
from shared.lab.claims.result import Stated
from shared.report import claim_figures
from shared.report import format
from shared.report.claims_page.pictures import figure
from shared.report.page.content import Block
from shared.report.page.content import Cell
from shared.report.page.content import Command
from shared.report.page.content import Details
from shared.report.page.content import Facts
from shared.report.page.content import Links
from shared.report.page.content import Notice
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text

# How each verdict stands out: by a sign and a look beside its word.
LOOKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "confirmed": ("✓", "good"),
        "refuted": ("✗", "bad"),
        "depends": ("±", "mixed"),
        "undecided": ("?", "open"),
        claim_figures.NOT_DONE: ("!", "open"),
    }
)
# With more lines than this, figures are folded: the verdict and the explanation quote those that matter.
FOLDED = 24


def verdict(word: str, about: str = "") -> Cell:
    """Return a verdict as it stands in tables and heads.

    Args:
        word: The verdict; whatever is none stands as it is.
        about: Whose it is, where that does not stand elsewhere.
    """
    sign, look = LOOKS.get(word, ("", ""))
    text = f"{about}: {word}" if about else word
    return Cell(f"{sign} {text}".strip(), look)


def place(claim: Stated) -> str:
    """Return where on the page a claim is."""
    return claim.name.lower()


def section(outcome: Outcome) -> Section:
    """Return everything that was found of a claim."""
    claim, measured = outcome.claim, outcome.finding.measured
    points = [Point(ruling.because, verdict(ruling.verdict, subject)) for subject, ruling in outcome.rulings.items()]
    if len(points) > 1:
        points.append(Point("", verdict(outcome.overall.verdict, "verdict")))
    lines = claim_figures.lines(measured)
    table = Table(
        heads=("figure", *claim_figures.subjects(measured), "trials"),
        rows=tuple((line.label, *line.cells, line.trials) for line in lines),
        label=f"{claim.name}: what was measured",
        is_stacked=True,
    )
    blocks: list[Block] = [
        Points(tuple(points)),
        *_cautions(claim),
        Facts(_stated(claim)),
        Details(f"What was measured: {len(lines)} figures", (table,), is_open=len(lines) <= FOLDED),
        *(figure(picture) for picture in outcome.finding.pictures),
        Text(outcome.explanation),
        *(Notice("Note", "", note) for note in outcome.finding.notes),
        *_sources(claim),
        *_again(claim, outcome.options, outcome.command, f"took {format.duration(outcome.duration_s)}"),
    ]
    return Section(place(claim), f"{claim.name}: {claim.statement}", blocks, name=claim.name)


def failed(failure: Failure) -> Section:
    """Return what there is of a claim whose experiment could not be done."""
    claim = failure.claim
    blocks: list[Block] = [
        Points((Point(failure.why, verdict(claim_figures.NOT_DONE)),)),
        Facts(_stated(claim)),
        *_sources(claim),
        *_again(claim, failure.options, failure.command, "try it again"),
    ]
    return Section(place(claim), f"{claim.name}: {claim.statement}", blocks, name=claim.name)


def _stated(claim: Stated) -> tuple[tuple[str, str], ...]:
    return (("predicted", claim.prediction), ("done", claim.method), ("rule", claim.rule_words))


def _cautions(claim: Stated) -> list[Block]:
    if not claim.depends_on_machine:
        return []
    return [Notice("This depends on the machine", "", "Another machine may come to another verdict by the same rule.")]


def _sources(claim: Stated) -> list[Block]:
    if not claim.sources:
        return []
    return [
        Text("Documentation that the explanation relies on:"),
        Links(tuple((s.title, s.url) for s in claim.sources)),
    ]


def _again(claim: Stated, options: Options, command: str, does: str) -> list[Block]:
    """Return the command that repeats it, and what else it can do."""
    blocks: list[Block] = [Command(command, f"The same again ({does}):")]
    if claim.options:
        rows = tuple(
            (
                f"--set {option.name}={options[option.name]:g}",
                option.help,
                f"{options[option.name]:g}",
                f"{option.default:g}",
                f"{option.least:g} to {option.most:g}",
            )
            for option in claim.options
        )
        heads = ("option", "what it changes", "was", "default", "may be")
        table = Table(heads, rows, f"{claim.name}: options", words=2, is_stacked=True)
        blocks.append(Details("But what if? What may be changed", (table,), is_open=True))
    return blocks
