"""What both raw-driver controls answer: paths, bodies and bounds, without a framework, a model or a template engine."""

import json
import random
from html import escape

ROWS = 10_000
MAX_QUERIES = 500
ADDED_FORTUNE = "Additional fortune added at request time."
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"

SELECT_FORTUNES = "SELECT id, message FROM fortune"


def queries(query: str) -> int:
    """Return N of ?queries=N, clamped to 1..500; 1 if it is missing or not an integer."""
    _, found, number = query.partition("queries=")
    try:
        return min(max(int(number), 1), MAX_QUERIES) if found else 1
    except ValueError:
        return 1


def random_id() -> int:
    """Return an id of a row, each equally likely."""
    return int(random.random() * ROWS) + 1


def distinct_ids(count: int) -> list[int]:
    """Return ids in the one order in which every update locks its rows."""
    return sorted(random.sample(range(1, ROWS + 1), count))


def hello() -> bytes:
    """Return the JSON greeting, serialised anew."""
    return json.dumps({"message": "Hello, World!"}, separators=(",", ":")).encode()


def row(pair: tuple[int, int]) -> bytes:
    """Return one row as JSON."""
    return b'{"id":%d,"randomNumber":%d}' % pair


def rows(pairs: list[tuple[int, int]]) -> bytes:
    """Return rows as a JSON list."""
    return b"[" + b",".join([b'{"id":%d,"randomNumber":%d}' % pair for pair in pairs]) + b"]"


def fortunes(pairs: list[tuple[int, str]]) -> bytes:
    """Return the page: one fortune added, sorted by message, escaped."""
    pairs.append((0, ADDED_FORTUNE))
    pairs.sort(key=_message)
    cells = "".join([f"<tr><td>{number}</td><td>{escape(message)}</td></tr>" for number, message in pairs])
    return (
        "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>"
        f"<tr><th>id</th><th>message</th></tr>{cells}</table></body></html>"
    ).encode()


def _message(pair: tuple[int, str]) -> str:
    return pair[1]
