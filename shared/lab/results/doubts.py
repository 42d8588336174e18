"""Reasons not to trust a result, as values: each says why it matters and what to do next. Pure functions."""

from collections.abc import Iterable
from collections.abc import Mapping

from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import ForeignLoad
from shared.lab.results.record import RatioSummary
from shared.lab.statistics import kendall_tau
from shared.lab.statistics import percentile

__all__ = ["Doubt", "find_doubts", "of_cell", "of_drift", "of_foreign_load", "of_ratio"]

CLIENT_SHARE_LIMIT = 0.9
FEW_SAMPLES = 1_000  # ten samples beyond p99
DRIFT_TAU = 0.6  # with ten rounds, P < 0.02 without a trend (Kendall 1938, table of tau)
DRIFT_CHANGE = 0.1
FOREIGN_CORES = 0.15
WIDE_INTERVAL = 1.25  # high over low: about 12 % on either side
RECONNECT_SHARE = 0.01


def find_doubts(comparison: Comparison) -> tuple[Doubt, ...]:
    """Return every doubt about a comparison, those about all of it first."""
    found = list(_of_sharing(comparison))
    for cell in comparison.cells:
        found += of_cell(cell)
        found += of_drift(cell)
    for ratio in comparison.ratios:
        found += of_ratio(ratio)
    for foreign in comparison.foreign_load:
        found += of_foreign_load(foreign)
    return tuple(found)


def of_cell(cell: CellSummary) -> list[Doubt]:
    """Return the doubts that one cell's own counts raise."""
    attempts = cell.responses + cell.error_count
    found: list[Doubt] = []

    def doubt(is_raised: bool, code: str, value: float, message: str, next_step: str) -> None:
        if is_raised:
            found.append(Doubt(code, message, next_step, value, cell.scenario, cell.load, cell.subject))

    doubt(
        cell.client_cpu_share > CLIENT_SHARE_LIMIT,
        "client_bottleneck",
        cell.client_cpu_share,
        f"the load client used {cell.client_cpu_share:.0%} of its core, so this may be its limit and not the server's",
        "compare CPU per request instead of throughput",
    )
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
        f"still changing after {cell.warm_up_slices} warm-up slices",
        "allow more warm-up slices, or quieten the machine",
    )
    return found


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


def of_foreign_load(foreign: ForeignLoad) -> list[Doubt]:
    """Return a doubt if other programs kept processors busy meanwhile."""
    if foreign.cores <= FOREIGN_CORES:
        return []
    message = f"other programs used {foreign.cores:.2f} cores meanwhile and slowed what they met"
    next_step = "stop other programs and run again"
    return [Doubt("foreign_load", message, next_step, foreign.cores, foreign.scenario, foreign.load)]


def _of_sharing(comparison: Comparison) -> Iterable[Doubt]:
    if comparison.manifest.core_roles.get("apart") != "yes":
        cores = comparison.manifest.cores
        message = "server and load client share processors and take time from each other"
        yield Doubt("shared_core", message, "use a machine with two or more processors", cores)


def _counts(counted: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items())
