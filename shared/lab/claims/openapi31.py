"""Whether a document is valid OpenAPI 3.1: the parts of https://spec.openapis.org/oas/v3.1.0.html that ours uses.

Objects that the specification has and this check does not know (callbacks, links, security, ...) are reported where a
document uses them, so that nothing passes unread. Names of classes are those of the specification.
"""

import re
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Annotated
from typing import Any
from typing import Literal
from typing import Self

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from pydantic import model_validator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
LOCAL = "#/"

Schema = dict[str, Any] | bool
Named = Annotated[str, Field(min_length=1)]


class _Object(BaseModel):
    """Root of all objects: nothing but what is declared, and extensions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_extensions(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if not str(key).startswith("x-")}
        return value


class Info(_Object):
    """The Info object."""

    title: str
    version: str
    summary: str = ""
    description: str = ""


class Tag(_Object):
    """The Tag object."""

    name: str
    description: str = ""


class MediaType(_Object):
    """The MediaType object."""

    schema_: Schema = Field({}, alias="schema")
    example: Any = None


class Header(_Object):
    """The Header object."""

    description: str = ""
    required: bool = False
    deprecated: bool = False
    schema_: Schema = Field(alias="schema")


class Parameter(_Object):
    """The Parameter object."""

    name: Named
    in_: Literal["query", "header", "path", "cookie"] = Field(alias="in")
    description: str = ""
    required: bool = False
    deprecated: bool = False
    schema_: Schema = Field(alias="schema")

    @model_validator(mode="after")
    def _path_is_required(self) -> Self:
        if self.in_ == "path" and not self.required:
            raise ValueError("a parameter in the path must be required")
        return self


class RequestBody(_Object):
    """The RequestBody object."""

    description: str = ""
    required: bool = False
    content: Annotated[dict[str, MediaType], Field(min_length=1)]


class Response(_Object):
    """The Response object."""

    description: str
    headers: dict[str, Header] = {}
    content: dict[str, MediaType] = {}


class Operation(_Object):
    """The Operation object."""

    operationId: Named | None = None
    tags: list[str] = []
    summary: str = ""
    description: str = ""
    deprecated: bool = False
    parameters: list[Parameter] = []
    requestBody: RequestBody | None = None
    responses: Annotated[
        dict[Annotated[str, Field(pattern=r"^([1-5](\d\d|XX)|default)$")], Response], Field(min_length=1)
    ]

    @model_validator(mode="after")
    def _parameters_are_different(self) -> Self:
        found = Counter((parameter.name, parameter.in_) for parameter in self.parameters)
        if found and max(found.values()) > 1:
            raise ValueError("two parameters have one name and place")
        return self


class PathItem(_Object):
    """The PathItem object."""

    summary: str = ""
    description: str = ""
    get: Operation | None = None
    put: Operation | None = None
    post: Operation | None = None
    delete: Operation | None = None
    options: Operation | None = None
    head: Operation | None = None
    patch: Operation | None = None
    trace: Operation | None = None


class Components(_Object):
    """The Components object."""

    schemas: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$")], Schema] = {}


class OpenAPI(_Object):
    """The OpenAPI object."""

    openapi: Annotated[str, Field(pattern=r"^3\.1\.\d+(-.+)?$")]
    info: Info
    paths: dict[Annotated[str, Field(pattern="^/")], PathItem]
    tags: list[Tag] = []
    components: Components = Components()


def errors_of(document: Any) -> list[str]:
    """Return what is wrong with a document, one line for each thing; none for a valid one."""
    try:
        found = OpenAPI.model_validate(document)
    except ValidationError as error:
        return [f"{'/'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
    return [*_path_errors(found), *_reference_errors(document), *_schema_errors(found)]


def operations(document: OpenAPI) -> Iterator[tuple[str, str, Operation]]:
    """Yield path, method and operation of everything that a document describes."""
    for path, item in document.paths.items():
        for method in METHODS:
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                yield path, method, operation


def _path_errors(document: OpenAPI) -> Iterator[str]:
    ids = Counter(operation.operationId for _, _, operation in operations(document) if operation.operationId)
    yield from (f"operationId {name} stands {count} times" for name, count in ids.items() if count > 1)
    shapes = Counter(re.sub(r"{[^}]*}", "{}", path) for path in document.paths)
    yield from (f"{count} paths are {shape}" for shape, count in shapes.items() if count > 1)
    names = [tag.name for tag in document.tags]
    if len(names) != len(set(names)):
        yield "two tags have one name"
    for path, method, operation in operations(document):
        templated = set(re.findall(r"{([^}]*)}", path))
        declared = {parameter.name for parameter in operation.parameters if parameter.in_ == "path"}
        if templated != declared:
            yield f"{method} {path}: the path has {sorted(templated)}, the parameters {sorted(declared)}"


def _reference_errors(document: Any) -> Iterator[str]:
    for reference in _references(document):
        place = document
        for part in reference.removeprefix(LOCAL).split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            place = place.get(name) if isinstance(place, Mapping) else None
        if not reference.startswith(LOCAL) or place is None:
            yield f"{reference} refers to nothing in the document"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "$ref":
                yield str(item)
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _schema_errors(document: OpenAPI) -> Iterator[str]:
    for name, schema in document.components.schemas.items():
        yield from _schema(schema, f"components/schemas/{name}")
    for path, method, operation in operations(document):
        place = f"{method} {path}"
        for parameter in operation.parameters:
            yield from _schema(parameter.schema_, f"{place}, {parameter.name}")
        contents = [operation.requestBody.content] if operation.requestBody else []
        for response in operation.responses.values():
            contents.append(response.content)
            for header in response.headers.values():
                yield from _schema(header.schema_, f"{place}, header")
        for content in contents:
            for kind, media in content.items():
                yield from _schema(media.schema_, f"{place}, {kind}")


def _schema(schema: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with a schema by JSON Schema 2020-12, whose keywords a schema object has."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{place}: a schema must be an object or true or false"
        return
    for keyword, value in schema.items():
        inner = f"{place}/{keyword}"
        if keyword in _VALUES:
            is_right, wanted = _VALUES[keyword]
            if not is_right(value):
                yield f"{inner} must be {wanted}, not {value!r}"
        elif keyword in _MAPS:
            yield from _each_schema(value, inner)
        elif keyword in _LISTS:
            yield from _each_schema(dict(enumerate(value)) if isinstance(value, list) and value else None, inner)
        elif keyword in _SCHEMAS:
            yield from _schema(value, inner)


def _each_schema(value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} must hold schemas"
        return
    for name, item in value.items():
        yield from _schema(item, f"{place}/{name}")


def _is_pattern(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return True


def _is_type(value: Any) -> bool:
    given = value if isinstance(value, list) else [value]
    return bool(given) and all(isinstance(name, str) and name in TYPES for name in given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


# Keywords of JSON Schema 2020-12 by what they hold: names to schemas, a list of them, one, or a value of some kind.
_MAPS = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset(
    {"items", "additionalProperties", "not", "propertyNames", "contains", "if", "then", "else"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, "a type or a list of them"),
    "required": (_are_names, "a list of different names"),
    "enum": (lambda value: isinstance(value, list), "a list"),
    "pattern": (_is_pattern, "a regular expression"),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (_is_number, "a number")
    ),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), (_is_count, "a count")
    ),
    **dict.fromkeys(("title", "description", "format", "$ref"), (_is_text, "a text")),
}
