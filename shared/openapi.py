"""The contract as an OpenAPI 3.1 document; the schemas are pydantic's."""

import json
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic.json_schema import JsonSchemaMode

from . import contract
from . import errors
from . import schemas
from .answers import PROBLEM
from .answers import PROBLEM_TYPE
from .schemas import In

VERSION = "3.1.0"
REFERENCE = "#/components/schemas/{model}"


@lru_cache(maxsize=4)
def document(*, lab: bool, trace: bool) -> str:
    """Return the OpenAPI document as JSON text; built on the first call."""
    endpoints = contract.endpoints(lab=lab, trace=trace)
    adapters: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("answer", endpoint.name), "serialization", TypeAdapter(endpoint.answer))
        for endpoint in endpoints
        if _is_json(endpoint)
    ]
    adapters.append((("problem", ""), "serialization", TypeAdapter(schemas.Problem)))
    adapters += [
        (("parameters", endpoint.name), "validation", TypeAdapter(endpoint.parameters))
        for endpoint in endpoints
        if issubclass(endpoint.parameters, BaseModel)
    ]
    generated, definitions = TypeAdapter.json_schemas(
        adapters, by_alias=True, ref_template=REFERENCE, schema_generator=GenerateJsonSchema
    )
    shapes = {key: schema for (key, _), schema in generated.items()}
    components = dict(definitions.get("$defs", {}))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, shapes, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    # Parameter models are described by the parameters themselves.
    for endpoint in endpoints:
        components.pop(getattr(endpoint.parameters, "__name__", ""), None)
    return json.dumps(
        {
            "openapi": VERSION,
            "info": {
                "title": "wsgi-vs-asgi",
                "version": "0.1.0",
                "description": "One contract, served by a WSGI and an ASGI edition with the same bytes.",
            },
            "tags": [{"name": name} for name in dict.fromkeys(endpoint.section for endpoint in endpoints)],
            "paths": paths,
            "components": {"schemas": components},
        },
        ensure_ascii=False,
    )


def _is_json(endpoint: contract.Endpoint) -> bool:
    """Tell whether the answer's type is also the shape of what is sent."""
    return endpoint.content_type == contract.JSON and endpoint.render is None and endpoint.answer is not None


def _operation(
    endpoint: contract.Endpoint,
    shapes: dict[tuple[str, str], Any],
    components: dict[str, Any],
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.section],
        "responses": {str(endpoint.status): _success(endpoint, shapes)},
    }
    parameters = _parameters(endpoint, shapes, components)
    if parameters:
        operation["parameters"] = parameters
    body = _body(endpoint)
    if body is not None:
        operation["requestBody"] = body
    for status, names in sorted(_problems(endpoint, has_input=bool(parameters or body)).items()):
        operation["responses"][str(status)] = {
            "description": " or ".join(sorted(PROBLEM_TYPE + name for name in names)),
            "content": {PROBLEM: {"schema": shapes["problem", ""]}},
        }
    return operation


def _success(endpoint: contract.Endpoint, shapes: dict[tuple[str, str], Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.location:
        response["headers"] = {"Location": {"schema": {"type": "string"}, "required": True}}
    if endpoint.answer is None:
        return response
    if _is_json(endpoint):
        response["content"] = {endpoint.content_type: {"schema": shapes["answer", endpoint.name]}}
    elif endpoint.content_type == contract.JSON:
        response["content"] = {endpoint.content_type: {"schema": {"type": "object"}}}
    elif endpoint.content_type.startswith("text/"):
        response["content"] = {endpoint.content_type: {"schema": {"type": "string"}}}
    else:
        response["content"] = {endpoint.content_type or "*/*": {}}
    return response


def _parameters(
    endpoint: contract.Endpoint,
    shapes: dict[tuple[str, str], Any],
    components: dict[str, Any],
) -> list[dict[str, Any]]:
    if not issubclass(endpoint.parameters, BaseModel):
        return []
    shape = shapes["parameters", endpoint.name]
    shape = components.get(shape.get("$ref", "").rpartition("/")[2], shape)
    parameters = []
    for name, field in endpoint.parameters.model_fields.items():
        place = next(mark for mark in field.metadata if isinstance(mark, In))
        # Every client sends Host; it is nothing that a caller chooses.
        if place in (In.BODY, In.SEED) or field.alias == "Host":
            continue
        schema = {key: value for key, value in shape["properties"][field.alias or name].items() if key != "title"}
        if schema.get("default", ...) is None:
            # A header that is left out has no value; null is nothing a client could send.
            schema = next(option for option in schema["anyOf"] if option.get("type") != "null")
        if schema.get("type") == "string" and "default" in schema:
            # What is written on the request line where the schema describes that text, not the value it is read as.
            schema["default"] = str(schema["default"])
        parameters.append(
            {"name": field.alias or name, "in": place.value, "required": field.is_required(), "schema": schema}
        )
    return parameters


def _body(endpoint: contract.Endpoint) -> dict[str, Any] | None:
    if endpoint.body == "none":
        return None
    if endpoint.body == "json":
        model = endpoint.parameters.model_fields["body"].annotation.__name__
        return {"required": True, "content": {contract.JSON: {"schema": {"$ref": REFERENCE.format(model=model)}}}}
    return {"required": False, "content": {contract.BYTES: {}}}


def _problems(endpoint: contract.Endpoint, *, has_input: bool) -> dict[int, set[str]]:
    kinds: set[type[errors.RequestError]] = {*endpoint.raises, errors.InternalError}
    if has_input:
        kinds |= {errors.InvalidRequest, errors.MalformedRequest}
    if endpoint.body == "json":
        kinds |= {errors.UnsupportedMediaType}
    if endpoint.body != "none":
        kinds |= {errors.BodyTooLarge, errors.RequestTimeout}
    problems: dict[int, set[str]] = {}
    for kind in kinds:
        problems.setdefault(kind.status, set()).add(kind.slug)
    return problems
