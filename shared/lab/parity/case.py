"""What is sent and what is expected: a case is one request, or several that build on each other."""

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from typing import Literal

from shared.contract import Endpoint
from shared.lab.parity.message import HeaderFields
from shared.lab.parity.message import Request
from shared.trace.gate import TOKEN_HEADER as TRACE_TOKEN_HEADER
from shared.validation import SEED_HEADER
from shared.validation import TOKEN_HEADER

# Which pair of services answers: the plain one, the one with little patience, the one without a database.
Pair = Literal["main", "tight", "down"]

# Stands for the token, which is chosen when the services start and is never printed.
TOKEN = "<<token>>"
SEED = 20_260_101
JSON_TYPE = ("Content-Type", "application/json")


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a case.

    Attributes:
        request: What is sent.
        expects: Status that the contract demands; 0: only that both answer alike.
        saves: Name under which the answer's id is kept for later requests; "" for none.
        head_of_previous: Whether this is HEAD, and the step before it the GET whose head it must repeat.
    """

    request: Request
    expects: int = 0
    saves: str = ""
    head_of_previous: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Requests that are compared.

    Attributes:
        group: Line of the table it counts in.
        name: Unique; says what is special about it.
        steps: Requests, in order; all are compared.
        entry: Contract entry it belongs to; None where the path has none.
        is_common: Whether the quick scope has it, too.
        needs_own: Why it cannot run against services that were started elsewhere; "" if it can.
        known: Why the servers differ here before any application is asked; "" where they must not.
        pair: Which services answer it.
        counts_sql: Whether the number of statements is compared.
    """

    group: str
    name: str
    steps: tuple[Step, ...]
    entry: Endpoint | None = None
    is_common: bool = False
    needs_own: str = ""
    known: str = ""
    pair: Pair = "main"
    counts_sql: bool = True

    @property
    def needs_token(self) -> bool:
        """Whether the answers are equal only when the services honour a seed."""
        return any(
            step.request.header(SEED_HEADER) is not None or (step.request.has_placeholder and step.expects < 300)
            for step in self.steps
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A case that is not sent at all, and why."""

    group: str
    name: str
    reason: str


@dataclass(slots=True)
class Limits:
    """What the services were told, as far as cases depend on it.

    Attributes:
        max_body_bytes: Largest body but /upload's.
        max_upload_bytes: Largest body of /upload; None where it is unknown or too large to reach.
        max_header_count: Most header fields.
        max_header_bytes: Largest header field.
        max_line_bytes: Longest request line.
        lab: Whether the lab's endpoints exist.
        trace: Whether requests may be traced, with the check's token where one is needed.
    """

    max_body_bytes: int
    max_upload_bytes: int | None
    max_header_count: int
    max_header_bytes: int
    max_line_bytes: int
    lab: bool
    trace: bool


@dataclass(slots=True)
class CaseList:
    """Cases of one group under construction; names are made unique by their content, so repeated ones are mistakes."""

    group: str
    cases: list[Case] = field(default_factory=list)

    def add(
        self,
        name: str,
        *requests: Request | Step,
        entry: Endpoint | None = None,
        expects: int = 0,
        is_common: bool = False,
        needs_own: str = "",
        known: str = "",
        pair: Pair = "main",
        counts_sql: bool = True,
    ) -> None:
        """Add a case; `expects` is the last request's status."""
        steps = [item if isinstance(item, Step) else Step(item) for item in requests]
        if expects:
            last = steps[-1]
            steps[-1] = Step(last.request, expects, last.saves, last.head_of_previous)
        self.cases.append(Case(self.group, name, tuple(steps), entry, is_common, needs_own, known, pair, counts_sql))


def seeded(seed: int = SEED) -> HeaderFields:
    """Return the header fields that make random numbers follow from a seed."""
    return ((SEED_HEADER, str(seed)), (TOKEN_HEADER, TOKEN))


def trusted() -> HeaderFields:
    """Return the header field without which nobody is traced, and nobody reads traces."""
    return ((TRACE_TOKEN_HEADER, TOKEN),)


def json_request(method: str, target: str, body: bytes, *headers: tuple[str, str]) -> Request:
    """Return a request with a JSON body."""
    return Request(method, target, (JSON_TYPE, *headers), body)


def duplicates(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once."""
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]  # add is None
