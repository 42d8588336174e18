"""The page of a comparison: the answer in words, then everything that it rests on."""

from collections.abc import Sequence

from shared.lab.results.record import Comparison
from shared.report import origin
from shared.report import words
from shared.report.comparison_page import companions as beside
from shared.report.comparison_page import conditions
from shared.report.comparison_page import figures
from shared.report.comparison_page.companions import Companion
from shared.report.comparison_page.every import every
from shared.report.comparison_page.loads import by_load
from shared.report.comparison_page.servers import servers
from shared.report.page.content import Block
from shared.report.page.content import Page
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Text
from shared.report.page.page import render

VALIDITY = "validate"


def page(comparison: Comparison, companions: Sequence[Companion] = ()) -> str:
    """Return the page as one HTML document, to be written as UTF-8.

    Args:
        comparison: With its slices; without them it has no percentile spectra.
        companions: Newest results of other commands, such as the ladder.
    """
    manifest = comparison.manifest
    found = {section.id: section for section in beside.sections(companions, manifest)}
    validity = [found.pop(VALIDITY)] if VALIDITY in found else []
    against = by_load(comparison)
    sections: list[Section] = [
        figures.rates(comparison),
        figures.times(comparison),
        *([against] if against else []),
        figures.cost(comparison),
        servers(comparison),
        *found.values(),
        every(comparison),
        conditions.doubts(comparison),
        conditions.method(comparison, has_validity=bool(validity)),
        *validity,
        conditions.manifest(comparison),
        conditions.reruns(comparison),
    ]
    title = " against ".join(name.upper() if name in ("wsgi", "asgi") else name for name in _names(comparison))
    return render(Page(f"{title}, measured", origin.made(manifest), sections, _lead(comparison)))


def _names(comparison: Comparison) -> tuple[str, ...]:
    return (comparison.baseline, *figures.others(comparison))


def _lead(comparison: Comparison) -> list[Block]:
    blocks: list[Block] = []
    cautions: list[Point] = []
    for above in figures.others(comparison) or (comparison.baseline,):
        answer = words.answer(comparison, above)
        blocks.append(Text(answer.headline, "lead"))
        blocks.append(Points(tuple(Point(f"{'; '.join(claim.items)}.", f"{claim.head}:") for claim in answer.claims)))
        cautions = [Point(text) for text in (*answer.cautions, answer.untested)]
    models = {load.model for load in comparison.loads}
    if "closed" in models:
        cautions.append(
            Point(
                "In the closed model clients wait for their answers; how long an answer takes at a given rate of "
                "requests is another question, for the open model."
            )
        )
    return [*blocks, Text("To keep in mind:"), Points(tuple(cautions))]
