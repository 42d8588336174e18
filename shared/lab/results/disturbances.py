"""Doubts about the machine, about single rounds and about what the servers used; pure functions."""

import math

from shared.lab.results.record import CellSummary
from shared.lab.results.record import Comparison
from shared.lab.results.record import Doubt
from shared.lab.results.record import ForeignLoad
from shared.lab.results.record import RatioSummary
from shared.lab.results.record import RoundValues
from shared.lab.statistics import kendall_tau
from shared.lab.statistics import modified_z_scores
from shared.lab.statistics import percentile

FOREIGN_CORES = 0.15
STOLEN_CORES = 0.05  # a twentieth of one processor is what a difference of 5 % could be made of
THROTTLED_SHARE = 0.01
CLOCK_DROP = 0.1
OUTLIER_SCORE = 3.5  # Iglewicz and Hoaglin 1993
OUTLIER_CHANGE = 0.05  # rounds that lie close together make anything an outlier; less than this moves no conclusion
OUTLIER_ROUNDS = 5  # with fewer, the median absolute deviation is the luck of two or three rounds
STATEMENTS_CHANGE = 0.01  # requests that were under way at an edge may add a few
GROWTH_TAU = 0.8  # with six rounds, P < 0.02 without a trend (Kendall 1938)
GROWTH_SHARE = 0.1
GROWTH_BYTES = 5_000_000
GROWTH_ROUNDS = 6


def of_foreign_load(foreign: ForeignLoad) -> list[Doubt]:
    """Return doubts if the machine was not wholly this comparison's, or not at its full speed."""
    found: list[Doubt] = []

    def doubt(is_raised: bool, code: str, value: float, message: str, next_step: str) -> None:
        if is_raised:
            found.append(Doubt(code, message, next_step, value, foreign.scenario, foreign.load))

    doubt(
        foreign.cores > FOREIGN_CORES,
        "foreign_load",
        foreign.cores,
        f"other programs used {foreign.cores:.2f} cores meanwhile and slowed what they met",
        "stop other programs and run again",
    )
    doubt(
        foreign.stolen_cores > STOLEN_CORES,
        "steal",
        foreign.stolen_cores,
        f"the hypervisor gave {foreign.stolen_cores:.2f} cores to other machines meanwhile, in moments that no program "
        "here can see",
        "use a machine of your own, or run more rounds at another hour",
    )
    throttled = foreign.throttled or 0.0
    doubt(
        throttled > THROTTLED_SHARE,
        "throttled",
        throttled,
        f"the control group was stopped for {throttled:.0%} of the time because it had used up its processors, which "
        "hits whoever runs then",
        "raise the container's CPU limit",
    )
    drop = foreign.clock_drop or 0.0
    doubt(
        drop > CLOCK_DROP,
        "clock_drop",
        drop,
        f"the server's processor ran {drop:.0%} slower in the slowest slice than in the fastest",
        "fix the clock (governor performance, no turbo) or cool the machine",
    )
    return found


def of_outliers(summary: RatioSummary, comparison: Comparison) -> list[Doubt]:
    """Return a doubt if single rounds are far from all others.

    A round is an outlier if the modified z-score of its log throughput ratio is beyond 3.5 (Iglewicz and Hoaglin 1993)
    and the ratio is off by more than 5 %.
    """
    if summary.measure != "rps" or summary.ratio is None:
        return []
    above = comparison.cell(summary.scenario, summary.load, summary.numerator)
    below = comparison.cell(summary.scenario, summary.load, summary.denominator)
    if above is None or below is None or len(above.rounds) < OUTLIER_ROUNDS:
        return []
    logs = [_log_ratio(a, b) for a, b in zip(above.rounds, below.rounds, strict=True)]
    middle = percentile(logs, 0.5)
    far = [
        number
        for number, (log, score) in enumerate(zip(logs, modified_z_scores(logs), strict=True), start=1)
        if abs(score) > OUTLIER_SCORE and abs(math.expm1(log - middle)) > OUTLIER_CHANGE
    ]
    if not far:
        return []
    worst = max((math.expm1(logs[number - 1] - middle) for number in far), key=abs)
    rounds = ("rounds " if len(far) > 1 else "round ") + ", ".join(map(str, far))
    message = (
        f"{rounds} of {len(logs)} lie far from the others, by up to {worst:+.0%}: something happened then, and it is "
        "in the ratio and widens its interval"
    )
    next_step = "look for what else ran at that time, and run more rounds"
    return [Doubt("outlier_rounds", message, next_step, len(far), summary.scenario, summary.load, summary.numerator)]


def of_statements(comparison: Comparison) -> list[Doubt]:
    """Return a doubt for each workload in which the subjects sent different numbers of SQL statements.

    Where requests failed nothing is said: they may have failed before their statements.
    """
    found: list[Doubt] = []
    for workload in comparison.workloads:
        name, load = workload.scenario.name, workload.load
        cells = [cell for subject in comparison.subjects if (cell := comparison.cell(name, load, subject))]
        counts = {
            cell.subject: cell.server.statements_per_request
            for cell in cells
            if cell.server is not None and cell.server.statements_per_request is not None
        }
        if len(counts) < 2 or any(cell.error_count or cell.rejected_count for cell in cells):
            continue
        least, most = min(counts.values()), max(counts.values())
        if most - least <= STATEMENTS_CHANGE * most:
            continue
        shown = ", ".join(f"{subject} {count:.2f}" for subject, count in counts.items())
        message = f"SQL statements per request differ ({shown}), so it is not the same work that is compared"
        next_step = "run make check, which shows the statements of each request"
        found.append(Doubt("statements_differ", message, next_step, most - least, name, load))
    return found


def of_memory(cell: CellSummary) -> list[Doubt]:
    """Return a doubt if the server's memory rose from round to round."""
    sizes = cell.server.resident_bytes if cell.server is not None else ()
    if len(sizes) < GROWTH_ROUNDS:
        return []
    third = len(sizes) // 3
    first, last = percentile(sizes[:third], 0.5), percentile(sizes[-third:], 0.5)
    growth = last - first
    if kendall_tau(sizes) < GROWTH_TAU or growth < max(GROWTH_BYTES, GROWTH_SHARE * first):
        return []
    message = (
        f"the server's memory rose by {growth / 1e6:.0f} MB over the rounds: a leak, or a cache that is not full yet, "
        "whose cost is still to come"
    )
    next_step = "run longer, and see whether it ends"
    return [Doubt("memory_growth", message, next_step, growth, cell.scenario, cell.load, cell.subject)]


def _log_ratio(above: RoundValues, below: RoundValues) -> float:
    return math.log(above.achieved_rps / below.achieved_rps)
