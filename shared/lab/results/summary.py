"""From raw slices to figures per round, per cell and per ratio; it measures nothing and rounds nothing."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from shared.lab import statistics
from shared.lab.planning.stopping import half_width
from shared.lab.results import server
from shared.lab.results.arrivals import arrivals_of
from shared.lab.results.record import ABORTED
from shared.lab.results.record import ERROR_KINDS
from shared.lab.results.record import SLOW
from shared.lab.results.record import CellSummary
from shared.lab.results.record import Measure
from shared.lab.results.record import RatioSummary
from shared.lab.results.record import RoundValues
from shared.lab.results.record import Slice

VALUE_OF: dict[Measure, Callable[[RoundValues], float | None]] = {
    "rps": lambda values: values.achieved_rps,
    "p50": lambda values: values.p50_s,
    "p99": lambda values: values.p99_s,
    "cpu": lambda values: values.server_cpu_s_per_request,
}


def completed_in_window(piece: Slice) -> float:
    """Return how many 2xx responses the window holds; one that crosses an edge counts by the share of its time inside.

    In the steady state this expects the same number as counting completions, without the jump by a whole wave of
    responses when a window ends just before or after the wave, as with equal sleeps. It needs load that began before
    the window, which the ramp provides. Under open load answers come in no waves, and with a queue that grows there is
    no steady state: completions are counted.
    """
    samples = piece.samples
    good = is_success(piece)
    if piece.load.model == "open":
        done = samples.done_ns[good]
        return float(((done >= piece.window_start_ns) & (done < piece.window_end_ns)).sum())
    begun, done = samples.intended_ns[good], samples.done_ns[good]
    inside = np.minimum(done, piece.window_end_ns) - np.maximum(begun, piece.window_start_ns)
    return float((np.maximum(inside, 0) / np.maximum(done - begun, 1)).sum())


def is_success(piece: Slice) -> npt.NDArray[np.bool_]:
    """Return which responses of a slice have a 2xx status."""
    return (piece.samples.status >= 200) & (piece.samples.status < 300)


def response_times_s(piece: Slice) -> npt.NDArray[np.float64]:
    """Return the response times in seconds, due until complete, of 2xx responses due in the window.

    Those that the client itself read slowly are left out: they tell how slowly it read.
    """
    samples = piece.samples
    due = (samples.intended_ns >= piece.window_start_ns) & (samples.intended_ns < piece.window_end_ns)
    chosen = due & is_success(piece) & (samples.flags & SLOW == 0)
    times_s: npt.NDArray[np.float64] = (samples.done_ns[chosen] - samples.intended_ns[chosen]) / 1e9
    return times_s


def round_values(piece: Slice) -> RoundValues:
    """Return one subject's figures in one round."""
    times_s = response_times_s(piece)
    good = int(is_success(piece).sum())
    return RoundValues(
        achieved_rps=completed_in_window(piece) / piece.window_s,
        p50_s=statistics.percentile(times_s, 0.5) if len(times_s) else None,
        p99_s=statistics.percentile(times_s, 0.99) if len(times_s) else None,
        server_cpu_s_per_request=piece.server_cpu_s / good if good and piece.server_cpu_s is not None else None,
    )


