"""A valid request for each entry of the contract, for every test that walks the whole of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

import httpx

# The id that a client gives its own trace.
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"X-Trace": "1", "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
JSON = {"Content-Type": "application/json"}
# An account that is seeded and that no test closes.
SEEDED_ACCOUNT = 7


@dataclass(frozen=True, slots=True)
class Example:
    """One request, its target written for an account that the test has opened."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    # Sent before, so that there is what this one asks for.
    first: "Example | None" = None

    def send(self, client: httpx.Client) -> httpx.Response:
        """Send it; a redirection would be an error."""
        if self.first is not None:
            self.first.send(client)
        return client.request(self.method, self.target, headers=dict(self.headers), content=self.body or None)


def _json(method: str, target: str, **members: object) -> Example:
    return Example(method, target, JSON, json.dumps(members).encode())


def example(name: str, account: int) -> Example:
    """Return a valid request to an endpoint.

    Args:
        name: The endpoint's name.
        account: Id of an account at version 1 with a balance of at least 1 that no transfer refers to.

    Raises:
        KeyError: If the endpoint has no example.
    """
    return {
        "plaintext": Example("GET", "/plaintext"),
        "json": Example("GET", "/json"),
        "db": Example("GET", "/db"),
        "queries": Example("GET", "/queries?queries=3"),
        "updates": Example("GET", "/updates?queries=3"),
        "fortunes": Example("GET", "/fortunes"),
        "sleep": Example("GET", "/sleep?seconds=0.01"),
        "wait": Example("GET", "/wait?seconds=0.01"),
        "cpu": Example("GET", "/cpu?iterations=1000"),
        "blocking": Example("GET", "/blocking?seconds=0.01"),
        "list_accounts": Example("GET", "/accounts?limit=3"),
        "create_account": _json("POST", "/accounts", owner="Ada", balance=100),
        "read_account": Example("GET", f"/accounts/{account}"),
        "change_account": _json("PATCH", f"/accounts/{account}", owner="Grace", version=1),
        "delete_account": Example("DELETE", f"/accounts/{account}"),
        "deposit": _json("POST", f"/accounts/{account}/deposits", amount=5, strategy="atomic"),
        "create_transfer": _json("POST", "/transfers", source_id=account, target_id=SEEDED_ACCOUNT, amount=1),
        "echo": Example("POST", "/echo", {"Content-Type": "text/plain"}, "grüß dich".encode()),
        "upload": Example("POST", "/upload", {"Content-Type": "application/octet-stream"}, b"upload" * 1_000),
        "stream": Example("GET", "/stream?rows=1500"),
        "pattern": Example("GET", "/bytes?size=100000"),
        "livez": Example("GET", "/livez"),
        "readyz": Example("GET", "/readyz"),
        "health_db": Example("GET", "/health/db"),
        "pool": Example("GET", "/pool"),
        "metrics": Example("GET", "/metrics"),
        "openapi": Example("GET", "/openapi.json"),
        "docs": Example("GET", "/docs"),
        "list_traces": Example("GET", "/traces"),
        "read_trace": Example("GET", f"/traces/{TRACE_ID}", first=Example("GET", "/plaintext", TRACED)),
    }[name]


def open_account(client: httpx.Client, balance: int = 100) -> int:
    """Open an account and return its id."""
    answer = _json("POST", "/accounts", owner="Ada", balance=balance).send(client)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])
