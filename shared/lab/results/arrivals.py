"""From raw slices of the open model to how its requests found their connections; it measures nothing."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.lab import statistics
from shared.lab.results.client import Arrivals
from shared.lab.results.record import ERROR_KINDS
from shared.lab.results.record import WAITED
from shared.lab.results.record import Int64Array
from shared.lab.results.record import Slice

NOT_SENT = ERROR_KINDS.index("not_sent")


def arrivals_of(slices: Sequence[Slice]) -> Arrivals:
    """Return how the requests of an open model found their connections, over all slices of a cell."""
    due = sum(_due_in_window(piece) for piece in slices)
    late_s = np.concatenate([timing_errors_s(piece) for piece in slices])
    waited = sum(_waited_in_window(piece) for piece in slices)
    return Arrivals(
        due=due,
        offered_rps=due / sum(piece.window_s for piece in slices),
        waited_share=waited / due if due else 0.0,
        backlog_max=max(backlog_max(piece) for piece in slices),
        backlog_end=max(backlog_at(piece, piece.window_end_ns) for piece in slices),
        surplus=sum(outstanding_at(p, p.window_end_ns) - outstanding_at(p, p.window_start_ns) for p in slices),
        timing_error_s={name: statistics.percentile(late_s, q) for name, q in (("p50", 0.5), ("p99", 0.99))}
        if len(late_s)
        else {},
    )


def timing_errors_s(piece: Slice) -> npt.NDArray[np.float64]:
    """Return how late requests due in the window were sent that found an idle connection, in seconds."""
    samples = piece.samples
    chosen = _is_in_window(piece, samples.intended_ns) & (samples.flags & WAITED == 0)
    late_s: npt.NDArray[np.float64] = (samples.sent_ns[chosen] - samples.intended_ns[chosen]) / 1e9
    return late_s


def outstanding_at(piece: Slice, moment_ns: int) -> int:
    """Return how many requests were due at a moment and had neither an answer nor an error yet."""
    samples, errors = piece.samples, piece.errors
    answered = (samples.intended_ns <= moment_ns) & (samples.done_ns > moment_ns)
    failed = (errors.intended_ns <= moment_ns) & (errors.at_ns > moment_ns)
    return int(answered.sum() + failed.sum())


def backlog_at(piece: Slice, moment_ns: int) -> int:
    """Return how many requests waited for a connection at a moment."""
    begun_ns, ended_ns = _waits(piece)
    return int(((begun_ns <= moment_ns) & (ended_ns > moment_ns)).sum())


def backlog_max(piece: Slice) -> int:
    """Return the most requests that waited for a connection at one time."""
    begun_ns, ended_ns = _waits(piece)
    if not len(begun_ns):
        return 0
    moments_ns = np.concatenate([ended_ns, begun_ns])
    steps = np.concatenate([np.full(len(ended_ns), -1), np.full(len(begun_ns), 1)])
    # A stable sort puts an end before a beginning of the same moment.
    return int(np.cumsum(steps[np.argsort(moments_ns, kind="stable")]).max())


def _waits(piece: Slice) -> tuple[Int64Array, Int64Array]:
    """Return from when until when each request waited that found no idle connection."""
    samples, errors = piece.samples, piece.errors
    waited = samples.flags & WAITED != 0
    unsent = errors.kind == NOT_SENT
    begun_ns = np.concatenate([samples.intended_ns[waited], errors.intended_ns[unsent]])
    return begun_ns, np.concatenate([samples.sent_ns[waited], errors.at_ns[unsent]])


def _waited_in_window(piece: Slice) -> int:
    begun_ns, _ = _waits(piece)
    return int(_is_in_window(piece, begun_ns).sum())


def _due_in_window(piece: Slice) -> int:
    answered, failed = piece.samples.intended_ns, piece.errors.intended_ns
    return int(_is_in_window(piece, answered).sum() + _is_in_window(piece, failed).sum())


def _is_in_window(piece: Slice, moments_ns: Int64Array) -> npt.NDArray[np.bool_]:
    return (moments_ns >= piece.window_start_ns) & (moments_ns < piece.window_end_ns)
