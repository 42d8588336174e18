"""Part a of a validation: figures made up to go either way, and a load client that is really broken."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.lab.load.driver import ClientSlice
from shared.lab.planning.plan import Load
from shared.lab.results.record import RequestErrors
from shared.lab.results.record import Samples
from shared.lab.statistics import Difference
from shared.lab.validity import delays
from shared.lab.validity import known
from shared.lab.validity import served
from shared.lab.validity.result import LEAST_ROUNDS
from shared.lab.validity.result import DelaysPart
from shared.lab.validity.result import Known
from shared.lab.validity.result import StallSeen
from shared.lab.validity.scripted import Record
from shared.lab.validity.scripted import Script
from shared.lab.validity.scripted import number_of
from shared.lab.validity.served import Away
from shared.lab.validity.served import Round
from shared.lab.validity.served import Served

CLOSED = Load(8)
OPEN = Load(32, 200.0, "constant")
SEEN = StallSeen(CLOSED, 1.0, 1, samples=3000, late=8, expected_late=8, p99_s=0.005)
OPEN_SEEN = StallSeen(OPEN, 1.0, 1, samples=800, late=104, expected_late=100, p99_s=0.96)
NOW_NS = 50_000 * 10**9
MS = 1_000_000
NEVER_AWAY = Away(np.array([], dtype=np.int64), np.array([], dtype=np.int64), NOW_NS, NOW_NS + 10**9)
CONSTANT, _, OPEN_CONSTANT, _, CLOSED_STALL, OPEN_STALL = delays.schedules(0.2)


def figure(low_s: float, high_s: float) -> Known:
    error = Difference((low_s + high_s) / 2, low_s, high_s, 9)
    return Known("constant", CLOSED, "p50", 0.005, 0.0052, 0.0052 + error.value, error, tolerance_s=0.001)


class Shown:
    """Both records of a slice of an open model: a request a ms, answered 5 ms and a bit after it was read.

    Args:
        held_ns: For how long the client's processor was away from the 200th answer on.
    """

    def __init__(self, *, held_ns: int = 0) -> None:
        count = 400
        numbers = np.random.default_rng(3).permutation(count)
        self.due_ns = NOW_NS + np.arange(count) * MS
        read_ns = self.due_ns + 60_000
        written_ns = read_ns + 5 * MS + np.random.default_rng(4).integers(0, 200_000, size=count)
        gone_ns, back_ns = int(written_ns[200]), int(written_ns[200]) + held_ns
        done_ns = np.where((written_ns >= gone_ns) & (written_ns < back_ns), back_ns, written_ns) + 60_000
        zeros = np.zeros(count, dtype=np.uint32)
        self.samples = Samples(
            self.due_ns, self.due_ns + 20_000, done_ns, done_ns, zeros + 200, zeros, zeros, numbers.astype(np.uint32)
        )
        self.record = Served(numbers, read_ns, written_ns)
        self.away = Away(np.array([gone_ns]), np.array([back_ns]), NOW_NS, NOW_NS + 10**9)

    def round(
        self, samples: Samples, *, client: Away = NEVER_AWAY, measured_s: dict[str, float] | None = None
    ) -> Round:
        """Hold what the client says against the record."""
        none, empty = np.array([], dtype=np.int64), np.array([], dtype=np.uint32)
        errors = RequestErrors(kind=empty, connection=empty, intended_ns=none, at_ns=none)
        piece = ClientSlice(NOW_NS, NOW_NS, NOW_NS + 10**9, 1.0, 0.1, 0, samples, errors)
        return served.compare(
            piece,
            self.record,
            server=NEVER_AWAY,
            client=client,
            quantiles=delays.QUANTILES,
            due_ns=self.due_ns,
            measured_s=measured_s,
        )


def part_of(rounds: Sequence[Round], away: float = 0.0) -> DelaysPart:
    return delays.part_of({OPEN_CONSTANT: rounds}, server_away=0.0, client_away=away, seconds=1.0)


def only(samples: Samples, kept: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Samples:
    return Samples(*(getattr(samples, name)[kept] for name in Samples.__dataclass_fields__))


class TestRecords:
    """One slice, as the client and as the server have it."""

    def test_what_agrees_holds(self) -> None:
        shown = Shown()
        found = shown.round(shown.samples)
        assert (found.samples, found.faults) == (400, 0)
        assert found.measured_s["p50"] - found.served_s["p50"] == pytest.approx(0.00012, abs=1e-9)
        assert part_of([found] * 9).verdict == "holds"

    def test_a_client_that_subtracts_a_millisecond_fails(self) -> None:
        shown = Shown()
        found = shown.round(replace(shown.samples, done_ns=shown.samples.done_ns - MS))
        assert found.impossible == 400
        assert part_of([found] * 9, away=0.9).verdict == "fails"

    def test_a_client_that_adds_two_milliseconds_fails(self) -> None:
        shown = Shown()
        found = shown.round(replace(shown.samples, done_ns=shown.samples.done_ns + 2 * MS))
        assert found.faults == 0
        assert part_of([found] * 9).verdict == "fails"

    def test_an_open_model_that_counts_from_sending_fails(self) -> None:
        shown = Shown()
        found = shown.round(replace(shown.samples, intended_ns=shown.samples.sent_ns))
        assert found.impossible == 400
        assert part_of([found] * 9, away=0.9).verdict == "fails"

    def test_a_client_that_drops_its_slowest_answers_fails(self) -> None:
        shown = Shown()
        times_ns = shown.samples.done_ns - shown.samples.intended_ns
        found = shown.round(only(shown.samples, times_ns < np.sort(times_ns)[-4]))
        assert found.missing == 4
        assert part_of([found] * 9, away=0.9).verdict == "fails"

    def test_an_answer_that_is_counted_twice_fails(self) -> None:
        shown = Shown()
        twice = np.concatenate([np.ones(400, dtype=np.bool_)])
        doubled = Samples(
            *(
                np.append(getattr(only(shown.samples, twice), name), getattr(shown.samples, name)[7])
                for name in Samples.__dataclass_fields__
            )
        )
        assert shown.round(doubled).missing == 1

    @pytest.mark.parametrize("ranks", [-1, 1])
    def test_percentiles_that_are_a_rank_off_fail(self, ranks: int) -> None:
        shown = Shown()
        times_s = np.sort(shown.samples.done_ns - shown.samples.intended_ns) / 1e9
        off = {name: float(times_s[int(q * 399) + ranks]) for name, q in delays.QUANTILES.items()}
        found = shown.round(shown.samples, measured_s=off)
        assert found.misranked == 3
        assert part_of([found] * 9, away=0.9).verdict == "fails"

    def test_a_stall_of_the_machine_is_in_both_where_a_witness_saw_it(self) -> None:
        """20 answers wait up to 20 ms for the client: 5 % of them, so all of it is in p99."""
        shown = Shown(held_ns=20 * MS)
        seen = shown.round(shown.samples, client=shown.away)
        assert seen.measured_s["p99"] > 0.02
        assert part_of([seen] * 9).verdict == "holds"
        unseen = shown.round(shown.samples)
        assert unseen.served_s["p99"] < 0.006
        assert part_of([unseen] * 9).verdict == "fails"
        assert part_of([unseen] * 9, away=0.06).verdict == "undecided"

    def test_one_round_in_nine_decides_nothing(self) -> None:
        good, bad = Shown(), Shown(held_ns=20 * MS)
        rounds = [good.round(good.samples)] * 8 + [bad.round(bad.samples)]
        assert part_of(rounds).verdict == "holds"
        assert part_of(rounds[1:] + rounds[-1:]).verdict == "undecided"

    def test_time_away_is_that_within_the_way(self) -> None:
        away = Away(np.array([10, 50]) + NOW_NS, np.array([20, 80]) + NOW_NS, NOW_NS, NOW_NS + 100)
        begins, ends = np.array([0, 12, 21, 15, 90]) + NOW_NS, np.array([100, 18, 49, 60, 99]) + NOW_NS
        assert away.between_ns(begins, ends).tolist() == [40, 6, 0, 15, 0]
        assert away.share == 0.4

    def test_own_computation_of_percentiles_is_that_of_the_lab(self) -> None:
        times_s = np.random.default_rng(1).exponential(size=437)
        quantiles = delays.STALL_QUANTILES
        assert served.independent(times_s, quantiles) == pytest.approx(served.figures_of(times_s, quantiles), rel=1e-12)


class TestJudgement:
    """Figures made up to go either way."""

    @pytest.mark.parametrize(
        ("low_s", "high_s", "verdict"),
        [
            (0.0001, 0.0009, "holds"),
            (0.0001, 0.0011, "undecided"),
            (-0.0011, 0.0001, "undecided"),
            (0.0011, 0.002, "fails"),
            (-0.002, -0.0011, "fails"),
        ],
    )
    def test_the_whole_interval_must_lie_within_the_tolerance(self, low_s: float, high_s: float, verdict: str) -> None:
        assert known.judge([figure(low_s, high_s)], [SEEN, OPEN_SEEN], faults=0, away=0.0) == verdict

    def test_few_rounds_hold_or_decide_nothing(self) -> None:
        few = replace(figure(0.0011, 0.002), error=Difference(0.0015, 0.0011, 0.002, 5))
        assert few.verdict == "undecided"
        assert replace(few, error=Difference(0.0, 0.0, 0.0, 3)).verdict == "holds"

    def test_one_fault_is_enough_whatever_the_machine_did(self) -> None:
        assert known.judge([figure(0.0, 0.0)], [SEEN], faults=1, away=1.0) == "fails"

    @pytest.mark.parametrize(
        "seen",
        [
            replace(SEEN, late=0),
            replace(SEEN, late=7),
            replace(SEEN, late=9),
            replace(OPEN_SEEN, late=8),
            replace(OPEN_SEEN, late=0),
        ],
    )
    def test_a_stall_that_is_not_seen_as_it_was_fails(self, seen: StallSeen) -> None:
        """An open model that omits what was due during the stall sees only what was in flight."""
        assert known.judge([figure(0.0, 0.0)], [seen], faults=0, away=1.0) == "fails"

    @pytest.mark.parametrize(("count", "left_out"), [(1, 0), (3, 0), (5, 0), (8, 0), (9, 1), (12, 2), (17, 4)])
    def test_interval_of_a_median_leaves_out_what_it_may(self, count: int, left_out: int) -> None:
        """By tables of the sign test, two-sided at 5 %: n 9 leaves 1, 12 leaves 2, 17 leaves 4."""
        found = known.median_of_rounds([float(value) for value in range(count)][::-1])
        assert (found.low, found.high, found.units) == (left_out, count - 1 - left_out, count)
        assert found.value == (count - 1) / 2


class TestScript:
    """What is known beforehand."""

    def test_stall_in_an_open_model_is_known_beforehand(self) -> None:
        """200 a second for 4 s, of which one stalls: 200 requests fall due in it, half of them in its first half."""
        due_s = np.arange(800) / 200
        times_s = known.open_times_s(due_s, connections=400, delay_s=0.005, stall=(1.0, 2.0))
        assert times_s.max() == pytest.approx(1.005, abs=1e-6)
        assert (times_s > 0.5).sum() == pytest.approx(101, abs=1)
        assert np.quantile(times_s, 0.99) == pytest.approx(0.965, abs=0.005)
        assert np.median(times_s) == pytest.approx(0.005)

    def test_requests_without_a_free_connection_wait_for_one(self) -> None:
        """Two connections for three requests at once: the third comes after the first."""
        times_s = known.open_times_s([0.0, 0.0, 0.0], connections=2, delay_s=0.1, stall=(9.0, 9.0))
        assert times_s.tolist() == pytest.approx([0.1, 0.1, 0.2])

    def test_script_gives_its_delays_and_stalls(self) -> None:
        script = Script(seed=3)
        assert script.due_s("/constant?ms=5", 10.0) == pytest.approx(10.005)
        drawn = [(script.due_s("/uniform?low=5&high=15", 0.0) or 0.0) * 1e3 for _ in range(4_000)]
        for q in (0.01, 0.5, 0.99):
            assert np.quantile(drawn, q) == pytest.approx(known.uniform_quantile_s(5.0, 15.0, q), abs=0.5)
        assert script.due_s("/stall?after=1&for=2", 100.0) == 100.0
        waits = {now: script.due_s("/constant?ms=5", now) for now in (100.0, 100.994, 100.996, 102.99, 103.0)}
        assert waits == pytest.approx({100.0: 100.005, 100.994: 100.999, 100.996: 103, 102.99: 103, 103.0: 103.005})
        assert script.due_s("/elsewhere", 0.0) is None

    def test_record_tells_each_answer_once(self) -> None:
        record = Record()
        record.add(7, 100, 200)
        record.add(8, 110, 190)
        taken = Served.parse(record.take())
        assert (taken.number.tolist(), taken.read_ns.tolist(), taken.written_ns.tolist()) == (
            [7, 8],
            [100, 110],
            [200, 190],
        )
        assert record.take() == b""
        assert (number_of("/constant?ms=5&n=12"), number_of("/constant?ms=5")) == (12, -1)

    def test_open_model_has_to_wait_for_connections_in_the_stall(self) -> None:
        """Else a client that counts from the moment of sending would say the same."""
        assert OPEN_STALL.load.rate is not None
        assert OPEN_STALL.load.rate * delays.STALL_S > 4 * OPEN_STALL.load.connections
        assert OPEN_STALL.planned_s["p99"] > 0.9


# Put before the load client by Python's own hook: what is broken is the real one, in its own process.
HOOK = """
import sys
if "shared.lab.load.client" in sys.orig_argv:
    from time import perf_counter_ns
    from shared.lab.load.connection import Connection
    record, send = Connection._record, Connection.send
    {}
