"""Results of other commands that the page of a comparison shows beside its own."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from typing import Any

from shared.lab.results.record import Manifest
from shared.report.page.content import Block
from shared.report.page.content import Notice
from shared.report.page.content import Section
from shared.report.page.content import Text
from shared.report.page.sections import SECTIONS

# What must be equal for two results to be read side by side, and how it is called.
CONDITIONS = (
    ("cpu_model", "processor"),
    ("cores", "number of processors"),
    ("memory_bytes", "memory"),
    ("kernel", "kernel"),
    ("governor", "frequency governor"),
    ("python", "Python"),
    ("database_version", "database"),
)


@dataclass(frozen=True, slots=True)
class Companion:
    """The newest result of another command.

    Attributes:
        kind: Which command, such as ladder.
        place: Name of its directory.
        document: What its result.json holds; None where it cannot be read.
        trouble: Why it cannot be read.
    """

    kind: str
    place: str
    document: Mapping[str, Any] | None
    trouble: str = ""


def sections(companions: Sequence[Companion], manifest: Manifest) -> Iterable[Section]:
    """Yield the section of each companion that has something to show, with where it comes from.

    Args:
        companions: Results of other commands.
        manifest: Of the comparison beside which they stand.
    """
    for kind, make in SECTIONS.items():
        for companion in companions:
            if companion.kind != kind:
                continue
            made, trouble = None, companion.trouble
            if companion.document is not None:
                try:
                    made = make(companion.document)
                except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                    trouble = f"{type(error).__name__}: {error}"
            if made is not None and companion.document is not None:
                yield replace(made, blocks=[*_origin(companion.place, companion.document, manifest), *made.blocks])
            elif trouble:
                text = f"The newest result of {kind}, {companion.place}, cannot be read: {trouble}."
                notice = Notice("unreadable", companion.place, text, f"run make {kind} again")
                yield Section(kind, kind.capitalize(), [notice])


def _origin(place: str, document: Mapping[str, Any], manifest: Manifest) -> Iterable[Block]:
    """Yield when and from what a result was made, and what was not as in the comparison."""
    other = document.get("manifest") or {}
    ours = asdict(manifest)
    commit = str(other.get("git_commit") or "unknown")[:12]
    changed = " with changes" if other.get("git_dirty") else ""
    yield Text(
        f"From {place}, measured {other.get('time_utc', 'at an unknown time')}, commit {commit}{changed}.", "note"
    )
    differing = [
        f"{name}: {other.get(field)} there, {ours[field]} here"
        for field, name in CONDITIONS
        if other.get(field) != ours[field]
    ]
    packages: Mapping[str, str] = other.get("packages") or {}
    differing += [
        f"{name}: {packages.get(name, 'absent')} there, {ours['packages'].get(name, 'absent')} here"
        for name in sorted({*packages, *ours["packages"]})
        if packages.get(name) != ours["packages"].get(name)
    ]
    if (other.get("git_commit"), other.get("git_dirty")) != (manifest.git_commit, manifest.git_dirty):
        differing.append("the program: another commit, or other changes to it")
    if differing:
        yield Notice(
            "other_environment",
            place,
            f"Not measured as the comparison was: {'; '.join(differing)}.",
            "measure it again here before reading the two together",
        )
