"""The factors: what can be swapped in an edition, for what, how that is done, and what it brings along.

Pure: nothing is started or looked for here. What a variant is made of stands in `choice`, how it runs in `variants`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from types import MappingProxyType
from typing import Literal

from shared.config import Edition

EDITIONS: tuple[Edition, Edition] = ("wsgi", "asgi")

# How a factor reaches the service: an option of the control that starts it, a setting in its environment, the driver's
# name in the URL of its database, or the database's address.
Means = Literal["control", "setting", "driver", "address"]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers that a factor takes beside its names.

    Attributes:
        least: Smallest.
        most: Largest.
        unit: What they count.
        is_whole: Whether they must be whole.
    """

    least: float
    most: float
    unit: str
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Extra:
    """A package that a value needs and that is not installed everywhere.

    Attributes:
        module: Name by which it is imported.
        extra: The project's optional dependency that brings it.
    """

    module: str
    extra: str


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL statements that a driver sends by itself with a value, beside those of the endpoints.

    Attributes:
        kinds: How many of which kind, in a request that is touched.
        reason: Why.
    """

    kinds: Mapping[str, int]
    reason: str


@dataclass(frozen=True, slots=True)
class Factor:
    """One thing that can be swapped.

    Attributes:
        name: As on the command line.
        summary: What it is, in a few words.
        own: What each edition has by itself; an edition that is not named has no such thing. A number is that of the
            setting.
        values: Names that each edition can be given.
        means: How a named value reaches the service.
        numbers: Numbers that it takes, too; these reach it by settings, or by the database's address.
        setting: Key of the setting that holds the number, by edition.
        extras: Packages that a value needs.
        also: What else differs with a value, by edition and value; "" stands for every number.
        replaces_protocol: Editions and values under which the edition's own protocol class does not run: words behind a
            status code are then the server's, and nothing is traced.
        statements: What a driver sends by itself, by edition and value.
        is_joint: Whether it can be swapped on both sides only, because it is no part of an edition.
    """

    name: str
    summary: str
    own: Mapping[Edition, str]
    values: Mapping[Edition, tuple[str, ...]] = field(default_factory=dict)
    means: Means = "control"
    numbers: Numbers | None = None
    setting: Mapping[Edition, str] = field(default_factory=dict)
    extras: Mapping[str, Extra] = field(default_factory=dict)
    also: Mapping[tuple[Edition, str], str] = field(default_factory=dict)
    replaces_protocol: frozenset[tuple[Edition, str]] = frozenset()
    statements: Mapping[tuple[Edition, str], Statements] = field(default_factory=dict)
    is_joint: bool = False

    @property
    def editions(self) -> tuple[Edition, ...]:
        """Which editions have it."""
        return tuple(edition for edition in EDITIONS if edition in self.own)

    @property
    def names(self) -> tuple[str, ...]:
        """Every named value, the editions' own included, each once."""
        given = [value for edition in self.editions for value in (*self._own_names(edition), *self.values_of(edition))]
        return tuple(dict.fromkeys(given))

    def values_of(self, edition: Edition) -> tuple[str, ...]:
        """Return the names that an edition can be given, beside its own."""
        return self.values.get(edition, ())

    def also_with(self, edition: Edition, value: str) -> str:
        """Return what else differs in an edition with a value; nothing known is empty."""
        return self.also.get((edition, value)) or self.also.get((edition, "" if is_number(value) else value), "")

    def _own_names(self, edition: Edition) -> tuple[str, ...]:
        own = self.own[edition]
        return () if not own or own.startswith("(") else (own,)


def is_number(text: str) -> bool:
    """Tell whether a value is written as a number of the catalogue's form, such as 10 or 0.5."""
    return text.isascii() and text.replace(".", "", 1).isdigit()


_GRANIAN = Extra("granian", "granian")
_NOT_OUR_PROTOCOL = (
    "limits of headers, the longest waits for a client, what malformed requests are answered and the graceful stop are "
)
_PSYCOPG = "parameters are bound by the server, and a statement is prepared once it has been sent five times"
_DEALLOCATE = Statements({"DEALLOCATE": 1}, "psycopg forgets its prepared statements after a rollback, by a statement")
_ASKS_FOR_TYPES = Statements(
    {"SELECT": 2, "WITH": 1}, "asyncpg asks each new connection about a type before it sends the first array"
)

