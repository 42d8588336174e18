"""Claims made up: figures that a rule is fed with, and findings with every kind of picture for those that show them."""

import math
from collections.abc import Sequence
from dataclasses import replace

from shared.lab.claims.claim import Bar
from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Lane
from shared.lab.claims.claim import Line
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Span
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import Timeline
from shared.lab.claims.claim import Value
from shared.lab.claims.claim import Verdict
from shared.lab.claims.claim import overall
from shared.lab.claims.result import Claims
from shared.lab.claims.result import Failure
from shared.lab.claims.result import Outcome
from shared.lab.claims.result import Stated
from tests.lab_records import MANIFEST

USERS = (1, 3, 10, 30, 100, 300, 1000)
STRATEGIES = ("read, add, write", "one statement", "SELECT FOR UPDATE", "version column", "advisory lock")
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


def made(**values: Value) -> Figures:
    """Return figures of these names and values."""
    return Figures(tuple(Figure(name, name.replace("_", " "), value) for name, value in values.items()))


def doctored(figures: Figures, **values: Value) -> Figures:
    """Return figures with some values replaced.

    Raises:
        KeyError: If a figure to be replaced is not there.
    """
    for name in values:
        _ = figures[name]
    return Figures(tuple(replace(figure, value=values.get(figure.name, figure.value)) for figure in figures.figures))


def make_stated(number: int, statement: str, *, depends_on_machine: bool = False) -> Stated:
    """Return a claim in words, with two options and two sources."""
    return Stated(
        name=f"C{number}",
        statement=statement,
        prediction="Ten requests begin at once; the eleventh begins when the first of them ends.",
        method="Starts the edition with a pool of ten connections without overflow, and asks for /wait eleven times.",
        rule_words="Confirmed if, in every trial, ten backends were seen and the eleventh waited; refuted otherwise.",
        options=(
            Option("trials", 3, "how often all of it is done", 1, 100),
            Option("hold_s", 0.5, "how long each request holds its connection, in seconds", 0.05, 10.0),
        ),
        sources=(
            Source("SQLAlchemy: Connection Pooling", "https://docs.sqlalchemy.org/en/21/core/pooling.html"),
            Source("PEP 3333", "https://peps.python.org/pep-3333/"),
        ),
        depends_on_machine=depends_on_machine,
    )


def make_outcome(
    claim: Stated,
    verdicts: dict[Subject, Verdict],
    finding: Finding,
    explanation: str = "The pool keeps ten connections; whoever comes eleventh waits until one of them is returned.",
) -> Outcome:
    """Return what was found of a claim, with the verdict of each subject."""
    rulings = {
        subject: Ruling(word, f"the eleventh waited in 3 of 3 trials, so it is {word}")
        for subject, word in verdicts.items()
    }
    return Outcome(claim, {"trials": 3, "hold_s": 0.25}, finding, rulings, overall(rulings), explanation, 7.25)


def eleven_requests() -> Timeline:
    """Return eleven requests to a pool of ten connections, and one connection with moments of its own."""
    lanes = [
        Lane(
            f"request {number}",
            (
                Span(0.0005 * number, 0.001 * number, "waits for a connection"),
                Span(0.001 * number, 0.25 + 0.002 * number, "holds a connection", f"backend {4200 + number}"),
            ),
        )
        for number in range(1, 11)
    ]
    last = Lane(
        "request 11",
        (
            Span(0.006, 0.2535, "waits for a connection", "for 247 ms"),
            Span(0.2535, 0.5041, "holds a connection", "backend 4201"),
        ),
    )
    pool = Lane(
        "backend 4201",
        (
            Span(0.0002, 0.0002, "connects"),
            Span(0.001, 0.252, "transaction"),
            Span(0.252, 0.252, "returned"),
            Span(0.2535, 0.503, "transaction"),
            Span(0.504, 0.504, "returned"),
        ),
    )
    return Timeline("Ten requests hold a connection each; the eleventh waits", (*lanes, last, pool))


def users_and_connections() -> Diagram:
    """Return connections and latency from 1 to 1,000 users, on a logarithmic axis."""
    lines = (
        Line("wsgi", tuple((users, min(users, 10)) for users in USERS)),
        Line("asgi", tuple((users, min(users, 10)) for users in USERS)),
        Line("an engine for each request", tuple((users, min(users, 97.0)) for users in USERS)),
    )
    return Diagram("Connections as users grow", "users", "database sessions", lines, is_log_x=True)


