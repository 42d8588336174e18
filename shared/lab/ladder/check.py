"""Correct before fast: each rung is asked once in every edition, before any is timed."""

import json
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from shared.config import Edition
from shared.errors import NotComparable
from shared.lab.ladder.record import Answered
from shared.lab.ladder.rungs import BODY
from shared.lab.ladder.rungs import RUNGS
from shared.lab.ladder.rungs import Rung
from shared.lab.observation.statements import Kinds
from shared.lab.observation.statements import StatementCounter
from shared.lab.parity.case import SEED
from shared.lab.parity.message import Request
from shared.lab.parity.message import Response
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import exchange
from shared.validation import SEED_HEADER
from shared.validation import TOKEN_HEADER

# What a server writes of its own.
OWN_FIELDS = frozenset({"date", "server", "connection"})

# Sends a rung's request to an edition and returns the answer, with its statements where they are counted.
Ask = Callable[[Edition, Rung], tuple[Response, Kinds | None]]


def check(urls: Mapping[Edition, str], database_url: str, token: str) -> tuple[tuple[Answered, ...], str]:
    """Ask every rung of running services once.

    Args:
        urls: Where each edition's ladder answers.
        database_url: Their database.
        token: With which they honour a seed, so that both draw the same rows.

    Returns:
        What each rung answered, and why statements were not counted; "" if they were.

    Raises:
        NotComparable: If a rung answers other than it should, or unlike the other edition's.
    """
    with ExitStack() as stack:
        counter, why = _counter(stack, database_url)

        def ask(edition: Edition, rung: Rung) -> tuple[Response, Kinds | None]:
            request = Request("GET", rung.target, ((SEED_HEADER, str(SEED)), (TOKEN_HEADER, token)))
            address = Address.of(urls[edition])
            # The first request of a process prepares the database, connects and fills caches.
            exchange(address, request)
            if counter is not None:
                counter.start()
            response = exchange(address, request)[-1]
            return response, None if counter is None else counter.take()

        return tuple(judged(rung, {edition: ask(edition, rung) for edition in urls}) for rung in RUNGS), why


def judged(rung: Rung, answers: Mapping[Edition, tuple[Response, Kinds | None]]) -> Answered:
    """Return what a rung answered, if that is right, and the same in every edition.

    Raises:
        NotComparable: If it is not.
    """
    for edition, (response, _) in answers.items():
        wrong = _wrong(rung, response)
        if wrong:
            raise NotComparable(
                f"The rung {rung.name!r} of the {edition} edition does not answer as it should",
                why=f"GET {rung.target}: {wrong}",
                hint="make check tells whether the edition itself does",
            )
    first, *others = answers.values()
    for other in others:
        for what, one, two in (
            ("fields", _fields(first[0]), _fields(other[0])),
            ("bytes", first[0].body, other[0].body),
            ("statements", first[1], other[1]),
        ):
            if one != two:
                raise NotComparable(
                    f"The rung {rung.name!r} is not the same in both editions: its {what} differ",
                    why=f"{' and '.join(answers)}: {one!r} and {two!r}",
                    hint="make check",
                )
    response, kinds = first
    return Answered(rung.name, response.status, len(response.body), None if kinds is None else dict(kinds))


def _wrong(rung: Rung, response: Response) -> str:
    """Return what is wrong with an answer; "" if nothing is."""
    if response.failure or response.status != HTTPStatus.OK:
        return response.failure or f"{response.line}, {response.body[:200]!r}"
    if not rung.statements:
        return "" if response.body == BODY else f"{response.body[:200]!r} instead of {BODY!r}"
    try:
        rows = json.loads(response.body)
    except ValueError:
        return f"{response.body[:200]!r} is no JSON"
    is_right = isinstance(rows, list) and [set(row) for row in rows] == [{"id", "randomNumber"}] * rung.rows
    return "" if is_right else f"{response.body[:200]!r} instead of {rung.rows} rows"


def _fields(response: Response) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in response.headers if name not in OWN_FIELDS)


def _counter(stack: ExitStack, url: str) -> tuple[StatementCounter | None, str]:
    """Return what counts statements, or why nothing does."""
    try:
        return stack.enter_context(StatementCounter(url, make_url(url).database or "")), ""
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return None, f"pg_stat_statements cannot be read: {why}"
