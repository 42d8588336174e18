"""From `--target` texts to scenarios of applications that nobody here knows: bounded, but not routed or validated."""

import json
from collections import Counter
from collections.abc import Sequence

from shared.errors import UsageError
from shared.lab.planning.plan import Scenario

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# Each target is a scenario of its own: more would not be measured within an hour, nor read in one table.
MAX_TARGETS = 20
# Above the request line that gunicorn reads by default (4,094 bytes) nothing is answered but 414.
MAX_TARGET_CHARACTERS = 4_000
MAX_BODY_BYTES = 65_536
HINT = "As in --target 'GET /items?limit=5' or --target 'POST /items {\"name\": \"x\"}'"


def parse(texts: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios that texts mean: a method, a path and for some methods a JSON body; GET may be left out.

    A GET is named by its path, anything else by method and path; those that would share a name are numbered.

    Raises:
        UsageError: If there is none, or too many, or one that could not be sent.
    """
    unlike = tuple(dict.fromkeys(text.strip() for text in texts))
    if not unlike:
        raise UsageError("There is no target", why="nobody else knows what these answer", hint=HINT)
    if len(unlike) > MAX_TARGETS:
        raise UsageError("There are too many targets", why=f"at most {MAX_TARGETS} (got {len(unlike)})")
    scenarios = []
    seen: Counter[str] = Counter()
    for text in unlike:
        method, target, body = _split(text)
        name = target if method == "GET" else f"{method} {target}"
        seen[name] += 1
        numbered = name if seen[name] == 1 else f"{name} ({seen[name]})"
        try:
            scenarios.append(Scenario(numbered, target, method, body))
        except ValueError as error:
            raise UsageError(f"{text[:80]!r} cannot be a target", why=str(error), hint=HINT) from error
    return tuple(scenarios)


def _split(text: str) -> tuple[str, str, bytes]:
    method, _, rest = ("GET", "", text) if text.startswith("/") else text.partition(" ")
    target, _, written = rest.strip().partition(" ")
    body = written.strip().encode()
    if method not in METHODS:
        why = f"its method is one of {', '.join(METHODS)} (got {method[:20]!r})"
        raise UsageError(f"{text[:80]!r} cannot be a target", why=why, hint=HINT)
    if len(target) > MAX_TARGET_CHARACTERS:
        why = f"it has {len(target):,} characters, at most {MAX_TARGET_CHARACTERS:,}"
        raise UsageError(f"{text[:80]!r}... cannot be a target", why=why)
    if body:
        _require_json(text[:80], method, body)
    return method, target, body


def _require_json(shown: str, method: str, body: bytes) -> None:
    if method not in WITH_BODY:
        raise UsageError(f"{shown!r} cannot be a target", why=f"{method} is sent without a body", hint=HINT)
    if len(body) > MAX_BODY_BYTES:
        why = f"its body has {len(body):,} bytes, at most {MAX_BODY_BYTES:,}"
        raise UsageError(f"{shown!r}... cannot be a target", why=why)
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        why = f"its body is sent as application/json and is none: {error}"
        raise UsageError(f"{shown!r} cannot be a target", why=why, hint=HINT) from error
