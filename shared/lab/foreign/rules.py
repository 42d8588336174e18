"""What two applications' answers may differ in, and whether they differ in more; nothing here sends anything.

Two answers are equal if status, body bytes and every header field are, except the fields that belong to the server or
the connection (`shared.lab.parity.judgement.IGNORED`). The reason phrase is not compared: RFC 9112, section 4, gives it
no meaning.
"""

import json
import re
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Literal

from shared.errors import UsageError
from shared.lab.foreign.result import Fact
from shared.lab.parity.judgement import FRAMING
from shared.lab.parity.judgement import IGNORED
from shared.lab.parity.judgement import response_differences
from shared.lab.parity.message import Response

BodyRule = Literal["bytes", "json", "ignored"]

# RFC 9110, section 5.6.2.
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Beyond these, what differs follows from one cause.
MAX_FACTS = 12
MAX_EXCERPT = 60
EVERY = "*"
IGNORED_VALUE = "<ignored>"
FORMS = "--allow takes body, json and header:NAME"


@dataclass(frozen=True, slots=True)
class Rules:
    """What may differ.

    Attributes:
        headers: Names of header fields, in lower case, beside those that are never compared.
        body: Compared byte for byte, as JSON values, or not at all.
        ignored_paths: Members of JSON bodies whose values may differ; they must be there on both sides nevertheless.
    """

    headers: frozenset[str] = frozenset()
    body: BodyRule = "bytes"
    ignored_paths: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """What may differ, in words."""
        bodies = {"bytes": (), "json": ("spelling of JSON bodies",), "ignored": ("bodies",)}[self.body]
        headers = tuple(f"header {name}" for name in sorted(self.headers))
        return (*bodies, *(f"JSON value {path}" for path in self.ignored_paths), *headers)


def parse(allowed: Sequence[str], ignored_json: Sequence[str]) -> Rules:
    """Return the rules that options mean.

    Args:
        allowed: Values of `--allow`.
        ignored_json: Values of `--ignore-json`: names of members with dots between them; `*` is every element.

    Raises:
        UsageError: If one is no rule, or two contradict each other.
    """
    headers = set()
    for text in allowed:
        kind, _, name = text.partition(":")
        if kind == "header" and _FIELD_NAME.fullmatch(name):
            headers.add(name.lower())
        elif text not in ("body", "json"):
            raise UsageError(f"--allow {text!r} is no rule", why=FORMS, hint="As in --allow header:vary")
    for path in ignored_json:
        if not path or "" in path.split("."):
            raise UsageError(f"--ignore-json {path!r} is no path", hint="As in --ignore-json items.*.created_at")
    if "body" in allowed and ("json" in allowed or ignored_json):
        raise UsageError(
            "--allow body compares no body at all", hint="leave it out, or leave --allow json and --ignore-json out"
        )
    body: BodyRule = "ignored" if "body" in allowed else "json" if "json" in allowed or ignored_json else "bytes"
    return Rules(frozenset(headers), body, tuple(dict.fromkeys(ignored_json)))


def differences(left: Response, right: Response, rules: Rules) -> tuple[Fact, ...]:
    """Return in what two answers differ and may not."""
    facts: list[Fact] = []
    one, other = comparable(left, rules), comparable(right, rules)
    if rules.body == "json":
        first, second = _value(left.body), _value(right.body)
        # A body that is no JSON on either side is compared byte for byte, as without the rule.
        if first is not None and second is not None:
            masked = [_without(value, rules.ignored_paths) for value in (first[0], second[0])]
            facts = list(_json_differences(masked[0], masked[1], ""))[:MAX_FACTS]
            one, other = replace(one, body=b""), replace(other, body=b"")
    return (*(Fact(fact.what, fact.wsgi, fact.asgi) for fact in response_differences(one, other)), *facts)


def comparable(response: Response, rules: Rules) -> Response:
    """Return a response without what may differ, its JSON aside."""
    ignored = IGNORED | rules.headers
    if rules.body != "bytes":
        # Bodies of different length are framed differently.
        ignored = ignored | FRAMING
    headers = tuple((name, value) for name, value in response.headers if name not in ignored)
    return replace(response, reason="", headers=headers, body=b"" if rules.body == "ignored" else response.body)


def has_path(body: bytes, path: str) -> bool:
    """Tell whether a body is JSON and has a value under a path of `--ignore-json`."""
    value = _value(body)
    return value is not None and _mask(value[0], path.split("."))[1]


def _value(body: bytes) -> list[Any] | None:
    """Return the JSON value of a body, in a list because it may be null; None if the body is no JSON."""
    try:
        return [json.loads(body)]
    except (ValueError, RecursionError):
        return None


def _without(value: Any, paths: Sequence[str]) -> Any:
    for path in paths:
        value, _ = _mask(value, path.split("."))
    return value


def _mask(value: Any, parts: Sequence[str]) -> tuple[Any, bool]:
    """Return a value with what is under a path replaced, and whether anything was."""
    if not parts:
        return IGNORED_VALUE, True
    first, rest = parts[0], parts[1:]
    if isinstance(value, dict):
        keys = list(value) if first == EVERY else [first]
        masked = {key: _mask(value[key], rest) for key in keys if key in value}
        return {**value, **{key: item for key, (item, _) in masked.items()}}, any(found for _, found in masked.values())
    if isinstance(value, list):
        places = range(len(value)) if first == EVERY else [int(first)] if first.isdecimal() else []
        items = list(value)
        is_found = False
        for place in places:
            if place < len(items):
                items[place], found = _mask(items[place], rest)
                is_found = is_found or found
        return items, is_found
    return value, False


def _json_differences(left: Any, right: Any, path: str) -> Iterator[Fact]:
    """Yield every difference of two JSON values; 1 and 1.0, and true and 1, are different."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            place = f"{path}.{key}" if path else key
            if key in left and key in right:
                yield from _json_differences(left[key], right[key], place)
            else:
                yield Fact(f"json {place}", _shown(left, key), _shown(right, key))
    elif isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            yield Fact(f"json {path or '(all)'}", f"{len(left)} elements", f"{len(right)} elements")
        for place, (one, other) in enumerate(zip(left, right, strict=False)):
            yield from _json_differences(one, other, f"{path}.{place}" if path else str(place))
    elif _dumped(left) != _dumped(right):
        yield Fact(f"json {path or '(all)'}", _cut(_dumped(left)), _cut(_dumped(right)))


def _shown(value: dict[str, Any], key: str) -> str:
    return _cut(_dumped(value[key])) if key in value else "(none)"


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 3] + "..."
