"""What the ORM does with the project's models: one object for one row, and one UPDATE at the flush."""

from importlib import import_module
from typing import Any

from sqlalchemy import event
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from shared.config import load
from shared.engine import locate
from shared.models import Account

LEVEL = "READ COMMITTED"


class _Statements:
    """Counts the statements that an engine sends, by their first word."""

    def __init__(self, engine: Any) -> None:
        self.sent: list[str] = []
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        self.sent.append(statement.split()[0].upper())

    def count(self, word: str) -> int:
        """Return how many statements of a kind were sent."""
        return self.sent.count(word)


def wsgi(*, account: int) -> dict[str, object]:
    """Load a row twice, change it three times, flush twice; return what was sent and what is the same object.

    The Session is SQLAlchemy's own: the edition's leaves the ORM out, because no endpoint needs it.
    """
    module: Any = import_module("wsgi_app.database")
    settings = load()
    database = module.Database(settings, locate(settings))
    statements = _Statements(database.engine)
    found: dict[str, object] = {}
    with Session(database.engine, autoflush=False) as session, Session(database.engine) as other:
        module.begin(session, LEVEL)
        one = session.get(Account, account)
        again = session.get(Account, account)
        found["selects_for_get"] = statements.count("SELECT")
        queried = session.scalars(select(Account).where(Account.id == account)).one()
        found["is_same"] = one is again and one is queried
        found["is_same_elsewhere"] = other.get(Account, account) is one
        assert one is not None
        one.balance += 1
        one.balance += 1
        queried.owner = "owner of a change"
        found["updates_before_flush"] = statements.count("UPDATE")
        session.flush()
        found["updates_at_flush"] = statements.count("UPDATE")
        session.flush()
        found["updates_at_second_flush"] = statements.count("UPDATE")
        session.rollback()
    database.dispose()
    return found


async def asgi(*, account: int) -> dict[str, object]:
    """Go through the same steps."""
    module: Any = import_module("asgi_app.database")
    settings = load()
    database = module.Database(settings, locate(settings))
    statements = _Statements(database.engine.sync_engine)
    found: dict[str, object] = {}
    async with AsyncSession(database.engine, autoflush=False) as session, AsyncSession(database.engine) as other:
        await module.begin(session, LEVEL)
        one = await session.get(Account, account)
        again = await session.get(Account, account)
        found["selects_for_get"] = statements.count("SELECT")
        queried = (await session.scalars(select(Account).where(Account.id == account))).one()
        found["is_same"] = one is again and one is queried
        found["is_same_elsewhere"] = await other.get(Account, account) is one
        assert one is not None
        one.balance += 1
        one.balance += 1
        queried.owner = "owner of a change"
        found["updates_before_flush"] = statements.count("UPDATE")
        await session.flush()
        found["updates_at_flush"] = statements.count("UPDATE")
        await session.flush()
        found["updates_at_second_flush"] = statements.count("UPDATE")
        await session.rollback()
    await database.dispose()
    return found
