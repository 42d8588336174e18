"""A comparison's answer in words, made from its figures: who carries more of which work, by how much, how surely.

A ratio is always that of the other subject over the baseline. What an interval does not exclude is not claimed.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import LoadModel
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.statistics import Ratio

Verdict = Literal["above", "below", "equal", "none"]
# From here on a ratio is easier to grasp as so many times than as per cent.
TIMES = 2.0


@dataclass(frozen=True, slots=True)
class Wording:
    """How a measure is spoken of.

    Attributes:
        name: What it is.
        more: A ratio above 1.
        less: A ratio below 1.
        times: After "3.1 times".
    """

    name: str
    more: str
    less: str
    times: str


WORDINGS: dict[Measure, Wording] = {
    "rps": Wording("requests per second", "more", "fewer", "as many"),
    "p50": Wording("median response time", "longer", "shorter", "as long"),
    "p99": Wording("99th percentile of response times", "longer", "shorter", "as long"),
    "cpu": Wording("processor time per request", "more", "less", "as much"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one ratio says.

    Attributes:
        label: Of which work, such as db, or db at 32 where there are several loads.
        scenario: Its scenario.
        load: Its load.
        measure: What was divided.
        ratio: The ratio; None where a round had nothing to divide.
    """

    label: str
    scenario: str
    load: Load
    measure: Measure
    ratio: Ratio | None

    @property
    def verdict(self) -> Verdict:
        """Which side of 1 its interval lies on: above, below, or neither."""
        if self.ratio is None:
            return "none"
        if not self.ratio.difference_shown:
            return "equal"
        return "above" if self.ratio.value > 1 else "below"


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of the answer.

    Attributes:
        head: What holds.
        items: Of which work, each with its figures.
    """

    head: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a comparison found, in words.

    Attributes:
        headline: One sentence.
        claims: What it rests on.
        cautions: What to keep in mind.
        untested: What it says nothing about.
    """

    headline: str
    claims: tuple[Claim, ...]
    cautions: tuple[str, ...]
    untested: str


def answer(comparison: Comparison, above: str | None = None) -> Answer:
    """Return the answer about one subject against the baseline; the first other one if none is named."""
    above = above or other(comparison)
    closed = findings(comparison, above, "rps", model="closed")
    open_p99 = findings(comparison, above, "p99", model="open")
    claims = [*_rates(closed, above, comparison.baseline), *_tails(open_p99, above)]
    claims += [
        claim
        for measure in ("p99", "cpu")
        if (claim := _aside(findings(comparison, above, measure, model="closed"), above)) is not None
    ]
    return Answer(
        headline=_headline(comparison, closed, open_p99, above),
        claims=tuple(claims),
        cautions=tuple(_cautions(comparison)),
        untested=_untested(comparison),
    )


def other(comparison: Comparison) -> str:
    """Return the name of the first subject that is not the baseline."""
    return next((name for name in comparison.subjects if name != comparison.baseline), comparison.baseline)


def label(comparison: Comparison, scenario: str, load: Load) -> str:
    """Return what a piece of work is called: its load is named only where there are several."""
    return f"{scenario} at {load}" if len(comparison.loads) > 1 else scenario


def findings(
    comparison: Comparison, above: str, measure: Measure, *, model: LoadModel | None = None
) -> tuple[Finding, ...]:
    """Return what was found of a measure for all work that was measured, in table order."""
    return tuple(
        Finding(label(comparison, name, load), name, load, measure, comparison.ratio(name, load, above, measure))
        for name, load in ((w.scenario.name, w.load) for w in comparison.workloads)
        if (model is None or load.model == model) and comparison.cell(name, load, above) is not None
    )


