"""The ladder in the terminal: its plan, a table of levels and steps, stacked bars, and where the gap comes from."""

import textwrap
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TextIO

from shared.config import Edition
from shared.lab.ladder.plan import LadderPlan
from shared.lab.ladder.record import Gap
from shared.lab.ladder.record import Ladder
from shared.lab.ladder.rungs import RUNGS
from shared.lab.ladder.rungs import SMALL
from shared.lab.ladder.rungs import Rung
from shared.lab.statistics import Difference
from shared.report import format
from shared.report.table import NO_DIFFERENCE
from shared.report.table import PLAIN_WIDTH
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

BAR_WIDTH = 72


def print_ladder(ladder: Ladder, stream: TextIO) -> None:
    """Print what `make ladder` found: in words, as a table, and as bars."""
    for sentence in sentences(ladder):
        stream.write("\n".join(textwrap.wrap(sentence, PLAIN_WIDTH, subsequent_indent="  ")) + "\n")
    stream.write("\n")
    draw(ladder_sheet(ladder), stream)
    draw(database_sheet(ladder), stream)
    small = ladder.rungs[SMALL - 1].name
    for title, count in ((f"Up to {small}", SMALL), ("All rungs", len(ladder.rungs))):
        stream.write("\n".join(bars(ladder, title, count)) + "\n\n")


def print_plan(plan: LadderPlan, stream: TextIO) -> None:
    """Print what `make ladder` would measure."""
    draw(plan_sheet(plan), stream)
    for number, rung in enumerate(RUNGS, start=1):
        head = f"{number} {rung.name}: "
        stream.write("\n".join(textwrap.wrap(head + rung.adds, PLAIN_WIDTH, subsequent_indent="  ")) + "\n")


def plan_sheet(plan: LadderPlan) -> Sheet:
    """Return the plan as a table, a line for each rung."""
    rows = [
        Row((f"{number} {rung.name}", rung.target, _statements(rung.statements), f"{rung.volleys} x {plan.volley}"), ())
        for number, rung in enumerate(RUNGS, start=1)
    ]
    notes = (
        f"{' and '.join(plan.editions)}: {plan.starts} starts, {plan.seconds:g} s of rounds in each, seed {plan.seed}; "
        f"about {format.duration(plan.estimated_s)} in all, as it was on another machine.",
        "Requests: volleys of a visit and requests of a volley. A round visits every rung of every edition in random "
        "order, then in the reverse one.",
        "Each rung is the one before and what is named below.",
    )
    heads = ("rung", "target", "SQL statements", "requests")
    return Sheet("What would be measured; nothing was started", heads, tuple(rows), (), notes)


def ladder_sheet(ladder: Ladder) -> Sheet:
    """Return the table: per rung what it costs each edition, its step, and the difference of the steps."""
    heads = ["rung", "SQL"]
    for edition in ladder.editions:
        heads += [f"{edition} us", "step us"]
    if ladder.gaps:
        heads.append("asgi - wsgi step us")
    rows = [_row(ladder, place) for place in range(len(ladder.rungs))]
    manifest = ladder.manifest
    notes = (
        f"{ladder.starts} starts of each service, {ladder.seconds:g} s of rounds in each, volleys of {ladder.volley} "
        f"requests, all rungs in turn, seed {manifest.seed}; {manifest.cpu_model}, {manifest.cores} cores, "
        f"{manifest.python}, {manifest.time_utc}.",
        "us: CPU microseconds of the service per request. step: the same minus the rung below's, from paths of one "
        "process. SQL: statements. Interval: 95 %, from starts. The client's own speed has no part in CPU time.",
    )
    about_all = tuple(doubt for doubt in ladder.doubts if doubt.scenario is None)
    return Sheet("What each rung adds", tuple(heads), tuple(rows), about_all, notes)


def database_sheet(ladder: Ladder) -> Sheet:
    """Return the table of what the database does for a request of each rung that asks it."""
    rows = []
    for place, rung in enumerate(ladder.rungs):
        counted = ladder.answers[place].statements
        figures = [ladder.level(edition, rung.name).database_cpu_s for edition in ladder.editions]
        if not rung.statements:
            continue
        shown = [format.NOTHING if figure is None else _interval(figure) for figure in figures]
        statements = format.NOTHING if counted is None else _statements(counted)
        rows.append(Row((f"{place + 1} {rung.name}", statements, *shown), ()))
    why = f" They were not: {ladder.why_not_counted}." if ladder.why_not_counted else ""
    notes = (
        "us: CPU microseconds of the database's processes that work for the service, per request; they are no part of "
        "any rung above. Statements: counted at the database before anything was timed, the same in every edition."
        + why,
    )
    heads = ("rung", "statements", *(f"{edition} us" for edition in ladder.editions))
    return Sheet("What the database does meanwhile", heads, tuple(rows), (), notes)


