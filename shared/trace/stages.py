"""What both editions know of the stages around an endpoint, and the header fields that a traced answer has."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from shared.answers import Answer

from .context import TraceParent
from .recorder import STAGES
from .recorder import Trace

NS_PER_MS = 1_000_000


def routing(trace: Trace, template: str, endpoint: str | None) -> dict[str, Any]:
    """Return the facts of the stage that routes; the trace itself keeps them, too."""
    trace.template, trace.endpoint = template, endpoint
    return {"template": template, "endpoint": endpoint}


def validation(parameters: Any) -> dict[str, Any]:
    """Return the facts of the stage that validates: the model and the values that it made."""
    name = type(parameters).__name__
    if isinstance(parameters, BaseModel):
        return {"model": name, "parameters": parameters.model_dump(mode="json")}
    return {"model": name}


def serialization(answer: Answer) -> dict[str, Any]:
    """Return the facts of the stage that serializes."""
    content_type = next((value for name, value in answer.headers if name == "Content-Type"), None)
    return {"bytes": len(answer.body), "content_type": content_type}


def answer_fields(trace: Trace) -> list[tuple[str, str]]:
    """Return the header fields that a traced answer has beyond an untraced one's."""
    context = TraceParent(trace.trace_id, trace.span_id)
    return [
        ("X-Trace-Id", trace.trace_id),
        ("Server-Timing", server_timing(trace)),
        ("traceparent", str(context)),
    ]


def server_timing(trace: Trace) -> str:
    """Return the stages so far as https://www.w3.org/TR/server-timing/ wants them: durations in milliseconds.

    Stages of one name are added up; their number is told where there are several.
    """
    spent: dict[str, list[int]] = {}
    for stage in trace.stages:
        spent.setdefault(stage.name, []).append(stage.end_ns - stage.start_ns)
    return ", ".join(_metric(name, spent[name]) for name in STAGES if name in spent)


def _metric(name: str, durations_ns: list[int]) -> str:
    metric = f"{name};dur={sum(durations_ns) / NS_PER_MS:.3f}"
    return metric if len(durations_ns) == 1 else f'{metric};desc="{len(durations_ns)} times"'


def shown(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environ or a scope as it is now; objects become their type's name."""
    return {key: _value(value) for key, value in mapping.items()}


def _value(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.decode("latin-1")
        case list() | tuple():
            return [_value(item) for item in value]
        case dict():
            return {str(key): _value(item) for key, item in value.items()}
        case _:
            return f"<{type(value).__module__}.{type(value).__qualname__}>"
