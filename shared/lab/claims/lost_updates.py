"""Deposits and transfers that meet, at each isolation level: what was accepted, refused and lost. Used by C25.

Whether an update is lost is told by the database itself: the growth of a balance against the deposits answered 200.
"""

import json
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import Connection
from sqlalchemy import text

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab import databases
from shared.lab.claims.bench import Bench
from shared.lab.claims.client import Answer
from shared.lab.claims.client import Ask
from shared.lab.claims.client import side_by_side
from shared.lab.services.process import Service
from shared.schemas import Strategy

STRATEGIES: tuple[str, ...] = get_args(Strategy)
# Weakest first.
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
ACCEPTED = frozenset({200, 201})
REFUSED = 409
# Who sends which request, and which strategy comes first, is drawn from this.
SEED = 20_261_123
# Accounts among which money is moved: few, so that transfers meet, and none of those that take deposits.
POOR = tuple(range(9_001, 9_005))
MOST_MOVED = 4_000
JSON = {"Content-Type": "application/json"}

_BALANCES = text("SELECT id, balance FROM accounts WHERE id = ANY(:ids)")
_DEFAULT_LEVEL = text("SHOW default_transaction_isolation")

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round of deposits on one account.

    Attributes:
        accepted: Deposits answered 200.
        refused: Deposits answered 409.
        lost: Accepted deposits that the balance has not grown by; below 0 if it has grown by more.
    """

    accepted: int
    refused: int
    lost: int


@dataclass(frozen=True, slots=True)
class Moves:
    """What came of one round of transfers.

    Attributes:
        accepted: Transfers answered 201.
        refused: Transfers answered 409.
        change: By how much the sum over the accounts has changed.
        strays: Accounts whose balance is not what the accepted transfers make of it.
    """

    accepted: int
    refused: int
    change: int
    strays: int


@dataclass(frozen=True, slots=True)
class Crowded:
    """Everything that was measured of one edition.

    Attributes:
        default_level: The database's own isolation level, for whoever asks for none.
        rounds: By strategy and level.
        moves: By level.
    """

    default_level: str
    rounds: dict[Cell, list[Round]]
    moves: dict[str, list[Moves]]


def measure_edition(bench: Bench, edition: Edition, *, clients: int, deposits: int, trials: int) -> Crowded:
    """Let clients deposit and transfer at once, each strategy at each level, in rounds of shuffled order.

    One service runs for each level; ISOLATION_LEVEL is all that differs between them.

    Args:
        bench: Where.
        edition: Which edition.
        clients: How many clients, each with a connection of its own.
        deposits: How many requests each of them sends in a round.
        trials: How many rounds.

    Raises:
        EnvironmentFailure: If a service does not answer, or answers neither that it accepts nor that it refuses.
    """
    chance = random.Random(SEED)
    cells = [(strategy, level) for strategy in STRATEGIES for level in LEVELS]
    rounds: dict[Cell, list[Round]] = {cell: [] for cell in cells}
    moves: dict[str, list[Moves]] = {level: [] for level in LEVELS}
    with ExitStack() as stack:
        connection = stack.enter_context(databases.administration(bench.urls[edition]))
        default_level = str(connection.execute(_DEFAULT_LEVEL).scalar_one()).upper()
        services = {
            level: stack.enter_context(bench.service(edition, ISOLATION_LEVEL=level, POOL_TIMEOUT="4"))
            for level in LEVELS
        }
        for trial in range(trials):
            bench.progress(
                f"C25: {edition}, round {trial + 1} of {trials}, {len(cells)} times {clients * deposits} deposits"
            )
            for place, cell in enumerate(chance.sample(cells, len(cells))):
                account = 1 + trial * len(cells) + place
                rounds[cell].append(_deposit(services[cell[1]], connection, cell[0], account, clients, deposits))
            for level in LEVELS:
                moves[level].append(_transfer(services[level], connection, chance, clients, deposits))
    return Crowded(default_level, rounds, moves)


def _balances(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    return {int(id): int(balance) for id, balance in connection.execute(_BALANCES, {"ids": list(ids)})}


def _deposit(
    service: Service, connection: Connection, strategy: str, account: int, clients: int, deposits: int
) -> Round:
    body = json.dumps({"amount": 1, "strategy": strategy}).encode()
    ask = Ask(f"/accounts/{account}/deposits", method="POST", body=body, headers=JSON)
    before = _balances(connection, [account])
    answers = [answer for own in side_by_side(service, [[ask] * deposits] * clients) for answer in own]
    after = _balances(connection, [account])
    accepted, refused = judged(service, answers)
    return Round(len(accepted), refused, len(accepted) - (after[account] - before[account]))


def _transfer(service: Service, connection: Connection, chance: random.Random, clients: int, transfers: int) -> Moves:
    plans = []
    for _ in range(clients):
        bodies = [(*chance.sample(POOR, 2), chance.randint(1, MOST_MOVED)) for _ in range(transfers)]
        plans.append(
            [
                Ask(
                    "/transfers",
                    method="POST",
                    body=json.dumps({"source_id": source, "target_id": target, "amount": amount}).encode(),
                    headers=JSON,
                )
                for source, target, amount in bodies
            ]
        )
    before = _balances(connection, POOR)
    answers = [answer for own in side_by_side(service, plans) for answer in own]
    after = _balances(connection, POOR)
    accepted, refused = judged(service, answers)
    due = dict(before)
    for answer in accepted:
        made = json.loads(answer.body)
        due[made["source_id"]] -= made["amount"]
        due[made["target_id"]] += made["amount"]
    strays = sum(due[account] != after[account] for account in POOR)
    return Moves(len(accepted), refused, sum(after.values()) - sum(before.values()), strays)


def judged(service: Service, answers: Sequence[Answer]) -> tuple[list[Answer], int]:
    """Return the accepted answers, and how many were refused.

    Args:
        service: Who answered.
        answers: Its answers.

    Raises:
        EnvironmentFailure: If an answer is neither.
    """
    accepted = [answer for answer in answers if answer.status in ACCEPTED]
    refused = [answer for answer in answers if answer.status == REFUSED]
    for answer in answers:
        if answer.status not in ACCEPTED and answer.status != REFUSED:
            raise EnvironmentFailure(
                f"{service.spec.name} neither accepted nor refused a request",
                why=f"it answered {answer.status}: {answer.body.decode(errors='replace')}",
                hint="Fewer clients: --set clients=4",
            )
    return accepted, len(refused)
