"""What a run of claims found, as a value and as a document; nothing here runs anything."""

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any

from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Picture
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import overall
from shared.lab.results.record import Manifest

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """One claim's experiment and its verdict.

    Attributes:
        claim: The claim.
        options: Values of its options.
        finding: What was measured.
        rulings: Verdict by subject.
        overall: Verdict of all.
        explanation: One paragraph.
        duration_s: How long it took, in seconds.
    """

    claim: Claim
    options: Options
    finding: Finding
    rulings: Mapping[Subject, Ruling]
    overall: Ruling
    explanation: str
    duration_s: float

    @property
    def command(self) -> str:
        """The command that repeats it."""
        changed = [
            f" --set {name}={value}" for name, value in self.options.items() if value != self.claim.defaults[name]
        ]
        return f"wsgi-vs-asgi claims {self.claim.name}{''.join(changed)}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A claim whose experiment could not be done.

    Attributes:
        claim: The claim.
        why: What failed, and why, in one text.
    """

    claim: Claim
    why: str


@dataclass(frozen=True, slots=True)
class Claims:
    """Everything that one command found.

    Attributes:
        manifest: Where, when and with what.
        outcomes: By number of claim.
        failures: What could not be done.
    """

    manifest: Manifest
    outcomes: tuple[Outcome, ...]
    failures: tuple[Failure, ...]

    def document(self) -> dict[str, object]:
        """Return everything as a JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "claims",
            "manifest": asdict(self.manifest),
            "claims": [_outcome(outcome) for outcome in self.outcomes],
            "failures": [{"claim": failure.claim.name, "why": failure.why} for failure in self.failures],
        }


def judge(claim: Claim, options: Options, finding: Finding, duration_s: float) -> Outcome:
    """Return a claim's outcome: its rule applied to each subject's figures."""
    rulings = {subject: claim.rule(figures) for subject, figures in finding.measured.items()}
    return Outcome(claim, options, finding, rulings, overall(rulings), claim.explain(finding), duration_s)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    claim = outcome.claim
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "prediction": claim.prediction,
        "method": claim.method,
        "rule": claim.rule_words,
        "verdict": outcome.overall.verdict,
        "because": outcome.overall.because,
        "rulings": {subject: asdict(ruling) for subject, ruling in outcome.rulings.items()},
        "figures": {
            subject: [asdict(figure) for figure in figures.figures]
            for subject, figures in outcome.finding.measured.items()
        },
        "pictures": [_picture(picture) for picture in outcome.finding.pictures],
        "notes": list(outcome.finding.notes),
        "explanation": outcome.explanation,
        "sources": [asdict(source) for source in claim.sources],
        "options": dict(outcome.options),
        "depends_on_machine": claim.depends_on_machine,
        "duration_s": outcome.duration_s,
        "command": outcome.command,
    }


def _picture(picture: Picture) -> dict[str, Any]:
    return {"kind": type(picture).__name__.lower(), **asdict(picture)}
