"""Every SQL statement of the project, built once, with bind parameters.

They select columns instead of entities: no endpoint needs an identity map, and a statement that is built at import is
compiled once and found in SQLAlchemy's cache by identity afterwards. Names in `bindparam` are the keyword names that
endpoints pass.
"""

from sqlalchemy import ARRAY
from sqlalchemy import BigInteger
from sqlalchemy import Double
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy import Table
from sqlalchemy import bindparam
from sqlalchemy import case
from sqlalchemy import column
from sqlalchemy import delete
from sqlalchemy import func
from sqlalchemy import select
from sqlalchemy import text
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from .models import WORLD_ROWS
from .models import Account
from .models import Base
from .models import Fortune
from .models import Transfer
from .models import World


def _table(entity: type[Base]) -> Table:
    """Return the table behind a mapped class, typed as what it is for plain mappings."""
    table = entity.__table__
    assert isinstance(table, Table)
    return table


_world = _table(World)
_fortune = _table(Fortune)
_accounts = _table(Account)
_transfers = _table(Transfer)

SELECT_WORLD = select(_world.c.id, _world.c.randomnumber).where(_world.c.id == bindparam("id"))
LOCK_WORLD = SELECT_WORLD.with_for_update()
# One statement whatever the number of rows: the same SQL text, and one round trip, in both drivers.
_new = (
    func.unnest(
        bindparam("ids", type_=ARRAY(Integer)),
        bindparam("numbers", type_=ARRAY(Integer)),
    )
    .table_valued(column("id", Integer), column("number", Integer), name="new")
    .render_derived()
)
UPDATE_WORLDS = update(_world).values(randomnumber=_new.c.number).where(_world.c.id == _new.c.id)

SELECT_FORTUNES = select(_fortune.c.id, _fortune.c.message)

SELECT_ACCOUNT = select(_accounts).where(_accounts.c.id == bindparam("id"))
LOCK_ACCOUNT = SELECT_ACCOUNT.with_for_update()
SELECT_ACCOUNTS_PAGE = (
    select(_accounts).where(_accounts.c.id > bindparam("after")).order_by(_accounts.c.id).limit(bindparam("limit"))
)
# Locked in the order of their ids, so that opposite transfers cannot deadlock.
LOCK_TWO_ACCOUNTS = (
    select(_accounts.c.id, _accounts.c.balance)
    .where(_accounts.c.id.in_([bindparam("source_id", type_=BigInteger), bindparam("target_id", type_=BigInteger)]))
    .order_by(_accounts.c.id)
    .with_for_update()
)
INSERT_ACCOUNT = (
    insert(_accounts)
    .values(
        owner=bindparam("owner"),
        balance=bindparam("balance"),
        version=1,
        created_at=bindparam("created_at"),
    )
    .returning(*_accounts.c)
)
RENAME_ACCOUNT = (
    update(_accounts)
    .where(_accounts.c.id == bindparam("account_id"), _accounts.c.version == bindparam("expected_version"))
    .values(owner=bindparam("new_owner"), version=_accounts.c.version + 1)
    .returning(*_accounts.c)
)
DELETE_ACCOUNT = delete(_accounts).where(_accounts.c.id == bindparam("account_id")).returning(_accounts.c.id)

ADD_TO_BALANCE = (
    update(_accounts)
    .where(_accounts.c.id == bindparam("account_id"))
    .values(
        balance=_accounts.c.balance + bindparam("amount", type_=BigInteger),
        version=_accounts.c.version + 1,
    )
    .returning(*_accounts.c)
)
SET_BALANCE = (
    update(_accounts)
    .where(_accounts.c.id == bindparam("account_id"))
    .values(balance=bindparam("new_balance", type_=BigInteger), version=_accounts.c.version + 1)
    .returning(*_accounts.c)
)
SET_BALANCE_OF_VERSION = SET_BALANCE.where(_accounts.c.version == bindparam("expected_version"))
MOVE_BALANCE = (
    update(_accounts)
    .where(_accounts.c.id.in_([bindparam("source_id", type_=BigInteger), bindparam("target_id", type_=BigInteger)]))
    .values(
        balance=_accounts.c.balance
        + case(
            (_accounts.c.id == bindparam("source_id", type_=BigInteger), -bindparam("amount", type_=BigInteger)),
            else_=bindparam("amount", type_=BigInteger),
        ),
        version=_accounts.c.version + 1,
    )
)
SELECT_TRANSFER_OF_KEY = select(_transfers).where(
    _transfers.c.idempotency_key == bindparam("idempotency_key", type_=String)
)
INSERT_TRANSFER = (
    insert(_transfers)
    .values(
        source_id=bindparam("source_id"),
        target_id=bindparam("target_id"),
        amount=bindparam("amount"),
        idempotency_key=bindparam("idempotency_key"),
        created_at=bindparam("created_at"),
    )
    .on_conflict_do_nothing(index_elements=[_transfers.c.idempotency_key])
    .returning(*_transfers.c)
)

SLEEP = select(func.pg_sleep(bindparam("seconds", type_=Double)))
SERVER_VERSION = text("SHOW server_version")

# A server-side cursor spelt out, because the drivers' own (a named cursor here, a portal there) send different
# statements for the same rows.
STREAM_BATCH_ROWS = 1_000
DECLARE_STREAM = text(
    "DECLARE stream NO SCROLL CURSOR FOR "
    "SELECT world.id, world.randomnumber FROM generate_series(0, :rows - 1) AS series (n) "
    "JOIN world ON world.id = 1 + series.n % :world_rows ORDER BY series.n"
).bindparams(bindparam("rows", type_=Integer), bindparam("world_rows", WORLD_ROWS, type_=Integer))
FETCH_STREAM = text(f"FETCH {STREAM_BATCH_ROWS} FROM stream")
