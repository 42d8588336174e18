"""An edition that also answers at the ladder's lower rungs: the project's own code, left at a chosen depth.

python -m shared.lab.controls.ladder wsgi|asgi

The edition starts as ever, with its own server, settings, application, handlers, session and pool. Four entries are
added to the contract, whose functions do less and less, and one path is answered before the application is called. The
upper rungs are the edition's own endpoints. So all rungs are paths of one process, with one memory layout.
"""

import importlib
import runpy
import sys
from typing import Any

from shared import contract
from shared import schemas
from shared.contract import Endpoint
from shared.lab.ladder import rungs

# Name of the function in the edition's module here, and whether get_db stands around it; by rung, counted from 1.
ADDED: dict[int, tuple[str, contract.Needs]] = {
    2: ("validated", "nothing"),
    3: ("validated", "nothing"),
    4: ("in_session", "session"),
    5: ("selected", "session"),
}
# The rung at which a request is routed, and answered by its handler at once.
ROUTED = 2


def entries() -> tuple[Endpoint, ...]:
    """Return the contract's entries of the added rungs; what they take and answer is what /queries does."""
    return tuple(
        Endpoint(
            f"ladder{number}",
            contract.OPERATIONS,
            "GET",
            rungs.path(number),
            rungs.RUNGS[number - 1].adds,
            list[schemas.World],
            schemas.QueriesParameters,
            needs,
        )
        for number, (_, needs) in ADDED.items()
    )


def extend(edition: str) -> None:
    """Add the rungs to an edition in this process, before its server starts."""
    application: Any = importlib.import_module(f"{edition}_app.app")
    endpoints: Any = importlib.import_module(f"{edition}_app.endpoints")
    depths: Any = importlib.import_module(f"shared.lab.controls.ladder_{edition}")
    contract.CONTRACT = (*contract.CONTRACT, *entries())
    for number, (name, _) in ADDED.items():
        setattr(endpoints, f"ladder{number}", getattr(depths, name))
    handler = application.Handler
    routed = depths.routed(handler)

    def made(endpoint: Endpoint, *arguments: Any) -> Any:
        return (routed if endpoint.path == rungs.path(ROUTED) else handler)(endpoint, *arguments)

    application.Handler = made
    whole = application.Application
    whole.__call__ = depths.constant(whole.__call__)


if __name__ == "__main__":
    extend(sys.argv[1])
    runpy.run_module(f"{sys.argv[1]}_app", run_name="__main__")