CATALOGUE: tuple[Factor, ...] = (
    Factor(
        "server",
        "the HTTP server",
        own={"wsgi": "gunicorn", "asgi": "uvicorn"},
        values={"wsgi": ("granian",), "asgi": ("gunicorn", "granian")},
        extras={"granian": _GRANIAN},
        also={
            ("asgi", "gunicorn"): f"{_NOT_OUR_PROTOCOL}gunicorn's own, and so is its parser",
            ("asgi", "granian"): f"{_NOT_OUR_PROTOCOL}granian's own; its parser is hyper, in Rust",
            ("wsgi", "granian"): f"{_NOT_OUR_PROTOCOL}granian's own; its parser is hyper, in Rust",
        },
        replaces_protocol=frozenset({("asgi", "gunicorn"), ("asgi", "granian"), ("wsgi", "granian")}),
    ),
    Factor(
        "loop",
        "the event loop",
        own={"asgi": "uvloop"},
        values={"asgi": ("asyncio",)},
    ),
    Factor(
        "parser",
        "the HTTP parser",
        own={"wsgi": "c", "asgi": "c"},
        values={"wsgi": ("python",), "asgi": ("python",)},
        also={("asgi", "python"): f"{_NOT_OUR_PROTOCOL}those of uvicorn's h11 protocol"},
        replaces_protocol=frozenset({("asgi", "python")}),
    ),
    Factor(
        "driver",
        "the database driver",
        own={"wsgi": "psycopg2", "asgi": "asyncpg"},
        values={"wsgi": ("psycopg",), "asgi": ("psycopg",)},
        means="driver",
        extras={"psycopg": Extra("psycopg", "factors")},
        also={("wsgi", "psycopg"): _PSYCOPG, ("asgi", "psycopg"): _PSYCOPG},
        statements={("wsgi", "psycopg"): _DEALLOCATE, ("asgi", "psycopg"): _DEALLOCATE},
    ),
    Factor(
        "session",
        "how a request waits for its statements",
        own={"asgi": "awaits"},
        values={"asgi": ("run_sync",)},
        also={
            ("asgi", "run_sync"): "the endpoint's code is its twin's of the WSGI edition; streams are left as they are"
        },
    ),
    Factor(
        "pool",
        "the connection pool; null connects for each request, with at most POOL_SIZE connections at once as before",
        own={"wsgi": "queue", "asgi": "queue"},
        values={"wsgi": ("null",), "asgi": ("null",)},
        numbers=Numbers(1, 1_000, "connections"),
        setting={"wsgi": "POOL_SIZE", "asgi": "POOL_SIZE"},
        also={
            ("wsgi", "null"): "at most POOL_SIZE connections at once, as before",
            ("asgi", "null"): "at most POOL_SIZE connections at once, as before; asyncpg's are cut, not closed, where "
            "nothing waits for them",
        },
        statements={("asgi", "null"): _ASKS_FOR_TYPES},
    ),
    Factor(
        "threads",
        "threads of a process",
        own={"wsgi": "(WSGI_THREADS)"},
        means="setting",
        numbers=Numbers(1, 1_000, "threads"),
        setting={"wsgi": "WSGI_THREADS"},
    ),
    Factor(
        "processes",
        "server processes",
        own={"wsgi": "(WSGI_WORKERS)", "asgi": "(ASGI_WORKERS)"},
        means="setting",
        numbers=Numbers(1, 64, "processes"),
        setting={"wsgi": "WSGI_WORKERS", "asgi": "ASGI_WORKERS"},
        also={
            ("wsgi", ""): "each process has a pool, and threads, of its own",
            ("asgi", ""): "each process has a pool of its own",
        },
    ),
    Factor(
        "serializer",
        "what writes JSON",
        own={"wsgi": "pydantic", "asgi": "pydantic"},
        values={"wsgi": ("orjson", "json"), "asgi": ("orjson", "json")},
        extras={"orjson": Extra("orjson", "factors")},
    ),
    Factor(
        "latency",
        "milliseconds added to each round trip to the database",
        own={"wsgi": "(direct)", "asgi": "(direct)"},
        means="address",
        numbers=Numbers(0, 10_000, "ms", is_whole=False),
        also={
            ("wsgi", ""): "all goes through a proxy, whose own cost is what latency=0 shows",
            ("asgi", ""): "all goes through a proxy, whose own cost is what latency=0 shows",
        },
        is_joint=True,
    ),
)
BY_NAME: Mapping[str, Factor] = MappingProxyType({factor.name: factor for factor in CATALOGUE})
