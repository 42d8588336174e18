"""What a right problem document is, for every test of a failure."""

import json
from typing import Any

import httpx

from shared.models import Base
from tests.broken import SECRET
from tests.conftest import CHECK_TOKEN

PASSWORD = "hunter2-in-the-url"
# What no answer may hold: how the service is built, what it asks the database, and what only it knows.
NEVER_SAID = (
    "Traceback",
    'File "',
    ".py",
    "SELECT",
    "INSERT",
    "psycopg",
    "asyncpg",
    "sqlalchemy",
    "pydantic.dev",
    PASSWORD,
    SECRET,
    CHECK_TOKEN,
    *Base.metadata.tables.keys() - {"accounts", "transfers"},
)


def problem(
    slug: str, title: str, status: int, detail: str, instance: str, errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return a whole problem document."""
    document = {
        "type": f"urn:wsgi-vs-asgi:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return document if errors is None else {**document, "errors": errors}


def assert_problem(answer: httpx.Response, expected: dict[str, Any]) -> None:
    """Check a problem document to the last byte."""
    assert answer.status_code == expected["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.content == json.dumps(expected, separators=(",", ":"), ensure_ascii=False).encode()
    assert answer.headers["content-length"] == str(len(answer.content))
    assert_discreet(answer)


def assert_discreet(answer: httpx.Response) -> None:
    """Check that an answer tells nothing it should not."""
    told = answer.text.replace(answer.json().get("instance", "-"), "") + str(dict(answer.headers))
    assert [word for word in NEVER_SAID if word.lower() in told.lower()] == []
