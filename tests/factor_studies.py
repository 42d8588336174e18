"""Comparisons of factors made by hand, for tests that need one without measuring."""

from dataclasses import replace

from shared.config import Edition
from shared.lab.factors import shares
from shared.lab.factors.result import FactorStudy
from shared.lab.factors.result import Measured
from shared.lab.factors.result import Passed
from shared.lab.factors.result import Side
from shared.lab.planning.plan import Load
from tests.lab_records import make_comparison
from tests.lab_records import make_slice

AT = Load(32)
# Requests per second by level; the WSGI edition is ahead nearby, the ASGI edition far away.
CROSSING: dict[Edition, dict[float, int]] = {"wsgi": {0: 2_000, 10: 1_000}, "asgi": {0: 1_000, 10: 2_000}}
APART: dict[Edition, dict[float, int]] = {"wsgi": {0: 2_000, 10: 1_000}, "asgi": {0: 4_000, 10: 2_000}}


def made_side(edition: Edition, subject: str, value: str) -> Side:
    if subject == edition:
        return Side(edition, subject, {}, (), None)
    return Side(edition, subject, {"latency": value}, ("through a proxy",), Passed(166, ("some words",)))


def made_study(rates: dict[Edition, dict[float, int]], *, curve: str = "latency", scenario: str = "db") -> FactorStudy:
    """Return what is found where every level has its rates, the editions as they are those of level 0."""
    pieces = []
    for i in range(4):
        for edition, by_level in rates.items():
            pieces.append(make_slice(edition, rps=by_level[0], scenario=scenario, round_index=i))
            for level, rps in by_level.items():
                subject = f"{edition} latency={level:g}"
                pieces.append(make_slice(subject, rps=rps, scenario=scenario, round_index=i, time_s=1 / rps))
    comparison = replace(
        make_comparison(pieces, subjects=list(dict.fromkeys(piece.subject for piece in pieces))), kind="factors"
    )
    variants = [
        Measured(
            f"latency={level:g}",
            level,
            (
                made_side("wsgi", f"wsgi latency={level:g}", f"{level:g}"),
                made_side("asgi", f"asgi latency={level:g}", f"{level:g}"),
            ),
        )
        for level in rates["wsgi"]
    ]
    return shares.study(comparison, variants, curve=curve)


def made_loop_study() -> FactorStudy:
    """Return what is found where only the ASGI edition is changed: half as fast, with an error in each round."""
    changed = "asgi asgi:loop=asyncio"
    rates = {"wsgi": 1_000, "asgi": 2_000, changed: 1_000}
    pieces = [
        make_slice(subject, rps=rps, round_index=i, errors=(0,) if subject == changed else ())
        for i in range(3)
        for subject, rps in rates.items()
    ]
    sides = (Side("wsgi", "wsgi", {}, (), None), Side("asgi", changed, {"loop": "asyncio"}, (), Passed(166)))
    comparison = replace(make_comparison(pieces, subjects=tuple(rates)), kind="factors")
    return shares.study(comparison, [Measured("asgi:loop=asyncio", None, sides)], curve="")
