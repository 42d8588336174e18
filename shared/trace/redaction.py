"""What of a request and its answer a trace shows: masked are the client's values, never their sizes.

A masked byte is an asterisk, so that every size and offset stays true. What is shown is what is known to be harmless:
a name that is not listed here is masked. Some fields are secrets even where a client asked for its values.
"""

import re
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from shared.contract import Endpoint
from shared.schemas import In

from . import message
from .recorder import Octets

# Never shown, whoever asks.
SECRET_FIELDS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-trace-token", "x-check-token"}
)
# Fields whose values are the same for every client, or say how to read the message.
REQUEST_FIELDS = frozenset(
    {"host", "content-type", "content-length", "transfer-encoding", "connection", "accept", "accept-encoding"}
    | {"expect", "x-trace", "traceparent"}
)
ANSWER_FIELDS = frozenset(
    {"date", "server", "content-type", "content-length", "transfer-encoding", "connection", "allow", "retry-after"}
    | {"x-content-type-options", "server-timing", "x-trace-id", "traceparent", "content-security-policy"}
)
ENVIRON_KEYS = frozenset(
    {"REQUEST_METHOD", "SCRIPT_NAME", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_NAME", "SERVER_PORT"}
    | {"SERVER_PROTOCOL", "SERVER_SOFTWARE", "REMOTE_ADDR", "REMOTE_PORT"}
)
ENVIRON_PREFIXES = ("wsgi.", "gunicorn.")
SCOPE_KEYS = frozenset(
    {"type", "asgi", "http_version", "server", "client", "scheme", "method", "root_path", "state", "extensions"}
    | {"app", "router", "endpoint"}
)
# Facts whose text is the project's own.
PLAIN_FACTS = frozenset(
    {"queue", "part", "interface", "template", "endpoint", "model", "isolation_level", "connection", "message"}
    | {"action", "content_type", "call", "error", "reset", "verb", "step", "wire_missing"}
)
# Facts that hold what the client sent.
CLIENT_FACTS = frozenset({"path_parameters", "parameters", "parameter_values"})
_SECRET_KEYS = frozenset({name.replace("-", "_") for name in SECRET_FIELDS} | {"trace_token", "check_token"})

# Of fields that a client may fill as it likes, only what is usual is shown.
_MEDIA = (
    r"(?:\*/\*|text/(?:plain|html|\*)|application/(?:json|problem\+json|x-ndjson|octet-stream|x-www-form-urlencoded|\*))"
    r"(?:; ?(?:charset=utf-8|version=1\.0\.0|q=[01](?:\.[0-9]{1,3})?))*"
)
_USUAL = {
    name: re.compile(rf"(?:{value})(?:, ?(?:{value}))*", re.IGNORECASE)
    for name, value in {
        "content-type": _MEDIA,
        "accept": _MEDIA,
        "accept-encoding": r"(?:gzip|deflate|br|zstd|identity|\*)(?:; ?q=[01](?:\.[0-9]{1,3})?)?",
        "connection": r"close|keep-alive",
        "content-length": r"[0-9]+",
        "transfer-encoding": r"chunked|identity",
        "expect": r"100-continue",
        "traceparent": r"[0-9a-f-]{55}",
        "x-trace": r"1|values",
    }.items()
}
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_QUERY_FIELD = re.compile(r"([^&=]*)(=?)([^&]*)")
_TYPE_NAME = re.compile(r"<[\w.]+>")


def masked(text: str) -> str:
    """Return as many asterisks as there are characters."""
    return "*" * len(text)


def plain(value: Any) -> Any:
    """Return a value as JSON has it; bytes become text by latin-1, objects their type's name."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            # Lone surrogates, as the file system's names may have, are no text in JSON.
            return value.encode("utf-8", "backslashreplace").decode()
        case bytes():
            return value.decode("latin-1")
        case Mapping():
            return {plain(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case BaseModel():
            return plain(value.model_dump())
        case _:
            return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _is_usual(name: str, value: str) -> bool:
    """Tell whether a field's value is one that many clients send; of most fields any value is."""
    pattern = _USUAL.get(name)
    return pattern is None or pattern.fullmatch(value.strip(" \t")) is not None


class Redactor:
    """Masks what one trace must not show.

    Args:
        template: The path as the contract has it; None where no route matched.
        endpoint: The contract's entry; None where there is none.
        reveals_values: Whether the client asked for its values, so that only secrets are masked.
    """

    def __init__(self, template: str | None, endpoint: Endpoint | None, *, reveals_values: bool) -> None:
        self._template = template
        self._endpoint = endpoint
        self._reveals = reveals_values
        self._query_keys = _query_keys(endpoint)

    def received(self, pieces: Sequence[Octets]) -> list[str]:
        """Return the bytes of a request, in the order in which they came, as text."""
        is_json = self._endpoint is not None and self._endpoint.body == "json"
        show = message.show if self._reveals else message.json_only if is_json else message.hide
        return message.redacted(
            pieces,
            partial(message.request_head, target=self.target, field=partial(self._field, REQUEST_FIELDS)),
            lambda head: show,
            partial(self._field, REQUEST_FIELDS) if self._reveals else None,
        )

    def sent(self, pieces: Sequence[Octets]) -> list[str]:
        """Return the bytes of an answer, in the order in which they were sent, as text."""
        field = partial(self._field, ANSWER_FIELDS)
        head = partial(message.answer_head, field=field)
        return message.redacted(pieces, head, self._answer_body, field if self._reveals else None)

    def _answer_body(self, head: message.Head) -> message.Masker:
        is_success = 200 <= head.status < 300
        if self._reveals or (is_success and self._endpoint is not None and self._endpoint.is_answer_public):
            return message.show
        media_type = head.fields.get("content-type", "").partition(";")[0]
        # A client chooses the type of what /echo answers, never that of a failure.
        if media_type == "application/problem+json" and not is_success:
            return message.problem_only
        return message.json_only if media_type == "application/json" else message.hide

    def target(self, text: str) -> str:
        """Return a request's target: of its path the template's own segments, of its query the declared keys."""
        if self._reveals or text == "*":
            return text
        path, mark, query = text.partition("?")
        return self.path(path) + mark + self.query(query)

    def path(self, text: str) -> str:
        """Return a path, spelt as it came; every segment is masked that is not the template's."""
        if self._reveals:
            return text
        if not text.startswith("/"):
            return masked(text)
        segments = text.split("/")
        expected = (self._template or "").split("/")
        if len(segments) != len(expected):
            return "/".join(masked(segment) for segment in segments)
        return "/".join(
            found if unquote(found) == wanted else masked(found)
            for found, wanted in zip(segments, expected, strict=True)
        )

    def query(self, text: str) -> str:
        """Return a query string; keys that the endpoint declares stay."""
        return text if self._reveals else _QUERY_FIELD.sub(self._query_field, text)

    def _query_field(self, found: re.Match[str]) -> str:
        return (found[1] if found[1] in self._query_keys else masked(found[1])) + found[2] + masked(found[3])

    def _field(self, shown: frozenset[str], name: str, value: str) -> str:
        """Return the value of a header field, its name in lower case."""
        if name in SECRET_FIELDS or not (self._reveals or (name in shown and _is_usual(name, value))):
            return masked(value)
        return value

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is known of a stage, but for the bytes that it holds."""
        found = {}
        for key, value in facts.items():
            if key == "value" and isinstance(value, Mapping):
                found[key] = self._scope(value) if facts.get("interface") == "scope" else self._environ(value)
            elif key != "parameter_values" or self._reveals:
                found[key] = self._fact(key, value)
        shown: dict[str, Any] = plain(found)
        return shown

    def _fact(self, key: str, value: Any) -> Any:
        if key in CLIENT_FACTS and not isinstance(value, int):
            return self._client_value(value)
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {str(name): self._fact(str(name), item) for name, item in value.items()}
            case list() | tuple():
                return [self._fact(key, item) for item in value]
            case str() if key == "content_type" and not self._reveals:
                return value if _is_usual("content-type", value) else masked(value)
            case str() if key == "statement" and not self._reveals:
                return plain(_LITERAL.sub(lambda found: f"'{masked(found[1])}'", value))
        return plain(value) if self._reveals or key in PLAIN_FACTS else self._client_value(value)

    def _client_value(self, value: Any) -> Any:
        """Return a value that came from the client, or may hold such ones."""
        match value:
            case BaseModel():
                return self._client_value(value.model_dump())
            case Mapping():
                return {
                    str(name): masked(str(item))
                    if item is not None and str(name).lower().replace("-", "_") in _SECRET_KEYS
                    else self._client_value(item)
                    for name, item in value.items()
                }
            case list() | tuple():
                return [self._client_value(item) for item in value]
            case bytes() | str() | bool() | int() | float() if not self._reveals:
                return "*" * len(value if isinstance(value, bytes | str) else str(value))
        return plain(value)

    def _environ(self, environ: Mapping[str, Any]) -> dict[str, Any]:
        return {str(key): self._environ_value(str(key), value) for key, value in environ.items()}

    def _environ_value(self, key: str, value: Any) -> Any:
        if key.startswith("HTTP_"):
            return self._field(REQUEST_FIELDS, key[5:].replace("_", "-").lower(), str(plain(value)))
        match key:
            case "CONTENT_TYPE" | "CONTENT_LENGTH":
                return self._field(REQUEST_FIELDS, key.replace("_", "-").lower(), str(plain(value)))
            case "PATH_INFO":
                return self.path(str(plain(value)))
            case "QUERY_STRING":
                return self.query(str(plain(value)))
            case "RAW_URI" | "REQUEST_URI":
                return self.target(str(plain(value)))
        is_known = key in ENVIRON_KEYS or key.startswith(ENVIRON_PREFIXES)
        return plain(value) if is_known else self._object(value)

    def _scope(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        return {str(key): self._scope_value(str(key), value) for key, value in scope.items()}

    def _scope_value(self, key: str, value: Any) -> Any:
        match key:
            case "path" | "raw_path" if value is not None:
                return self.path(str(plain(value)))
            case "query_string":
                return self.query(str(plain(value)))
            case "headers":
                return [self._pair(pair) for pair in value]
        return plain(value) if key in SCOPE_KEYS else self._object(value)

    def _pair(self, pair: Iterable[Any]) -> list[str]:
        name, value = (str(plain(item)) for item in pair)
        return [name, self._field(REQUEST_FIELDS, name.lower(), value)]

    def _object(self, value: Any) -> Any:
        """Return what stands under a name that is not known: the type of an object, masked text."""
        if isinstance(value, str) and _TYPE_NAME.fullmatch(value):
            return value
        return self._client_value(value)


def _query_keys(endpoint: Endpoint | None) -> frozenset[str]:
    """Return the query keys that an endpoint declares."""
    if endpoint is None or not issubclass(endpoint.parameters, BaseModel):
        return frozenset()
    fields = endpoint.parameters.model_fields.items()
    return frozenset(field.alias or name for name, field in fields if In.QUERY in field.metadata)
