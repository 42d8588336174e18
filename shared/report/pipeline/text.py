"""Durations, bytes and glyphs of the pipeline as text."""

import re
from dataclasses import dataclass

from shared.report import format

# From here on a time line is told in milliseconds; below, microseconds have at most six digits.
MILLISECONDS_FROM_NS = 999_999_500
_SPECIAL = {"\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\"}
_UNREADABLE = re.compile(r"[^\x20-\x5b\x5d-\x7e]")


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of a drawing.

    Attributes:
        stage: A stage.
        around: A stage that has others inside it.
        gap: Time that no stage accounts for.
        client: What the client waited for.
        service: The request inside the service.
        differs: Marks what differs in more than time.
        micro: Unit prefix.
        times: Stands before how many there are.
        cut: Stands where text was cut.
    """

    stage: str
    around: str
    gap: str
    client: str
    service: str
    differs: str
    micro: str
    times: str
    cut: str


PLAIN = Glyphs("#", "=", ".", "-", "-", "!", "u", "x", "...")
RICH = Glyphs("█", "▒", "·", "─", "━", "≠", "µ", "x", "…")


@dataclass(frozen=True, slots=True)
class Scale:
    """How durations of one drawing are told.

    Attributes:
        axis_ns: The longest.
        glyphs: Its characters.
    """

    axis_ns: int
    glyphs: Glyphs

    @property
    def unit(self) -> str:
        """The unit's name."""
        return "ms" if self.axis_ns >= MILLISECONDS_FROM_NS else f"{self.glyphs.micro}s"

    def number(self, ns: float) -> str:
        """Return a duration without its unit, at most seven characters up to 100 s."""
        if self.axis_ns >= MILLISECONDS_FROM_NS:
            return f"{ns / 1e6:,.2f}" if ns < 1e8 else f"{ns / 1e6:,.0f}"
        return f"{ns / 1e3:,.1f}" if ns < 1e5 else f"{ns / 1e3:,.0f}"

    def text(self, ns: float) -> str:
        """Return a duration with its unit."""
        return f"{self.number(ns)} {self.unit}"


def escaped(text: str) -> str:
    """Return bytes, given one character each, so that they can be read and told apart."""
    return _UNREADABLE.sub(lambda found: _SPECIAL.get(found[0]) or f"\\x{ord(found[0]):02x}", text)


def cut(text: str, width: int, glyphs: Glyphs, size: int | None = None) -> str:
    """Return text that fits a width; what is cut tells its size in bytes, if that is given."""
    if len(text) <= width:
        return text
    tail = glyphs.cut if size is None else f"{glyphs.cut} ({format.count(size)} bytes)"
    return text[: max(0, width - len(tail))] + tail


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent."""
    return f"{100 * part / whole:.0f} %" if whole else format.NOTHING
