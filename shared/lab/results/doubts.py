"""Reasons not to trust a result, as values: each says why it matters and what to do next. Pure functions."""

from collections.abc import Iterable
from collections.abc import Mapping

from shared.lab.planning.steadiness import SLICES
from shared.lab.results.disturbances import of_foreign_load
from shared.lab.results.disturbances import of_memory
from shared.lab.results.disturbances import of_outliers
from shared.lab.results.disturbances import of_statements
from shared.lab.results.load_doubts import of_load
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import RatioSummary
from shared.lab.statistics import FEW_ROUNDS
from shared.lab.statistics import kendall_tau
from shared.lab.statistics import percentile

__all__ = ["Doubt", "find_doubts", "of_cell", "of_drift", "of_foreign_load", "of_ratio"]

# Rules about the machine and about what the servers used stand in `disturbances`.

FEW_SAMPLES = 1_000  # ten samples beyond p99
DRIFT_TAU = 0.6  # with ten rounds, P < 0.02 without a trend (Kendall 1938, table of tau)
DRIFT_CHANGE = 0.1
WIDE_INTERVAL = 1.25  # high over low: about 12 % on either side
RECONNECT_SHARE = 0.01


def find_doubts(comparison: Comparison) -> tuple[Doubt, ...]:
    """Return every doubt about a comparison, those about all of it first."""
    found = [*_of_terms(comparison), *_of_sharing(comparison), *_of_rounds(comparison)]
    for cell in comparison.cells:
        found += of_load(cell, comparison.limits)
        found += of_cell(cell)
        found += of_drift(cell)
        found += of_memory(cell)
    for ratio in comparison.ratios:
        found += of_ratio(ratio)
        found += of_outliers(ratio, comparison)
    found += of_statements(comparison)
    for foreign in comparison.foreign_load:
        found += of_foreign_load(foreign)
    return tuple(found)


def of_cell(cell: CellSummary) -> list[Doubt]:
    """Return the doubts that one cell's own counts raise."""
    attempts = cell.responses + cell.error_count + cell.aborted
    found: list[Doubt] = []

    def doubt(is_raised: bool, code: str, value: float, message: str, next_step: str) -> None:
        if is_raised:
            found.append(Doubt(code, message, next_step, value, cell.scenario, cell.load, cell.subject))

    doubt(
        cell.error_count > 0,
        "errors",
        cell.error_count,
        f"{cell.error_count} of {attempts} requests got no response ({_counts(cell.errors)}); "
        "they are missing from the response times",
        "read the server's log",
    )
    doubt(
        cell.rejected_count > 0,
        "non_2xx",
        cell.rejected_count,
        f"{cell.rejected_count} of {attempts} responses were not 2xx ({_counts(cell.statuses)}); "
        "they do not count as throughput",
        "fix their cause before reading on",
    )
    doubt(
        cell.samples < FEW_SAMPLES,
        "few_samples",
        cell.samples,
        f"only {cell.samples} samples, so p99 rests on fewer than ten of them",
        "lengthen the slices, or read p50 only",
    )
    doubt(
        cell.reconnects > RECONNECT_SHARE * max(attempts, 1),
        "reconnects",
        cell.reconnects,
        f"{cell.reconnects} reconnects in {attempts} requests, whose cost is in the figures",
        "check keep-alive",
    )
    doubt(
        not cell.steady,
        "not_steady",
        cell.warm_up_slices,
        f"still changing after {cell.warm_up_slices} warm-up slices{_last_rates(cell)}",
        "allow more warm-up slices, or quieten the machine",
    )
    return found


def _last_rates(cell: CellSummary) -> str:
    last = cell.warm_up_rps[-SLICES:]
    return f", the last at {', '.join(f'{rate:,.0f}' for rate in last)} per second" if last else ""


def of_drift(cell: CellSummary) -> list[Doubt]:
    """Return a doubt if throughput rose or fell over the rounds instead of scattering."""
    rps = [values.achieved_rps for values in cell.rounds]
    third = len(rps) // 3
    if third < 2:
        return []
    first, last = percentile(rps[:third], 0.5), percentile(rps[-third:], 0.5)
    change = last / first - 1 if first else 0.0
    if abs(kendall_tau(rps)) < DRIFT_TAU or abs(change) < DRIFT_CHANGE:
        return []
    message = f"throughput drifted by {change:+.0%} from the first rounds to the last: there is no one value to report"
    next_step = "look for growing data, a leak or a machine that was busy for a while, and run longer"
    return [Doubt("drift", message, next_step, change, cell.scenario, cell.load, cell.subject)]


def of_ratio(summary: RatioSummary) -> list[Doubt]:
    """Return a doubt if throughput cannot be compared, or only roughly."""
    if summary.measure != "rps":
        return []
    ratio = summary.ratio
    if ratio is None:
        message = "a round has no successful response on one side, so there is no ratio"
        next_step = "see the errors of both sides"
        return [Doubt("no_ratio", message, next_step, 0.0, summary.scenario, summary.load, summary.numerator)]
    width = ratio.high / ratio.low
    if width <= WIDE_INTERVAL:
        return []
    message = f"the interval of the ratio spans a factor of {width:.2f}"
    next_step = "run more rounds, on a quieter machine"
    return [Doubt("wide_interval", message, next_step, width, summary.scenario, summary.load, summary.numerator)]


def _of_terms(comparison: Comparison) -> Iterable[Doubt]:
    for known in comparison.terms.reservations if comparison.terms else ():
        yield Doubt(known.code, known.message, known.next_step, 0.0, subject=known.subject)


def _of_sharing(comparison: Comparison) -> Iterable[Doubt]:
    if comparison.manifest.core_roles.get("apart") != "yes":
        cores = comparison.manifest.cores
        message = "server and load client share processors and take time from each other"
        yield Doubt("shared_core", message, "use a machine with two or more processors", cores)


def _of_rounds(comparison: Comparison) -> Iterable[Doubt]:
    rounds = [each.ratio.rounds for each in comparison.ratios if each.measure == "rps" and each.ratio is not None]
    if rounds and min(rounds) < FEW_ROUNDS:
        message = (
            f"{min(rounds)} rounds are few: the intervals are wide, and hold the truth 19 times in 20 only where noise "
            "is normal, which so few cannot show"
        )
        yield Doubt("few_rounds", message, f"run {FEW_ROUNDS} rounds or more (--rounds {FEW_ROUNDS})", min(rounds))


def _counts(counted: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items())
