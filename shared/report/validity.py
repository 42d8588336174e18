"""A validation as tables: for each part what was known, what was measured, and what that means."""

from collections.abc import Sequence
from itertools import chain
from itertools import groupby
from itertools import repeat
from typing import TextIO

from shared.lab.results.disturbances import FOREIGN_CORES
from shared.lab.statistics import Ratio
from shared.lab.validity.known import MOST_AWAY
from shared.lab.validity.plan import PartPlan
from shared.lab.validity.result import Coverage
from shared.lab.validity.result import DelaysPart
from shared.lab.validity.result import Known
from shared.lab.validity.result import PartName
from shared.lab.validity.result import PlantedPart
from shared.lab.validity.result import SamePart
from shared.lab.validity.result import Share
from shared.lab.validity.result import StallSeen
from shared.lab.validity.result import StartEffect
from shared.lab.validity.result import Validation
from shared.lab.validity.wrk_result import Agreement
from shared.lab.validity.wrk_result import Pace
from shared.lab.validity.wrk_result import WrkPart
from shared.report import format
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

TITLES = {
    "a": "Known delays and a stall",
    "b": "Each edition against itself",
    "c": "Planted differences",
    "d": "Agreement with wrk",
}
KNOWN_TO_BOTH = "is known to both, client and server"
POSSIBLE = (
    "was sent before it was read, was complete after it was answered, and in the open model counts from the moment due"
)
MEASURES = {"rps": "requests per second", "cpu": "CPU per request"}


def print_plan(plans: Sequence[PartPlan], stream: TextIO) -> None:
    """Print what would be run."""
    rows = [Row((plan.part, plan.what, plan.amount, format.duration(plan.seconds)), ()) for plan in plans]
    rows.append(Row(("all", "", "", format.duration(sum(plan.seconds for plan in plans))), ()))
    notes = (
        "about: from another machine, every part at its longest. A part alone: --part a; all of them shorter: --quick.",
    )
    draw(
        Sheet("What would be run; nothing was started", ("part", "shows", "by", "about"), tuple(rows), (), notes),
        stream,
    )


def print_validation(found: Validation, stream: TextIO) -> None:
    """Print the table of every part that was run now, and the outcome of all."""
    kept = [_title(name) for name in found.earlier]
    for sheet in (*sheets(found), outcome_sheet(found)):
        if sheet.title not in kept:
            draw(sheet, stream)


def sheets(found: Validation) -> tuple[Sheet, ...]:
    """Return the table of every part."""
    made = (
        delays_sheet(found.delays) if found.delays is not None else None,
        same_sheet(found.same) if found.same is not None else None,
        planted_sheet(found.planted) if found.planted is not None else None,
        wrk_sheet(found.wrk) if found.wrk is not None else None,
    )
    return tuple(sheet for sheet in made if sheet is not None)


def outcome_sheet(found: Validation) -> Sheet:
    """Return the last table: every part's verdict in a line."""
    rows = [
        Row((name, TITLES[name], found.verdicts[name], _took(found, name, part.seconds)), ())
        for name, part in found.parts.items()
        if part is not None
    ]
    manifest = found.manifest
    notes = [
        f"{manifest.cpu_model}, {manifest.cores} cores, {manifest.python}, commit {commit(found)}, seed "
        f"{manifest.seed}, {manifest.time_utc}."
    ]
    if found.is_quick:
        notes.append("The short form: it shows that every part works, and is too short to say how often it would.")
    return Sheet(
        "Is this instrument to be believed?", ("part", "shows", "verdict", "took"), tuple(rows), (), tuple(notes)
    )


def _took(found: Validation, name: PartName, seconds: float) -> str:
    earlier = found.earlier.get(name)
    return format.duration(seconds) + (f", at {earlier[:16].replace('T', ' ')}" if earlier else "")


def line(found: Validation | None) -> str:
    """Return what stands beside a comparison: whether, when and to what the instrument was validated here."""
    if found is None:
        return "Validity: not validated on this machine: make validate"
    missed = [TITLES[name].lower() for name, verdict in found.verdicts.items() if verdict in ("fails", "undecided")]
    outcome = f"; not shown: {', '.join(missed)}" if missed else ""
    sizes = "" if found.planted is None else f", resolution {resolution(found.planted)}"
    without = ", without wrk" if found.verdicts["d"] == "not run" else ""
    when = found.manifest.time_utc[:10]
    return f"Validity: validated on {when} at commit {commit(found)}{sizes}{_moved(found)}{without}{outcome}"


