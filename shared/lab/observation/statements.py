"""SQL statements counted at the database, by pg_stat_statements: whatever a driver sends is seen there."""

import re
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlalchemy import Connection
from sqlalchemy import create_engine
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared.engine import engine_url

# Without texts the view is read from shared memory alone.
_CALLS = text(
    "SELECT queryid, sum(calls) AS lab_calls, sum(rows) FROM pg_stat_statements(false) "
    "WHERE dbid = (SELECT oid FROM pg_database WHERE datname = :name) GROUP BY queryid"
)
_TEXTS = text("SELECT DISTINCT ON (queryid) queryid, query FROM pg_stat_statements WHERE queryid = ANY(:ids)")
_OWN = text("SELECT queryid FROM pg_stat_statements WHERE query LIKE '%lab\\_calls%'")
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w+)", re.DOTALL)

# pg_stat_statements misses a utility statement that is prepared once and run again: it forgets the plan's query id at
# the first run. asyncpg prepares what it sends, psycopg2 does not, so these are left out on both sides where services
# keep what they have prepared.
MISCOUNTED = frozenset({"SHOW", "DECLARE", "FETCH"})

Kinds = Counter[str]
# Calls and rows of a statement that has not run yet.
NONE = (0, 0)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a database has done since a moment.

    Attributes:
        kinds: Statements by their first keyword.
        rows: Rows that they returned or changed.
    """

    kinds: Kinds
    rows: int


class StatementCounter:
    """Counts the statements run in one database.

    Args:
        url: Database to count from; another one than the services', where that is possible.
        database: Name of the database whose statements are counted.
        ignored: Kinds that are not counted.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: If the extension is missing and cannot be created, or may not be read.
    """

    def __init__(self, url: str, database: str, ignored: frozenset[str] = frozenset()) -> None:
        # The driver is named by the engine's module; nothing here imports one.
        self._engine = create_engine(engine_url(url, "wsgi"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._database = database
        self._ignored = ignored
        self._kind_of: dict[int, str] = {}
        self._connection: Connection = self._engine.connect()
        try:
            self._connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
            self._calls()
            self._own = set(self._connection.execute(_OWN).scalars())
        except SQLAlchemyError:
            self._connection.close()
            raise
        self._before = self._calls()

    def start(self) -> None:
        """Count from here on."""
        self._before = self._calls()

    def take(self) -> Kinds:
        """Return how many statements of each kind (first keyword) have run since the last call."""
        return self.take_counts().kinds

    def take_counts(self) -> Counts:
        """Return how many statements of each kind have run since the last call, and how many rows they had."""
        before, self._before = self._before, self._calls()
        new = {
            key: (calls - before.get(key, NONE)[0], rows - before.get(key, NONE)[1])
            for key, (calls, rows) in self._before.items()
            if calls > before.get(key, NONE)[0]
        }
        self._learn([key for key in new if key not in self._kind_of])
        kinds: Kinds = Counter()
        total_rows = 0
        for key, (calls, rows) in new.items():
            if key not in self._own and self._kind_of.get(key) not in self._ignored:
                kinds[self._kind_of.get(key, "?")] += calls
                total_rows += rows
        return Counts(kinds, total_rows)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _calls(self) -> dict[int, tuple[int, int]]:
        rows = self._connection.execute(_CALLS, {"name": self._database})
        return {row[0]: (int(row[1]), int(row[2])) for row in rows if row[0] is not None}

    def _learn(self, keys: list[int]) -> None:
        if not keys:
            return
        for key, query in self._connection.execute(_TEXTS, {"ids": keys}):
            self._kind_of[key] = kind(query)
            if "lab_calls" in query or "pg_stat_statements" in query:
                self._own.add(key)


def kind(statement: str) -> str:
    """Return a statement's first keyword, in capitals."""
    found = _FIRST_WORD.match(statement)
    return found[1].upper() if found else "?"


def shown(kinds: Kinds) -> str:
    """Return counts as text, such as "4: BEGIN 1, COMMIT 1, SELECT 2"."""
    parts = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
    return f"{kinds.total()}: {parts}" if parts else "0"