def change(ratio: Ratio, measure: Measure) -> str:
    """Return a ratio in words with its interval, such as 37% more [25% to 51%], or 3.16 times as many [3.10, 3.22]."""
    wording = WORDINGS[measure]
    if not ratio.difference_shown:
        return f"no difference shown [{ratio.low:.2f}, {ratio.high:.2f}]"
    if ratio.value >= TIMES or ratio.value <= 1 / TIMES:
        return f"{ratio.value:.2f} times {wording.times} [{ratio.low:.2f}, {ratio.high:.2f}]"
    least, most = sorted((abs(ratio.low - 1), abs(ratio.high - 1)))
    # Enough digits to tell the nearer end from nothing.
    places = next((p for p in (0, 1) if least >= 10.0 ** -(p + 2)), 2)
    word = wording.more if ratio.value > 1 else wording.less
    return f"{abs(ratio.value - 1):.{places}%} {word} [{least:.{places}%} to {most:.{places}%}]"


def listed(texts: Sequence[str]) -> str:
    """Return texts as one: a, b and c."""
    return " and ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)


def _headline(comparison: Comparison, closed: Sequence[Finding], open_: Sequence[Finding], above: str) -> str:
    below = comparison.baseline
    if not closed and not open_:
        return "Nothing was measured."
    if above == below:
        return f"Only {below} was measured, so there is nothing to compare."
    if not closed:
        return _share(open_, above, f"{below} answers sooner (p99)", f"{above} answers sooner (p99)")
    return _share(
        closed, above, f"{above} answers more requests per second", f"{below} answers more requests per second"
    )


def _share(found: Sequence[Finding], above: str, if_above: str, if_below: str) -> str:
    """Return for how much of the work which of two sentences holds, the more frequent one first, with the largest."""
    every = len(found)
    what = "scenario" if len({f.load for f in found}) == 1 else "workload"
    whole = f"all {every} {what}s" if every > 1 else f"the one {what} measured"
    counted = {verdict: [f for f in found if f.verdict == verdict] for verdict in ("above", "below", "equal", "none")}
    shown = sorted((("above", if_above), ("below", if_below)), key=lambda pair: -len(counted[pair[0]]))
    parts: list[str] = []
    for verdict, text in shown:
        if chosen := counted[verdict]:
            most = "most for " if len(chosen) > 1 else ""
            share = whole if len(chosen) == every else f"{len(chosen)} of {every} {what}s"
            parts.append(f"{text} for {share} ({most}{_item(_farthest(chosen), above)})")
    if counted["equal"]:
        parts.append(f"no difference is shown for {whole if len(counted['equal']) == every else len(counted['equal'])}")
    if counted["none"]:
        parts.append(f"{len(counted['none'])} cannot be compared")
    text = "; ".join(parts)
    return f"{text[0].upper() + text[1:] if text.startswith('no ') else text}."


def _farthest(found: Sequence[Finding]) -> Finding:
    return max(found, key=_distance)


def _distance(finding: Finding) -> float:
    """Return by which factor a ratio differs from 1, in whichever direction."""
    return 0.0 if finding.ratio is None else max(finding.ratio.value, 1 / finding.ratio.value)


def _rates(found: Sequence[Finding], above: str, below: str) -> Iterable[Claim]:
    heads: tuple[tuple[Verdict, str], ...] = (
        ("above", f"{above} answers more requests per second"),
        ("below", f"{below} answers more requests per second"),
        ("equal", "No difference shown in requests per second"),
        ("none", "Cannot be compared, since a round had no successful answer"),
    )
    yield from _claims(found, heads, above)


def _tails(found: Sequence[Finding], above: str) -> Iterable[Claim]:
    heads: tuple[tuple[Verdict, str], ...] = (
        ("above", f"At an offered rate, {above}'s 99th percentile is longer"),
        ("below", f"At an offered rate, {above}'s 99th percentile is shorter"),
        ("equal", "At an offered rate, no difference shown in the 99th percentile"),
        ("none", "At an offered rate, no 99th percentile to compare"),
    )
    yield from _claims(found, heads, above)


def _claims(found: Sequence[Finding], heads: Sequence[tuple[Verdict, str]], above: str) -> Iterable[Claim]:
    for verdict, head in heads:
        # What differs most stands first.
        chosen = sorted((f for f in found if f.verdict == verdict), key=_distance, reverse=True)
        if chosen:
            groups: dict[str, list[Finding]] = {}
            for finding in chosen:
                groups.setdefault(finding.scenario, []).append(finding)
            loads = {f.load for f in found}
            yield Claim(head, tuple(_items(group, above, loads) for group in groups.values()))


