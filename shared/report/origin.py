"""Where a result comes from, in a line."""

from shared.lab.results.record import Manifest


def made(manifest: Manifest) -> str:
    """Return when, from which commit and on what a result was made."""
    commit = (manifest.git_commit or "unknown")[:12]
    return (
        f"{manifest.time_utc}, commit {commit}{' with changes' if manifest.git_dirty else ''}; {manifest.cpu_model}, "
        f"{manifest.cores} processors, {manifest.python}."
    )
