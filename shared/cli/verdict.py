"""What a command with thresholds ends with."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckFailed
from .app import messages

if TYPE_CHECKING:
    from ..lab.results.thresholds import Judgement


def require_met(judged: "Sequence[Judgement]", path: Path) -> None:
    """Say which thresholds are not met.

    Args:
        judged: What became of each.
        path: Where the result is.

    Raises:
        CheckFailed: If one is not met.
    """
    from ..report.thresholds import line

    missed = [judgement for judgement in judged if not judgement.is_met]
    for judgement in missed:
        messages.print(line(judgement), markup=False)
    if missed:
        variants = dict.fromkeys(each.threshold.variant for each in missed if each.threshold.variant is not None)
        raise CheckFailed(
            f"Of {len(judged)} thresholds {len(missed)} not met",
            why=f"in {', '.join(variants)}" if variants else "",
            hint=f"The result is in {path}",
        )
