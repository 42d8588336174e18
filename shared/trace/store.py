"""Keeps traces as files that any process of the machine can read: few, not for long, and for their owner alone.

A file holds two lines of JSON, the summary that the list shows and the whole document, so that the list reads little.
Its name says when it was stored, so that names in order are files in order of time. Several processes write and
remove; each of them takes what it finds as it is, and passes over what is gone, damaged or none of ours.
"""

import atexit
import logging
import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from json import dumps
from pathlib import Path
from threading import Condition
from threading import Thread
from weakref import WeakSet

from pydantic import SecretStr
from pydantic import TypeAdapter
from pydantic import ValidationError

from shared.config import Settings
from shared.config import mask
from shared.contract import CONTRACT
from shared.engine import is_mariadb

from . import sender
from .build import document
from .build import summary
from .document import TraceDocument
from .document import TraceSummary
from .document import adapter
from .recorder import Trace
from .sender import Deliver
from .sender import Sender

# Traces that wait to be written; each may hold a few ten thousand bytes.
MOST_WAITING = 256
# How long the end of a process waits for them, in seconds.
FLUSH_TIMEOUT_S = 2.0
# A file that its writer has not finished by then has none any more, in seconds.
ABANDONED_S = 60.0

TRACE_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"([0-9]{20})-([0-9a-f]{32})-[0-9a-f]{16}\.jsonl")
_UNFINISHED = ".part"
_BY_NAME = {endpoint.name: endpoint for endpoint in CONTRACT}

_summary_adapter: TypeAdapter[TraceSummary] = TypeAdapter(TraceSummary)
_log = logging.getLogger(__name__)