def _moved(found: Validation) -> str:
    """Return by how much a start alone moves what was shown to move, which no interval of one comparison holds."""
    shown = [
        f"{MEASURES[each.measure]} by {each.start_effect.sd:.1%}"
        for each in (found.same.coverages if found.same is not None else ())
        if each.start_effect is not None and each.start_effect.low > 0
    ]
    return f"; a start alone moves {' and '.join(shown)}" if shown else ""


def commit(found: Validation) -> str:
    """Return the commit in short, with a mark if files differed from it."""
    manifest = found.manifest
    if manifest.git_commit is None:
        return "unknown"
    return manifest.git_commit[:7] + ("+" if manifest.git_dirty else "")


def resolution(part: PlantedPart) -> str:
    """Return the smallest differences that are found 9 times in 10."""
    largest = max(each.planted for each in part.detections)
    cpu, rps = (
        f"above {largest:.0%}" if value is None else f"{value:.1%}"
        for value in (part.resolution_cpu, part.resolution_rps)
    )
    return f"{cpu} by CPU per request and {rps} by requests per second"


def delays_sheet(part: DelaysPart) -> Sheet:
    """Return the table of part a."""
    rows = []
    for (what, load), group in groupby(part.known, key=lambda each: (each.what, f"{each.load.model}, {each.load}")):
        # Below each other in one column: side by side they would take half of the line.
        labels = chain([*what.split(", "), load], repeat(""))
        for label, each in zip(labels, group, strict=False):
            cells = (
                label,
                each.figure,
                format.milliseconds(each.planned_s),
                format.milliseconds(each.served_s),
                format.milliseconds(each.measured_s),
                _error(each),
                format.milliseconds(each.tolerance_s),
                each.verdict,
            )
            rows.append(Row(cells, ()))
    notes = (
        *(_stall(seen) for seen in part.stalls),
        f"{_every(part.missing, part.answers, KNOWN_TO_BOTH)}; {_every(part.impossible, part.answers, POSSIBLE)}; "
        f"{part.misranked or 'no'} percentiles differ from another computation of them. No machine can cause one of "
        "these, so one is enough to fail.",
        "Times in ms. planned: what the server should do; done: what it did by its own record, with the time for "
        f"which its processor ({part.server_away:.1%}) and the client's ({part.client_away:.1%}) were away while they "
        "had the request, by a witness beside each that only sleeps and wakes up. A stall of the machine is in done "
        "and in measured; an error of the instrument is in measured alone. error: measured less done, median over "
        "rounds and its 95 % interval (of fewer than six rounds: all of them, which may hold and cannot fail). holds: "
        "all of it is within that tolerance; fails: all of it outside, while both were away for less than "
        f"{MOST_AWAY:.0%}.",
        _verdict(part.verdict, "the client measured what the server did", "it did not"),
    )
    heads = ("server and load", "figure", "planned", "done", "measured", "error", "within", "verdict")
    return Sheet(_title("a"), heads, tuple(rows), (), notes)


def _error(each: Known) -> str:
    value, low, high = (f"{part * 1e3:.2f}" for part in (each.error.value, each.error.low, each.error.high))
    return f"{value} [{low}, {high}]"


def _every(wrong: int, answers: int, what: str) -> str:
    """Return in words how many answers are as they must be."""
    return f"every answer of {format.count(answers)} {what}" if not wrong else f"NOT every answer {what}: {wrong} not"


def _stall(seen: StallSeen) -> str:
    share = seen.late / seen.samples
    p99 = f"p99 is {format.milliseconds(seen.p99_s)} ms"
    if seen.load.model == "closed":
        return (
            f"Closed model: the stall of {seen.stall_s:g} s is in {seen.late} of {format.count(seen.samples)} "
            f"responses ({share:.2%}), one for each of {seen.load.connections} connections each time, and {p99}: while "
            "a connection waits it sends nothing, so the requests that users would have sent meanwhile are missing. "
            "That is no error of the client but what a closed model asks; response times under an offered load need "
            "the open one."
        )
    return (
        f"Open model: {seen.late} of {format.count(seen.samples)} responses ({share:.1%}) took more than half of the "
        f"stall, and {p99}: every request that fell due meanwhile counts from that moment on."
    )