def many_samples() -> Diagram:
    """Return the occupancy of a pool, sampled a thousand times, in steps."""
    samples = tuple((number / 100, round(5 + 5 * math.sin(number / 40))) for number in range(1000))
    return Diagram("The pool, watched", "seconds", "connections in use", (Line("in use", samples, is_step=True),))


def sessions_by_step() -> Diagram:
    """Return a count of 0 or 1 after each of three named steps."""
    line = Line("wsgi", ((0.0, 0.0), (1.0, 0.0), (2.0, 1.0)), is_step=True)
    return Diagram("Sessions", "step", "sessions", (line,), places=("engine made", "Session opened", "first query"))


def waits_by_size() -> Diagram:
    """Return waits that span decades, 0 among them, on two logarithmic axes."""
    lines = (Line("p99 wait", ((1, 0.0), (10, 0.002), (100, 0.35), (1000, 41.0))),)
    return Diagram("Waits as users grow", "users", "seconds", lines, is_log_x=True, is_log_y=True)


def lost_updates() -> Bars:
    """Return lost increments of five strategies at three isolation levels, with intervals."""
    lost = {("read, add, write", "READ COMMITTED"): 612.0, ("read, add, write", "REPEATABLE READ"): 0.0}
    return Bars(
        "Increments lost by strategy and isolation level",
        "lost, of 1,000",
        tuple(
            Bar(
                strategy,
                level,
                value := lost.get((strategy, level), 3.0 * at),
                None if value == 0 else value * 0.9,
                None if value == 0 else value * 1.1,
            )
            for at, strategy in enumerate(STRATEGIES)
            for level in LEVELS
        ),
    )


def make_measured(subjects: Sequence[Subject] = ("wsgi", "asgi")) -> dict[Subject, Figures]:
    """Return figures of every kind: counts, times with an interval, a share, yes or no, a text."""
    return {
        subject: Figures(
            (
                Figure("backends", "database sessions during the first ten", 10, trials=3),
                Figure("wait_s", "wait of the eleventh request", 0.2475 + at, "s", 3, 0.2461 + at, 0.2494 + at),
                Figure("share", "share of it that the others still held", 0.9871, trials=3, low=0.97, high=1.01),
                Figure("requests", "requests", 12_000, trials=3),
                Figure("same", "whether the eleventh had the backend of the first", at == 0, trials=3),
                Figure("order", "order of events", "connect, checkout, checkin, checkout, checkin, close", trials=3),
                *([Figure("threads", "threads that were busy", 10, trials=5)] if subject == "wsgi" else []),
            )
        )
        for at, subject in enumerate(subjects)
    }


def make_claims() -> Claims:
    """Return claims with every verdict, every kind of picture, and a failure."""
    both: tuple[Subject, Subject] = ("wsgi", "asgi")
    outcomes = (
        make_outcome(
            make_stated(9, "SQLAlchemy does pooling, isolation and concurrency safety."),
            {"shared": "refuted"},
            Finding(make_measured(("shared",))),
        ),
        make_outcome(
            make_stated(16, "With 10 connections, 10 parallel requests each have their own; the 11th waits."),
            dict.fromkeys(both, "confirmed"),
            Finding(make_measured(), (eleven_requests(), many_samples()), ("Threads of asgi cannot be counted here.",)),
        ),
        make_outcome(
            make_stated(24, "Many users, one engine."),
            {"wsgi": "confirmed", "asgi": "refuted"},
            Finding(make_measured(), (users_and_connections(), waits_by_size(), sessions_by_step())),
        ),
        make_outcome(
            make_stated(25, "The database guarantees data safety.", depends_on_machine=True),
            dict.fromkeys(both, "undecided"),
            Finding(make_measured(), (lost_updates(),)),
        ),
    )
    failure = Failure(
        make_stated(18, "Creating an engine is expensive, 10-100 ms."),
        {"trials": 5, "hold_s": 0.5},
        "The database does not speak TLS: server does not support SSL",
    )
    return Claims(MANIFEST, outcomes, (failure,))
