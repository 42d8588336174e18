"""From the words of --factor to variants: which edition gets which values; what cannot be is refused here.

Pure but for one question, whether a package is installed, which is asked by a function that can be replaced.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from shared.config import Edition
from shared.config import Settings
from shared.errors import UsageError
from shared.lab.factors.catalogue import BY_NAME
from shared.lab.factors.catalogue import CATALOGUE
from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.catalogue import Extra
from shared.lab.factors.catalogue import Factor
from shared.lab.factors.catalogue import Statements
from shared.lab.factors.catalogue import is_number

FORM = "--factor NAME=VALUE, --factor asgi:NAME=VALUE for one edition, or --factor latency=0,1,10,100 for a curve"
LIST = "wsgi-vs-asgi factors lists them all"
# A connection is opened in so many round trips at most: the question for encryption, the greeting, three messages of a
# password, and what the dialect asks; each pays the latency within CONNECT_TIMEOUT.
CONNECT_TRIPS = 6
# Two services for each, all at the same time.
MAX_VALUES = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """One --factor as it was written.

    Attributes:
        text: The words.
        factor: What is swapped.
        editions: Where.
        values: For what; several make a curve.
    """

    text: str
    factor: Factor
    editions: tuple[Edition, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """Editions with something swapped, measured against the editions as they are.

    Attributes:
        label: Short name, such as server=granian, or asgi:loop=asyncio pool=5.
        swapped: What each edition gets that is not its own, by factor; an edition that gets nothing is not here.
        level: The number on the curve that this is a point of; None without a curve of numbers.
    """

    label: str
    swapped: Mapping[Edition, Mapping[str, str]]
    level: float | None = None

    @property
    def editions(self) -> tuple[Edition, ...]:
        """Which editions are changed."""
        return tuple(edition for edition in EDITIONS if edition in self.swapped)

    def subject(self, edition: Edition) -> str:
        """Return the name of an edition's subject in this variant; that of the edition itself where nothing changed."""
        return f"{edition} {self.label}" if edition in self.swapped else edition

    def replaces_protocol(self, edition: Edition) -> bool:
        """Tell whether the edition's own protocol class does not run."""
        values = self.swapped.get(edition, {})
        return any((edition, value) in BY_NAME[name].replaces_protocol for name, value in values.items())

    def statements(self, edition: Edition) -> tuple[Statements, ...]:
        """Return what the driver may send by itself."""
        values = self.swapped.get(edition, {})
        found = (BY_NAME[name].statements.get((edition, value)) for name, value in values.items())
        return tuple(each for each in found if each is not None)

    def also(self, edition: Edition) -> tuple[str, ...]:
        """Return what else differs in an edition."""
        values = self.swapped.get(edition, {})
        # What a parser brings along is that of the edition's own server with it.
        told = {name: value for name, value in values.items() if name != "parser" or "server" not in values}
        texts = (BY_NAME[name].also_with(edition, value) for name, value in told.items())
        return tuple(dict.fromkeys(filter(None, texts)))


def choose(
    texts: Sequence[str],
    settings: Settings,
    *,
    is_installed: Callable[[str], bool] = lambda module: find_spec(module) is not None,
) -> tuple[Variant, ...]:
    """Return the variants that some --factor ask for, in their order; several values of one factor make several.

    Args:
        texts: Each as it stands behind one --factor.
        settings: Settings of the editions as they are.
        is_installed: Tells whether a module can be imported.

    Raises:
        UsageError: If a factor, a value or a combination does not exist or cannot be, changes nothing, or needs a
            package that is not installed.
    """
    choices = [_read(text, settings) for text in texts]
    for choice in choices:
        for value in choice.values:
            _require_installed(choice, value, is_installed)
    curves = [choice for choice in choices if len(choice.values) > 1]
    if len(curves) > 1:
        raise UsageError(
            "Only one factor can have several values",
            why=f"got {' and '.join(curve.text for curve in curves)}",
            hint="Run one comparison for each curve",
        )
    count = max(len(choice.values) for choice in choices)
    if count > MAX_VALUES:
        raise UsageError(
            f"{curves[0].text} names {count} values",
            why=f"each runs two services more, and {MAX_VALUES} values are the most",
            hint="Run several comparisons",
        )
    return tuple(_variant(choices, place, settings) for place in range(count))


def missing_extra(factor: Factor, value: str, is_installed: Callable[[str], bool]) -> Extra | None:
    """Return the package that a value needs and that is not there; None if nothing is missing."""
    needed = factor.extras.get(value)
    return needed if needed is not None and not is_installed(needed.module) else None


def _read(text: str, settings: Settings) -> Choice:
    head, equals, tail = text.partition("=")
    side, colon, name = (part.strip() for part in head.rpartition(":"))
    parts = [part.strip() for part in tail.split(",")]
    if not equals or not name or not all(parts) or (colon and side not in EDITIONS):
        raise UsageError(f"--factor {text} cannot be read", why="it names no factor and value", hint=FORM)
    factor = BY_NAME.get(name)
    if factor is None:
        known = ", ".join(each.name for each in CATALOGUE)
        raise UsageError(f"There is no factor {name}", why=f"the factors are {known}", hint=LIST)
    named: tuple[Edition, ...] = tuple(edition for edition in EDITIONS if edition == side)
    for edition in named:
        _require_on(factor, edition)
    values = tuple(map(_number, parts))
    if len(set(values)) != len(values):
        raise UsageError(f"--factor {text} names a value twice", hint=FORM)
    editions = named or factor.editions
    for value in values:
        _require_value(factor, value, editions, settings, is_named=bool(named))
    return Choice(text, factor, editions, values)


