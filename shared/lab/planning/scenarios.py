"""From words on a command line to scenarios: groups, endpoints and targets of the contract.

A target that is typed is routed and validated as the services would, so that nothing is started for one that fails.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import get_args
from urllib.parse import parse_qsl
from urllib.parse import unquote

from shared import routing
from shared.contract import CONTRACT
from shared.contract import Endpoint
from shared.contract import LoadGroup
from shared.contract import endpoints
from shared.errors import InvalidRequest
from shared.errors import RequestError
from shared.errors import UsageError
from shared.lab.planning.plan import Part
from shared.lab.planning.plan import Scenario
from shared.validation import Binder

EVERYTHING = "all"
MIXED = "mixed"
# The mix: how many of 100 requests go to which endpoint, at its first load target. Mostly cheap reads, as in most
# services; every group has a part in it, and /updates is what writes. The one part that waits long holds a connection
# of the pool meanwhile, so that others feel it.
MIX: Mapping[str, int] = {
    **{"plaintext": 20, "json": 10},
    **{"db": 25, "queries": 10, "fortunes": 10, "updates": 10},
    **{"sleep": 10},
    **{"cpu": 5},
}
# Names of the endpoints in each group, in the contract's order.
GROUPS: Mapping[str, tuple[str, ...]] = {
    **{group: tuple(entry.name for entry in CONTRACT if entry.group == group) for group in get_args(LoadGroup)},
    EVERYTHING: tuple(entry.name for entry in CONTRACT if entry.load),
}


def choose(words: Sequence[str], *, lab: bool) -> tuple[Scenario, ...]:
    """Return the scenarios that words name, in their order, each once.

    Args:
        words: Names of groups or endpoints, or targets.
        lab: Whether the services have the endpoints that need LAB=1.

    Raises:
        UsageError: If a word names nothing that could be measured.
    """
    return tuple(dict.fromkeys(scenario for word in words for scenario in _scenarios(word, lab)))


def mixed() -> Scenario:
    """Return the one scenario that is a mix of requests of all groups, each checked as if it had been typed."""
    loads = {entry.name: entry.load for entry in CONTRACT}
    parts = tuple(Part(_of_target(loads[name][0], lab=False).target, weight) for name, weight in MIX.items())
    return Scenario(MIXED, parts[0].target, parts=parts)


def _scenarios(word: str, lab: bool) -> list[Scenario]:
    if word.startswith("/"):
        return [_of_target(word, lab)]
    if word == MIXED:
        return [mixed()]
    # A group before an endpoint of its name: it holds that endpoint.
    names = GROUPS.get(word, (word,))
    entries = [entry for entry in CONTRACT if entry.name in names]
    if not entries:
        raise UsageError(
            f"There is no scenario {word!r}",
            why=f"groups are {', '.join((*GROUPS, MIXED))}; endpoints are {', '.join(GROUPS[EVERYTHING])}",
            hint="Give one of these, or a target such as '/queries?queries=5'",
        )
    for entry in entries:
        _require_served(entry, lab)
        if not entry.load:
            raise UsageError(
                f"{entry.name} is no scenario by its name",
                why=f"the contract has no load target for {entry.method} {entry.path}",
                hint=f"Give a target: {entry.path}" if entry.method == "GET" else "Scenarios are GET requests",
            )
    return [Scenario(target, target) for entry in entries for target in entry.load]


def _of_target(target: str, lab: bool) -> Scenario:
    path, _, query = target.partition("?")
    try:
        scenario = Scenario(target, target)
        # As the servers do: decoded before it is routed.
        resource, found = _find(unquote(path))
        entry = resource.handlers.get("GET") or resource.refuse("GET")
        _require_served(entry, lab)
        binder = Binder(entry, None)
        _require_known_keys(target, query, binder.query_keys)
        binder(found, query, lambda _: None, b"")
    except ValueError as error:
        raise UsageError(f"{target!r} cannot be a scenario", why=str(error)) from error
    except InvalidRequest as error:
        why = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors)
        raise UsageError(f"{target} would not succeed", why=why, hint=_example(entry)) from error
    except RequestError as error:
        paths = [entry.path for entry in endpoints(lab=lab, trace=False) if entry.method == "GET"]
        hint = f"Paths to GET are {', '.join(paths)}"
        raise UsageError(f"{target} would not succeed", why=error.detail, hint=hint) from error
    return scenario


def _find(path: str) -> tuple[Any, dict[str, str]]:
    """Return a path's resource, whose handlers are the contract's entries, and its path parameters."""
    table = routing.routes(routing.resources(CONTRACT, lambda entry: entry), lambda resource: resource)
    return routing.find(table, path)


def _require_served(entry: Endpoint, lab: bool) -> None:
    if entry.is_lab_only and not lab:
        raise UsageError(f"{entry.path} needs LAB=1", why="the services would not have it", hint="Set LAB=1 and repeat")
    if entry.is_trace_only:
        raise UsageError(f"{entry.path} is not there to be timed", why="timed services run without tracing (TRACE=0)")


def _require_known_keys(target: str, query: str, known: frozenset[str]) -> None:
    """Refuse a key that the services would ignore: another request than was meant would be measured."""
    unknown = [key for key, _ in parse_qsl(query, keep_blank_values=True) if key not in known]
    if unknown:
        raise UsageError(
            f"{target} has a key that is not read: {unknown[0]}",
            why=f"keys that are read: {', '.join(sorted(known))}" if known else "its query is not read at all",
        )


def _example(entry: Endpoint) -> str:
    return f"As in {entry.load[0]}" if entry.load else ""
