"""The cases, by group: most follow from the contract's table, the rest is written out."""

from shared.lab.parity.case import Case
from shared.lab.parity.case import Limits
from shared.lab.parity.case import Skipped
from shared.lab.parity.cases import bodies
from shared.lab.parity.cases import faults
from shared.lab.parity.cases import fields
from shared.lab.parity.cases import framing
from shared.lab.parity.cases import ledger
from shared.lab.parity.cases import methods
from shared.lab.parity.cases import success
from shared.lab.parity.cases import targets

MAKERS = (success.add, methods.add, fields.add, bodies.add, ledger.add, targets.add, framing.add)


def every(limits: Limits) -> tuple[list[Case], list[Skipped]]:
    """Return the cases that any pair of plain services can answer, and what is never sent."""
    cases: list[Case] = []
    skipped: list[Skipped] = []
    for make in MAKERS:
        cases += make(limits, skipped)
    return cases, skipped


__all__ = ["every", "faults"]
