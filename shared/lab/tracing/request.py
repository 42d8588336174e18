"""The request that is traced, as its bytes."""

import json
import re
from dataclasses import dataclass

from shared.errors import UsageError

# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What a request line can hold without ending early.
_TARGET = re.compile(r"/[\x21-\x7e]*")
_FIELD = re.compile(rf"({_TOKEN.pattern}):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
# Fields that this client writes itself.
OWN_FIELDS = frozenset({"content-length", "transfer-encoding", "x-trace", "x-trace-token"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: As written.
        target: Absolute path with its query, as written.
        headers: Fields beside Host, those of the body and those that ask for a trace.
        body: None for a request without one.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    @classmethod
    def of_words(cls, words: tuple[str, ...], headers: tuple[str, ...], body: str | None) -> "Request":
        """Return the request that a command line means.

        Args:
            words: Nothing, a target, or a method and a target.
            headers: Each `Name: value`.
            body: Its text; JSON is declared as such unless the headers say otherwise.

        Raises:
            UsageError: If one of them cannot be sent.
        """
        if len(words) > 2:
            raise UsageError("Too many words", why=f"got {len(words)}", hint="Give [METHOD] TARGET, as in: GET /db")
        method, target = ("GET", *words)[-2:] if words else ("GET", "/db")
        if not _TOKEN.fullmatch(method):
            raise UsageError(f"{method!r} is not usable as a method", hint="Name one such as GET or POST")
        # What was typed may hold a secret, so no more than its beginning is repeated.
        if not _TARGET.fullmatch(target) or "#" in target:
            raise UsageError(
                "The target is not usable",
                why=f"it begins with {target[:1]!r}" if not target.startswith("/") else "it has a space, # or such",
                hint="Give an absolute path such as '/queries?queries=20', percent-encoded",
            )
        fields = tuple(_field(text) for text in headers)
        return cls(method.upper(), target, fields, None if body is None else body.encode())

    def wire(self, host: str, extra: tuple[tuple[str, str], ...] = ()) -> bytes:
        """Return all its bytes.

        Args:
            host: Value of the Host field, unless the request has one.
            extra: Further fields.
        """
        fields = [*self.headers, *extra]
        if not any(name.lower() == "host" for name, _ in fields):
            fields.insert(0, ("Host", host))
        if self.body is not None:
            if not any(name.lower() == "content-type" for name, _ in fields):
                fields.append(("Content-Type", _content_type(self.body)))
            fields.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


def _field(text: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise UsageError("A header field is not usable", hint="Write it as 'Name: value', without control characters")
    name, value = found.groups()
    if name.lower() in OWN_FIELDS:
        raise UsageError(f"The header field {name} is this command's own", hint="Leave it out")
    return name, value.strip()


def _content_type(body: bytes) -> str:
    try:
        json.loads(body)
    except ValueError:
        return "text/plain; charset=utf-8"
    return "application/json"
