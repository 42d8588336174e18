"""What goes in and what comes out: pydantic models for parameters, bodies and answers.

A parameter model says of each field where in the request it stands; bodies are strict (a number is a number, not its
text), path and query are text by nature and are converted.
"""

import re
from collections.abc import AsyncIterator
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated
from typing import Generic
from typing import Literal
from typing import Self
from typing import TypeVar

from pydantic import BaseModel
from pydantic import BeforeValidator
from pydantic import ConfigDict
from pydantic import Field
from pydantic import StringConstraints
from pydantic import WithJsonSchema
from pydantic import model_validator
from typing_extensions import TypedDict

Chunks = TypeVar("Chunks", Iterator[bytes], AsyncIterator[bytes])

MAX_QUERIES = 500
MAX_BIGINT = 2**63 - 1
MAX_AMOUNT = 10**12
MAX_BYTES_SIZE = 64 * 1_048_576


class In(Enum):
    """Where in a request a parameter stands."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    BODY = "body"
    # Not the client's: the parity check's seed, honoured only with its token.
    SEED = "seed"


def _clamped_queries(value: object) -> int:
    """Read `queries` by TechEmpower's rule: not an integer is 1, the rest is clamped to 1..500."""
    text = str(value)
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return 1
    # Beyond 9 digits only the sign matters; converting more is work an attacker chooses.
    number = int(text) if len(text) < 10 else (-1 if text.startswith("-") else MAX_QUERIES)
    return min(max(number, 1), MAX_QUERIES)


Seed = Annotated[int | None, In.SEED]
Queries = Annotated[
    int,
    BeforeValidator(_clamped_queries),
    WithJsonSchema({"type": "string", "description": "1 to 500; clamped, and 1 when missing or not an integer"}),
    In.QUERY,
]
# No NUL: PostgreSQL's text cannot hold it.
Owner = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Balance = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
Id = Annotated[int, Field(ge=1, le=MAX_BIGINT)]
Wait = Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)]
Strategy = Literal["naive", "atomic", "locked", "versioned", "serializable"]


class Parameters(BaseModel):
    """Root of all parameter models."""

    model_config = ConfigDict(frozen=True)


class Body(BaseModel):
    """Root of all request bodies: strict, and unknown members are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Answer(BaseModel):
    """Root of all answers; checked once more when it is sent, because model_construct makes instances unchecked."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")


class NoParameters(Parameters):
    """Nothing is read from the request."""


class SeededParameters(Parameters):
    """Random numbers come from the seed where the parity check gives one."""

    seed: Seed = None


class QueriesParameters(SeededParameters):
    """How many rows."""

    queries: Queries = 1


class World(TypedDict):
    """A row of `world`. A dictionary, because 500 of them are one answer."""

    id: int
    randomNumber: int


class Message(TypedDict):
    """A greeting. A dictionary, because a model of one member costs more than all else that /json does."""

    message: str


# A fortune's id and message: a pair, because nothing but the page's template reads it.
Fortune = tuple[int, str]


class PageParameters(Parameters):
    """A keyset page: at most `limit` accounts with ids beyond `after`."""

    limit: Annotated[int, Field(ge=1, le=100), In.QUERY] = 20
    after: Annotated[int, Field(ge=0, le=MAX_BIGINT), In.QUERY] = 0


class NewAccount(Body):
    """An account to open."""

    owner: Owner
    balance: Balance


class CreateAccountParameters(SeededParameters):
    """The account to open."""

    body: Annotated[NewAccount, In.BODY]


class AccountParameters(Parameters):
    """Which account."""

    id: Annotated[Id, In.PATH]


class AccountChange(Body):
    """A new owner, for the version of the account that the client has seen."""

    owner: Owner
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class ChangeAccountParameters(AccountParameters):
    """Which account, and its change."""

    body: Annotated[AccountChange, In.BODY]


class Account(Answer):
    """An account; the balance is in minor units."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    owner: str
    balance: Annotated[int, Field(ge=0)]
    version: int
    created_at: datetime


class AccountPage(Answer):
    """Accounts in the order of their ids; `next` is the `after` of the next page, null on the last."""

    accounts: list[Account]
    next: int | None


class NewTransfer(Body):
    """A movement of money, in minor units."""

    source_id: Id
    target_id: Id
    amount: Amount

    @model_validator(mode="after")
    def _two_accounts(self) -> Self:
        if self.source_id == self.target_id:
            raise ValueError("source_id and target_id must differ")
        return self


class CreateTransferParameters(SeededParameters):
    """The transfer, and the key that makes a repeated request one transfer."""

    idempotency_key: Annotated[
        str | None,
        Field(alias="Idempotency-Key"),
        StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$"),
        In.HEADER,
    ] = None
    body: Annotated[NewTransfer, In.BODY]


class Transfer(Answer):
    """A transfer that was made."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")

    id: int
    source_id: int
    target_id: int
    amount: int
    created_at: datetime


class Deposit(Body):
    """An amount to add, and how the addition is made safe (or not)."""

    amount: Amount
    strategy: Strategy


class DepositParameters(AccountParameters):
    """Which account, and the deposit."""

    body: Annotated[Deposit, In.BODY]


@dataclass(frozen=True, slots=True)
class BodyBytes:
    """A body as it came, with its content type."""

    __pydantic_config__ = ConfigDict(revalidate_instances="always")

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class BodyStream(Generic[Chunks]):
    """A body that is read as it arrives."""

    chunks: Chunks


class Upload(Answer):
    """What arrived: its size in bytes and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class StreamParameters(Parameters):
    """How many rows."""

    rows: Annotated[int, Field(ge=1, le=1_000_000), In.QUERY]


class SizeParameters(Parameters):
    """How many bytes."""

    size: Annotated[int, Field(ge=0, le=MAX_BYTES_SIZE), In.QUERY]


class WaitParameters(Parameters):
    """How long, in seconds."""

    seconds: Annotated[Wait, In.QUERY]


class Waited(Answer):
    """How long was waited, in seconds, as asked for."""

    seconds: float


class CpuParameters(Parameters):
    """How many rounds."""

    iterations: Annotated[int, Field(ge=1, le=10_000_000), In.QUERY]


class Cpu(Answer):
    """The rounds and their result."""

    iterations: int
    result: int


class Status(Answer):
    """The state of the process."""

    status: Literal["ok"]


class DatabaseHealth(Answer):
    """The database's version and how long it took to say so, in seconds."""

    status: Literal["ok"]
    server_version: str
    latency_s: float


class PoolTotals(Answer):
    """What the pool did since the process started."""

    connects: int
    checkouts: int
    timeouts: int
    wait_s_sum: float
    wait_s_histogram: dict[str, int]
    hold_s_by_endpoint: dict[str, float]


class Pool(Answer):
    """This process's pool now."""

    size: int
    checked_out: int
    idle: int
    overflow: int
    waiting: int
    totals: PoolTotals


class TraceReader(Parameters):
    """Who reads traces: what tells that it may."""

    trace_token: Annotated[str | None, Field(alias="X-Trace-Token"), In.HEADER] = None
    host: Annotated[str | None, Field(alias="Host"), In.HEADER] = None


class TraceListParameters(TraceReader):
    """How many traces."""

    limit: Annotated[int, Field(ge=1, le=100), In.QUERY] = 20


class TraceParameters(TraceReader):
    """Which trace."""

    trace_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$"), In.PATH]


class FieldError(TypedDict):
    """One thing that is wrong in a request: where, what, and pydantic's name for it."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldError] | None = None
