"""What a run of claims found, as a value and as a document, in both directions; nothing here runs anything.

A claim is told here without the functions that test it: what was found is read back without the catalogue, and shows
what was stated when it was measured, whatever the catalogue says now.
"""

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any
from typing import TypeVar

from pydantic import TypeAdapter

from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Diagram
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Picture
from shared.lab.claims.claim import Ruling
from shared.lab.claims.claim import Source
from shared.lab.claims.claim import Subject
from shared.lab.claims.claim import Timeline
from shared.lab.claims.claim import overall
from shared.lab.results.record import Manifest

SCHEMA_VERSION = 1
Read = TypeVar("Read")
PICTURES: dict[str, type[Diagram] | type[Timeline] | type[Bars]] = {
    kind.__name__.lower(): kind for kind in (Diagram, Timeline, Bars)
}


@dataclass(frozen=True, slots=True)
class Stated:
    """A claim in words; the attributes are those of `Claim`."""

    name: str
    statement: str
    prediction: str
    method: str
    rule_words: str
    options: tuple[Option, ...]
    sources: tuple[Source, ...]
    depends_on_machine: bool

    @classmethod
    def of(cls, claim: Claim) -> "Stated":
        """Return the words of a claim."""
        return cls(
            name=claim.name,
            statement=claim.statement,
            prediction=claim.prediction,
            method=claim.method,
            rule_words=claim.rule_words,
            options=claim.options,
            sources=claim.sources,
            depends_on_machine=claim.depends_on_machine,
        )

    def command(self, options: Options) -> str:
        """Return the command that puts it to the test with these values of its options."""
        changed = "".join(
            f" --set {option.name}={options[option.name]}"
            for option in self.options
            if options.get(option.name, option.default) != option.default
        )
        return f"wsgi-vs-asgi claims {self.name}{changed}"


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

    claim: Stated
    options: Options
    finding: Finding
    rulings: Mapping[Subject, Ruling]
    overall: Ruling
    explanation: str
    duration_s: float

    @property
    def command(self) -> str:
        """The command that repeats it."""
        return self.claim.command(self.options)


@dataclass(frozen=True, slots=True)
class Failure:
    """A claim whose experiment could not be done.

    Attributes:
        claim: The claim.
        options: Values of its options.
        why: What failed, and why, in one text.
    """

    claim: Stated
    options: Options
    why: str

    @property
    def command(self) -> str:
        """The command that tries it again."""
        return self.claim.command(self.options)


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
            "failures": [
                {**_stated(failure.claim, failure.options), "why": failure.why, "command": failure.command}
                for failure in self.failures
            ],
        }


def judge(claim: Claim, options: Options, finding: Finding, duration_s: float) -> Outcome:
    """Return a claim's outcome: its rule applied to each subject's figures."""
    rulings = {subject: claim.rule(figures) for subject, figures in finding.measured.items()}
    return Outcome(Stated.of(claim), options, finding, rulings, overall(rulings), claim.explain(finding), duration_s)


def parse(document: Mapping[str, Any]) -> Claims:
    """Return what a document holds, each value of the type it is declared with.

    Raises:
        ValueError: If the document is none of claims, is one of another schema version, or lacks something.
    """
    if document.get("kind") != "claims":
        raise ValueError(f"it holds a result of kind {document.get('kind')!r}, not of claims")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"schema version {document.get('schema_version')!r}, and {SCHEMA_VERSION} is read")
    try:
        return Claims(
            manifest=_read(Manifest, document["manifest"]),
            outcomes=tuple(_read_outcome(each) for each in document["claims"]),
            failures=tuple(
                Failure(_read_stated(each), _read_options(each), each["why"]) for each in document["failures"]
            ),
        )
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _stated(claim: Stated, options: Options) -> dict[str, Any]:
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "prediction": claim.prediction,
        "method": claim.method,
        "rule": claim.rule_words,
        "options": [{**asdict(option), "value": options[option.name]} for option in claim.options],
        "sources": [asdict(source) for source in claim.sources],
        "depends_on_machine": claim.depends_on_machine,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        **_stated(outcome.claim, outcome.options),
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
        "duration_s": outcome.duration_s,
        "command": outcome.command,
    }


def _picture(picture: Picture) -> dict[str, Any]:
    return {"kind": type(picture).__name__.lower(), **asdict(picture)}


def _read(kind: type[Read], value: object) -> Read:
    return TypeAdapter(kind).validate_python(value)


def _read_stated(each: Mapping[str, Any]) -> Stated:
    return _read(Stated, {**each, "name": each["claim"], "rule_words": each["rule"]})


def _read_options(each: Mapping[str, Any]) -> Options:
    return _read(dict[str, int | float], {option["name"]: option["value"] for option in each["options"]})


def _read_outcome(each: Mapping[str, Any]) -> Outcome:
    figures = _read(dict[Subject, tuple[Figure, ...]], each["figures"])
    return Outcome(
        claim=_read_stated(each),
        options=_read_options(each),
        finding=Finding(
            measured={subject: Figures(found) for subject, found in figures.items()},
            pictures=tuple(_read_picture(picture) for picture in each["pictures"]),
            notes=_read(tuple[str, ...], each["notes"]),
        ),
        rulings=_read(dict[Subject, Ruling], each["rulings"]),
        overall=_read(Ruling, {"verdict": each["verdict"], "because": each["because"]}),
        explanation=_read(str, each["explanation"]),
        duration_s=_read(float, each["duration_s"]),
    )


def _read_picture(picture: Mapping[str, Any]) -> Picture:
    if picture["kind"] not in PICTURES:
        raise ValueError(f"a picture of kind {picture['kind']!r}, and there are {', '.join(PICTURES)}")
    return _read(PICTURES[picture["kind"]], picture)
