"""How often an interval held what it should, and how much two starts of one program differ: pure functions."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np

from shared.lab.results.disturbances import FOREIGN_CORES
from shared.lab.statistics import Ratio
from shared.lab.student_t import student_t_quantile
from shared.lab.validity.result import Coverage
from shared.lab.validity.result import SameComparison
from shared.lab.validity.result import Share
from shared.lab.validity.result import StartEffect
from shared.lab.validity.verdict import Verdict

Measure = Literal["rps", "cpu"]
MEASURES: tuple[Measure, ...] = ("rps", "cpu")

# Of 40 intervals of 95 % that are right, 36 or more hold the value in 95 of 100 validations.
LEAST_SHARE = 0.9
# Fewer comparisons cannot tell 95 % from much less: even all of 20 leave it open down to 84 %.
LEAST_COMPARISONS = 20
# Fewer pairs of starts do not tell how much starts differ.
LEAST_STARTS = 5
RESAMPLES = 2_000


def share(count: int, of: int) -> Share:
    """Return a count with the 95 % interval of its share.

    Wilson's interval (E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference").

    Raises:
        ValueError: If there is nothing to be a share of.
    """
    if not 0 <= count <= of or of == 0:
        raise ValueError(f"'count' must be 0 to 'of', which must be at least 1 (got {count} and {of})")
    z = NormalDist().inv_cdf(0.975)
    centre = (count + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(count * (of - count) / of + z * z / 4)
    return Share(count, of, max(0.0, centre - half), min(1.0, centre + half))


def start_effect(logs: Sequence[Sequence[Sequence[float]]], *, seed: int) -> StartEffect:
    """Return how much starts of one program differ beyond the scatter of rounds.

    One-way random effects (S. R. Searle, G. Casella and C. E. McCulloch 1992, "Variance Components", chapter 3): the
    mean square of comparisons is twice the variance of a start, since two starts are in each, and the variance of a
    mean over rounds. The true mean is zero. The interval is a bootstrap over pairs of starts, as what was measured in
    one pair shares its starts.

    Args:
        logs: For each pair of starts and each comparison in it the log ratio of every round.
        seed: Of the resampling.

    Raises:
        ValueError: If there is no pair of starts.
    """
    if not logs:
        raise ValueError("'logs' must hold at least one pair of starts (got none)")
    # For each pair of starts: the sum of squares above what rounds explain, and of how many comparisons.
    excess = np.array(
        [sum(_excess(np.asarray(rounds, dtype=np.float64)) for rounds in pair) for pair in logs], dtype=np.float64
    )
    counts = np.array([len(pair) for pair in logs], dtype=np.float64)
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(excess), size=(RESAMPLES, len(excess)))
    variances = excess[drawn].sum(axis=1) / counts[drawn].sum(axis=1) / 2
    low, high = np.sqrt(np.maximum(np.quantile(variances, [0.025, 0.975]), 0.0))
    value = math.sqrt(max(float(excess.sum() / counts.sum() / 2), 0.0))
    return StartEffect(value, float(low), float(high), len(logs))


def _excess(rounds: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    return float(rounds.mean() ** 2 - rounds.var(ddof=1) / rounds.size)


def judge(comparisons: Sequence[SameComparison], *, seed: int) -> tuple[Coverage, ...]:
    """Return how often the intervals held 1, for each measure."""
    return tuple(_of_measure(measure, comparisons, seed) for measure in MEASURES)


def verdict_of(covered: Share) -> Verdict:
    """Return whether so many of so many are as many as there should be: 36 of 40."""
    if covered.of < LEAST_COMPARISONS:
        return "undecided"
    return "holds" if covered.count >= LEAST_SHARE * covered.of else "fails"


def despite(verdict: Verdict, foreign_cores: float) -> Verdict:
    """Return a verdict with what other programs did in mind: what fails beside them is not shown to fail without."""
    return "undecided" if verdict == "fails" and foreign_cores > FOREIGN_CORES else verdict


def widened(ratio: Ratio, effect: StartEffect) -> Ratio:
    """Return a ratio whose interval is about two programs and not about the two processes that were measured.

    Both sides of a ratio are started once. What two starts do to it is independent of how rounds scatter, so the two
    half widths add as squares, on a logarithmic scale; that of the starts is Student's t times the standard deviation
    of their difference.
    """
    half = student_t_quantile(0.975, effect.starts) * math.sqrt(2) * effect.sd
    value = math.log(ratio.value)
    low = value - math.hypot(value - math.log(ratio.low), half)
    high = value + math.hypot(math.log(ratio.high) - value, half)
    return Ratio(ratio.value, math.exp(low), math.exp(high), ratio.rounds)


def _of_measure(measure: Measure, comparisons: Sequence[SameComparison], seed: int) -> Coverage:
    covered = share(sum(not _ratio(each, measure).difference_shown for each in comparisons), len(comparisons))
    effect = _effect(measure, comparisons, seed)
    return Coverage(
        measure=measure,
        verdict=verdict_of(covered),
        rounds=covered,
        start_effect=effect,
        widened=None if effect is None else _widened_share(measure, comparisons, seed),
    )


def _effect(measure: Measure, comparisons: Sequence[SameComparison], seed: int) -> StartEffect | None:
    pairs: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for each in comparisons:
        logs = each.rps_logs if measure == "rps" else each.cpu_logs
        pairs.setdefault((each.edition, each.start), []).append(logs)
    return start_effect(list(pairs.values()), seed=seed) if len(pairs) >= LEAST_STARTS else None


def _widened_share(measure: Measure, comparisons: Sequence[SameComparison], seed: int) -> Share | None:
    """Return how often a widened interval holds 1, where no interval is widened by what it took part in showing."""
    held = []
    for half in (0, 1):
        effect = _effect(measure, [each for each in comparisons if each.start % 2 != half], seed)
        if effect is None:
            return None
        tested = [each for each in comparisons if each.start % 2 == half]
        held += [not widened(_ratio(each, measure), effect).difference_shown for each in tested]
    return share(sum(held), len(held))


def _ratio(comparison: SameComparison, measure: Measure) -> Ratio:
    return comparison.rps if measure == "rps" else comparison.cpu