def cell_summary(
    slices: Sequence[Slice], *, steady: bool, warm_up_slices: int, warm_up_rps: Sequence[float] = ()
) -> CellSummary:
    """Return the summary of one subject under one scenario under one load.

    Args:
        slices: Its slices, one per round, in order of rounds.
        steady: Whether its warm-up ended steady.
        warm_up_slices: How many slices the warm-up took.
        warm_up_rps: Responses per second of each of them.
    """
    times_s = np.concatenate([response_times_s(piece) for piece in slices])
    statuses = Counter(status for piece in slices for status in piece.samples.status.tolist())
    errors = Counter(ERROR_KINDS[kind] for piece in slices for kind in piece.errors.kind.tolist())
    aborted = errors.pop(ERROR_KINDS[ABORTED], 0)
    good = sum(int(is_success(piece).sum()) for piece in slices)
    cpu_s = [piece.server_cpu_s for piece in slices if piece.server_cpu_s is not None]
    peaks = [piece.server_peak_bytes for piece in slices if piece.server_peak_bytes is not None]
    return CellSummary(
        scenario=slices[0].scenario,
        load=slices[0].load,
        subject=slices[0].subject,
        achieved_rps=sum(map(completed_in_window, slices)) / sum(piece.window_s for piece in slices),
        samples=len(times_s),
        percentiles_s=_percentiles(times_s),
        responses=sum(len(piece.samples) for piece in slices),
        statuses=dict(sorted(statuses.items())),
        errors=dict(sorted(errors.items())),
        reconnects=sum(piece.reconnects for piece in slices),
        server_cpu_s_per_request=sum(cpu_s) / good if good and len(cpu_s) == len(slices) else None,
        server_peak_bytes=max(peaks, default=None),
        client_cpu_share=sum(piece.client_cpu_s for piece in slices) / sum(piece.elapsed_s for piece in slices),
        steady=steady,
        warm_up_slices=warm_up_slices,
        rounds=tuple(round_values(piece) for piece in slices),
        warm_up_rps=tuple(warm_up_rps),
        server=server.summarise([piece.server for piece in slices], good),
        aborted=aborted,
        arrivals=arrivals_of(slices) if slices[0].load.model == "open" else None,
    )


def _percentiles(times_s: npt.NDArray[np.float64]) -> dict[str, float]:
    if not len(times_s):
        return {}
    found = {name: statistics.percentile(times_s, q) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
    tail = statistics.p999(times_s)
    if tail is not None:
        found["p99.9"] = tail
    return {**found, "max": float(times_s.max())}


def ratios(cells: Iterable[CellSummary], *, baseline: str, seed: int) -> list[RatioSummary]:
    """Return every measure of every other subject over the baseline, for the cells of one scenario under one load."""
    by_subject = {cell.subject: cell for cell in cells}
    below = by_subject.pop(baseline)
    return [_ratio(above, below, measure, seed) for above in by_subject.values() for measure in VALUE_OF]


def _ratio(above: CellSummary, below: CellSummary, measure: Measure, seed: int) -> RatioSummary:
    value_of = VALUE_OF[measure]
    pairs = [(value_of(a), value_of(b)) for a, b in zip(above.rounds, below.rounds, strict=True)]
    usable = [(a, b) for a, b in pairs if a and b]
    ratio = None
    # A round without an answer cannot be divided, and leaving it out would flatter the subject that failed in it.
    if len(usable) == len(pairs) >= statistics.MINIMUM_ROUNDS:
        ratio = statistics.paired_ratio([a for a, _ in usable], [b for _, b in usable], seed=seed)
    return RatioSummary(above.scenario, above.load, measure, above.subject, below.subject, ratio)


def judged_together(ratios: Sequence[RatioSummary]) -> list[RatioSummary]:
    """Return all ratios, those of throughput with what becomes of their difference among so many (Holm 1979).

    The family is what the table prints: one throughput ratio for each workload and subject. The other measures are
    judged one by one.
    """
    family = [each for each in ratios if each.measure == "rps" and each.ratio is not None]
    p_values = [each.ratio.p_value for each in family if each.ratio is not None and each.ratio.p_value is not None]
    if len(p_values) < len(family):
        return list(ratios)
    verdicts = {id(each): verdict for each, verdict in zip(family, statistics.holm(p_values), strict=True)}
    return [replace(each, survives_holm=verdicts.get(id(each))) for each in ratios]


def widest_interval(cells: Iterable[CellSummary], *, baseline: str, seed: int) -> float | None:
    """Return the half width, as a share, of the widest interval of throughput; None if a ratio is missing."""
    found = ratios(cells, baseline=baseline, seed=seed)
    return half_width([each.ratio for each in found if each.measure == "rps"])
