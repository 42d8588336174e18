"""Blocked loops and busy threads: noticed while they last, told with the line to blame, and no sooner than agreed."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from shared.lab.claims.client import Ask
from shared.lab.claims.client import together
from shared.lab.services.process import Service
from shared.lab.tracing.result import Traced
from shared.report.pipeline.drawing import lines
from shared.report.pipeline.text import PLAIN
from shared.report.trace_page.page import page
from shared.stalls import frames
from shared.stalls.frames import UNSEEN
from shared.stalls.frames import Place
from shared.stalls.frames import Stack
from shared.stalls.record import LIMIT_NS
from shared.stalls.record import MOST_LOGGED
from shared.stalls.record import Stall
from shared.stalls.record import Stalls
from shared.stalls.record import during
from shared.stalls.watch import BEAT_S
from shared.stalls.watch import LoopWatch
from shared.stalls.watch import ThreadWatch
from shared.stalls.watch import stacks_of
from shared.trace.document import StallDocument
from shared.trace.document import StalledThread
from shared.trace.document import TraceDocument
from shared.work import block
from shared.work import churn
from tests.clients import eventually
from tests.conftest import ServiceFactory
from tests.trace_documents import make_pair
from tests.traced import read_trace

MS = 1_000_000
BEAT_NS = round(BEAT_S * 1e9)
HERE = Place("asgi_app/endpoints.py", 7, "blocking", "work.block(1)")
STACK = Stack((HERE,), HERE, "a sleep")


class Script:
    """A clock that is set, and what was told by it."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * MS
        self.lines: list[str] = []
        self.booked: list[float] = []
        self.kept: deque[Stall] = deque()
        self.stalls = Stalls(
            lambda stall, duration_s: self.booked.append(duration_s),
            keep=self.kept,
            say=self.lines.append,
            clock=lambda: self.now_ns,
        )

    def loop(self, stack: Stack = STACK) -> LoopWatch:
        return LoopWatch(self.stalls, lambda: stack, clock=lambda: self.now_ns)


class TestLoop:
    """An event loop under a scripted clock."""

    def test_loop_that_beats_is_not_told(self) -> None:
        script = Script()
        watch = script.loop()
        for _ in range(100):
            watch.beat()
            script.now_ns += BEAT_NS + LIMIT_NS
            watch.look()
        assert (script.lines, script.booked, len(script.kept)) == ([], [], 0)

    def test_block_is_told_while_it_lasts_and_with_its_length_in_the_end(self) -> None:
        script = Script()
        watch = script.loop()
        watch.beat()
        script.now_ns += BEAT_NS + LIMIT_NS + MS
        watch.look()
        (stall,) = script.kept
        assert (stall.end_ns, script.booked) == (0, [])
        assert (
            "Event loop blocked for 51 ms and still: asgi_app/endpoints.py:7 in blocking: work.block(1)"
            in (script.lines[0])
        )
        watch.look()
        script.now_ns += 449 * MS
        watch.beat()
        watch.look()
        watch.look()
        assert script.booked == [0.5]
        assert "blocked for 500 ms in the end: asgi_app/endpoints.py:7" in script.lines[1]
        assert (len(script.lines), len(script.kept)) == (2, 1)

    def test_block_that_held_the_interpreter_is_told_without_a_line(self) -> None:
        script = Script()
        watch = script.loop()
        watch.beat()
        script.now_ns += BEAT_NS + 80 * MS
        watch.beat()
        watch.look()
        assert script.booked == [0.08]
        assert "nobody could look" in script.lines[0]
        assert script.kept[0].stacks == ()

    def test_stack_is_not_blamed_where_the_loop_went_on_while_it_was_read(self) -> None:
        script = Script()
        watches: list[LoopWatch] = []

        def look() -> Stack:
            watches[0].beat()
            return STACK

        watch = LoopWatch(script.stalls, look, clock=lambda: script.now_ns)
        watches.append(watch)
        watch.beat()
        script.now_ns += BEAT_NS + LIMIT_NS + MS
        watch.look()
        assert script.lines == []
        watch.look()
        assert script.kept[0].stacks == ()
        assert script.booked == [0.051]

    def test_loop_that_has_not_begun_is_not_told(self) -> None:
        script = Script()
        watch = script.loop()
        script.now_ns += 10_000 * MS
        watch.look()
        assert script.lines == []


