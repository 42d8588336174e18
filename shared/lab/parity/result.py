"""What a parity check found; plain values, for the report and the command line."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["full", "quick"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing in which two answers differ, or that is wrong in them.

    Attributes:
        what: Its name, such as "status" or "header allow".
        wsgi: What the WSGI edition answered.
        asgi: What the ASGI edition answered.
    """

    what: str
    wsgi: str
    asgi: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A case in which the editions do not answer alike, or not as the contract says.

    Attributes:
        case: Name of the case.
        group: Its group.
        facts: What differs, both answers side by side.
        wsgi_lines: Shell commands that reproduce the WSGI edition's answer, the last one being the request.
        asgi_lines: The same for the ASGI edition.
        setup: How both services must run for that.
    """

    case: str
    group: str
    facts: tuple[Fact, ...]
    wsgi_lines: tuple[str, ...]
    asgi_lines: tuple[str, ...]
    setup: str


@dataclass(frozen=True, slots=True)
class KnownDifference:
    """A difference between the two servers, on a request that reaches neither application.

    Attributes:
        case: Name of the case.
        reason: Why it is not removed.
        wsgi: Status line of the WSGI edition's answer.
        asgi: Status line of the ASGI edition's answer.
    """

    case: str
    reason: str
    wsgi: str
    asgi: str


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A case that was left out, and why."""

    case: str
    group: str
    reason: str


@dataclass(frozen=True, slots=True)
class GroupCount:
    """How a group of cases went; known server differences are among the cases, not among the differences."""

    group: str
    cases: int
    requests: int
    differences: int
    known: int
    not_compared: int


@dataclass(frozen=True, slots=True)
class ParityResult:
    """The outcome of a parity check.

    Attributes:
        groups: Counts by group, in the order they ran.
        differences: Every difference; empty when the editions are equal.
        known: Differences of the servers on requests that reach no application.
        not_compared: Cases left out.
        statements: SQL statements counted for each edition; None where they could not be counted.
        statements_why: Why they could not be counted.
        duration_s: Seconds the whole took, starting the services included.
        urls: Where the editions answered, WSGI first; None: they were started for the check.
        scope: Which cases ran.
    """

    groups: tuple[GroupCount, ...]
    differences: tuple[Difference, ...]
    known: tuple[KnownDifference, ...]
    not_compared: tuple[NotCompared, ...]
    statements: tuple[int, int] | None
    statements_why: str
    duration_s: float
    urls: tuple[str, str] | None
    scope: Scope

    @property
    def is_equal(self) -> bool:
        """Whether no difference was found."""
        return not self.differences
