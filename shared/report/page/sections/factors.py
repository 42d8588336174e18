"""A study of factors on a page: what each swap changes in its edition, how far apart the editions are then."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from shared.lab.factors.result import AS_THEY_ARE
from shared.report.page.charts.intervals import Interval
from shared.report.page.charts.intervals import interval_plot
from shared.report.page.content import Beside
from shared.report.page.content import Block
from shared.report.page.content import Figure
from shared.report.page.content import Point
from shared.report.page.content import Points
from shared.report.page.content import Section
from shared.report.page.content import Svg
from shared.report.page.content import Table
from shared.report.page.content import Text
from shared.report.page.sections import curves
from shared.report.page.sections.reading import interval
from shared.report.page.sections.reading import load_text

MEASURES = {"rps": "requests per second", "cpu": "processor time per request"}


def section(document: Mapping[str, Any]) -> Section | None:
    """Return the section of a study's document; None where nothing was swapped."""
    if not document["variants"]:
        return None
    blocks: list[Block] = []
    curve = curves.figures(document) if document["curve"] else []
    parts = [("The swap over the same edition as it is", _shares(document))]
    if not curve:
        parts.append(("asgi over wsgi, as they are and after each swap", _gaps(document)))
    for heading, made in parts:
        figures = [
            Figure(f"{heading}: {MEASURES[measure]}", _plot(rows, measure, heading), _table(rows, measure))
            for measure, rows in made.items()
            if rows
        ]
        blocks.append(Beside(tuple(figures)))
    if curve:
        blocks += [Text(curves.HINT, "note"), Beside(tuple(curve))]
    points = [Point(f"{', '.join(labels)}: {text}.") for text, labels in _alike(document).items()]
    points += [_crossing(crossing, str(document["curve"])) for crossing in document["crossings"]]
    if points:
        blocks.append(Points(tuple(points)))
    hint = "One thing at a time is exchanged in one edition or both. A hollow mark: no difference shown."
    return Section("factors", "What each factor changes", blocks, hint)


def _shares(document: Mapping[str, Any]) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = {measure: [] for measure in MEASURES}
    for share in document["shares"]:
        if share["measure"] in found:
            name = f"{share['edition']} {share['label']}, {_work(share)}"
            found[share["measure"]].append(interval(name, share["ratio"]))
    return found


def _gaps(document: Mapping[str, Any]) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = {measure: [] for measure in MEASURES}
    for gap in document["gaps"]:
        if gap["measure"] in found:
            name = f"{gap['label'] or AS_THEY_ARE}, {_work(gap)}"
            found[gap["measure"]].append(interval(name, gap["ratio"]))
    return found


def _work(found: Mapping[str, Any]) -> str:
    return f"{found['scenario']} at {load_text(found['load'])}"


def _plot(rows: list[Interval], measure: str, heading: str) -> Svg:
    more = "more requests" if measure == "rps" else "costs more"
    less = "fewer requests" if measure == "rps" else "costs less"
    return interval_plot(rows, title=f"{heading}: {MEASURES[measure]}", below=less, above=more)


def _table(rows: Iterable[Interval], measure: str) -> Table:
    return Table(("what", "ratio [95 %]"), tuple((row.label, row.text) for row in rows), MEASURES[measure])


def _alike(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return which variants have something besides in common."""
    found: dict[str, list[str]] = {}
    for variant in document["variants"]:
        if text := _also(variant):
            found.setdefault(text, []).append(str(variant["label"]))
    return found


def _also(variant: Mapping[str, Any]) -> str:
    """Return what else differs in a variant, beside what was swapped."""
    return "; ".join(f"{side['edition']}: {text}" for side in variant["sides"] for text in side["also"])


def _crossing(crossing: Mapping[str, Any], curve: str) -> Point:
    head = f"{_work(crossing)}, {crossing['measure']} against {curve}:"
    levels = crossing["levels"]
    if crossing["verdict"] == "cross" and crossing["at"] is not None:
        ends = "" if crossing["low"] is None else f" [{crossing['low']:.3g}, {crossing['high']:.3g}]"
        return Point(f"the curves cross at {crossing['at']:.3g}{ends}; below it {crossing['ahead']} is ahead.", head)
    if crossing["verdict"] == "apart":
        between = f"between {levels[0]:g} and {levels[-1]:g}"
        return Point(f"the curves do not cross {between}; {crossing['ahead']} has the larger value.", head)
    return Point(f"whether the curves cross is not shown; in {crossing['probability']:.0%} of resamples they do.", head)
