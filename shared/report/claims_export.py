"""The list of verdicts as a Markdown table, as README holds it."""

from shared.lab.claims.result import Claims
from shared.report import claim_figures
from shared.report import format
from shared.report.export import MARKUP


def as_markdown(found: Claims) -> str:
    """Return a table with a line for each claim, and below it when and where the verdicts were made."""
    heads, rows = claim_figures.verdicts(found)
    manifest = found.manifest
    commit = (manifest.git_commit or "unknown")[:12]
    made = (
        f"{claim_figures.counts(found)}. {manifest.time_utc}, {manifest.cpu_model}, {manifest.cores} processors, "
        f"{manifest.python}, commit {commit}{' with changes' if manifest.git_dirty else ''}."
    )
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join([*(f"| {' | '.join(map(_cell, line))} |" for line in lines), "", _cell(made), ""])


def _cell(text: str) -> str:
    return format.visible(text.translate(MARKUP))
