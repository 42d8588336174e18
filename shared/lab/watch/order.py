"""When each part of a service's stack comes and goes; `shared.lab.controls.ordered` writes it, and others read."""

import json
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# url: the database's URL is read. engine: it is made. pool: it is made. request: the application is called. session: a
# SQLAlchemy Session, from opened to closed. connection: of the pool, from connecting to disconnecting. checkout:
# somebody has it. statement: the driver runs one. close: of a Session. dispose: of the engine.
Part = Literal[
    "url", "engine", "pool", "request", "session", "connection", "checkout", "statement", "close", "dispose"
]  # fmt: skip
Edge = Literal["begin", "end"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A beginning or an end.

    Attributes:
        part: Of what.
        edge: Which of the two.
        at_ns: When, by the monotonic clock.
        process: Pid of the service's process.
        request: Name that the request gave itself, for which it was done; empty for none.
    """

    part: Part
    edge: Edge
    at_ns: int
    process: int
    request: str = ""

    def line(self) -> str:
        """Return the moment as one line."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def read(path: Path) -> list[Moment]:
    """Return the moments of a file in order of time."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted((Moment(**json.loads(line)) for line in lines), key=lambda moment: moment.at_ns)
