"""Two recorded comparisons as two tables: figures of B over A's, and ratios of B over A's."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO
from typing import TypeVar

from shared.lab.planning.plan import Load
from shared.lab.results.difference import Difference
from shared.lab.results.difference import FigureChange
from shared.lab.results.difference import Key
from shared.lab.results.difference import RatioChange
from shared.lab.results.difference import cell_name
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import Measure
from shared.lab.statistics import Ratio
from shared.report import format
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

NO_RATIO = "no ratio"
COMMIT_LETTERS = 12
# With fewer, resampling makes intervals that are too narrow; `unpaired_ratio` tells by how much.
ENOUGH_ROUNDS = 5
NAMES = ("scenario", "edition")
VALUES = ("figure", "A", "B", "B_over_A")
# Name in the table and text of each figure.
SHOWN: dict[Measure, tuple[str, Callable[[float], str]]] = {
    "rps": ("rps", format.rate),
    "p50": ("p50 ms", format.milliseconds),
    "p99": ("p99 ms", format.milliseconds),
    "cpu": ("CPU s/1k", format.cpu_s_per_thousand),
}

Change = TypeVar("Change", bound=FigureChange | RatioChange)


def print_difference(difference: Difference, stream: TextIO) -> None:
    """Print the tables of `make diff`."""
    draw(figure_sheet(difference), stream)
    if difference.ratios:
        draw(ratio_sheet(difference), stream)


def figure_sheet(difference: Difference) -> Sheet:
    """Return the table of every figure of B over that of A."""
    rows: list[Row] = []
    for names, change, ends_cell in _lines(difference.figures, difference.shows_loads):
        head, text = SHOWN[change.measure]
        figures = (format.NOTHING if value is None else text(value) for value in (change.a, change.b))
        doubts = tuple(_doubts(difference, change)) if ends_cell else ()
        rows.append(Row((*names, head, *figures, _interval(change.ratio)), doubts))
    notes = (
        _run("A", difference.a),
        _run("B", difference.b),
        *_only("A", difference.only_a, difference.b, shows_load=difference.shows_loads),
        *_only("B", difference.only_b, difference.a, shows_load=difference.shows_loads),
        "Interval: 95 %, from the rounds of two runs, which are no pairs; one that holds 1 shows no difference. "
        "B_over_A is made from rounds; A and B are made from all answers, so their quotient may be another.",
        "B_over_A here holds the difference between the two days as well as that between the two programs: whatever "
        "the machine did in one run and not in the other.",
        _by_chance(difference.figures),
    )
    doubts = tuple(_about_all(difference))
    return Sheet("B over A, figure by figure", _heads(difference), tuple(rows), doubts, notes, difference.shows_loads)


def ratio_sheet(difference: Difference) -> Sheet:
    """Return the table of every ratio to the baseline in B over the same in A."""
    rows = [
        Row((*names, change.measure, _interval(change.a), _interval(change.b), _interval(change.ratio)), ())
        for names, change, _ in _lines(difference.ratios, difference.shows_loads)
    ]
    baseline = difference.a.baseline
    notes = (
        f"A and B: the edition's figure over that of {baseline} in the same rounds of the same run. The machine's "
        "state of the day stands above and below that line and cancels, so B_over_A here does not hold the difference "
        "between the two days, except for what touched one of them more than the other; nor does it hold what changed "
        f"in {baseline} and in the edition alike.",
        _by_chance(difference.ratios),
    )
    title = f"B over A, each edition over {baseline} of its own run"
    return Sheet(title, _heads(difference), tuple(rows), (), notes, difference.shows_loads)


def _heads(difference: Difference) -> tuple[str, ...]:
    return (*NAMES, *(("load",) if difference.shows_loads else ()), *VALUES)


def _lines(changes: Sequence[Change], shows_loads: bool) -> Iterable[tuple[tuple[str, ...], Change, bool]]:
    """Yield each change with its names, which are empty where they repeat, and whether it is the last of its cell."""
    keys = [_key(change) for change in changes]
    for change, last, key, following in zip(changes, [None, *keys], keys, [*keys[1:], None], strict=False):
        scenario, load, subject = key
        # A scenario is named once under each load, as in the table of one comparison.
        named = scenario if last is None or last[:2] != key[:2] else ""
        cell: tuple[str, ...] = (subject, str(load)) if shows_loads else (subject,)
        if last == key:
            cell = ("",) * len(cell)
        yield (named, *cell), change, following != key


def _key(change: FigureChange | RatioChange) -> Key:
    return change.scenario, change.load, change.subject


def _interval(ratio: Ratio | None) -> str:
    return NO_RATIO if ratio is None else format.ratio(ratio.value, ratio.low, ratio.high)


def _run(name: str, comparison: Comparison) -> str:
    manifest = comparison.manifest
    commit = "an unknown commit" if manifest.git_commit is None else f"commit {manifest.git_commit[:COMMIT_LETTERS]}"
    changed = " with changes" if manifest.git_dirty else ""
    return f"{name}: {commit}{changed}, {comparison.timing.rounds} rounds, seed {manifest.seed}, {manifest.time_utc}."


def _only(name: str, keys: Sequence[Key], other: Comparison, *, shows_load: bool) -> Iterable[str]:
    """Yield lines about what one run alone has: whole loads first, then what else is missing from the other."""
    loads = [load for load in dict.fromkeys(load for _, load, _ in keys) if load not in other.loads]
    if loads:
        yield f"Only in {name}: everything at {', '.join(map(str, loads))}."
    rest = [cell_name(key, shows_load=shows_load) for key in keys if key[1] not in loads]
    if rest:
        yield f"Only in {name}: {', '.join(rest)}."


def _by_chance(changes: Sequence[FigureChange] | Sequence[RatioChange]) -> str:
    """Return what so many intervals show where nothing has changed."""
    count = sum(change.ratio is not None for change in changes)
    return f"{count} intervals: of those that should hold 1, about one in twenty does not, by chance."


def _about_all(difference: Difference) -> Iterable[Doubt]:
    """Yield the doubts about all of it: first what else differs, as far as it was let pass."""
    for mismatch in difference.mismatches:
        message = f"{mismatch}, which is not the program and moves figures, too"
        yield Doubt("other_environment", message, "measure both under the same conditions", len(difference.mismatches))
    for name, comparison in (("A", difference.a), ("B", difference.b)):
        rounds = comparison.timing.rounds
        if rounds < ENOUGH_ROUNDS:
            message = f"{name} has {rounds} rounds, from which every interval comes out too narrow for its 95 %"
            yield Doubt("few_rounds", message, f"measure {ENOUGH_ROUNDS} rounds or more", rounds)
    yield from _in_both(difference, (None, None), (None,))


def _doubts(difference: Difference, cell: FigureChange) -> Iterable[Doubt]:
    """Yield both runs' doubts about a cell; what touches its scenario and load as a whole stands below the last."""
    scenario, load, subject = _key(cell)
    last = [change.subject for change in difference.figures if _key(change)[:2] == (scenario, load)][-1]
    yield from _in_both(difference, (scenario, load), (subject, None) if subject == last else (subject,))


def _in_both(
    difference: Difference, workload: tuple[str | None, Load | None], subjects: tuple[str | None, ...]
) -> Iterable[Doubt]:
    for name, comparison in (("A", difference.a), ("B", difference.b)):
        for doubt in comparison.doubts:
            if (doubt.scenario, doubt.load) == workload and doubt.subject in subjects:
                yield replace(doubt, message=f"in {name}, {doubt.message}")
