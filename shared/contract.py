"""The contract, once: every endpoint with its method, path, models, errors and purpose.

Routes, validation, the OpenAPI document, the parity check and the load scenarios are all built from `CONTRACT`. A new
endpoint is one entry here and one function of the same name in each edition's `endpoints.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from operator import attrgetter
from typing import Any
from typing import Literal

from . import errors
from . import pages
from . import schemas
from .errors import RequestError
from .trace.document import TraceDocument
from .trace.document import TraceList

Needs = Literal["nothing", "session", "database"]
BodyKind = Literal["none", "json", "bytes", "stream"]
# What a request spends its time on: one name for scenarios that are measured together.
LoadGroup = Literal["bytes", "database", "waiting", "cpu"]

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
NDJSON = "application/x-ndjson"
BYTES = "application/octet-stream"
METRICS = "text/plain; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One entry of the contract.

    Attributes:
        name: Name of the function in both editions' `endpoints.py`.
        section: Heading it stands under in the documents.
        method: HTTP method; GET implies HEAD.
        path: Path template, parameters in braces.
        summary: Its purpose in one sentence.
        answer: Type of what the function returns, checked on every response.
        parameters: Model of path, query, header and body parameters.
        needs: What the function's first argument is.
        body: How the request's body reaches the function.
        content_type: Of the answer; "" where the function's result carries its own.
        render: Turns a result that is no JSON into bytes; None for JSON and for bytes as they are.
        status: Of a success.
        location: Template of the Location header, filled from the answer.
        streams: Whether the answer is an iterator of byte chunks.
        length: Of a streamed answer, in bytes, where the parameters tell it.
        raises: Problems it can answer, beyond those that any request can.
        headers: Header fields of a success beside content type and length.
        measured: Members of the answer that are measurements, so that two right answers differ in their values.
        is_lab_only: Whether it exists only where LAB=1.
        is_trace_only: Whether it exists only where requests may be traced.
        is_answer_public: Whether nothing in a success comes from a client, this one or another, so that a trace may
            show it.
        load: Targets worth loading, as written on the request line.
        group: Group of scenarios that they belong to; None without targets.
    """

    name: str
    section: str
    method: str
    path: str
    summary: str
    answer: Any
    parameters: type[Any] = schemas.NoParameters
    needs: Needs = "nothing"
    body: BodyKind = "none"
    content_type: str = JSON
    render: Callable[[Any], bytes] | None = None
    status: int = 200
    location: str = ""
    streams: bool = False
    length: Callable[[Any], int] | None = None
    raises: tuple[type[RequestError], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    measured: frozenset[str] = field(default_factory=frozenset)
    is_lab_only: bool = False
    is_trace_only: bool = False
    is_answer_public: bool = False
    load: tuple[str, ...] = ()
    group: LoadGroup | None = None


COMMON = "Common set"
LEDGER = "Ledger"
RAW = "Bytes"
WAITING = "Waiting and working"
OPERATIONS = "Operations"

DATABASE_PROBLEMS = (errors.PoolTimeout, errors.DatabaseUnavailable, errors.StatementTimeout)
# A browser must never take a body that a client chose for something to run.
NO_SNIFF = ("X-Content-Type-Options", "nosniff")

CONTRACT: tuple[Endpoint, ...] = (
    Endpoint(
        "plaintext", COMMON, "GET", "/plaintext", "Answer a fixed text.", str,
        content_type=TEXT, render=str.encode, load=("/plaintext",), group="bytes", is_answer_public=True,
    ),
    Endpoint(
        "json", COMMON, "GET", "/json", "Serialise a new object.", schemas.Message,
        load=("/json",), group="bytes", is_answer_public=True,
    ),
    Endpoint(
        "db", COMMON, "GET", "/db", "Read one random row.", schemas.World,
        schemas.SeededParameters, "session", raises=DATABASE_PROBLEMS, load=("/db",), group="database",
        is_answer_public=True,
    ),
    Endpoint(
        "queries", COMMON, "GET", "/queries", "Read N random rows, one SELECT each.", list[schemas.World],
        schemas.QueriesParameters, "session", raises=DATABASE_PROBLEMS, load=("/queries?queries=20",), group="database",
        is_answer_public=True,
    ),
    Endpoint(
        "updates", COMMON, "GET", "/updates", "Read N random rows and write them with new numbers.",
        list[schemas.World], schemas.QueriesParameters, "session",
        raises=(*DATABASE_PROBLEMS, errors.Conflict), load=("/updates?queries=5",), group="database",
        is_answer_public=True,
    ),
    Endpoint(
        "fortunes", COMMON, "GET", "/fortunes", "Render all fortunes and one more, sorted, as an HTML table.",
        list[schemas.Fortune], schemas.NoParameters, "session",
        content_type=HTML, render=pages.fortunes, raises=DATABASE_PROBLEMS, load=("/fortunes",), group="database",
        is_answer_public=True,
    ),
    Endpoint(
        "sleep", WAITING, "GET", "/sleep", "Let the database wait: a slow query.", schemas.Waited,
        schemas.WaitParameters, "session", raises=DATABASE_PROBLEMS, load=("/sleep?seconds=0.05",), group="waiting",
    ),
    Endpoint(
        "wait", WAITING, "GET", "/wait", "Wait without a connection, in the edition's own way.", schemas.Waited,
        schemas.WaitParameters, load=("/wait?seconds=0.05",), group="waiting",
    ),
    Endpoint(
        "cpu", WAITING, "GET", "/cpu", "Compute in pure Python, holding the interpreter lock.", schemas.Cpu,
        schemas.CpuParameters, load=("/cpu?iterations=10000",), group="cpu",
    ),
    Endpoint(
        "blocking", WAITING, "GET", "/blocking", "Block by time.sleep: the classic mistake in async code.",
        schemas.Waited, schemas.WaitParameters, is_lab_only=True,
    ),
    Endpoint(
        "list_accounts", LEDGER, "GET", "/accounts", "List accounts by keyset pages.", schemas.AccountPage,
        schemas.PageParameters, "session", raises=DATABASE_PROBLEMS, load=("/accounts?limit=20",), group="database",
    ),
    Endpoint(
        "create_account", LEDGER, "POST", "/accounts", "Open an account.", schemas.Account,
        schemas.CreateAccountParameters, "session", "json", status=201, location="/accounts/{id}",
        raises=DATABASE_PROBLEMS,
    ),
    Endpoint(
        "read_account", LEDGER, "GET", "/accounts/{id}", "Read an account.", schemas.Account,
        schemas.AccountParameters, "session", raises=(*DATABASE_PROBLEMS, errors.NotFound), load=("/accounts/1",),
        group="database",
    ),
    Endpoint(
        "change_account", LEDGER, "PATCH", "/accounts/{id}", "Change an account's owner, unless it has changed.",
        schemas.Account, schemas.ChangeAccountParameters, "session", "json",
        raises=(*DATABASE_PROBLEMS, errors.NotFound, errors.Conflict),
    ),
    Endpoint(
        "delete_account", LEDGER, "DELETE", "/accounts/{id}", "Close an account that no transfer refers to.", None,
        schemas.AccountParameters, "session", status=204,
        raises=(*DATABASE_PROBLEMS, errors.NotFound, errors.Conflict),
    ),
    Endpoint(
        "deposit", LEDGER, "POST", "/accounts/{id}/deposits", "Add to a balance by one of five strategies.",
        schemas.Account, schemas.DepositParameters, "session", "json",
        raises=(*DATABASE_PROBLEMS, errors.NotFound, errors.Conflict),
    ),
    Endpoint(
        "create_transfer", LEDGER, "POST", "/transfers", "Move money between two accounts, once per key.",
        schemas.Transfer, schemas.CreateTransferParameters, "session", "json", status=201,
        raises=(*DATABASE_PROBLEMS, errors.NotFound, errors.Conflict),
    ),
    Endpoint(
        "echo", RAW, "POST", "/echo", "Answer the body's bytes with its content type.", schemas.BodyBytes,
        schemas.BodyBytes, body="bytes", content_type="", headers=(NO_SNIFF,),
    ),
    Endpoint(
        "upload", RAW, "POST", "/upload", "Consume a body as it arrives and tell its size and SHA-256.",
        schemas.Upload, schemas.BodyStream, body="stream",
    ),
    Endpoint(
        "stream", RAW, "GET", "/stream", "Send N rows as NDJSON while the cursor is read.", bytes,
        schemas.StreamParameters, "session", content_type=NDJSON, streams=True, raises=DATABASE_PROBLEMS,
        load=("/stream?rows=1000",), group="bytes", is_answer_public=True,
    ),
    Endpoint(
        "pattern", RAW, "GET", "/bytes", "Answer N bytes of a fixed pattern.", bytes,
        schemas.SizeParameters, content_type=BYTES, streams=True, length=attrgetter("size"),
        load=("/bytes?size=65536",), group="bytes", is_answer_public=True,
    ),
    Endpoint(
        "livez", OPERATIONS, "GET", "/livez", "Tell that the process can answer.", schemas.Status,
        is_answer_public=True,
    ),
    Endpoint(
        "readyz", OPERATIONS, "GET", "/readyz", "Tell whether requests should be sent here.", schemas.Status,
        needs="database", raises=(errors.DatabaseUnavailable, errors.PoolTimeout, errors.Draining),
        is_answer_public=True,
    ),
    Endpoint(
        "health_db", OPERATIONS, "GET", "/health/db", "Tell whether the database answers, and how fast.",
        schemas.DatabaseHealth, needs="database", raises=(errors.DatabaseUnavailable, errors.PoolTimeout),
        measured=frozenset({"latency_s"}), is_answer_public=True,
    ),
    Endpoint(
        "pool", OPERATIONS, "GET", "/pool", "Tell the state of this process's pool.", schemas.Pool,
        needs="database",
        measured=frozenset({"checked_out", "idle", "overflow", "waiting", "totals"}), is_answer_public=True,
    ),
    Endpoint(
        "metrics", OPERATIONS, "GET", "/metrics", "Tell the service's counters in Prometheus text.", str,
        needs="database", content_type=METRICS, render=str.encode, measured=frozenset({"*"}), is_answer_public=True,
    ),
    Endpoint(
        "openapi", OPERATIONS, "GET", "/openapi.json", "Describe this contract as OpenAPI 3.1.", str,
        needs="database", render=str.encode, is_answer_public=True,
    ),
    Endpoint(
        "docs", OPERATIONS, "GET", "/docs", "Show this contract in Swagger UI.", str,
        content_type=HTML, render=str.encode, headers=pages.DOCS_HEADERS, is_answer_public=True,
    ),
    Endpoint(
        "list_traces", OPERATIONS, "GET", "/traces", "List the recent traces, latest first.", TraceList,
        schemas.TraceListParameters, "database", raises=(errors.Forbidden,), measured=frozenset({"*"}),
        is_trace_only=True,
    ),
    Endpoint(
        "read_trace", OPERATIONS, "GET", "/traces/{trace_id}", "Show one request from bytes in to bytes out.",
        TraceDocument, schemas.TraceParameters, "database", raises=(errors.Forbidden, errors.NotFound),
        measured=frozenset({"*"}), is_trace_only=True,
    ),
)  # fmt: skip


def endpoints(*, lab: bool, trace: bool) -> tuple[Endpoint, ...]:
    """Return the entries that a service serves.

    Args:
        lab: Whether those that exist to do harm are among them.
        trace: Whether those that show traces are among them.
    """
    return tuple(
        endpoint for endpoint in CONTRACT if (lab or not endpoint.is_lab_only) and (trace or not endpoint.is_trace_only)
    )
