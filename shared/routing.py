"""Paths to endpoints, by Starlette's own route table in both editions.

Starlette's matching is pure and takes a plain scope, so the WSGI edition walks the same `Route` objects that the ASGI
edition hands to Starlette's `Router`. What both find is a `Resource`: the methods of one path.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Generic
from typing import NoReturn
from typing import TypeVar

from starlette.routing import BaseRoute
from starlette.routing import Match
from starlette.routing import Route

from .contract import Endpoint
from .errors import MethodNotAllowed
from .errors import NotFound

Handler = TypeVar("Handler")

_METHOD_ORDER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Resource(Generic[Handler]):
    """One path: a handler for each of its methods, HEAD included, and the Allow header that names them."""

    path: str
    handlers: Mapping[str, Handler]
    allow: str

    def refuse(self, method: str) -> NoReturn:
        """Raise the answer to a method that the path does not have."""
        raise MethodNotAllowed(
            f"{self.path} answers {self.allow}",
            headers=(("Allow", self.allow),),
        )


def resources(
    endpoints: Iterable[Endpoint],
    handler: Callable[[Endpoint], Handler],
) -> list[Resource[Handler]]:
    """Group endpoints by path, in the contract's order."""
    by_path: dict[str, dict[str, Handler]] = {}
    for endpoint in endpoints:
        handlers = by_path.setdefault(endpoint.path, {})
        handlers[endpoint.method] = handler(endpoint)
        if endpoint.method == "GET":
            handlers["HEAD"] = handlers["GET"]
    return [
        Resource(path, handlers, ", ".join(method for method in _METHOD_ORDER if method in {*handlers, "OPTIONS"}))
        for path, handlers in by_path.items()
    ]


def routes(table: Iterable[Resource[Handler]], endpoint: Callable[[Resource[Handler]], Any]) -> list[BaseRoute]:
    """Return Starlette routes, one a path; methods are told apart by the resource, which answers the same in both."""
    return [Route(resource.path, endpoint(resource)) for resource in table]


def find(table: Iterable[BaseRoute], path: str) -> tuple[Any, dict[str, str]]:
    """Return the endpoint of the first route that matches, and its path parameters.

    Raises:
        NotFound: If no route matches.
    """
    scope = {"type": "http", "path": path, "root_path": "", "method": ""}
    for route in table:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return found["endpoint"], found["path_params"]
    raise unknown_path()


def literal(table: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the endpoints of the routes without parameters, by path.

    A look-up here finds what walking the table would find, in the same time for every path: the table's order would
    otherwise be part of what is measured.
    """
    return {route.path: route.endpoint for route in table if isinstance(route, Route) and not route.param_convertors}


def unknown_path() -> NotFound:
    """Return the answer to a path that no route matches."""
    return NotFound("No endpoint has this path")
