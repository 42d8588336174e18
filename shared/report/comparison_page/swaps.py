"""The page of a comparison of factors: what each swap changes, then what a comparison's page has besides."""

from collections.abc import Mapping
from typing import Any

from shared.lab.factors.result import AS_THEY_ARE
from shared.lab.results.record import Comparison
from shared.report import origin
from shared.report.comparison_page import companions
from shared.report.comparison_page import conditions
from shared.report.comparison_page.companions import Companion
from shared.report.comparison_page.every import every
from shared.report.page.content import Block
from shared.report.page.content import Page
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Text
from shared.report.page.page import render
from shared.report.page.sections import factors
from shared.report.page.sections.reading import interval
from shared.report.page.sections.reading import load_text


def page(comparison: Comparison, document: Mapping[str, Any], validity: Companion | None = None) -> str:
    """Return the page as one HTML document, to be written as UTF-8.

    Args:
        comparison: Both editions as they are and every variant, with its slices.
        document: What the result.json of the comparison of factors holds.
        validity: Newest result of the instrument's own validation.
    """
    swapped = factors.section(document)
    checked = list(companions.sections([validity] if validity else [], comparison.manifest))
    sections: list[Section] = [
        *([swapped] if swapped else []),
        every(comparison),
        conditions.doubts(comparison),
        conditions.method(comparison, has_validity=bool(checked)),
        *checked,
        conditions.manifest(comparison),
        conditions.reruns(comparison),
    ]
    made = origin.made(comparison.manifest)
    return render(Page("What a swap changes, measured", made, sections, _lead(document)))


def _lead(document: Mapping[str, Any]) -> list[Block]:
    """Return how far apart the editions are, as they are and in each variant."""
    told: dict[str, list[str]] = {}
    for gap in document["gaps"]:
        if gap["measure"] == "rps":
            work = f"{gap['scenario']} at {load_text(gap['load'])}"
            text = interval("", gap["ratio"]).text
            told.setdefault(work, []).append(f"{gap['label'] or AS_THEY_ARE}: {text}")
    names = ", ".join(str(variant["label"]) for variant in document["variants"])
    return [
        Text(f"{names}: measured beside both editions as they are, in the same rounds.", "lead"),
        Text("Requests per second, asgi over wsgi, with 95 % intervals. Above 1 the ASGI edition answers more."),
        Points(tuple(Point("; ".join(texts), f"{work}:") for work, texts in told.items())),
    ]
