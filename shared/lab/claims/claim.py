"""What a claim is: a statement, what is predicted of it, what is measured, and the rule from figures to a verdict.

Nothing here runs anything. A verdict is never written by hand: `Claim.rule` is a function of one edition's figures,
fixed before anything is measured.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from typing import Literal

if TYPE_CHECKING:
    from shared.lab.claims.bench import Bench

# Undecided: what was measured does not reach for a verdict, as when an interval holds the bound.
Verdict = Literal["confirmed", "refuted", "depends", "undecided"]
# Whose figures: one edition's, or those of the layer that both share.
Subject = Literal["wsgi", "asgi", "shared"]
Value = bool | int | float | str

SUBJECTS: tuple[Subject, ...] = ("wsgi", "asgi", "shared")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that was measured.

    Attributes:
        name: By which the rule finds it, such as eleventh_wait_s.
        label: What it is, in words, as read in a table.
        value: The value.
        unit: Its unit, such as s, ms, MiB; empty for counts, texts and yes or no.
        trials: From how many independent trials the value is.
        low: Lower end of the 95 % interval, where there is one.
        high: Upper end.
    """

    name: str
    label: str
    value: Value
    unit: str = ""
    trials: int = 1
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was measured of one subject."""

    figures: tuple[Figure, ...]

    def __getitem__(self, name: str) -> Figure:
        """Return a figure.

        Raises:
            KeyError: If it was not measured.
        """
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def number(self, name: str) -> float:
        """Return a figure's value as a number.

        Raises:
            KeyError: If it was not measured.
            TypeError: If it is a text.
        """
        value = self[name].value
        if isinstance(value, str):
            raise TypeError(f"{name!r} is a text ({value!r})")
        return float(value)

    def text(self, name: str) -> str:
        """Return a figure's value as a text.

        Raises:
            KeyError: If it was not measured.
        """
        return str(self[name].value)

    def is_true(self, name: str) -> bool:
        """Return a figure that is yes or no.

        Raises:
            KeyError: If it was not measured.
            TypeError: If it is neither.
        """
        value = self[name].value
        if not isinstance(value, bool):
            raise TypeError(f"{name!r} is neither yes nor no ({value!r})")
        return value


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a diagram.

    Attributes:
        name: In the legend.
        points: (x, y), by x.
        is_step: Whether a value stays until the next point, as a count does.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    is_step: bool = False


@dataclass(frozen=True, slots=True)
class Diagram:
    """Lines over one axis.

    Attributes:
        title: What it shows.
        x: Name of the horizontal axis, with its unit.
        y: Name of the vertical axis, with its unit.
        lines: The lines.
        is_log_x: Whether the horizontal axis is logarithmic.
        is_log_y: Whether the vertical one is.
        places: Names of the horizontal places 0, 1, 2 and so on, where these are steps.
    """

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    is_log_x: bool = False
    is_log_y: bool = False
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in a lane.

    Attributes:
        start_s: Its begin, in seconds from the picture's.
        end_s: Its end; the same as its begin for a moment.
        kind: What it is, such as waits or holds; spans of a kind look alike and are in the legend.
        text: What is told of this one.
    """

    start_s: float
    end_s: float
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """What happened to one thing, such as a request, a connection or a thread."""

    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lanes over one time axis, in seconds."""

    title: str
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        group: Bars of one group stand together, such as a strategy.
        name: In the legend, such as an edition or an isolation level.
        value: Its length.
        low: Lower end of the 95 % interval, where there is one.
        high: Upper end.
    """

    group: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars over one axis.

    Attributes:
        title: What it shows.
        x: Name of the axis of values, with its unit.
        bars: The bars.
    """

    title: str
    x: str
    bars: tuple[Bar, ...]


Picture = Diagram | Timeline | Bars


@dataclass(frozen=True, slots=True)
class Finding:
    """What an experiment found.

    Attributes:
        measured: Figures by subject.
        pictures: What is better looked at than read.
        notes: What could not be measured here, and why.
    """

    measured: Mapping[Subject, Figures]
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rule says of one subject's figures.

    Attributes:
        verdict: The verdict.
        because: The figures that made it, in words; where it depends, on what.
    """

    verdict: Verdict
    because: str


@dataclass(frozen=True, slots=True)
class Option:
    """What somebody may change of an experiment, by --set name=value.

    Attributes:
        name: Its name.
        default: Its value unless changed; its type is that of every value.
        help: What it changes, in words, with its unit.
        least: The least that makes sense.
        most: The most that is allowed.
    """

    name: str
    default: int | float
    help: str
    least: float
    most: float


Options = Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class Source:
    """A page of documentation that an explanation relies on."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement and its experiment.

    Attributes:
        number: Its number; C11 has 11.
        statement: What is said, in one sentence.
        prediction: What will be measured if the statement is right.
        method: What the experiment does.
        rule_words: The rule, in words.
        measure: Does it, on both editions where both have a part in it.
        rule: Returns the verdict on one subject's figures; pure.
        explain: Returns one paragraph that quotes measured figures, and what the sources say; pure.
        seconds: About how long it takes.
        options: What may be changed.
        sources: What the explanation relies on.
        depends_on_machine: Whether another machine may come to another verdict.
    """

    number: int
    statement: str
    prediction: str
    method: str
    rule_words: str
    measure: "Callable[[Bench, Options], Finding]"
    rule: Callable[[Figures], Ruling]
    explain: Callable[[Finding], str]
    seconds: float
    options: tuple[Option, ...] = ()
    sources: tuple[Source, ...] = ()
    depends_on_machine: bool = False

    @property
    def name(self) -> str:
        """Its name, such as C11."""
        return f"C{self.number}"

    @property
    def defaults(self) -> Options:
        """The values of its options unless changed."""
        return MappingProxyType({option.name: option.default for option in self.options})


def overall(rulings: Mapping[Subject, Ruling]) -> Ruling:
    """Return the verdict on a claim: the subjects' where they agree, else that it depends on the edition.

    Raises:
        ValueError: If there is no ruling.
    """
    if not rulings:
        raise ValueError("'rulings' must hold at least one")
    verdicts = {ruling.verdict for ruling in rulings.values()}
    because = "; ".join(
        ruling.because if subject == "shared" else f"{subject}: {ruling.because}" for subject, ruling in rulings.items()
    )
    if len(verdicts) == 1:
        return Ruling(verdicts.pop(), because)
    return Ruling("undecided" if "undecided" in verdicts else "depends", because)
