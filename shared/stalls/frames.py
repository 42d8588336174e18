"""What a thread is doing, read from its stack: the lines it stands in, and what it waits for."""

import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

WaitsFor = Literal["a connection", "the database", "a sleep", "the client", "a lock", "nothing: it computes", "unknown"]

# The project's own packages, and where they stand.
OWN = frozenset({"wsgi_app", "asgi_app", "shared"})
ROOT = Path(__file__).resolve().parents[2]
# Most lines of the project's code that are kept of a stack.
MOST_OWN = 8

# By the end of a file's name and the function. The driver's call itself is C and leaves no frame of its own.
_WAITING: dict[tuple[str, str], WaitsFor] = {
    ("shared/pool.py", "_wait"): "a connection",
    ("sqlalchemy/pool/impl.py", "_do_get"): "a connection",
    **{
        ("sqlalchemy/engine/default.py", function): "the database"
        for function in ("connect", "do_execute", "do_executemany", "do_execute_no_params", "do_commit", "do_rollback")
    },
}
# What is called by the innermost line, where that call is C and leaves no frame either.
_CALLS: tuple[tuple[str, WaitsFor], ...] = (
    ("sleep(", "a sleep"),
    (".recv(", "the client"),
    (".send(", "the client"),
    (".acquire(", "a lock"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code.

    Attributes:
        file: Its file: of the project's code below the project, of others' below their place of installation.
        line: Its number.
        function: The function it stands in.
        text: The line itself; empty where there is no source.
    """

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.file}:{self.line} in {self.function}{f': {self.text}' if self.text else ''}"


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a thread stands.

    Attributes:
        own: Lines of the project's code, from the innermost to the first of an edition's; empty where there is none.
        innermost: The innermost line at all; None where the thread could not be looked at.
        waits_for: What it waits for.
    """

    own: tuple[Place, ...]
    innermost: Place | None
    waits_for: WaitsFor

    @property
    def place(self) -> Place | None:
        """The innermost line of the project's code, or else at all."""
        return self.own[0] if self.own else self.innermost


UNSEEN = Stack((), None, "unknown")


def read(frame: FrameType | None) -> Stack:
    """Return where a thread stands, from its innermost frame; `UNSEEN` without one."""
    if frame is None:
        return UNSEEN
    places = [(each, line, _shown(each.f_code.co_filename)) for each, line in _outwards(frame)]
    own: list[Place] = []
    for each, line, shown in places:
        if _package(shown) in OWN and len(own) < MOST_OWN:
            own.append(_place(each, line, shown))
            if _package(shown) != "shared":
                # What is around an edition's own line is how every request comes there.
                break
    innermost = _place(*places[0])
    names = [(shown, each.f_code.co_name) for each, _, shown in places]
    return Stack(tuple(own), innermost, _waits_for(names, innermost.text))


def _waits_for(names: list[tuple[str, str]], text: str) -> WaitsFor:
    """Return what a thread waits for: what the innermost known frame stands for, or else what its last line calls."""
    for file, function in names:
        for (end, known), waits_for in _WAITING.items():
            if function == known and file.endswith(end):
                return waits_for
    for call, waits_for in _CALLS:
        if call in text:
            return waits_for
    return "nothing: it computes"


def _outwards(frame: FrameType) -> Iterator[tuple[FrameType, int]]:
    """Yield frames with their lines, read at once: the thread goes on meanwhile."""
    outer: FrameType | None = frame
    while outer is not None:
        yield outer, outer.f_lineno or 0
        outer = outer.f_back


def _package(shown: str) -> str:
    return shown.partition("/")[0]


def _place(frame: FrameType, line: int, shown: str) -> Place:
    code = frame.f_code
    return Place(shown, line, code.co_qualname, linecache.getline(code.co_filename, line).strip())


def _shown(file: str) -> str:
    """Return a file's name without the directories of this machine."""
    path = Path(file)
    if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OWN:
        return path.relative_to(ROOT).as_posix()
    _, mark, below = path.as_posix().rpartition("site-packages/")
    return below if mark else "/".join(path.parts[-2:])
