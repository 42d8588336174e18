"""SEAM: what is recorded while a traced request is answered.

The call of the application, and what it gives to the server; an untraced request has nothing of it.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from time import monotonic_ns
from wsgiref.types import WSGIEnvironment

from shared.answers import Answer
from shared.trace.recorder import Trace
from shared.trace.stages import shown


def called(trace: Trace, environ: WSGIEnvironment) -> None:
    """Note that the application has been called, with what, and that it looks for the route."""
    trace.record(
        "parse", trace.ready_ns, None, lambda: {"value": shown(environ)}, step="request to environ", interface="environ"
    )
    trace.method = environ["REQUEST_METHOD"]
    trace.target = environ["RAW_URI"]
    trace.begin("route")


def hand_over(trace: Trace, answer: Answer, body: Iterable[bytes]) -> Iterable[bytes]:
    """Return the body that a traced answer gives to the server, and end the stage that responds."""
    trace.status = answer.status
    trace.finish(
        lambda: {
            "call": "start_response(status, headers)",
            "status": answer.status,
            "header_fields": len(answer.headers),
        }
    )
    trace.handed_ns = monotonic_ns()
    return body if isinstance(body, tuple) else TracedChunks(trace, body)


class TracedChunks:
    """A streamed body, each chunk of which is a call of the interface."""

    def __init__(self, trace: Trace, body: Iterable[bytes]) -> None:
        self._trace = trace
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        trace = self._trace
        chunks = iter(self._body)
        while True:
            # What was handed over before has been sent.
            trace.handed_ns = 0
            with trace.stage("respond", call="yield chunk") as responding:
                try:
                    chunk = next(chunks, None)
                except Exception as error:
                    trace.end("failed", error)
                    raise
                responding.facts["bytes"] = len(chunk or b"")
            trace.handed_ns = monotonic_ns()
            if chunk is None:
                return
            yield chunk

    def close(self) -> None:
        """End the stream."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
