"""What a stage knows of itself, ready to be shown: text of bounded length, without a character that cannot be seen."""

import json
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from typing import Literal

from shared.report import format

# Characters shown of one value; its true size stands beside it.
MOST_CHARACTERS = 16_384
# Lines of one list; those beyond are counted.
MOST_LINES = 1_000
# Facts are plain records; what is nested deeper is shown as JSON.
MOST_DEPTH = 4
# Counts that are told in one line.
FEW = 8
# Longer text gets lines of its own.
SHORT = 60

# What their members are called is the server's business, the application's or the client's.
FOREIGN = frozenset({"value", "parameters", "path_parameters", "parameter_values"})

# How bytes are written that are not shown as they are; a line also ends where it ends in the message.
BYTES = {"\\": "\\\\", "\r": "\\r", "\n": "\\n\n", "\t": "\\t"}

Kind = Literal["text", "block", "table"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One value.

    Attributes:
        kind: A word or a few, a block of lines as they are, or a table.
        text: Of a text or a block.
        note: What is to be said above it, such as its size.
        heads: Column heads of a table of records; none for a table of names and values.
        rows: Lines of the table: the name of a value (empty in records), and the line's values.
    """

    kind: Kind
    text: str = ""
    note: str = ""
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, tuple["Shown", ...]], ...] = ()


def facts(values: Mapping[str, Any], origin_ns: int) -> list[tuple[str, Shown]]:
    """Return a stage's facts by their labels.

    Args:
        values: The facts as the trace's document has them.
        origin_ns: What points in time are told relative to.
    """
    return [_named(name, value, origin_ns, 0) for name, value in values.items()]


def raw(data: bytes) -> Shown:
    """Return bytes as a block."""
    return _bytes({"size": len(data), "text": data[:MOST_CHARACTERS].decode("latin-1"), "kept": len(data)})


def visible(text: str, *, keeps_lines: bool = False) -> str:
    r"""Return text in which every character can be seen: others become \n, \x00, \u2028 and the like.

    Args:
        text: Any text, lone surrogates included.
        keeps_lines: Whether a line break also breaks the line.
    """
    return "".join(_character(character, keeps_lines=keeps_lines) for character in text)


def _character(character: str, *, keeps_lines: bool) -> str:
    if keeps_lines and character == "\n":
        return "\n"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _named(name: str, value: Any, origin_ns: int | None, depth: int) -> tuple[str, Shown]:
    """Return a value and its label; without an origin its name is somebody else's and stays as it is."""
    if origin_ns is None or name in FOREIGN:
        return visible(name[:SHORT]) if origin_ns is None else _label(name), _shown(value, None, depth)
    label = _label(name)
    if name.endswith("pid"):
        return label, Shown("text", visible(str(value)))
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if name == "at_ns" and is_number:
        return "at", Shown("text", format.span(value - origin_ns))
    if name.endswith("_ns") and is_number:
        return label.removesuffix(" ns"), Shown("text", format.span(value))
    return label, _shown(value, origin_ns, depth)


def _shown(value: Any, origin_ns: int | None, depth: int) -> Shown:
    if value is None or isinstance(value, bool | int | float):
        return Shown("text", repr(value) if origin_ns is None else _scalar(value))
    if isinstance(value, str):
        return _text(value)
    if depth < MOST_DEPTH and isinstance(value, Mapping):
        return _bytes(value) if value.keys() == {"size", "text", "kept"} else _mapping(value, origin_ns, depth)
    if depth < MOST_DEPTH and isinstance(value, Sequence):
        return _sequence(value, origin_ns, depth)
    return _text(json.dumps(value, ensure_ascii=False, default=repr))


def _label(name: str) -> str:
    return visible(name[:SHORT]).replace("_", " ")


def _scalar(value: float | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format.count(value) if isinstance(value, int) else repr(value)


def _text(value: str) -> Shown:
    cut = value[:MOST_CHARACTERS]
    note = f"first {format.count(len(cut))} of {format.count(len(value))} characters" if len(value) > len(cut) else ""
    if not note and len(value) <= SHORT and "\n" not in value:
        return Shown("text", visible(value) or "(empty)")
    return Shown("block", visible(cut, keeps_lines=True), note)


def _bytes(value: Mapping[str, Any]) -> Shown:
    size, kept, text = int(value["size"]), int(value["kept"]), str(value["text"])
    cut = text[:MOST_CHARACTERS]
    shown = min(kept, len(cut))
    note = (
        f"{format.count(size)} bytes" if shown >= size else f"first {format.count(shown)} of {format.count(size)} bytes"
    )
    # Bytes beyond ASCII stand as what they are: which characters they make is the reader's business.
    return Shown("block", "".join(map(_byte, cut)).removesuffix("\n"), note)


def _byte(character: str) -> str:
    if character in BYTES:
        return BYTES[character]
    return character if character.isascii() and character.isprintable() else f"\\x{ord(character):02x}"


def _mapping(value: Mapping[str, Any], origin_ns: int | None, depth: int) -> Shown:
    if not value:
        return Shown("text", "(none)")
    if origin_ns is not None and len(value) <= FEW and all(isinstance(item, int) for item in value.values()):
        # A few counts that belong together, such as a pool's.
        return Shown("text", ", ".join(f"{_label(str(name))} {_scalar(item)}" for name, item in value.items()))
    members = [_named(str(name), item, origin_ns, depth + 1) for name, item in islice(value.items(), MOST_LINES)]
    return Shown("table", note=_left_out(len(value)), rows=tuple((label, (shown,)) for label, shown in members))


def _sequence(value: Sequence[Any], origin_ns: int | None, depth: int) -> Shown:
    if not value:
        return Shown("text", "(none)")
    kept = value[:MOST_LINES]
    if all(isinstance(item, Mapping) for item in kept):
        names = list(dict.fromkeys(str(name) for item in kept for name in item))
        heads = tuple(_named(name, 0, origin_ns, depth)[0] for name in names)
        rows = tuple(("", tuple(_cell(name, item, origin_ns, depth + 1) for name in names)) for item in kept)
        return Shown("table", note=_left_out(len(value)), heads=heads, rows=rows)
    if all(item is None or isinstance(item, str | int | float) for item in kept):
        said = repr if origin_ns is None else _scalar
        return _text(", ".join(item if isinstance(item, str) else said(item) for item in kept))
    if all(isinstance(item, Sequence) and len(item) == 2 and isinstance(item[0], str) for item in kept):
        pairs = tuple((visible(name[:SHORT]), (_shown(item, origin_ns, depth + 1),)) for name, item in kept)
        return Shown("table", note=_left_out(len(value)), rows=pairs)
    items = tuple((format.count(at), (_shown(item, origin_ns, depth + 1),)) for at, item in enumerate(kept, start=1))
    return Shown("table", note=_left_out(len(value)), rows=items)


def _cell(name: str, record: Mapping[str, Any], origin_ns: int | None, depth: int) -> Shown:
    return _named(name, record[name], origin_ns, depth)[1] if name in record else Shown("text")


def _left_out(length: int) -> str:
    return f"first {format.count(MOST_LINES)} of {format.count(length)}" if length > MOST_LINES else ""
