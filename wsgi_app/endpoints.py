"""The endpoints: one function for each entry of the contract, (session, parameters) -> what is answered.

The first argument is what the entry says it needs: a session, the process's database, or nothing.
"""

from contextlib import suppress
from hashlib import sha256
from operator import itemgetter

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import IntegrityError

from shared import draws
from shared import metrics as counters
from shared import openapi as description
from shared import pages
from shared import schemas
from shared import serialization
from shared import statements
from shared import work
from shared.errors import Conflict
from shared.errors import Draining
from shared.errors import InvalidRequest
from shared.errors import NotFound
from shared.errors import PoolTimeout
from shared.errors import is_serialization_failure
from shared.trace.document import TraceDocument
from shared.trace.document import TraceList

from .concurrency import Chunks
from .concurrency import Session
from .concurrency import each
from .concurrency import pause
from .database import Database
from .database import begin
from .traces import find
from .traces import readable

# A serializable deposit that loses is repeated at most this often.
SERIALIZABLE_RETRIES = 3


def plaintext(nothing: None, parameters: schemas.NoParameters) -> str:
    """Answer a fixed text."""
    return "Hello, World!"


def json(nothing: None, parameters: schemas.NoParameters) -> schemas.Message:
    """Serialise a new object."""
    return schemas.Message(message="Hello, World!")


def db(session: Session, parameters: schemas.SeededParameters) -> schemas.World:
    """Read one random row."""
    (id,) = draws.ids(parameters.seed, 1)
    result = session.execute(statements.SELECT_WORLD, {"id": id})
    row = result.one()
    return {"id": row[0], "randomNumber": row[1]}


def queries(session: Session, parameters: schemas.QueriesParameters) -> list[schemas.World]:
    """Read N random rows, one SELECT each."""
    connection = session.connection()
    worlds: list[schemas.World] = []
    for id in draws.ids(parameters.seed, parameters.queries):
        result = connection.execute(statements.SELECT_WORLD, {"id": id})
        row = result.one()
        worlds.append({"id": row[0], "randomNumber": row[1]})
    return worlds


def updates(session: Session, parameters: schemas.QueriesParameters) -> list[schemas.World]:
    """Read N random rows and write them with new numbers."""
    begin(session)
    connection = session.connection()
    ids = draws.distinct_ids(parameters.seed, parameters.queries)
    numbers = draws.numbers(parameters.seed, parameters.queries)
    for id in ids:
        result = connection.execute(statements.LOCK_WORLD, {"id": id})
        result.one()
    connection.execute(statements.UPDATE_WORLDS, {"ids": ids, "numbers": numbers})
    return [{"id": id, "randomNumber": number} for id, number in zip(ids, numbers, strict=True)]


def fortunes(session: Session, parameters: schemas.NoParameters) -> list[schemas.Fortune]:
    """Render all fortunes and one more, sorted, as an HTML table."""
    result = session.execute(statements.SELECT_FORTUNES)
    rows: list[schemas.Fortune] = [(number, message) for number, message in result.all()]
    rows.append((0, "Additional fortune added at request time."))
    rows.sort(key=itemgetter(1))
    return rows


def sleep(session: Session, parameters: schemas.WaitParameters) -> schemas.Waited:
    """Let the database wait: a slow query."""
    session.execute(statements.SLEEP, {"seconds": parameters.seconds})
    return schemas.Waited(seconds=parameters.seconds)


def wait(nothing: None, parameters: schemas.WaitParameters) -> schemas.Waited:
    """Wait without a connection, in the edition's own way."""
    pause(parameters.seconds)
    return schemas.Waited(seconds=parameters.seconds)


def cpu(nothing: None, parameters: schemas.CpuParameters) -> schemas.Cpu:
    """Compute in pure Python, holding the interpreter lock."""
    return schemas.Cpu(iterations=parameters.iterations, result=work.churn(parameters.iterations))


def blocking(nothing: None, parameters: schemas.WaitParameters) -> schemas.Waited:
    """Block by time.sleep: the classic mistake in async code."""
    work.block(parameters.seconds)
    return schemas.Waited(seconds=parameters.seconds)


def list_accounts(session: Session, parameters: schemas.PageParameters) -> schemas.AccountPage:
    """List accounts by keyset pages."""
    # One row more than asked for tells whether there is a next page.
    values = {"after": parameters.after, "limit": parameters.limit + 1}
    result = session.execute(statements.SELECT_ACCOUNTS_PAGE, values)
    accounts = [schemas.Account.model_validate(row) for row in result]
    page = accounts[: parameters.limit]
    return schemas.AccountPage(accounts=page, next=page[-1].id if len(accounts) > len(page) else None)