class TestThreads:
    """Threads of a server under a scripted clock."""

    def test_all_busy_for_long_are_told_once_and_with_what_each_waits_for(self) -> None:
        script = Script()
        busy = {1, 2}
        stacks = (("one", STACK), ("two", Stack((), HERE, "the database")))
        watch = ThreadWatch(script.stalls, busy, 2, lambda threads: stacks, clock=lambda: script.now_ns)
        watch.look()
        script.now_ns += LIMIT_NS
        watch.look()
        assert script.lines == []
        script.now_ns += MS
        watch.look()
        watch.look()
        assert len(script.lines) == 1
        assert (
            "All 2 threads busy for 51 ms and still: they wait for: 1 x a sleep (asgi_app/endpoints.py:7"
            in (script.lines[0])
        )
        assert "1 x the database" in script.lines[0]
        script.now_ns += 49 * MS
        busy.discard(1)
        watch.look()
        assert script.booked == [0.1]

    def test_one_idle_thread_between_begins_anew(self) -> None:
        script = Script()
        busy = {1, 2}
        watch = ThreadWatch(script.stalls, busy, 2, lambda threads: (), clock=lambda: script.now_ns)
        for _ in range(20):
            busy.add(2)
            watch.look()
            script.now_ns += LIMIT_NS
            busy.discard(2)
            watch.look()
        assert (script.lines, script.booked) == ([], [])


def test_log_is_bounded_and_counts_what_it_left_out() -> None:
    script = Script()
    for _ in range(MOST_LOGGED + 5):
        script.stalls.began(Stall("event loop blocked", script.now_ns, (("event loop", STACK),)))
    assert len(script.lines) == MOST_LOGGED
    script.now_ns += 20_000 * MS
    script.stalls.began(Stall("event loop blocked", script.now_ns))
    assert "(5 others since the last that was told)" in script.lines[-1]
    assert len(script.kept) == MOST_LOGGED + 6


def test_stalls_of_a_time_are_those_that_overlap_it() -> None:
    kept = [
        Stall("event loop blocked", 10, end_ns=20),
        Stall("event loop blocked", 30, end_ns=40),
        Stall("event loop blocked", 50),
    ]
    assert during(20, 30, kept) == []
    assert during(15, 16, kept) == kept[:1]
    assert during(39, 51, kept) == kept[1:]
    assert during(500, 600, kept) == kept[2:]


@contextmanager
def at_work(function: object, *arguments: object) -> Iterator[int]:
    """Run a function in a thread, and yield its identifier while it runs."""
    assert callable(function)
    thread = threading.Thread(target=function, args=arguments, name="at-work", daemon=True)
    thread.start()
    assert thread.ident is not None
    time.sleep(0.1)
    yield thread.ident
    thread.join()


class TestStacks:
    """Real threads, looked at while they do something known."""

    def test_sleep_is_told_from_computing(self) -> None:
        with at_work(block, 0.5) as asleep, at_work(churn, 20_000_000) as computing:
            (_, sleeps), (name, computes) = stacks_of((asleep, computing))
        assert sleeps.waits_for == "a sleep"
        assert sleeps.place is not None
        assert (sleeps.place.file, sleeps.place.function, sleeps.place.text) == (
            "shared/work.py", "block", "time.sleep(seconds)",
        )  # fmt: skip
        assert (name, computes.waits_for) == ("at-work", "nothing: it computes")
        assert computes.place is not None
        assert computes.place.function == "churn"

    def test_lock_is_told(self) -> None:
        lock = threading.Lock()
        with lock:
            thread = threading.Thread(target=lambda: lock.acquire(), daemon=True)
            thread.start()
            assert thread.ident is not None
            time.sleep(0.05)
            ((_, stack),) = stacks_of((thread.ident,))
        thread.join()
        assert stack.waits_for == "a lock"
        # The project's own code is not in it.
        assert stack.own == ()

    def test_thread_that_has_ended_was_not_seen(self) -> None:
        assert stacks_of((-1,)) == (("-1", UNSEEN),)
        assert frames.read(None) is UNSEEN


