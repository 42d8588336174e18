"""The page of claims: every verdict in one table, then each claim with all that it rests on."""

import shlex

from shared.lab.claims.result import SCHEMA_VERSION
from shared.lab.claims.result import Claims
from shared.report import claim_figures
from shared.report import format
from shared.report import origin
from shared.report.claims_page import claim
from shared.report.page.content import Block
from shared.report.page.content import Cell
from shared.report.page.content import Command
from shared.report.page.content import Details
from shared.report.page.content import Facts
from shared.report.page.content import Page
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Table
from shared.report.page.content import Text
from shared.report.page.page import render

VERDICTS = (
    ("confirmed", "every figure that the rule looks at is as the statement says."),
    ("refuted", "the rule says that the statement does not hold."),
    ("depends", "it holds under a condition, which is named, or in one edition only."),
    ("undecided", "what was measured does not reach for a verdict, as when an interval holds the bound."),
    (claim_figures.NOT_DONE, "the experiment failed; why is said."),
)


def page(found: Claims) -> str:
    """Return the page as one HTML document, to be written as UTF-8."""
    sections = [*map(claim.section, found.outcomes), *map(claim.failed, found.failures)]
    sections.sort(key=lambda section: int(section.id.removeprefix("c")))
    everything = [_overview(found), *sections, _manifest(found)]
    return render(Page("Claims, put to the test", origin.made(found.manifest), everything, _lead(found)))


def _lead(found: Claims) -> list[Block]:
    return [
        Text(f"{claim_figures.counts(found)}.", "lead"),
        Text(
            "Each statement became an experiment that ran on both editions against a real database. Prediction, method "
            "and rule were fixed before anything was measured; the verdict follows from the figures by the rule."
        ),
    ]


def _overview(found: Claims) -> Section:
    heads, rows = claim_figures.verdicts(found)
    table = Table(
        heads,
        tuple((Cell(row[0], to=row[0].lower()), row[1], *map(claim.verdict, row[2:])) for row in rows),
        "Every claim with its verdicts",
        words=2,
        is_stacked=True,
    )
    words = Points(tuple(Point(text, claim.verdict(word)) for word, text in VERDICTS))
    return Section("verdicts", "Verdicts", [table, Details("What the words mean", (words,))])


def _manifest(found: Claims) -> Section:
    made = found.manifest
    dirty = {True: ", with changes that no commit holds", False: "", None: ""}[made.git_dirty]
    facts = (
        ("started", made.time_utc),
        ("took", format.duration(sum(outcome.duration_s for outcome in found.outcomes))),
        ("commit", f"{made.git_commit or 'unknown'}{dirty}"),
        ("schema version of the result", str(SCHEMA_VERSION)),
        ("Python", made.python),
        ("database", made.database_version or "not asked"),
        ("processor", made.cpu_model),
        ("processors", str(made.cores)),
        *((f"processors: {role}", value) for role, value in made.core_roles.items()),
        ("frequency governor", made.governor or "cannot be read"),
        ("memory", f"{made.memory_bytes / 2**30:.1f}{format.NO_BREAK}GiB"),
        ("kernel", made.kernel),
        ("load average before", ", ".join(f"{value:.2f}" for value in made.load_average)),
    )
    settings = tuple(
        Details(f"Settings of {name}", (Facts(tuple(values.items())),)) for name, values in made.settings.items()
    )
    return Section(
        "manifest",
        "Where and with what",
        [
            Command(shlex.join(["wsgi-vs-asgi", *made.command[1:]]), "All of it, as it was called:"),
            Facts(facts),
            Details("Versions of packages", (Facts(tuple(made.packages.items())),), is_open=True),
            *settings,
        ],
        "Secrets are masked. Experiments set what they are about; what they did not set is as below.",
    )
