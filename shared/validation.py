"""What the client sent to what the endpoint takes: read and checked here, before any session is opened."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel
from pydantic import ValidationError
from pydantic_core import from_json

from . import schemas
from .contract import Endpoint
from .errors import InvalidRequest
from .errors import MalformedRequest
from .errors import UnsupportedMediaType
from .schemas import In

# The header in which the parity check sends its seed, and the one that proves it may.
SEED_HEADER = "X-Check-Seed"
TOKEN_HEADER = "X-Check-Token"

# Query keys beyond this many are not read: each costs time that a client chooses.
MAX_QUERY_FIELDS = 100

Header = Callable[[str], str | None]


class Binder:
    """Builds an endpoint's parameters from a request.

    Args:
        endpoint: The entry whose parameter model is filled.
        check_token: Secret with which a request may set the seed; None: no request may.
    """

    def __init__(self, endpoint: Endpoint, check_token: str | None) -> None:
        self._model = endpoint.parameters
        self._fields: dict[In, list[tuple[str, str]]] = {place: [] for place in In}
        self._takes_json = endpoint.body == "json"
        if issubclass(self._model, BaseModel):
            for name, field in self._model.model_fields.items():
                place = next(mark for mark in field.metadata if isinstance(mark, In))
                self._fields[place].append((name, field.alias or name))
        self._place_of = {alias: place.value for place, fields in self._fields.items() for _, alias in fields}
        self._query = frozenset(alias for _, alias in self._fields[In.QUERY])
        self._seed_token = check_token if self._fields[In.SEED] else None
        self._reads = bool(self._query or self._fields[In.PATH] or self._fields[In.HEADER] or self._takes_json)
        self._empty = None if self._reads or not issubclass(self._model, BaseModel) else self._model()

    @property
    def query_keys(self) -> frozenset[str]:
        """The keys of the query that are read; a request may have others, which change nothing."""
        return self._query

    def __call__(self, path: Mapping[str, str], query: str, header: Header, body: bytes) -> Any:
        """Return the parameters.

        Args:
            path: Path parameters as the route found them.
            query: Query string as received, percent-encoded, bytes as latin-1.
            header: Returns a header field's value, repeated fields joined by commas.
            body: The whole body, where the endpoint takes JSON.

        Raises:
            UnsupportedMediaType: If a body is due and is not declared as JSON.
            MalformedRequest: If it is declared as JSON and is none.
            InvalidRequest: If a value is missing, of the wrong type or out of range.
        """
        seed = self._seed(header) if self._seed_token is not None else None
        if self._empty is not None and seed is None:
            return self._empty
        values: dict[str, Any] = dict(path)
        if self._query and query:
            # The last of repeated keys counts; bytes that are no UTF-8 become U+FFFD.
            values.update(pair for pair in _pairs(query) if pair[0] in self._query)
        for _, alias in self._fields[In.HEADER]:
            value = header(alias)
            if value is not None:
                values[alias] = value
        if self._takes_json:
            values["body"] = _json(header("Content-Type"), body)
        if seed is not None:
            values["seed"] = seed
        try:
            return self._model.model_validate(values)
        except ValidationError as error:
            raise InvalidRequest(
                "The request is well-formed, but not valid",
                errors=[self._field_error(item) for item in error.errors(include_url=False, include_context=False)],
            ) from None

    def _seed(self, header: Header) -> int | None:
        value = header(SEED_HEADER)
        if value is None or header(TOKEN_HEADER) != self._seed_token or not value.isascii() or not value.isdigit():
            return None
        return int(value[:18])

    def _field_error(self, item: Any) -> schemas.FieldError:
        location = [part if isinstance(part, str | int) else str(part) for part in item["loc"]]
        place = self._place_of.get(str(location[0]), "body") if location else "body"
        if place != "body" or not location:
            location.insert(0, place)
        return {"loc": location, "msg": item["msg"], "type": item["type"]}


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, encoding="utf-8")
    except ValueError:
        raise MalformedRequest(f"The query string has more than {MAX_QUERY_FIELDS} fields") from None


def _json(content_type: str | None, body: bytes) -> Any:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("This path reads application/json")
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise MalformedRequest("The body is not JSON in UTF-8") from None
