"""A study of factors over levels made by hand, as the document that its command writes."""

from typing import Any

LOAD = {"connections": 32, "rate": None, "arrivals": None}
LEVELS = (0.0, 1.0, 10.0, 100.0)


def within(value: float, low: float, high: float) -> dict[str, float]:
    """Return a ratio with its interval."""
    return {"value": value, "low": low, "high": high, "rounds": 10}


def study_document() -> dict[str, Any]:
    """Return a study of injected latency in which the editions change places between 10 and 100 ms."""
    labels = {f"latency={level:g}": level for level in LEVELS}
    values = {"": 1.6, "latency=0": 1.5, "latency=1": 1.3, "latency=10": 1.05, "latency=100": 0.6}
    about = {"scenario": "/db", "load": LOAD}
    gaps = [
        {**about, "label": label, "measure": measure, "ratio": within(value, 0.9 * value, 1.1 * value)}
        for measure in ("rps", "p50")
        for label, value in values.items()
    ]
    crossing = {
        **about,
        **{"measure": "rps", "levels": list(LEVELS), "verdict": "cross", "at": 12.0, "low": 9.0, "high": 15.0},
        **{"probability": 0.99, "ahead": "asgi", "is_repeated": False},
    }
    sides = [{"edition": edition, "also": ["all goes through a proxy"]} for edition in ("wsgi", "asgi")]
    variants = [{"label": label, "level": level, "sides": sides} for label, level in labels.items()]
    return {"variants": variants, "shares": [], "gaps": gaps, "crossings": [crossing], "curve": "latency"}
