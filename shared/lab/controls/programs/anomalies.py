"""Two transactions that meet, step by step, at each isolation level: what goes wrong, and what the database refuses.

A scene is a generator that says what is done next and by which of the sessions; it does nothing itself. Both
editions play the same scenes, at every level, so that nothing of the Python code differs between two levels.
"""

from collections.abc import Callable
from collections.abc import Generator
from dataclasses import dataclass
from dataclasses import field
from importlib import import_module
from time import monotonic_ns
from typing import Any

from sqlalchemy import Executable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.config import load
from shared.engine import locate
from shared.errors import is_serialization_failure
from shared.errors import sqlstate
from shared.statements import ADD_TO_BALANCE
from shared.statements import SELECT_ACCOUNT
from shared.statements import SET_BALANCE

# The two that meet, and one outside any transaction, which prepares and looks at what is left.
FIRST, SECOND, OUTSIDE = 0, 1, 2
SHOW_LEVEL = text("SHOW transaction_isolation")
# What a write skew must never take away, and what each of the two accounts begins with.
RESERVE = 100


@dataclass(frozen=True, slots=True)
class Step:
    """What one of the sessions does next.

    Attributes:
        session: Which.
        kind: What, in a word.
        statement: None to commit.
        values: The statement's parameters.
    """

    session: int
    kind: str
    statement: Executable | None = None
    values: dict[str, int] = field(default_factory=dict)


# Yields steps, is sent the first row of each one's answer, and returns whether the anomaly appeared.
Scene = Generator[Step, Any, bool]


def _read(session: int, account: int) -> Step:
    return Step(session, "read", SELECT_ACCOUNT, {"id": account})


def _write(session: int, account: int, balance: int) -> Step:
    return Step(session, "write", SET_BALANCE, {"account_id": account, "new_balance": balance})


def _commit(session: int) -> Step:
    return Step(session, "commit")


def lost_update(one: int, other: int) -> Scene:
    """Both read the balance, both add 1 to what they read, both write it; lost if it has grown by less than 2."""
    before = (yield _read(FIRST, one)).balance
    seen = (yield _read(SECOND, one)).balance
    yield _write(FIRST, one, before + 1)
    yield _commit(FIRST)
    yield _write(SECOND, one, seen + 1)
    yield _commit(SECOND)
    after = (yield _read(OUTSIDE, one)).balance
    return bool(after < before + 2)


def nonrepeatable_read(one: int, other: int) -> Scene:
    """The second adds 1 to the balance between two reads of the first; whether the first sees another balance."""
    before = (yield _read(FIRST, one)).balance
    yield Step(SECOND, "write", ADD_TO_BALANCE, {"account_id": one, "amount": 1})
    yield _commit(SECOND)
    after = (yield _read(FIRST, one)).balance
    yield _commit(FIRST)
    return bool(after != before)


def write_skew(one: int, other: int) -> Scene:
    """Each empties another account, having seen that the two together stay above the reserve; whether they do not."""
    for account in (one, other):
        yield _write(OUTSIDE, account, RESERVE)
    for session in (FIRST, SECOND):
        total = 0
        for account in (one, other):
            total += (yield _read(session, account)).balance
        assert total - RESERVE >= RESERVE
    yield _write(FIRST, one, 0)
    yield _write(SECOND, other, 0)
    yield _commit(FIRST)
    yield _commit(SECOND)
    left = 0
    for account in (one, other):
        left += (yield _read(OUTSIDE, account)).balance
    return left < RESERVE


SCENES: dict[str, Callable[[int, int], Scene]] = {
    "lost_update": lost_update,
    "nonrepeatable_read": nonrepeatable_read,
    "write_skew": write_skew,
}


@dataclass(slots=True)
class Tally:
    """What came of one scene at one level.

    Attributes:
        appeared: How often the anomaly did.
        refused: How often the database refused a transaction instead.
        codes: SQLSTATEs of the refusals.
        steps: Of the first trial: session, kind, begin and end by the monotonic clock in nanoseconds.
    """

    appeared: int = 0
    refused: int = 0
    codes: set[str] = field(default_factory=set)
    steps: list[tuple[int, str, int, int]] = field(default_factory=list)

    def book(self, steps: list[tuple[int, str, int, int]], outcome: bool | str) -> None:
        """Add a trial: whether the anomaly appeared, or the SQLSTATE of a refusal."""
        if isinstance(outcome, str):
            self.refused += 1
            self.codes.add(outcome)
        else:
            self.appeared += outcome
        self.steps = self.steps or steps

    def document(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "appeared": self.appeared,
            "refused": self.refused,
            "codes": sorted(self.codes),
            "steps": self.steps,
        }


