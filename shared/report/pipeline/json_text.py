"""All that a command traced, as one JSON object."""

import json
from dataclasses import asdict
from typing import Any

from shared.lab.statistics import MINIMUM_ROUNDS
from shared.lab.tracing.repeat import stage_figures
from shared.lab.tracing.repeat import typical
from shared.lab.tracing.result import Traced
from shared.lab.tracing.result import TracedRequest

SCHEMA_VERSION = 1


def trace_json(traced: Traced) -> str:
    """Return the JSON text.

    `wsgi` and `asgi` hold the pair that is drawn; `figures` the medians of all, in nanoseconds; bytes are text, one
    character a byte (latin-1).
    """
    pair = typical(traced.pairs)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": pair.command,
        "method": pair.method,
        "target": pair.target,
        "wsgi": _request(pair.wsgi),
        "asgi": _request(pair.asgi),
        "repeats": len(traced.pairs),
        "figures": None,
        "pairs": None,
        "loads": [asdict(load) for load in traced.loads],
        "started": list(traced.started),
    }
    if len(traced.pairs) >= MINIMUM_ROUNDS:
        document["figures"] = [asdict(figure) for figure in stage_figures(traced.pairs)]
        document["pairs"] = [{"wsgi": _request(each.wsgi), "asgi": _request(each.asgi)} for each in traced.pairs]
    return json.dumps(document)


def _request(request: TracedRequest) -> dict[str, Any]:
    return {
        "document": request.document,
        "client": asdict(request.client),
        "sent": request.sent.decode("latin-1"),
        "received": request.received.decode("latin-1"),
    }
