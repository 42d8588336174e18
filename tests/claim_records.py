"""Figures of a claim, made up: what a rule is fed with."""

from dataclasses import replace

from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Value


def made(**values: Value) -> Figures:
    """Return figures of these names and values."""
    return Figures(tuple(Figure(name, name.replace("_", " "), value) for name, value in values.items()))


def doctored(figures: Figures, **values: Value) -> Figures:
    """Return figures with some values replaced.

    Raises:
        KeyError: If a figure to be replaced is not there.
    """
    for name in values:
        _ = figures[name]
    return Figures(tuple(replace(figure, value=values.get(figure.name, figure.value)) for figure in figures.figures))
