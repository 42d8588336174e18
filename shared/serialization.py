"""Rows to bytes, for answers that are too long to be a model."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json


def worlds_as_ndjson(rows: Iterable[Any]) -> bytes:
    """Return rows of (id, random number) as newline-delimited JSON, a line each."""
    return b"".join(to_json({"id": row[0], "randomNumber": row[1]}) + b"\n" for row in rows)