def bars(ladder: Ladder, title: str, count: int, width: int = BAR_WIDTH) -> list[str]:
    """Return stacked bars of the lowest rungs: a digit for each rung's share, one line for each edition."""
    rungs = ladder.rungs[:count]
    tops = {edition: ladder.level(edition, rungs[-1].name).cpu_s.value for edition in ladder.editions}
    longest = max(_tops(ladder, edition, rungs)[-1] for edition in ladder.editions)
    lines = [f"{title}: CPU of the service per request, a character is {longest / width * 1e6:.1f} us"]
    for edition in ladder.editions:
        bar, at = "", 0
        for number, top in enumerate(_tops(ladder, edition, rungs), start=1):
            end = round(top / longest * width)
            bar += str(number) * (end - at)
            at = end
        lines.append(f"{edition}  {bar.ljust(width)}  {format.microseconds(tops[edition])} us")
    lines += textwrap.wrap(
        "   ".join(f"{number} {rung.name.replace(' ', format.NO_BREAK)}" for number, rung in enumerate(rungs, start=1)),
        PLAIN_WIDTH,
        initial_indent="      ",
        subsequent_indent="      ",
    )
    return lines


def sentences(ladder: Ladder) -> list[str]:
    """Return where the difference between the editions comes from, for a small request and for the largest."""
    if not ladder.gaps:
        return []
    places = (SMALL - 1, len(ladder.rungs) - 1)
    return [_sentence(ladder, place) for place in places]


def _sentence(ladder: Ladder, place: int) -> str:
    rung, gap = ladder.rungs[place], ladder.gaps[place]
    above, below = (ladder.level(edition, rung.name).cpu_s.value for edition in ("asgi", "wsgi"))
    both = f"({format.microseconds(above)} against {format.microseconds(below)} us)"
    where = f"{rung.name} ({rung.target})"
    parts = ladder.gaps[: place + 1]
    if gap.cpu_s.difference_shown:
        more = "more" if gap.cpu_s.value > 0 else "less"
        whole = f"{where}: asgi takes {_size(gap.cpu_s)} us {more} CPU per request than wsgi {both}."
    else:
        whole = f"{where}: {NO_DIFFERENCE} in CPU per request {both}."
    return " ".join((whole, *_parts(parts)))


def _parts(gaps: Sequence[Gap]) -> Iterator[str]:
    """Yield the steps at which the ASGI edition takes more, less, and neither, the largest first."""
    shown = sorted((gap for gap in gaps if gap.step_s.difference_shown), key=lambda gap: -abs(gap.step_s.value))
    for word, group in (
        ("It takes more for", [gap for gap in shown if gap.step_s.value > 0]),
        ("It takes less for", [gap for gap in shown if gap.step_s.value < 0]),
    ):
        if group:
            yield f"{word}: " + ", ".join(f"{gap.rung} {_size(gap.step_s)} us" for gap in group) + "."
    rest = [gap.rung for gap in gaps if not gap.step_s.difference_shown]
    if rest:
        yield f"{NO_DIFFERENCE.capitalize()}: {', '.join(rest)}."


def _size(difference: Difference) -> str:
    """Return how large a difference is, whichever way it goes."""
    low, high = sorted((abs(difference.low), abs(difference.high)))
    return format.interval_microseconds(abs(difference.value), low, high)


def _row(ladder: Ladder, place: int) -> Row:
    rung = ladder.rungs[place]
    counted = ladder.answers[place].statements
    cells = [f"{place + 1} {rung.name}", format.NOTHING if counted is None else format.count(sum(counted.values()))]
    for edition in ladder.editions:
        level = ladder.level(edition, rung.name)
        cells += [format.microseconds(level.cpu_s.value), _interval(level.step_s)]
    if ladder.gaps:
        cells.append(_interval(ladder.gaps[place].step_s))
    return Row(tuple(cells), tuple(doubt for doubt in ladder.doubts if doubt.scenario == rung.name))


def _statements(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or format.NOTHING


def _tops(ladder: Ladder, edition: Edition, rungs: Sequence[Rung]) -> list[float]:
    """Return where each rung's part of a bar ends; a rung that costs less than the one below has none."""
    tops: list[float] = []
    for rung in rungs:
        tops.append(max(ladder.level(edition, rung.name).cpu_s.value, tops[-1] if tops else 0.0))
    return tops


def _interval(difference: Difference) -> str:
    return format.interval_microseconds(difference.value, difference.low, difference.high)