def metric(service: Service, name: str) -> float | None:
    """Return the value of a metric without labels, or the sum over its labels; None where there is none."""
    (answer,) = together(service, ["/metrics"])
    lines = [line for line in answer.body.decode().splitlines() if line.startswith((name + " ", name + "{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines) if lines else None


def names_of(service: Service) -> set[str]:
    """Return the names of all metrics and samples, and what is said of them."""
    (answer,) = together(service, ["/metrics"])
    lines = answer.body.decode().splitlines()
    return {line if line.startswith("#") else line.partition("{")[0].partition(" ")[0] for line in lines}


def told(service: Service) -> str:
    """Return the end of a service's log once a stall's end stands in it."""
    text = service.log_tail()
    return text if "in the end" in text else ""


def test_blocked_loop_is_told_in_log_metrics_and_trace(start_service: ServiceFactory) -> None:
    service = start_service("asgi", TRACE="1")
    (answer,) = together(service, [Ask("/blocking?seconds=0.3", headers={"X-Trace": "1"})])
    document = read_trace(service.port, answer.headers["x-trace-id"])
    (stall,) = document["stalls"]
    assert stall["kind"] == "event loop blocked"
    assert 0.2e9 < stall["duration_ns"] < 2e9
    (thread,) = stall["threads"]
    assert thread["place"] is not None
    assert thread["place"].startswith("shared/work.py:")
    assert thread["place"].endswith("in block: time.sleep(seconds)")
    assert thread["called_by"][-1].startswith("asgi_app/endpoints.py:")
    assert "in blocking" in thread["called_by"][-1]
    log = eventually(lambda: told(service), 5)
    assert "ms and still: shared/work.py:" in log
    assert "ms in the end: shared/work.py:" in log
    total = metric(service, "event_loop_blocked_seconds_sum")
    assert total is not None
    assert 0.2 < total < 2
    # A request that came when it was over has nothing to do with it.
    (answer,) = together(service, [Ask("/json", headers={"X-Trace": "1"})])
    assert "stalls" not in read_trace(service.port, answer.headers["x-trace-id"])


def test_busy_threads_are_told_in_log_metrics_and_trace(start_service: ServiceFactory) -> None:
    service = start_service("wsgi", TRACE="1", WSGI_THREADS="3", POOL_SIZE="1")
    together(service, ["/db"])
    asks = [
        Ask("/sleep?seconds=0.4", headers={"X-Trace": "1"}), Ask("/sleep?seconds=0.4"), Ask("/wait?seconds=0.4"),
    ]  # fmt: skip
    answers = together(service, asks)
    document = read_trace(service.port, answers[0].headers["x-trace-id"])
    stall = document["stalls"][0]
    assert stall["kind"] == "all threads busy"
    assert {thread["waits_for"] for thread in stall["threads"]} == {"the database", "a connection", "a sleep"}
    log = eventually(lambda: told(service), 5)
    assert "All 3 threads busy for" in log
    assert "1 x the database (wsgi_app/endpoints.py:" in log
    count = metric(service, "server_threads_all_busy_waits_total")
    assert count is not None
    assert count >= 3
    # Whoever compares the editions finds the same names in both.
    assert names_of(service) == names_of(start_service("asgi"))
    length = metric(service, "server_threads_all_busy_seconds_sum")
    assert length is not None
    assert length > 0.2


def test_several_workers_are_added_up(start_service: ServiceFactory) -> None:
    service = start_service("asgi", ASGI_WORKERS="2")
    for _ in range(6):
        together(service, ["/blocking?seconds=0.1"])

    def is_added_up() -> bool:
        counts = {metric(service, "event_loop_blocked_seconds_count") or 0 for _ in range(6)}
        # Whichever worker is asked; on a busy machine a loop may have been late on its own account as well. Counted
        # twice each, they would be 12.
        return len(counts) == 1 and 6 <= counts.pop() < 12

    assert eventually(is_added_up, 10)


def test_nothing_is_watched_outside_lab_mode(start_service: ServiceFactory) -> None:
    for edition, name in (
        ("asgi", "event_loop_blocked_seconds_count"), ("wsgi", "server_threads_all_busy_seconds_count"),
    ):  # fmt: skip
        service = start_service("asgi" if edition == "asgi" else "wsgi", LAB="0")
        assert metric(service, name) is None
        service = start_service("asgi" if edition == "asgi" else "wsgi")
        assert metric(service, name) is not None


def test_terminal_and_page_show_the_stall_of_a_trace() -> None:
    pair = make_pair()
    place = "shared/work.py:24 in block: time.sleep(seconds)"
    thread = StalledThread(name="event loop", waits_for="a sleep", place=place, called_by=[], innermost=place)
    stall = StallDocument(
        kind="event loop blocked", start_ns=0, end_ns=300 * MS, duration_ns=300 * MS, threads=[thread]
    )
    blocked: TraceDocument = {**pair.asgi.document, "stalls": [stall]}
    changed = replace(pair, asgi=replace(pair.asgi, document=blocked))
    for found, is_told in ((pair, False), (changed, True)):
        text = "\n".join(line.plain for line in lines(Traced((found,), (), ()), 160, PLAIN))
        assert ("asgi event loop blocked for" in text and "waits for a sleep, at shared/work.py:24" in text) == is_told
        assert ("event loop blocked" in page(found) and place in page(found)) == is_told