def same_sheet(part: SamePart) -> Sheet:
    """Return the table of part b."""
    rows = [
        Row(
            (
                MEASURES[each.measure],
                _share(each.rounds),
                _shares_interval(each.rounds),
                format.NOTHING if each.start_effect is None else _effect(each.start_effect),
                format.NOTHING if each.widened is None else _share(each.widened),
                each.verdict,
            ),
            (),
        )
        for each in part.coverages
    ]
    notes = (
        "held 1: intervals of 95 % that held the true ratio, 1, with rounds as units as in make compare, each from two "
        "processes started for it; share: of such intervals, with its own 95 % interval (Wilson). At least 36 of 40 "
        "must hold it. with it added: the same intervals, each widened by the effect of a start that the other half of "
        "the starts showed.",
        *(_start_words(each) for each in part.coverages if each.start_effect is not None),
        _foreign(part.foreign_cores),
    )
    heads = ("measure", "held 1", "share", "one start's effect", "with it added", "verdict")
    return Sheet(_title("b"), heads, tuple(rows), (), notes)


def _start_words(coverage: Coverage) -> str:
    effect = coverage.start_effect
    assert effect is not None
    name = MEASURES[coverage.measure]
    if effect.low == 0.0:
        return f"Two starts of one program differ in {name} by no more than rounds scatter, as far as was shown."
    return (
        f"Each start of a program moves its {name} by {effect.sd:.1%} (standard deviation over {effect.starts} pairs "
        "of starts), by memory layout and hash seed. An interval from rounds is about the two processes that were "
        "measured and does not hold this: to tell less than about "
        f"{1.96 * 2**0.5 * effect.sd:.1%} between two programs takes several starts."
    )


def planted_sheet(part: PlantedPart) -> Sheet:
    """Return the table of part c."""
    rows = [
        Row(
            (
                f"{each.planted:.0%} more CPU",
                f"{each.share:+.1%}",
                f"{each.estimate:+.1%}",
                f"{each.worst_error:+.1%}",
                _share(each.by_cpu),
                _shares_interval(each.by_cpu),
                _share(each.by_rps),
            ),
            (),
        )
        for each in part.detections
    ]
    notes = (
        "truth: what was planted over what a request without it cost in the same rounds, the median; estimate: median "
        "of the CPU ratios; worst: the one furthest from what was planted. found: the 95 % interval "
        "excludes 1 on the right side, share with its own interval (Wilson). Runs of the length of make compare's, "
        "each on processes of their own, so the effect of a start is in every error.",
        f"Resolution, the smallest difference in CPU per request that is found 9 times in 10: {resolution(part)}. "
        "Rule: each run of any size says which difference it would just have found, its interval moved as a whole on a "
        "logarithmic scale; the resolution is the value that 9 in 10 of them need no more than.",
        _foreign(part.foreign_cores),
        _verdict(
            part.verdict,
            f"20 % is found, and estimates are right in the middle ({part.median_error:+.1%})",
            f"too little is found, or estimates are off in the middle ({part.median_error:+.1%})",
        ),
    )
    heads = ("planted", "truth", "estimate", "worst", "found by CPU", "share", "found by rps")
    return Sheet(_title("c"), heads, tuple(rows), (), notes)


