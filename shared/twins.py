"""Which files of the two editions are the same program, and the proof: one derived from the other, line by line.

Only names in code are replaced, never a comment or a text, so what a person reads is compared as it stands. Removing
`await` needs no judgement where adding it would, so the derivation runs from asgi_app to wsgi_app.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from difflib import SequenceMatcher
from itertools import pairwise
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
ASGI = "asgi_app"
WSGI = "wsgi_app"

Kind = Literal["twin", "seam"]
# (module, name), as in: from module import name.
Import = tuple[str, str]

# Dropped with the space behind them, in every twin.
DROPPED = frozenset({"async", "await"})


@dataclass(frozen=True, slots=True)
class File:
    """One file that both editions have.

    Attributes:
        name: Its name in both packages.
        kind: A twin is the same program line for line; a seam is where the interfaces differ.
        reason: Why it is what it is, in one line.
        names: For a twin, the names of the ASGI edition and what they are called in the WSGI edition.
        imports: For a twin, imports whose module differs, too.
    """

    name: str
    kind: Kind
    reason: str
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    imports: Mapping[Import, Import] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a pair is not the same program; `line` is 0 where no single line is to blame."""

    line: int
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a pair differs, as `diff` shows it.

    Attributes:
        file: Which file.
        differing: Lines of the longer edition that the other one does not have so.
        total: Lines of the longer edition.
    """

    file: File
    differing: int
    total: int


FILES: tuple[File, ...] = (
    File("__init__.py", "twin", "Empty."),
    File("__main__.py", "twin", "Which edition and which server follows from where it stands."),
    File("endpoints.py", "twin", "What the requests do; nothing but async and await may differ."),
    File(
        "database.py",
        "twin",
        "SQLAlchemy makes its engine under two names.",
        names=MappingProxyType(
            {
                # A generator with `await` inside is an asynchronous one.
                "AsyncIterator": "Iterator",
                "create_async_engine": "create_engine",
            }
        ),
        imports=MappingProxyType(
            {
                ("sqlalchemy.ext.asyncio", "create_async_engine"): ("sqlalchemy", "create_engine"),
            }
        ),
    ),
    File("traces.py", "twin", "What reading a trace waits for."),
    File("app.py", "seam", "The interface itself: environ and an iterable here, scope, receive and send there."),
    File("concurrency.py", "seam", "What waiting means: threads here, tasks of one event loop there."),
    File("exchange.py", "seam", "What is recorded while a traced request is answered."),
    File("pipeline.py", "seam", "Where each server reads and writes a client's bytes."),
    File("server.py", "seam", "Each server's own settings and its way to start and stop."),
    File("tracing.py", "seam", "Where each server's part of a traced request is recorded."),
)


def compare(asgi_text: str, wsgi_text: str, file: File) -> list[Difference]:
    """Return every place where a twin is not the same program; empty when it is.

    Entries of the file's tables that nothing needed are differences as well.

    Args:
        asgi_text: Source of the ASGI edition.
        wsgi_text: Source of the WSGI edition.
        file: Whose tables say what may differ.
    """
    derived, used = _derive(asgi_text, file.names)
    found = wsgi_text.splitlines()
    import_lines = _import_lines(asgi_text)
    differences = []
    if import_lines != _import_lines(wsgi_text):
        differences.append(Difference(0, "imports on the same lines", "imports on other lines"))
        import_lines = frozenset()
    for number, (expected, line) in enumerate(zip_longest(derived, found), start=1):
        if expected != line and number not in import_lines:
            differences.append(
                Difference(number, "(no line)" if expected is None else expected, "(no line)" if line is None else line)
            )
    if asgi_text.endswith("\n") != wsgi_text.endswith("\n"):
        differences.append(Difference(0, "the same end of file", "another end of file"))
    asgi_imports = _imports(asgi_text)
    # The sorter may order them differently, so they are compared as a set.
    translated = {
        file.imports.get((module, name), (module, file.names.get(name, name))) for module, name in asgi_imports
    }
    wsgi_imports = _imports(wsgi_text)
    for pair in sorted(translated - wsgi_imports):
        differences.append(Difference(0, f"from {pair[0]} import {pair[1]}", "(no such import)"))
    for pair in sorted(wsgi_imports - translated):
        differences.append(Difference(0, "(no such import)", f"from {pair[0]} import {pair[1]}"))
    unused: list[object] = [*(file.names.keys() - used), *(file.imports.keys() - asgi_imports)]
    differences += [Difference(0, f"a use of {entry!r}", "(never used; take it out of the table)") for entry in unused]
    return differences


def extents(root: Path = ROOT) -> list[Extent]:
    """Return how much of each file differs between the editions, in the order of FILES."""
    return [_extent(file, *texts(file, root)) for file in FILES]


def texts(file: File, root: Path = ROOT) -> tuple[str, str]:
    """Return a file's source in the ASGI and in the WSGI edition."""
    return (root / ASGI / file.name).read_text("utf-8"), (root / WSGI / file.name).read_text("utf-8")


def _extent(file: File, asgi_text: str, wsgi_text: str) -> Extent:
    asgi, wsgi = asgi_text.splitlines(), wsgi_text.splitlines()
    total = max(len(asgi), len(wsgi))
    same = sum(block.size for block in SequenceMatcher(None, asgi, wsgi, autojunk=False).get_matching_blocks())
    return Extent(file, total - same, total)


def _derive(text: str, names: Mapping[str, str]) -> tuple[list[str], set[str]]:
    """Return the lines of the WSGI edition, as they follow from the ASGI edition, and the names that were replaced."""
    lines = text.splitlines()
    used: set[str] = set()
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    # From the end, so that the columns of what is still to be replaced stay right.
    for token, after in reversed(list(pairwise(tokens))):
        if token.type != tokenize.NAME:
            continue
        row, start = token.start
        line = lines[row - 1]
        if token.string in DROPPED:
            lines[row - 1] = line[:start] + line[_start_of(after, token) :]
        elif token.string in names:
            used.add(token.string)
            lines[row - 1] = line[:start] + names[token.string] + line[token.end[1] :]
    return lines, used


def _start_of(after: tokenize.TokenInfo, token: tokenize.TokenInfo) -> int:
    return after.start[1] if after.start[0] == token.start[0] else token.end[1]


def _import_lines(text: str) -> frozenset[int]:
    return frozenset(
        line
        for node in ast.parse(text).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )


def _imports(text: str) -> set[Import]:
    return set(_imported(ast.parse(text)))


def _imported(tree: ast.Module) -> Iterator[Import]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname or "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((module, alias.name + (f" as {alias.asname}" if alias.asname else "")) for alias in node.names)
