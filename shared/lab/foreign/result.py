"""What asking two applications the same found; plain values, for the report and the command line."""

from dataclasses import dataclass
from typing import Literal

DifferenceKind = Literal["unequal", "not deterministic", "no success"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing in which two answers differ.

    Attributes:
        what: Its name, such as "status" or "header vary".
        left: What the first answer says.
        right: What the second one says.
    """

    what: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class TargetDifference:
    """Two answers to one target that may not differ and do, or that are no success.

    Attributes:
        target: Name of the scenario.
        kind: Whether two subjects differ, one differs from itself, or what was answered is not worth timing.
        heads: Who gave the left answer, and who the right one.
        facts: What differs, both answers side by side.
        commands: Shell commands that ask again, left first.
        hint: What to do about it.
    """

    target: str
    kind: DifferenceKind
    heads: tuple[str, str]
    facts: tuple[Fact, ...]
    commands: tuple[str, ...]
    hint: str


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """The outcome of asking every target several times on both sides.

    Attributes:
        requests: How many were sent.
        differences: Every difference; empty when the two may be compared.
        never_ignored_paths: Paths of `--ignore-json` that no answer has.
    """

    requests: int
    differences: tuple[TargetDifference, ...]
    never_ignored_paths: tuple[str, ...]
