"""What a page is made of, without a word of HTML: sections of paragraphs, tables, figures and commands.

Every text is shown as it is, whatever it holds; only the charts bring markup, and they make it themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import ClassVar
from typing import NewType

# Markup of one <svg>, made by a chart function and by nothing else.
Svg = NewType("Svg", str)


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph.

    Attributes:
        text: Its words.
        look: lead for what is to be read first, note for small print.
    """

    text: str
    look: str = ""
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Cell:
    """A short text that is more than its words, in a table or at the head of a point.

    Attributes:
        text: What it says.
        look: How it stands out: good, bad, mixed or open.
        to: Section that it leads to.
    """

    text: str
    look: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a list.

    Attributes:
        text: What it says.
        head: Words before it that stand out.
        note: Small print after it.
    """

    text: str
    head: str | Cell = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    points: tuple[Point, ...]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True, slots=True)
class Command:
    """A command line to be copied, and what it does."""

    command: str
    does: str = ""
    kind: ClassVar[str] = "command"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and their values."""

    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True, slots=True)
class Links:
    """Pages of other people, which nothing is loaded from unless somebody follows them.

    Attributes:
        rows: Title and address; what is no address of the web is shown and leads nowhere.
    """

    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "links"

    @staticmethod
    def is_address(text: str) -> bool:
        """Return whether a text is the address of a page of the web."""
        return text.startswith(("https://", "http://"))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes:
        heads: One for each column.
        rows: Lines; the first cell names the line.
        words: How many columns from the left hold words; all others hold numbers.
        label: What it shows, for those who cannot see where it stands.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    label: str
    words: int = 1
    is_stacked: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend.

    Attributes:
        text: What it stands for.
        series: Which colour, pattern and mark it has.
        look: bar, line (with its mark) or mark.
    """

    text: str
    series: int
    look: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its numbers.

    Attributes:
        caption: What is to be seen in it.
        svg: The chart.
        numbers: The same as a table; None where it stands beside it already.
        series: Names of its series, for the legend; none if there is one only.
        look: bars where the legend shows patterns, lines where it shows marks.
        note: Small print.
        keys: The legend, where it is not that of the series in their order.
    """

    caption: str
    svg: Svg
    numbers: Table | None = None
    series: tuple[str, ...] = ()
    look: str = "bars"
    note: str = ""
    keys: tuple[Key, ...] = ()
    kind: ClassVar[str] = "figure"

    @property
    def legend(self) -> tuple[Key, ...]:
        """The entries of its legend."""
        look = "bar" if self.look == "bars" else "line"
        return self.keys or tuple(Key(name, number, look) for number, name in enumerate(self.series))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be careful about.

    Attributes:
        title: Its name.
        where: What it touches.
        text: What was seen, and why it matters.
        next_step: What to do about it, if anything.
    """

    title: str
    where: str
    text: str
    next_step: str = ""
    kind: ClassVar[str] = "notice"


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are opened when wanted.

    Attributes:
        summary: What is inside.
        blocks: The inside.
        is_open: Whether it is open from the start.
        on_paper: Whether print shows them even when they are not open.
    """

    summary: str
    blocks: "tuple[Block, ...]"
    is_open: bool = False
    on_paper: bool = True
    kind: ClassVar[str] = "details"


@dataclass(frozen=True, slots=True)
class Beside:
    """Blocks side by side where there is room."""

    blocks: "tuple[Block, ...]"
    kind: ClassVar[str] = "beside"


Block = Text | Points | Command | Facts | Links | Table | Figure | Notice | Details | Beside


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page with a heading.

    Attributes:
        id: Its place in the address, such as rates; unlike all others on the page.
        title: Its heading.
        blocks: What it says.
        hint: Small print below the heading.
        name: What the page's menu calls it; its title if empty.
    """

    id: str
    title: str
    blocks: Sequence[Block]
    hint: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        title: Its heading.
        lead: What is to be read first, below the heading.
        made: Where it comes from.
        sections: Its parts, in order.
    """

    title: str
    made: str
    sections: Sequence[Section]
    lead: Sequence[Block] = field(default=())
