"""The twins, side by side: how much of each file differs, and every line that does."""

from collections.abc import Sequence
from difflib import unified_diff
from typing import TextIO

from shared.twins import Extent
from shared.twins import File


def print_twins(
    extents: Sequence[Extent],
    pairs: Sequence[tuple[File, str, str]],
    stream: TextIO,
) -> None:
    """Print each twin's differing lines, then a table of all files.

    Args:
        extents: How much of each file differs.
        pairs: Twins with their text in the ASGI and in the WSGI edition.
        stream: Where it goes.
    """
    for file, asgi, wsgi in pairs:
        print(f"{file.name} (WSGI -, ASGI +)", file=stream)
        lines = unified_diff(wsgi.splitlines(), asgi.splitlines(), n=0, lineterm="")
        for line in lines:
            if not line.startswith(("---", "+++", "@@")):
                print(f"  {line}", file=stream)
        print(file=stream)
    width = max(len(extent.file.name) for extent in extents)
    print(f"{'file':{width}}  {'kind':4}  lines that differ", file=stream)
    for extent in extents:
        print(
            f"{extent.file.name:{width}}  {extent.file.kind:4}  {extent.differing:>4} of {extent.total:<4} "
            f"{extent.file.reason}",
            file=stream,
        )
    twins = [extent for extent in extents if extent.file.kind == "twin"]
    differing, total = sum(extent.differing for extent in twins), sum(extent.total for extent in twins)
    print(f"{'twins':{width}}  {'':4}  {differing:>4} of {total:<4}", file=stream)
