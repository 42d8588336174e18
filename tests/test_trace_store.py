"""The store keeps few traces, for a while, for their owner alone, and survives whatever stands in its directory."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from shared.config import Settings
from shared.trace import store as storing
from shared.trace.recorder import Stage
from shared.trace.recorder import Trace
from shared.trace.store import Store
from shared.trace.store import open_store
from shared.twins import ROOT

ID = "0af7651916cd43dd8448eb211c80319c"
MANY = 1_000_000
HOUR_S = 3_600.0
SECOND_NS = 1_000_000_000


class Clock:
    """A clock that stands still until it is moved, but for one nanosecond a look."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000 * SECOND_NS

    def __call__(self) -> int:
        """Return the time in nanoseconds."""
        self.now_ns += 1
        return self.now_ns


def trace(trace_id: str = "", *, text: str = "", status: int = 200) -> Trace:
    """Return a trace that has ended."""
    found = Trace("wsgi", reveals_values=True, started_ns=1_000, trace_id=trace_id)
    found.method, found.target, found.status = "GET", "/plaintext", status
    found.stages.append(Stage("route", 1_000, 1_100, "thread 1", {"text": text}))
    found.end("answered")
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory that does not exist yet."""
    return tmp_path / "data" / "traces"


def keep(store: Store, *traces: Trace) -> None:
    """Put traces and wait until each is written."""
    for found in traces:
        store.put(found)
        assert store.flush(20)


def files(directory: Path) -> list[str]:
    """Return the names in a directory, in order."""
    return sorted(os.listdir(directory))


def test_trace_is_found_by_its_id_and_in_the_list(directory: Path) -> None:
    store = Store(directory, 10, MANY, HOUR_S)
    assert store.get(ID) is None
    assert store.recent(10) == []
    keep(store, trace(ID), trace())
    found = store.get(ID)
    assert found is not None
    assert (found["trace_id"], found["target"]) == (ID, "/plaintext")
    assert found["stages"][0]["name"] == "route"
    assert [summary["trace_id"] for summary in store.recent(10)][1] == ID
    assert len(store.recent(1)) == 1
    assert set(store.recent(1)[0]) < set(found)


def test_latest_trace_of_an_id_is_read(directory: Path) -> None:
    store = Store(directory, 10, MANY, HOUR_S)
    keep(store, trace(ID, status=200), trace(ID, status=404))
    found = store.get(ID)
    assert found is not None
    assert found["status"] == 404
    assert [summary["status"] for summary in store.recent(10)] == [404, 200]


def test_another_process_reads_it(directory: Path) -> None:
    keep(Store(directory, 10, MANY, HOUR_S), trace(ID))
    code = (
        "import sys; from pathlib import Path; from shared.trace.store import Store; "
        "print(Store(Path(sys.argv[1]), 10, 1_000_000, 60).get(sys.argv[2])['target'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory), ID], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout == "/plaintext\n", done.stderr


def test_only_the_owner_may_read(directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    keep(Store(directory, 10, MANY, HOUR_S), trace())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (name,) = files(directory)
    assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600


def test_oldest_leave_when_there_are_too_many(directory: Path) -> None:
    store = Store(directory, 3, MANY, HOUR_S)
    traces = [trace() for _ in range(5)]
    keep(store, *traces)
    assert [summary["trace_id"] for summary in store.recent(10)] == [kept.trace_id for kept in traces[:1:-1]]
    assert len(files(directory)) == 3


def test_oldest_leave_when_they_are_too_large(directory: Path) -> None:
    store = Store(directory, 10, 5_000, HOUR_S)
    keep(store, *(trace(text="x" * 1_200) for _ in range(5)))
    sizes = [(directory / name).stat().st_size for name in files(directory)]
    assert 1 < len(sizes) < 5
    assert sum(sizes) <= 5_000 < sum(sizes) + sizes[0]
    keep(store, trace(ID, text="x" * 10_000))
    assert store.get(ID) is None
    assert files(directory) == []


def test_trace_is_gone_when_it_is_old(directory: Path) -> None:
    clock = Clock()
    store = Store(directory, 10, MANY, HOUR_S, clock)
    keep(store, trace(ID))
    clock.now_ns += round(HOUR_S * SECOND_NS) - 1_000
    assert store.get(ID) is not None
    clock.now_ns += 2_000
    assert store.get(ID) is None
    assert store.recent(10) == []
    assert files(directory) == []


@pytest.mark.parametrize("trace_id", ["", "x", ID.upper(), ID + "0", ID[:-1] + "/", "../" + ID, ID + "\n", "*" * 32])
def test_what_is_no_id_finds_nothing(directory: Path, trace_id: str) -> None:
    store = Store(directory, 10, MANY, HOUR_S)
    keep(store, trace(ID))
    assert store.get(trace_id) is None


def damaged(path: Path) -> None:
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    """Leave nothing in a file."""
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    """Put something else in its place."""
    path.write_bytes(b'{"trace_id": 1}\n[]\n')


def binary(path: Path) -> None:
    """Put no text in its place."""
    path.write_bytes(b"\xff\xfe\n\x00\n")


def directory_instead(path: Path) -> None:
    """Put a directory in its place."""
    path.unlink()
    path.mkdir()


def link_instead(path: Path) -> None:
    """Put a link in its place, to what would be a trace."""
    path.rename(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def pipe_instead(path: Path) -> None:
    """Put a pipe in its place, which nobody writes to."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "harm", [damaged, emptied, foreign, binary, directory_instead, link_instead, pipe_instead], ids=lambda f: f.__name__
)
def test_what_is_no_trace_is_passed_over(directory: Path, harm: Callable[[Path], None]) -> None:
    store = Store(directory, 10, MANY, HOUR_S)
    keep(store, trace(ID, status=200), trace(ID, status=404))
    harm(directory / files(directory)[1])
    found = store.get(ID)
    assert found is not None
    assert found["status"] == 200
    assert store.recent(10)[-1]["status"] == 200
    keep(store, trace())