def _items(group: Sequence[Finding], above: str, loads: Collection[Load]) -> str:
    """Return what was found of one scenario under some of the loads, given with the farthest from 1 first."""
    if len(group) == 1:
        return _item(group[0], above)
    at = "every load" if len(group) == len(loads) else listed([str(f.load) for f in sorted(group, key=_size)])
    name = f"{group[0].scenario} at {at}"
    ratios = [f.ratio for f in group if f.ratio is not None]
    if not ratios:
        return name
    if group[0].verdict == "equal":
        return f"{name} [{min(r.low for r in ratios):.2f}, {max(r.high for r in ratios):.2f}]"
    measure = group[0].measure
    return f"{name}: {above} from {change(ratios[-1], measure)} to {change(ratios[0], measure)}"


def _size(finding: Finding) -> float:
    """Return how much is sent, so that loads of one model stand in order."""
    return finding.load.rate or finding.load.connections


def _item(finding: Finding, above: str) -> str:
    ratio = finding.ratio
    if ratio is None:
        return finding.label
    if not ratio.difference_shown:
        return f"{finding.label} [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"{finding.label}: {above} {change(ratio, finding.measure)}"


def _aside(found: Sequence[Finding], above: str) -> Claim | None:
    """Return in one sentence what a measure says of all work."""
    usable = [f for f in found if f.ratio is not None]
    if not usable:
        return None
    wording = WORDINGS[usable[0].measure]
    parts: list[str] = []
    for verdict, word in (("above", wording.more), ("below", wording.less)):
        chosen = [f for f in usable if f.verdict == verdict]
        if chosen:
            far = _farthest(chosen)
            assert far.ratio is not None
            most = f"most for {far.label}: {change(far.ratio, far.measure)}"
            parts.append(f"{word} for {len(chosen)} of {len(usable)} ({most})")
    equal = sum(f.verdict == "equal" for f in usable)
    if equal:
        parts.append(f"no difference shown for {equal} of {len(usable)}")
    name = wording.name[0].upper() + wording.name[1:]
    return Claim(f"{name} on {above}", ("; ".join(parts),))


def _cautions(comparison: Comparison) -> Iterable[str]:
    about_all = sorted({doubt.code for doubt in comparison.doubts if doubt.scenario is None})
    if about_all:
        yield f"Doubt about all figures: {listed(about_all)}."
    touched: dict[str, set[str]] = {}
    for doubt in comparison.doubts:
        if doubt.scenario is not None:
            where = doubt.scenario if doubt.load is None else label(comparison, doubt.scenario, doubt.load)
            touched.setdefault(doubt.code, set()).add(where)
    if touched:
        every = len(comparison.workloads)
        counts = [f"{code} {len(wheres)}" for code, wheres in sorted(touched.items(), key=lambda pair: -len(pair[1]))]
        yield f"Doubts touch {len(set().union(*touched.values()))} of {every} workloads: {', '.join(counts)}."
    intervals = sum(ratio.ratio is not None for ratio in comparison.ratios)
    if intervals >= 10:
        yield f"Of {intervals} intervals at 95 %, about {intervals / 20:.0f} may miss the true ratio by chance alone."
    missing = sum(comparison.cell(w.scenario.name, w.load, comparison.baseline) is None for w in comparison.workloads)
    if missing:
        yield f"The measurement was ended early: {missing} of {len(comparison.workloads)} planned were not measured."


def _untested(comparison: Comparison) -> str:
    models = {load.model for load in comparison.loads}
    missing = [] if "open" in models else ["requests that arrive at a rate of their own (open model)"]
    missing += [] if "closed" in models else ["clients that wait for each answer (closed model)"]
    missing += ["other loads, endpoints, settings, worker and pool sizes", "other machines", "a network", "TLS"]
    return f"Not tested: {listed(missing)}."