def wrk_sheet(part: WrkPart) -> Sheet:
    """Return the table of part d."""
    if part.verdict == "not run":
        return Sheet(_title("d"), ("part", "verdict"), (Row(("d", "not run"), ()),), (), (f"Not run: {part.wrk}.",))
    rows = [row for each in part.agreements for row in _agreement_rows(each)]
    if part.pace is not None:
        rows += _pace_rows(part.pace)
    first = part.agreements[0]
    notes = (
        f"Ours over wrk's, closed model, {first.connections} new connections each, interleaved slices of "
        f"{first.slice_s:g} s in fours, ours, wrk's, wrk's, ours or the other way round; interval: 95 %, from pairs of "
        "neighbours by their signed ranks (Hodges and Lehmann), so that a slice of which the machine took half counts "
        "as one and not as many. Agrees: the whole interval lies within the bound (1 / (1 + bound) to 1 + bound). "
        "Looked at after 8, 12, 18 pairs and so on, until all figures of a service are decided. needed: about how many "
        "pairs would decide what is not.",
        "wrk adds response times that it takes to be missing (stats_correct, with the mean time between two answers of "
        "a connection); the same was done to ours. Without it, ours alone would stand where the column says.",
        "server CPU: processor time that the service used for each answer to ours over that for one to wrk, by the "
        "kernel's account; it is judged by no bound. Where it is not 1, the two make the service work differently (how "
        "often it wakes a client that waits, how many requests it finds at a time), and it answers them at different "
        "rates, however well both count.",
        *([] if part.pace is None else [_pace_note(part.pace)]),
        part.wrk,
    )
    heads = ("service", "figure", "ours over wrk's", "bound", "without correction", "pairs", "needed", "verdict")
    return Sheet(_title("d"), heads, tuple(rows), (), notes)


def _agreement_rows(agreement: Agreement) -> list[Row]:
    return [
        Row(
            (
                f"{agreement.edition} {agreement.scenario}" if place == 0 else "",
                each.figure,
                format.ratio(each.ratio.value, each.ratio.low, each.ratio.high, 3),
                f"{each.bound:.0%}",
                format.NOTHING if each.figure == "rps" else f"{each.uncorrected.value:.3f}",
                format.count(each.ratio.rounds),
                format.NOTHING if each.needed is None else format.count(each.needed),
                each.verdict,
            ),
            (),
        )
        for place, each in enumerate(agreement.figures)
    ] + [_server_row(agreement.server_cpu)]


def _server_row(ratio: Ratio) -> Row:
    return _unjudged_row("", "server CPU", ratio, format.NOTHING)


def _pace_rows(pace: Pace) -> list[Row]:
    rows = []
    for who, ratios in (("", pace.ours), (", wrk paused", pace.paused)):
        rows.append(_unjudged_row(f"{pace.edition} {pace.scenario}{who}", "rps", ratios.rps, "not judged"))
        rows.append(_server_row(ratios.server_cpu))
    return rows


def _unjudged_row(service: str, figure: str, ratio: Ratio, verdict: str) -> Row:
    shown = format.ratio(ratio.value, ratio.low, ratio.high, 3)
    pairs = format.count(ratio.rounds)
    return Row((service, figure, shown, format.NOTHING, format.NOTHING, pairs, format.NOTHING, verdict), ())


def _pace_note(pace: Pace) -> str:
    """Return why two clients need not agree on the cheapest answers."""
    paused = pace.paused.rps
    differs = "the same rate as far as shown" if paused.low <= 1 <= paused.high else "another rate"
    return (
        f"{pace.edition} {pace.scenario} is not judged. wrk paused: wrk that computes for {pace.pause_s * 1e6:.0f} us "
        f"at each answer, over wrk as it is; one client, one way to count, and {differs}: "
        f"{format.ratio(paused.value, paused.low, paused.high, 3)}. Where answers are as cheap as these, the pace at "
        "which a client takes them changes what the service does, so that a rate is one of service and client "
        "together. Both editions meet the same client in every comparison."
    )


def _foreign(cores: float) -> str:
    """Return what other programs did, which is a reason to decide nothing if it was much."""
    return f"Other programs used {cores:.2f} cores meanwhile; beyond {FOREIGN_CORES:g} nothing is said to fail."


def _title(part: str) -> str:
    return f"{part}) {TITLES[part]}"


def _share(share: Share) -> str:
    return f"{share.count} of {share.of}"


def _shares_interval(share: Share) -> str:
    return f"{share.low:.0%} to {share.high:.0%}"


def _effect(effect: StartEffect) -> str:
    return f"{effect.sd:.1%} [{effect.low:.1%}, {effect.high:.1%}]"


def _verdict(verdict: str, holds: str, fails: str) -> str:
    words = {"holds": holds, "fails": fails}
    return f"Verdict: {verdict}" + (f": {words[verdict]}." if verdict in words else ".")