def create_account(session: Session, parameters: schemas.CreateAccountParameters) -> schemas.Account:
    """Open an account."""
    begin(session)
    values = {
        "owner": parameters.body.owner,
        "balance": parameters.body.balance,
        "created_at": draws.now(parameters.seed),
    }
    result = session.execute(statements.INSERT_ACCOUNT, values)
    return schemas.Account.model_validate(result.one())


def read_account(session: Session, parameters: schemas.AccountParameters) -> schemas.Account:
    """Read an account."""
    result = session.execute(statements.SELECT_ACCOUNT, {"id": parameters.id})
    row = result.one_or_none()
    if row is None:
        raise NotFound("No account has this id")
    return schemas.Account.model_validate(row)


def change_account(session: Session, parameters: schemas.ChangeAccountParameters) -> schemas.Account:
    """Change an account's owner, unless it has changed."""
    begin(session)
    values = {
        "account_id": parameters.id,
        "new_owner": parameters.body.owner,
        "expected_version": parameters.body.version,
    }
    result = session.execute(statements.RENAME_ACCOUNT, values)
    row = result.one_or_none()
    if row is not None:
        return schemas.Account.model_validate(row)
    account = read_account(session, parameters)
    raise Conflict(f"The account is at version {account.version}, not {parameters.body.version}")


def delete_account(session: Session, parameters: schemas.AccountParameters) -> None:
    """Close an account that no transfer refers to."""
    begin(session)
    try:
        result = session.execute(statements.DELETE_ACCOUNT, {"account_id": parameters.id})
    except IntegrityError as error:
        raise Conflict("Transfers refer to this account") from error
    if result.one_or_none() is None:
        raise NotFound("No account has this id")


def deposit(session: Session, parameters: schemas.DepositParameters) -> schemas.Account:
    """Add to a balance by one of five strategies."""
    match parameters.body.strategy:
        case "naive":
            begin(session)
            account = read_account(session, parameters)
            return set_balance(session, parameters, account)
        case "atomic":
            begin(session)
            values = {"account_id": parameters.id, "amount": parameters.body.amount}
            result = session.execute(statements.ADD_TO_BALANCE, values)
            row = result.one_or_none()
            if row is None:
                raise NotFound("No account has this id")
            return schemas.Account.model_validate(row)
        case "locked":
            begin(session)
            account = lock_account(session, parameters)
            return set_balance(session, parameters, account)
        case "versioned":
            begin(session)
            account = read_account(session, parameters)
            return set_balance_of_version(session, parameters, account)
        case "serializable":
            return deposit_serializable(session, parameters)


def deposit_serializable(session: Session, parameters: schemas.DepositParameters) -> schemas.Account:
    """Read, add and write in a serializable transaction, repeated when it loses."""
    for attempt in range(SERIALIZABLE_RETRIES + 1):
        try:
            begin(session, "SERIALIZABLE")
            account = read_account(session, parameters)
            changed = set_balance(session, parameters, account)
            # Committed here, because a serializable transaction may be refused as late as that.
            session.commit()
            return changed
        except DBAPIError as error:
            if attempt == SERIALIZABLE_RETRIES or not is_serialization_failure(error):
                raise
            session.rollback()
            # Losers that repeat at once meet again; a random pause parts them.
            pause(draws.jitter(attempt))
    raise AssertionError("the last attempt returns or raises")


def lock_account(session: Session, parameters: schemas.DepositParameters) -> schemas.Account:
    """Read an account and keep everybody else from changing it until the transaction ends."""
    result = session.execute(statements.LOCK_ACCOUNT, {"id": parameters.id})
    row = result.one_or_none()
    if row is None:
        raise NotFound("No account has this id")
    return schemas.Account.model_validate(row)


def set_balance(
    session: Session,
    parameters: schemas.DepositParameters,
    account: schemas.Account,
) -> schemas.Account:
    """Write the balance that was added up here, whatever the row holds by now."""
    values = {"account_id": account.id, "new_balance": account.balance + parameters.body.amount}
    result = session.execute(statements.SET_BALANCE, values)
    return schemas.Account.model_validate(result.one())


def set_balance_of_version(
    session: Session,
    parameters: schemas.DepositParameters,
    account: schemas.Account,
) -> schemas.Account:
    """Write the balance that was added up here, unless the row has changed since."""
    values = {
        "account_id": account.id,
        "new_balance": account.balance + parameters.body.amount,
        "expected_version": account.version,
    }
    result = session.execute(statements.SET_BALANCE_OF_VERSION, values)
    row = result.one_or_none()
    if row is None:
        raise Conflict("The account changed meanwhile; send the deposit again")
    return schemas.Account.model_validate(row)