class Store:
    """Traces in a directory.

    Args:
        directory: Where they are; made, for its owner alone, when the first is written.
        most_entries: Most that are kept.
        most_bytes: Most that they may take together.
        longest_age_s: How long each is kept, in seconds.
        clock: Returns nanoseconds since the epoch.
        export: Called with each trace before it is written; must return at once, and raise nothing.

    Attributes:
        dropped: Traces of this process that were not kept, because too many waited or they could not be written.
    """

    def __init__(
        self,
        directory: Path,
        most_entries: int,
        most_bytes: int,
        longest_age_s: float,
        clock: Callable[[], int] = time.time_ns,
        export: Callable[[TraceDocument], None] | None = None,
    ) -> None:
        self.dropped = 0
        self._directory = directory
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._longest_age_ns = round(longest_age_s * 1e9)
        self._clock = clock
        self._export = export
        self._begin()
        _stores.add(self)

    def _begin(self) -> None:
        """Have nothing to write and nobody to write it; also in a child, where its parent's thread does not run."""
        self._changed = Condition()
        self._waiting: deque[Trace] = deque()
        self._is_writing = False
        self._writer: Thread | None = None

    def put(self, trace: Trace) -> None:
        """Keep a trace that has ended; returns at once, a thread writes it."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self.dropped += 1
                return
            self._waiting.append(trace)
            if self._writer is None:
                writer = Thread(target=self._write_all, name="trace-store", daemon=True)
                try:
                    writer.start()
                except RuntimeError:
                    # The interpreter is shutting down, or the machine has no thread left.
                    self._waiting.clear()
                    self.dropped += 1
                    return
                self._writer = writer
            self._changed.notify_all()

    @property
    def is_settled(self) -> bool:
        """Whether everything that this process has put is written."""
        return not self._waiting and not self._is_writing

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Wait until everything that this process has put is written; tells whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_settled, timeout_s)

    def get(self, trace_id: str) -> TraceDocument | None:
        """Return the latest trace with an id, None if there is none; a client may use an id repeatedly."""
        if TRACE_ID.fullmatch(trace_id) is None:
            return None
        for name in self._names():
            if name.split("-")[1] == trace_id:
                with suppress(ValidationError, OSError, ValueError):
                    return adapter.validate_json(self._read(name).partition(b"\n")[2], strict=True)
        return None

    def recent(self, limit: int) -> list[TraceSummary]:
        """Return what the list says of the latest traces, latest first."""
        found: list[TraceSummary] = []
        for name in self._names():
            if len(found) >= limit:
                break
            with suppress(ValidationError, OSError, ValueError):
                found.append(_summary_adapter.validate_json(self._read(name, lines=1), strict=True))
        return found

    def _names(self) -> list[str]:
        """Return the names of the files that are young enough, latest first; what is too old is removed."""
        self._evict()
        return sorted((name for name, _ in self._entries()), reverse=True)

    def _entries(self) -> Iterator[tuple[str, int]]:
        """Yield name and size of each file that has a trace's name; no link, pipe or directory is one."""
        with suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            yield entry.name, status.st_size

    def _read(self, name: str, lines: int = 2) -> bytes:
        with (self._directory / name).open("rb") as file:
            return b"".join(file.readline(self._most_bytes) for _ in range(lines))

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                trace = self._waiting.popleft()
                self._is_writing = True
            try:
                found = document(trace, _BY_NAME.get(trace.endpoint or ""))
                if self._export is not None:
                    self._export(found)
                self._write(found)
                self._evict()
            except OSError as error:
                self.dropped += 1
                _log.warning("Traces cannot be kept in %s: %s", self._directory, error.strerror)
            except Exception:
                # The next trace may be sound; the thread must be there for it.
                self.dropped += 1
                _log.exception("A trace could not be made into a document")
            del trace

    def _write(self, found: TraceDocument) -> None:
        name = f"{self._clock():020d}-{found['trace_id']}-{found['span_id']}.jsonl"
        text = "".join(dumps(part, ensure_ascii=True, separators=(",", ":")) + "\n" for part in (summary(found), found))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(self._directory.stat().st_mode) != 0o700:
            self._directory.chmod(0o700)
        unfinished = self._directory / (name + _UNFINISHED)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii"))
        # Readers see the whole of it, or nothing.
        unfinished.replace(self._directory / name)

    def _evict(self) -> None:
        """Remove what is too old, and the oldest of what is too much."""
        # A name is as long as its time is, so names compare as times do.
        oldest = f"{max(0, self._clock() - self._longest_age_ns):020d}"
        kept_bytes = 0
        for place, (name, size) in enumerate(sorted(self._entries(), reverse=True)):
            kept_bytes += size
            if place >= self._most_entries or kept_bytes > self._most_bytes or name < oldest:
                # Another process may have removed it already.
                with suppress(OSError):
                    (self._directory / name).unlink()
        self._remove_abandoned()

    def _remove_abandoned(self) -> None:
        """Remove what a writer that was killed has left."""
        with suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name.removesuffix(_UNFINISHED)) and entry.name.endswith(_UNFINISHED):
                    with suppress(OSError):
                        if time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_S:
                            Path(entry.path).unlink()


_stores: WeakSet[Store] = WeakSet()


@lru_cache(maxsize=8)
def _store(
    directory: Path, most_entries: int, most_bytes: int, longest_age_s: float, endpoint: SecretStr | None, system: str
) -> Store:
    export = None if endpoint is None else _sender(endpoint, system).put
    return Store(directory, most_entries, most_bytes, longest_age_s, export=export)


def _sender(endpoint: SecretStr, system: str) -> Sender:
    def connect() -> Deliver:
        # The libraries are an extra.
        from . import otlp

        return otlp.connect(endpoint.get_secret_value(), system)

    return Sender(mask("trace_otlp_endpoint", endpoint), connect)


def open_store(settings: Settings) -> Store:
    """Return the store of a project's settings, the same one for all of a process."""
    url = settings.database_url
    return _store(
        traces_directory(settings),
        settings.trace_entries,
        settings.trace_bytes,
        settings.trace_age,
        settings.trace_otlp_endpoint,
        "mariadb" if url is not None and is_mariadb(url.get_secret_value()) else "postgresql",
    )


def traces_directory(settings: Settings) -> Path:
    """Return where traces are kept."""
    return settings.data_dir.resolve() / "traces"


def _begin_anew() -> None:
    for store in list(_stores):
        store._begin()


def flush_all() -> None:
    """Wait, for a bounded time, until what this process has put is written and sent.

    Called at a process's end; also by who knows that the interpreter's own end will not be reached.
    """
    for store in list(_stores):
        store.flush()
    sender.flush_all()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(flush_all)
