"""Engines and connections timed step by step in fresh processes; for the claims about what they cost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from shared.config import Edition
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Figure
from shared.lab.claims.server import OwnServer
from shared.lab.claims.server import Road
from shared.lab.statistics import paired_ratio

# Read by the program alone (`shared.lab.controls.programs.engine_birth`).
URLS_KEY = "LAB_ROADS"


@dataclass(frozen=True, slots=True)
class Births:
    """What one process took, in milliseconds; of steps that were repeated, the median.

    Attributes:
        first: Steps of the first engine of the process, by name.
        later: Steps of later ones, by road and name.
    """

    first: dict[str, float]
    later: dict[Road, dict[str, float]]


def births(bench: Bench, server: OwnServer, edition: Edition, roads: Sequence[Road], *, later: int) -> Births:
    """Make engines in a fresh process.

    Args:
        bench: Where it takes place.
        server: The database.
        edition: Whose engines.
        roads: To where; the first engine takes the first of them.
        later: How many later engines take each.

    Raises:
        EnvironmentFailure: If the process fails.
    """
    urls = {road: server.urls[road][edition] for road in roads}
    settings = {"DATABASE_URL": urls[roads[0]], URLS_KEY: json.dumps(urls)}
    said: dict[str, Any] = bench.run_inside(edition, "engine_birth", settings=settings, later=later)
    medians = {road: {step: median(each[step] for each in said[road]) for step in said[road][0]} for road in roads}
    return Births(said["first"][0], medians)


def typical(name: str, label: str, values_ms: Sequence[float]) -> Figure:
    """Return the geometric mean of times from fresh processes, with its interval.

    Args:
        name: Of the figure.
        label: Of the figure.
        values_ms: One for each process, in milliseconds.
    """
    found = paired_ratio(values_ms, [1.0] * len(values_ms), seed=1)
    return Figure(name, label, found.value, "ms", len(values_ms), found.low, found.high)
