"""The ladder's rungs: each is the one below it and one thing more. Nothing is measured here."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

# Rows that the upper rungs read, and the top one writes.
ROWS = 20
# What the rungs below the database answer; as many bytes as one row at least has.
ROW = {"id": 1, "randomNumber": 1}
BODY = b'[{"id":1,"randomNumber":1}]'


@dataclass(frozen=True, slots=True)
class Rung:
    """One depth at which a request turns back.

    Attributes:
        name: Label in results and tables.
        adds: What it has beyond the rung below.
        target: What is requested; targets are equally long up to one character, so that the parser's part is the same.
        rows: Rows in its answer.
        statements: SQL statements of one request, by first keyword.
        volleys: Volleys of one visit: more where a request is cheap.
    """

    name: str
    adds: str
    target: str
    rows: int = 1
    statements: Mapping[str, int] = field(default_factory=dict)
    volleys: int = 8


RUNGS: tuple[Rung, ...] = (
    Rung(
        "server",
        "the server with a constant answer: parser, thread or task, the interface's calls, bytes out",
        "/ladder1?queries=1",
    ),
    Rung(
        "routing",
        "the application around a handler: request object, path and method looked up, counters, header fields",
        "/ladder2?queries=1",
    ),
    Rung(
        "validation",
        "the query parameter read and checked (Binder); the result checked and serialised (Renderer)",
        "/ladder3?queries=1",
    ),
    Rung(
        "session",
        "get_db around the endpoint: a session made and closed, which takes no connection",
        "/ladder4?queries=1",
    ),
    Rung(
        "SELECT 1",
        "a connection from the pool and back; one statement without parameters, its row fetched",
        "/ladder5?queries=1",
        statements={"SELECT": 1},
        volleys=4,
    ),
    Rung(
        "one row",
        "the endpoint as it is: an id drawn and bound, a row of two columns found and answered, instead of SELECT 1",
        "/queries?queries=1",
        statements={"SELECT": 1},
        volleys=4,
    ),
    Rung(
        f"{ROWS} rows",
        f"{ROWS - 1} more such statements, one after the other; their rows checked and serialised",
        f"/queries?queries={ROWS}",
        rows=ROWS,
        statements={"SELECT": ROWS},
        volleys=1,
    ),
    Rung(
        "write",
        f"a transaction: BEGIN, the same reads with FOR UPDATE, one UPDATE of the {ROWS} rows, COMMIT",
        f"/updates?queries={ROWS}",
        rows=ROWS,
        statements={"BEGIN": 1, "SELECT": ROWS, "UPDATE": 1, "COMMIT": 1},
        volleys=1,
    ),
)
# The rung up to which the bars are drawn once more by themselves: what one small request is made of.
SMALL = 6


def path(number: int) -> str:
    """Return the path of a rung, counted from 1."""
    return RUNGS[number - 1].target.partition("?")[0]
