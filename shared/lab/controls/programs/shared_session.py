"""Several threads or tasks that write through one Session, or each through its own; what was said against what is.

Each worker has an account of its own and adds 1 to it again and again; half of the workers commit each addition, the
other half roll it back. The Session is SQLAlchemy's own, so that nothing of what is seen is this project's.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field
from importlib import import_module
from threading import Barrier
from threading import Thread
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from shared.config import load
from shared.engine import locate
from shared.lab.watch.sessions import Sessions
from shared.statements import ADD_TO_BALANCE
from shared.statements import SELECT_ACCOUNT

LEVEL = "READ COMMITTED"


@dataclass(slots=True)
class Worker:
    """One thread's or task's account, and what it was told.

    Attributes:
        account: Its account.
        commits: Whether it commits; else it rolls back.
        committed: How many additions it committed without an error.
        errors: Exceptions by their class.
    """

    account: int
    commits: bool
    committed: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def failed(self, error: Exception) -> None:
        """Count an error."""
        self.errors[type(error).__name__] += 1


@dataclass(slots=True)
class Tally:
    """What came of all trials.

    Attributes:
        troubled: Trials with an error or a wrong balance.
        erroneous: Trials with an error.
        mixed: Trials with a wrong balance.
        missing: Additions that a worker committed without an error and that are not on its account.
        surplus: Additions on accounts that nobody committed.
        committed: Additions that were committed without an error.
        stranded: Database sessions that were still in a transaction when every Session was closed.
        errors: Exceptions by their class.
    """

    troubled: int = 0
    erroneous: int = 0
    mixed: int = 0
    missing: int = 0
    surplus: int = 0
    committed: int = 0
    stranded: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def book(self, workers: list[Worker], growth: dict[int, int]) -> None:
        """Add a trial: its workers, and how much each account has grown."""
        gaps = [worker.committed - growth[worker.account] for worker in workers]
        self.missing += sum(gap for gap in gaps if gap > 0)
        self.surplus -= sum(gap for gap in gaps if gap < 0)
        self.committed += sum(worker.committed for worker in workers)
        for worker in workers:
            self.errors += worker.errors
        is_erroneous, is_mixed = any(worker.errors for worker in workers), any(gaps)
        self.erroneous += is_erroneous
        self.mixed += is_mixed
        self.troubled += is_erroneous or is_mixed

    def document(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        names = ("troubled", "erroneous", "mixed", "missing", "surplus", "committed", "stranded")
        return {**{name: getattr(self, name) for name in names}, "errors": dict(self.errors)}


def _workers(trial: int, count: int) -> list[Worker]:
    return [Worker(1 + trial * count + number, commits=number % 2 == 0) for number in range(count)]


def _in_transaction(view: Sessions) -> int:
    return sum(session.state.startswith("idle in transaction") for session in view.look().sessions)


def wsgi(*, trials: int, workers: int, additions: int) -> dict[str, object]:
    """Do it in threads, with one Session for all and with one for each."""
    module: Any = import_module("wsgi_app.database")
    settings = load()
    source = locate(settings)
    database = module.Database(settings, source)

    def balances(team: list[Worker]) -> dict[int, int]:
        with database.open_session() as session:
            found = {worker.account: session.execute(SELECT_ACCOUNT, {"id": worker.account}) for worker in team}
            return {account: int(result.one().balance) for account, result in found.items()}

    def work(worker: Worker, session: Session, barrier: Barrier) -> None:
        barrier.wait()
        for _ in range(additions):
            try:
                module.begin(session, LEVEL)
                session.execute(ADD_TO_BALANCE, {"account_id": worker.account, "amount": 1})
                if worker.commits:
                    session.commit()
                    worker.committed += 1
                else:
                    session.rollback()
            except Exception as error:
                worker.failed(error)
                with suppress(Exception):
                    session.rollback()

    found = {}
    with Sessions(source.url) as view:
        for name in ("own", "shared"):
            tally = Tally()
            for trial in range(trials):
                team = _workers(trial, workers)
                before = balances(team)
                count = 1 if name == "shared" else workers
                sessions = [Session(database.engine, expire_on_commit=False, autoflush=False) for _ in range(count)]
                barrier = Barrier(workers)
                threads = [
                    Thread(target=work, args=(worker, sessions[number % count], barrier))
                    for number, worker in enumerate(team)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                for session in sessions:
                    with suppress(Exception):
                        module.abandon(session)
                tally.stranded += _in_transaction(view)
                # What is left in the pool may be broken: whoever looks at the balances gets a new connection.
                database.engine.dispose()
                after = balances(team)
                tally.book(team, {account: after[account] - before[account] for account in after})
            found[name] = tally.document()
    database.dispose()
    return {**found}


async def asgi(*, trials: int, workers: int, additions: int) -> dict[str, object]:
    """Do the same in tasks."""
    module: Any = import_module("asgi_app.database")
    settings = load()
    source = locate(settings)
    database = module.Database(settings, source)

    async def balances(team: list[Worker]) -> dict[int, int]:
        async with database.open_session() as session:
            found = {worker.account: await session.execute(SELECT_ACCOUNT, {"id": worker.account}) for worker in team}
            return {account: int(result.one().balance) for account, result in found.items()}

    async def work(worker: Worker, session: AsyncSession) -> None:
        for _ in range(additions):
            try:
                await module.begin(session, LEVEL)
                await session.execute(ADD_TO_BALANCE, {"account_id": worker.account, "amount": 1})
                if worker.commits:
                    await session.commit()
                    worker.committed += 1
                else:
                    await session.rollback()
            except Exception as error:
                worker.failed(error)
                with suppress(Exception):
                    await session.rollback()

    found = {}
    with Sessions(source.url) as view:
        for name in ("own", "shared"):
            tally = Tally()
            for trial in range(trials):
                team = _workers(trial, workers)
                before = await balances(team)
                count = 1 if name == "shared" else workers
                sessions = [
                    AsyncSession(database.engine, expire_on_commit=False, autoflush=False) for _ in range(count)
                ]
                await asyncio.gather(
                    *(work(worker, sessions[number % count]) for number, worker in enumerate(team)),
                )
                for session in sessions:
                    with suppress(Exception):
                        await module.abandon(session)
                tally.stranded += _in_transaction(view)
                # What is left in the pool may be broken: whoever looks at the balances gets a new connection.
                await database.engine.dispose()
                after = await balances(team)
                tally.book(team, {account: after[account] - before[account] for account in after})
            found[name] = tally.document()
    await database.dispose()
    return {**found}