def _refusal(error: DBAPIError) -> str:
    """Return the SQLSTATE by which the database refused a transaction.

    Raises:
        DBAPIError: If it is another error.
    """
    if not is_serialization_failure(error):
        raise error
    return str(sqlstate(error))


def wsgi(*, scenes: list[str], levels: list[str], trials: int) -> dict[str, object]:
    """Play each scene at each level; return the level that the server told, and each scene's tally by level."""
    module: Any = import_module("wsgi_app.database")
    settings = load()
    database = module.Database(settings, locate(settings))

    def play(scene: Scene, level: str, steps: list[tuple[int, str, int, int]]) -> bool | str:
        sessions = [database.open_session() for _ in (FIRST, SECOND, OUTSIDE)]
        try:
            module.begin(sessions[FIRST], level)
            module.begin(sessions[SECOND], level)
            row = None
            while True:
                step = scene.send(row)
                session = sessions[step.session]
                began_ns = monotonic_ns()
                kind = "refused"
                try:
                    if step.statement is None:
                        row = session.commit()
                    else:
                        row = session.execute(step.statement, step.values).one()
                    kind = step.kind
                finally:
                    steps.append((step.session, kind, began_ns, monotonic_ns()))
        except StopIteration as end:
            return bool(end.value)
        except DBAPIError as error:
            return _refusal(error)
        finally:
            for session in sessions:
                session.close()

    found: dict[str, Any] = {name: {} for name in scenes}
    found["seen"] = {}
    for number, level in enumerate(levels):
        with database.open_session() as session:
            module.begin(session, level)
            found["seen"][level] = session.execute(SHOW_LEVEL).scalar_one()
        for name in scenes:
            tally = Tally()
            for trial in range(trials):
                one = 1 + 2 * (number * trials + trial)
                steps: list[tuple[int, str, int, int]] = []
                tally.book(steps, play(SCENES[name](one, one + 1), level, steps))
            found[name][level] = tally.document()
    database.dispose()
    return found


async def asgi(*, scenes: list[str], levels: list[str], trials: int) -> dict[str, object]:
    """Play the same scenes."""
    module: Any = import_module("asgi_app.database")
    settings = load()
    database = module.Database(settings, locate(settings))

    async def play(scene: Scene, level: str, steps: list[tuple[int, str, int, int]]) -> bool | str:
        sessions = [database.open_session() for _ in (FIRST, SECOND, OUTSIDE)]
        try:
            await module.begin(sessions[FIRST], level)
            await module.begin(sessions[SECOND], level)
            row = None
            while True:
                step = scene.send(row)
                session = sessions[step.session]
                began_ns = monotonic_ns()
                kind = "refused"
                try:
                    if step.statement is None:
                        row = await session.commit()
                    else:
                        row = (await session.execute(step.statement, step.values)).one()
                    kind = step.kind
                finally:
                    steps.append((step.session, kind, began_ns, monotonic_ns()))
        except StopIteration as end:
            return bool(end.value)
        except DBAPIError as error:
            return _refusal(error)
        finally:
            for session in sessions:
                await session.close()

    found: dict[str, Any] = {name: {} for name in scenes}
    found["seen"] = {}
    for number, level in enumerate(levels):
        async with database.open_session() as session:
            await module.begin(session, level)
            found["seen"][level] = (await session.execute(SHOW_LEVEL)).scalar_one()
        for name in scenes:
            tally = Tally()
            for trial in range(trials):
                one = 1 + 2 * (number * trials + trial)
                steps: list[tuple[int, str, int, int]] = []
                tally.book(steps, await play(SCENES[name](one, one + 1), level, steps))
            found[name][level] = tally.document()
    await database.dispose()
    return found
