"""What the endpoints of the traces wait for: a trace is written a moment after its answer was sent."""

from shared.config import Settings
from shared.errors import NotFound
from shared.schemas import TraceReader
from shared.trace.document import TraceDocument
from shared.trace.gate import Gate
from shared.trace.store import Store
from shared.trace.store import open_store

from .concurrency import pause

# Another process may be the one that writes; together a fifth of a second.
TRIES = 20
PAUSE_S = 0.01


async def readable(settings: Settings, reader: TraceReader) -> Store:
    """Return the traces to somebody who may read them, once those of this process are written.

    Raises:
        Forbidden: If the token is missing or wrong.
        MalformedRequest: If no token is set, and the request was sent to another name than this machine's.
    """
    Gate(settings).check_reader(reader.host, reader.trace_token)
    store = open_store(settings)
    for _ in range(TRIES):
        if store.is_settled:
            break
        await pause(PAUSE_S)
    return store


async def find(store: Store, trace_id: str) -> TraceDocument:
    """Return the latest trace with an id.

    Raises:
        NotFound: If there is none, or none any more.
    """
    for _ in range(TRIES):
        trace = store.get(trace_id)
        if trace is not None:
            return trace
        await pause(PAUSE_S)
    raise NotFound(f"No trace has the id {trace_id}, or it was removed since")