def create_transfer(session: Session, parameters: schemas.CreateTransferParameters) -> schemas.Transfer:
    """Move money between two accounts, once per key."""
    begin(session)
    body = parameters.body
    if parameters.idempotency_key is not None:
        first = find_transfer(session, parameters)
        if first is not None:
            return first
    accounts = {"source_id": body.source_id, "target_id": body.target_id}
    result = session.execute(statements.LOCK_TWO_ACCOUNTS, accounts)
    balances = {row.id: row.balance for row in result}
    for id in (body.source_id, body.target_id):
        if id not in balances:
            raise NotFound(f"No account has the id {id}")
    values = {
        **accounts,
        "amount": body.amount,
        "idempotency_key": parameters.idempotency_key,
        "created_at": draws.now(parameters.seed),
    }
    result = session.execute(statements.INSERT_TRANSFER, values)
    row = result.one_or_none()
    if row is None:
        # The same key was sent at the same time, and the other request has won.
        first = find_transfer(session, parameters)
        if first is None:
            raise Conflict("A request with this key was undone meanwhile; send it again")
        return first
    # Judged after the insert: a repeated request gets its first result, however little is left.
    if balances[body.source_id] < body.amount:
        raise Conflict("The source account has insufficient funds")
    session.execute(statements.MOVE_BALANCE, {**accounts, "amount": body.amount})
    return schemas.Transfer.model_validate(row)


def find_transfer(
    session: Session,
    parameters: schemas.CreateTransferParameters,
) -> schemas.Transfer | None:
    """Return the transfer that a key has made already; the same key with another body is refused."""
    values = {"idempotency_key": parameters.idempotency_key}
    result = session.execute(statements.SELECT_TRANSFER_OF_KEY, values)
    row = result.one_or_none()
    if row is None:
        return None
    first = schemas.Transfer.model_validate(row)
    body = parameters.body
    if (first.source_id, first.target_id, first.amount) != (body.source_id, body.target_id, body.amount):
        raise InvalidRequest(
            "This Idempotency-Key was sent before with another body",
            errors=[{"loc": ["header", "Idempotency-Key"], "msg": "used with another body", "type": "key_reused"}],
        )
    return first


def echo(nothing: None, parameters: schemas.BodyBytes) -> schemas.BodyBytes:
    """Answer the body's bytes with its content type."""
    return parameters


def upload(nothing: None, parameters: schemas.BodyStream[Chunks]) -> schemas.Upload:
    """Consume a body as it arrives and tell its size and SHA-256."""
    size = 0
    digest = sha256()
    for chunk in parameters.chunks:
        size += len(chunk)
        digest.update(chunk)
    return schemas.Upload(bytes=size, sha256=digest.hexdigest())


def stream(session: Session, parameters: schemas.StreamParameters) -> Chunks:
    """Send N rows as NDJSON while the cursor is read."""
    begin(session)
    connection = session.connection()
    connection.execute(statements.DECLARE_STREAM, {"rows": parameters.rows})
    sent = 0
    while sent < parameters.rows:
        result = connection.execute(statements.FETCH_STREAM)
        rows = result.all()
        yield serialization.worlds_as_ndjson(rows)
        sent += len(rows)


def pattern(nothing: None, parameters: schemas.SizeParameters) -> Chunks:
    """Answer N bytes of a fixed pattern."""
    for chunk in each(work.pattern(parameters.size)):
        yield chunk


def livez(nothing: None, parameters: schemas.NoParameters) -> schemas.Status:
    """Tell that the process can answer."""
    return schemas.Status(status="ok")


def readyz(database: Database, parameters: schemas.NoParameters) -> schemas.Status:
    """Tell whether requests should be sent here."""
    if database.is_draining:
        raise Draining("The process is stopping")
    # Busy is not broken: connections that work for others show that the database is reachable.
    with suppress(PoolTimeout):
        database.probe()
    return schemas.Status(status="ok")


def health_db(database: Database, parameters: schemas.NoParameters) -> schemas.DatabaseHealth:
    """Tell whether the database answers, and how fast."""
    return database.probe()


def pool(database: Database, parameters: schemas.NoParameters) -> schemas.Pool:
    """Tell the state of this process's pool."""
    return database.pool()


def metrics(database: Database, parameters: schemas.NoParameters) -> str:
    """Tell the service's counters in Prometheus text."""
    return counters.exposition()


def openapi(database: Database, parameters: schemas.NoParameters) -> str:
    """Describe this contract as OpenAPI 3.1."""
    return description.document(lab=database.settings.lab, trace=database.settings.is_tracing)


def docs(nothing: None, parameters: schemas.NoParameters) -> str:
    """Show this contract in Swagger UI."""
    return pages.documentation()


def list_traces(database: Database, parameters: schemas.TraceListParameters) -> TraceList:
    """List the recent traces, latest first."""
    store = readable(database.settings, parameters)
    return {"traces": store.recent(parameters.limit)}


def read_trace(database: Database, parameters: schemas.TraceParameters) -> TraceDocument:
    """Show one request from bytes in to bytes out."""
    store = readable(database.settings, parameters)
    return find(store, parameters.trace_id)