def test_other_files_are_left_alone(directory: Path) -> None:
    directory.mkdir(parents=True)
    others = ["README", "0-x-y.jsonl", f"{'1' * 20}-{ID}.jsonl", "notes.part"]
    for name in others:
        (directory / name).write_text("mine")
    store = Store(directory, 1, MANY, HOUR_S)
    keep(store, trace(), trace())
    assert len(store.recent(10)) == 1
    assert set(others) < set(files(directory))


def test_what_a_killed_writer_left_is_removed(directory: Path) -> None:
    directory.mkdir(parents=True)
    left = directory / f"{'1' * 20}-{ID}-{'a' * 16}.jsonl.part"
    left.write_text("half")
    store = Store(directory, 10, MANY, HOUR_S)
    keep(store, trace())
    assert left.exists()
    os.utime(left, (1, 1))
    keep(store, trace())
    assert not left.exists()


def test_directory_that_cannot_be_written_costs_the_trace_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "traces", 10, MANY, HOUR_S)
    keep(store, trace(ID))
    assert store.dropped == 1
    assert store.get(ID) is None
    assert "Traces cannot be kept in" in caplog.text
    assert "Traceback" not in caplog.text


def test_trace_that_makes_no_document_costs_itself_alone(directory: Path) -> None:
    store = Store(directory, 10, MANY, HOUR_S)
    broken = trace()
    broken.stages[0].start_ns = None  # type: ignore[assignment]  # what no recorder does
    keep(store, broken, trace(ID))
    assert store.dropped == 1
    assert store.get(ID) is not None


def test_too_many_waiting_are_counted_and_putting_never_waits(directory: Path) -> None:
    """The writer stands still in the clock until every trace has been put."""
    is_done = threading.Event()

    def clock() -> int:
        assert is_done.wait(20)
        return 1_800_000_000 * SECOND_NS

    store = Store(directory, MANY, MANY, HOUR_S, clock)
    count = storing.MOST_WAITING + 50
    for _ in range(count):
        store.put(trace())
    assert not store.is_settled
    is_done.set()
    assert store.flush(20)
    assert store.is_settled
    # One may be in the writer's hands already.
    assert store.dropped in (49, 50)
    assert len(files(directory)) == count - store.dropped


def _write_some(directory: Path, number: int) -> None:
    store = Store(directory, 20, MANY, HOUR_S)
    for _ in range(30):
        store.put(trace(text=str(number)))
        # Readers list and remove meanwhile.
        store.recent(20)
    assert store.flush(30)
    assert store.dropped == 0


def test_writers_of_several_processes_lose_nothing_but_the_oldest(directory: Path) -> None:
    context = get_context("spawn")
    processes = [context.Process(target=_write_some, args=(directory, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(files(directory)) == 20
    assert len(Store(directory, 20, MANY, HOUR_S).recent(100)) == 20


def test_child_of_a_fork_writes_by_a_thread_of_its_own(directory: Path) -> None:
    """In a process of its own, so that the tests' threads are not forked."""
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.test_trace_store import *
store = Store(Path({str(directory)!r}), 10, MANY, HOUR_S)
keep(store, trace())
child = os.fork()
if not child:
    keep(store, trace({ID!r}))
    os._exit(0)
_, status = os.waitpid(child, 0)
keep(store, trace())
sys.exit(os.waitstatus_to_exitcode(status) or store.get({ID!r}) is None or len(store.recent(10)) != 3)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_end_of_the_process_waits_for_what_is_to_be_written(directory: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.test_trace_store import *
store = Store(Path({str(directory)!r}), 100, MANY, HOUR_S)
for _ in range(50):
    store.put(trace())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(files(directory)) == 50


def test_settings_have_one_store_in_a_process(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert open_store(settings) is open_store(Settings(data_dir=tmp_path))
    keep(open_store(settings), trace(ID))
    assert len(files(tmp_path / "traces")) == 1