def _number(text: str) -> str:
    """Return a value in the one way in which it is written; 010 and 10.0 are 10."""
    return f"{float(text):g}" if is_number(text) else text


def _require_on(factor: Factor, edition: Edition) -> None:
    if factor.is_joint:
        raise UsageError(
            f"{factor.name} cannot be swapped for one edition only",
            why="it is no part of an edition, so the two would do different work",
            hint=f"Leave {edition}: out",
        )
    if edition not in factor.own:
        raise UsageError(
            f"The {edition} edition has no {factor.name}",
            why=f"{factor.summary} is a matter of the {factor.editions[0]} edition",
            hint=LIST,
        )


def _require_value(
    factor: Factor, value: str, editions: tuple[Edition, ...], settings: Settings, *, is_named: bool
) -> None:
    if is_number(value) and factor.numbers is not None:
        _require_in_range(factor, float(value), settings)
    elif is_number(value) or value not in factor.names:
        raise UsageError(f"{factor.name} has no value {value}", why=f"it can be {_possible(factor)}", hint=LIST)
    elif all(value != factor.own[edition] and value not in factor.values_of(edition) for edition in editions) or (
        is_named and value != factor.own[editions[0]] and value not in factor.values_of(editions[0])
    ):
        where = " and ".join(editions)
        raise UsageError(
            f"The {where} edition cannot have {factor.name}={value}",
            why=f"there it can be {_possible(factor, editions)}",
            hint=LIST,
        )


def _require_in_range(factor: Factor, number: float, settings: Settings) -> None:
    assert factor.numbers is not None
    numbers, most = factor.numbers, factor.numbers.most
    if factor.name == "latency":
        most = settings.connect_timeout * 1_000 / CONNECT_TRIPS
    if numbers.is_whole and not number.is_integer():
        raise UsageError(f"{factor.name} counts {numbers.unit}, which are whole", why=f"got {number:g}", hint=LIST)
    if not numbers.least <= number <= most:
        hint = "A larger CONNECT_TIMEOUT allows more" if factor.name == "latency" else LIST
        raise UsageError(
            f"{factor.name}={number:g} is out of bounds", why=f"it can be {numbers.least:g} to {most:g}", hint=hint
        )


def _possible(factor: Factor, editions: Sequence[Edition] | None = None) -> str:
    names = [
        name
        for name in factor.names
        if editions is None or any(name in (factor.own[each], *factor.values_of(each)) for each in editions)
    ]
    numbers = factor.numbers
    ranges = [] if numbers is None else [f"{numbers.least:g} to {numbers.most:g} {numbers.unit}"]
    return ", ".join((*names, *ranges))


def _require_installed(choice: Choice, value: str, is_installed: Callable[[str], bool]) -> None:
    missing = missing_extra(choice.factor, value, is_installed)
    if missing is not None:
        raise UsageError(
            f"{choice.factor.name}={value} needs {missing.module}, which is not installed",
            why=f"it comes with the extra {missing.extra} only",
            hint=f"Install it in the project's directory: .venv/bin/pip install -e '.[{missing.extra}]'",
        )


def _variant(choices: Sequence[Choice], place: int, settings: Settings) -> Variant:
    swapped: dict[Edition, dict[str, str]] = {}
    words: list[str] = []
    level = None
    seen: set[tuple[Edition, str]] = set()
    for choice in choices:
        name, value = choice.factor.name, choice.values[place if len(choice.values) > 1 else 0]
        if len(choice.values) > 1 and is_number(value):
            level = float(value)
        for edition in choice.editions:
            if (edition, name) in seen:
                raise UsageError(f"{name} is given twice for the {edition} edition", hint=FORM)
            seen.add((edition, name))
            if _changes(choice.factor, edition, value, settings):
                swapped.setdefault(edition, {})[name] = value
        sides = "" if choice.editions == choice.factor.editions else f"{choice.editions[0]}:"
        words.append(f"{sides}{name}={value}")
    label = " ".join(words)
    # A curve may pass through the editions as they are.
    if not swapped and all(len(choice.values) == 1 for choice in choices):
        raise UsageError(f"{label} changes nothing", why="that is what the editions have already", hint=LIST)
    for edition, values in swapped.items():
        _require_possible(edition, values)
    return Variant(label, swapped, level)


def _changes(factor: Factor, edition: Edition, value: str, settings: Settings) -> bool:
    """Tell whether a value is not what an edition has; one that it cannot have leaves it as it is."""
    if is_number(value):
        key = factor.setting.get(edition)
        return key is None or float(value) != getattr(settings, key.lower())
    return value in factor.values_of(edition)


def _require_possible(edition: Edition, values: Mapping[str, str]) -> None:
    if values.get("server") == "granian" and "parser" in values:
        raise UsageError(
            f"server=granian and parser={values['parser']} exclude each other on the {edition} edition",
            why="granian parses with hyper, in Rust, and has no other parser",
            hint="Leave one of the two out",
        )
