"""MariaDB's counterparts of the statements that only PostgreSQL understands; every other one runs as it is.

Each takes the same parameters, is one round trip, and returns the same rows. Two means are used throughout:

- MariaDB has RETURNING for INSERT and DELETE; UPDATE got it with 13.0. Here an anonymous block (`BEGIN NOT ATOMIC ...
  END`, no transaction of its own) changes the row and then selects it; ROW_COUNT() tells whether there was one.
- Its protocol keeps no cursor open over several text statements. Variables of the session hold a stream's place.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Double
from sqlalchemy import Executable
from sqlalchemy import Integer
from sqlalchemy import Table
from sqlalchemy import bindparam
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text

from .. import statements
from ..models import WORLD_ROWS
from ..models import Account
from ..models import Base
from ..models import Transfer


def _table(entity: type[Base]) -> Table:
    table = entity.__table__
    assert isinstance(table, Table)
    return table


_accounts = _table(Account).c
_transfers = _table(Transfer).c

# JSON_TABLE stands for unnest: the same text and one round trip whatever the number of rows. The join is straight so
# that the few new numbers look up their rows, and not the other way round.
UPDATE_WORLDS = text(
    "UPDATE JSON_TABLE(:pairs, '$[*]' COLUMNS (id INT PATH '$[0]', number INT PATH '$[1]')) AS new "
    "STRAIGHT_JOIN world ON world.id = new.id SET world.randomnumber = new.number"
)

RENAME_ACCOUNT = text(
    "BEGIN NOT ATOMIC "
    "UPDATE accounts SET owner = :new_owner, version = version + 1 "
    "WHERE id = :account_id AND version = :expected_version; "
    "SELECT id, owner, balance, version, created_at FROM accounts WHERE id = :account_id AND ROW_COUNT() > 0; "
    "END"
).columns(*_accounts)
ADD_TO_BALANCE = text(
    "BEGIN NOT ATOMIC "
    "UPDATE accounts SET balance = balance + :amount, version = version + 1 WHERE id = :account_id; "
    "SELECT id, owner, balance, version, created_at FROM accounts WHERE id = :account_id AND ROW_COUNT() > 0; "
    "END"
).columns(*_accounts)
SET_BALANCE = text(
    "BEGIN NOT ATOMIC "
    "UPDATE accounts SET balance = :new_balance, version = version + 1 WHERE id = :account_id; "
    "SELECT id, owner, balance, version, created_at FROM accounts WHERE id = :account_id AND ROW_COUNT() > 0; "
    "END"
).columns(*_accounts)
SET_BALANCE_OF_VERSION = text(
    "BEGIN NOT ATOMIC "
    "UPDATE accounts SET balance = :new_balance, version = version + 1 "
    "WHERE id = :account_id AND version = :expected_version; "
    "SELECT id, owner, balance, version, created_at FROM accounts WHERE id = :account_id AND ROW_COUNT() > 0; "
    "END"
).columns(*_accounts)

# IGNORE forgives more than a key that is there already. Nothing else can go wrong with this row: its accounts are
# locked, and its values were checked before.
INSERT_TRANSFER = text(
    "INSERT IGNORE INTO transfers (source_id, target_id, amount, idempotency_key, created_at) "
    "VALUES (:source_id, :target_id, :amount, :idempotency_key, :created_at) "
    "RETURNING id, source_id, target_id, amount, idempotency_key, created_at"
).bindparams(bindparam("created_at", type_=_transfers.created_at.type))
INSERT_TRANSFER_ROWS = INSERT_TRANSFER.columns(*_transfers)

SLEEP = select(func.sleep(bindparam("seconds", type_=Double)))
SERVER_VERSION = text("SELECT VERSION()")

DECLARE_STREAM = text("SET @stream_rows = :rows, @stream_sent = 0").bindparams(bindparam("rows", type_=Integer))
# A block as well: the rows, and the place behind them. The sequence engine's table has one row for each number in its
# name.
FETCH_STREAM = text(
    "BEGIN NOT ATOMIC "  # noqa: S608 - put together from constants
    "SELECT world.id, world.randomnumber "
    f"FROM seq_0_to_{statements.STREAM_BATCH_ROWS - 1} AS series "
    f"STRAIGHT_JOIN world ON world.id = 1 + MOD(@stream_sent + series.seq, {WORLD_ROWS}) "
    "WHERE @stream_sent + series.seq < @stream_rows ORDER BY series.seq; "
    f"SET @stream_sent = @stream_sent + {statements.STREAM_BATCH_ROWS}; "
    "END"
)

COUNTERPARTS: Mapping[Executable, Executable] = {
    statements.UPDATE_WORLDS: UPDATE_WORLDS,
    statements.RENAME_ACCOUNT: RENAME_ACCOUNT,
    statements.ADD_TO_BALANCE: ADD_TO_BALANCE,
    statements.SET_BALANCE: SET_BALANCE,
    statements.SET_BALANCE_OF_VERSION: SET_BALANCE_OF_VERSION,
    statements.INSERT_TRANSFER: INSERT_TRANSFER_ROWS,
    statements.SLEEP: SLEEP,
    statements.SERVER_VERSION: SERVER_VERSION,
    statements.DECLARE_STREAM: DECLARE_STREAM,
    statements.FETCH_STREAM: FETCH_STREAM,
}


def counterpart(connection: Any, statement: Any, many: Any, values: Any, options: Any) -> tuple[Any, Any, Any]:
    """Return what is executed in the place of a statement: an engine's `before_execute`, with a value returned."""
    if statement is statements.UPDATE_WORLDS:
        values = {"pairs": json.dumps(list(zip(values["ids"], values["numbers"], strict=True)))}
    return COUNTERPARTS.get(statement, statement), many, values
