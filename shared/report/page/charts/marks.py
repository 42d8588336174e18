"""How series are told apart without colour, and the few shapes of SVG that charts are made of.

Places across are percent of the width and places down are pixels, so that a chart fills a telephone as well as a
screen and its letters keep their size.
"""

import zlib
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from shared.report.format import visible
from shared.report.page.content import Svg

# Hatching of bars, as direction in degrees; None is plain. The colour changes with each series, too.
PATTERNS: tuple[float | None, ...] = (None, 45.0, None, -45.0, None, 45.0, None, -45.0)
# Marks on lines, drawn around 0, 0.
SHAPES: tuple[str, ...] = (
    "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0Z",
    "M-4.2,-4.2H4.2V4.2H-4.2Z",
    "M0,-5.6L5.6,0L0,5.6L-5.6,0Z",
    "M0,-5.2L5,4H-5Z",
    "M0,5.2L5,-4H-5Z",
    "M-1.8,-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
)
DASHES: tuple[str, ...] = ("none", "7 4", "2 3", "9 3 2 3", "12 4", "4 4")
# Characters of a label on a telephone, beside its figures.
LABEL = 34

Number = float | int | str


def element(parent: ET.Element, tag: str, text: str = "", /, **attributes: Number) -> ET.Element:
    """Add an element; underscores of attribute names become hyphens, and class_ is the class."""
    named = {name.rstrip("_").replace("_", "-"): str(value) for name, value in attributes.items()}
    made = ET.SubElement(parent, tag, named)
    made.text = visible(text) or None
    return made


def chart(title: str, description: str, height: float) -> ET.Element:
    """Return an empty chart of a height in pixels, which says what it shows to those who cannot see it."""
    # The same every time, and another one for another chart.
    key = f"c{zlib.crc32(f'{title}|{description}|{height}'.encode('utf-8', 'replace')):08x}"
    root = ET.Element(
        "svg",
        {
            "class": "chart",
            "width": "100%",
            "height": f"{height:g}",
            "role": "img",
            "aria-labelledby": f"{key}-title {key}-text",
        },
    )
    element(root, "title", title, id=f"{key}-title")
    element(root, "desc", description, id=f"{key}-text")
    return root


def mark(parent: ET.Element, series: int, x: float, y: float, title: str, *, shift: float = 0, extra: str = "") -> None:
    """Draw the mark of a series at a place, and say what it stands for when pointed at."""
    holder = element(parent, "svg", x=f"{x}%", y=y, class_="over")
    group = element(holder, "g", transform=f"translate({shift:g} 0)")
    path = element(
        group, "path", d=SHAPES[series % len(SHAPES)], class_=f"mark s{series % len(PATTERNS)} {extra}".strip()
    )
    element(path, "title", title)


def vertical(parent: ET.Element, x: float, top: float, bottom: float, name: str) -> None:
    """Draw a vertical line."""
    element(parent, "line", x1=f"{x}%", x2=f"{x}%", y1=top, y2=bottom, class_=name)


def label(
    parent: ET.Element, text: str, x: float, y: float, *, anchor: str = "middle", name: str = "tick-text"
) -> None:
    """Write a text at a place; at the edges it stays inside."""
    if anchor == "middle":
        # A short text has room everywhere.
        anchor = "middle" if len(text) < 4 or 6 <= x <= 94 else "start" if x < 6 else "end"
    element(parent, "text", text, x=f"{x}%", y=y, text_anchor=anchor, class_=name)


def short(text: str, most: int = LABEL) -> str:
    """Return a text cut to so many characters; the table of numbers has it whole."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def markup(root: ET.Element) -> Svg:
    """Return a chart as text."""
    return Svg(ET.tostring(root, encoding="unicode"))


def joined(texts: Iterable[str]) -> str:
    """Return the description that a list of readings makes."""
    return "; ".join(texts) + "."
