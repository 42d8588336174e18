"""What a scripted server really did, beside what the load client says of it: pure functions over both records."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.lab.load.driver import ClientSlice
from shared.lab.statistics import percentile

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Parts of the range that the independent computation of a percentile divides into: per mille.
PARTS = 1_000
# Beyond rounding, two computations of a percentile from the same times differ by nothing.
ROUNDING_S = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """The server's own record of a slice, in nanoseconds of the clock that the client reads, too.

    Attributes:
        number: Of each request.
        read_ns: When it was complete at the server.
        written_ns: When its answer was handed to the socket.
    """

    number: Int64s
    read_ns: Int64s
    written_ns: Int64s

    @classmethod
    def parse(cls, body: bytes) -> "Served":
        """Return the record that the scripted server gave.

        Raises:
            ValueError: If it is cut.
        """
        return cls(*np.frombuffer(body, dtype=np.int64).reshape(3, -1))


@dataclass(frozen=True, slots=True, eq=False)
class Away:
    """When a processor was away, as its witness saw it, in nanoseconds of the same clock.

    Attributes:
        due_ns: When the witness should have woken up, each time that it was late; ascending.
        awake_ns: When it did.
        began_ns: Since when it watched.
        ended_ns: Until when.
    """

    due_ns: Int64s
    awake_ns: Int64s
    began_ns: int
    ended_ns: int

    @property
    def share(self) -> float:
        """For which share of the time the processor was away."""
        return float((self.awake_ns - self.due_ns).sum()) / max(self.ended_ns - self.began_ns, 1)

    def between_ns(self, begin_ns: Int64s, end_ns: Int64s) -> Floats:
        """Return for how long it was away between each begin and its end."""
        if not len(self.due_ns):
            return np.zeros(len(begin_ns))
        moments = np.stack([self.due_ns, self.awake_ns], axis=1).ravel()
        lengths = np.stack([np.zeros_like(self.due_ns), self.awake_ns - self.due_ns], axis=1).ravel()
        # From the first moment on: floats hold no nanoseconds since the machine was started.
        first, total = moments[0], np.cumsum(lengths)
        before_end, before_begin = (np.interp(each - first, moments - first, total) for each in (end_ns, begin_ns))
        lengths_ns: Floats = np.maximum(before_end - before_begin, 0.0)
        return lengths_ns


@dataclass(frozen=True, slots=True)
class Round:
    """One slice: what the instrument says, what was done, and what no machine can have caused.

    Attributes:
        measured_s: Every figure of the instrument, in seconds.
        served_s: The same of the server's record, by a computation of its own.
        samples: Response times behind the figures.
        late: How many of them took longer than was asked for.
        served_late: How many did by the server's record.
        missing: Requests that only one of the two knows, or knows twice.
        impossible: Those that say what cannot be: sent after the server had read it, complete before the server had
            answered, or, in an open model, counted from another moment than one that was due.
        misranked: Figures that an independent computation from the same response times does not give.
    """

    measured_s: Mapping[str, float]
    served_s: Mapping[str, float]
    samples: int
    late: int
    served_late: int
    missing: int
    impossible: int
    misranked: int

    @property
    def faults(self) -> int:
        """How much there is that only the instrument can have caused."""
        return self.missing + self.impossible + self.misranked


def figures_of(times_s: Floats, quantiles: Mapping[str, float]) -> dict[str, float]:
    """Return percentiles as every result of the lab has them."""
    return {name: percentile(times_s, q) for name, q in quantiles.items()}


def independent(times_s: Floats, quantiles: Mapping[str, float]) -> dict[str, float]:
    """Return the same percentiles by Python's own statistics module, which shares no line with the lab's.

    Its "inclusive" method is the same type 7 (Hyndman and Fan 1996).
    """
    cuts = [min(times_s), *statistics.quantiles(times_s.tolist(), n=PARTS, method="inclusive"), max(times_s)]
    return {name: float(cuts[round(q * PARTS)]) for name, q in quantiles.items()}


def due_in_window(piece: ClientSlice) -> npt.NDArray[np.bool_]:
    """Return which samples are of requests that were due in the window."""
    intended_ns = piece.samples.intended_ns
    return (intended_ns >= piece.window_start_ns) & (intended_ns < piece.window_end_ns)


def compare(
    piece: ClientSlice,
    served: Served,
    *,
    server: Away,
    client: Away,
    quantiles: Mapping[str, float],
    due_ns: Int64s | None = None,
    counts_waiting: bool = False,
    late_s: float = float("inf"),
    measured_s: Mapping[str, float] | None = None,
) -> Round:
    """Hold the load client's record of a slice against the server's, request by request.

    What was done to a request is the time from its being read to its being answered, by the server's clock, and for how
    long the processor was away that had it before (the server's, from sent to read) or after (the client's, from
    answered to complete), by the witness: all that a client would see that costs nothing. With waiting counted it
    begins when the request was due, by the schedule that is drawn again here.

    Args:
        piece: The client's record; its request column holds the numbers.
        served: The server's.
        server: When the server's processor was away.
        client: When the client's was.
        quantiles: The figures.
        due_ns: Every moment at which a request was due; None in the closed model.
        counts_waiting: Whether waiting for a connection belongs to what was done; open model only.
        late_s: What to count as late.
        measured_s: The instrument's figures; computed as it does if None.
    """
    samples = piece.samples
    numbers = samples.request.astype(np.int64)
    both, mine, theirs = np.intersect1d(numbers, served.number, return_indices=True)
    missing = len(numbers) + len(served.number) - 2 * len(both)
    intended_ns, sent_ns, done_ns = (each[mine] for each in (samples.intended_ns, samples.sent_ns, samples.done_ns))
    read_ns, written_ns = served.read_ns[theirs], served.written_ns[theirs]
    impossible = (sent_ns > read_ns) | (done_ns < written_ns) | (sent_ns < intended_ns)
    if due_ns is not None:
        impossible |= ~np.isin(intended_ns, due_ns)
    kept = due_in_window(piece)
    times_s = (samples.done_ns[kept] - samples.intended_ns[kept]) / 1e9
    done = kept[mine]
    before_ns = server.between_ns(sent_ns[done], read_ns[done]) + client.between_ns(intended_ns[done], sent_ns[done])
    begun_ns = read_ns[done] - before_ns
    if counts_waiting:
        begun_ns = intended_ns[done].astype(np.float64)
    served_s = (written_ns[done] + client.between_ns(written_ns[done], done_ns[done]) - begun_ns) / 1e9
    measured_s = figures_of(times_s, quantiles) if measured_s is None else measured_s
    again = independent(times_s, quantiles)
    return Round(
        measured_s=measured_s,
        served_s=independent(served_s, quantiles),
        samples=len(times_s),
        late=int((times_s > late_s).sum()),
        served_late=int((served_s > late_s).sum()),
        missing=missing,
        impossible=int(impossible.sum()),
        misranked=sum(abs(measured_s[name] - again[name]) > ROUNDING_S for name in quantiles),
    )