"""
BROKEN = {
    "subtracts 1 ms": "Connection._record = lambda self, done_ns, status: record(self, done_ns - 1_000_000, status)",
    "counts from sending": "Connection.send = lambda self, due_ns, flags: send(self, perf_counter_ns(), flags)",
    "drops slow answers": """
    def dropping(self, done_ns, status):
        if done_ns - self._sent_ns < 500_000_000:
            record(self, done_ns, status)
        else:
            self._in_flight = False
    Connection._record = dropping""",
    "adds 3 ms": "Connection._record = lambda self, done_ns, status: record(self, done_ns + 3_000_000, status)",
}


def run_broken(line: str, shown: delays.Schedule, directory: Path, monkeypatch: pytest.MonkeyPatch) -> DelaysPart:
    (directory / "sitecustomize.py").write_text(HOOK.format(line))
    root = Path(delays.__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(directory), str(root))))
    rounds = 1 if shown.stalls else LEAST_ROUNDS
    return delays.run(seed=1, rounds=rounds, window_s=0.2, stall_rounds=rounds, progress=lambda _: None, shown=[shown])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "shown", "fault"),
    [
        ("subtracts 1 ms", CONSTANT, "impossible"),
        ("counts from sending", OPEN_STALL, "impossible"),
        ("drops slow answers", CLOSED_STALL, "missing"),
    ],
)
def test_a_broken_client_fails_on_any_machine(
    what: str, shown: delays.Schedule, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = run_broken(BROKEN[what], shown, tmp_path, monkeypatch)
    assert part.verdict == "fails"
    assert getattr(part, fault) > 0


@pytest.mark.slow
def test_a_slow_client_is_not_excused_by_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Undecided where other programs hold the processors, and never said to hold."""
    part = run_broken(BROKEN["adds 3 ms"], CONSTANT, tmp_path, monkeypatch)
    assert part.verdict in ("fails", "undecided")
    assert part.known[0].verdict == "fails"
