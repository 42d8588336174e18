"""What a comparison of factors found; plain values, for the report and the file."""

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from typing import Literal

from shared.config import Edition
from shared.lab.planning.plan import Load
from shared.lab.results.record import Comparison
from shared.lab.results.record import Measure
from shared.lab.statistics import Ratio

# 1: first version.
FACTORS_SCHEMA_VERSION = 1
# What the editions without a swap are called where variants are named.
AS_THEY_ARE = "as they are"

# Whether two curves cross between the lowest and the highest level: shown, shown not to, or neither.
Verdict = Literal["cross", "apart", "not shown"]


@dataclass(frozen=True, slots=True)
class Passed:
    """How an edition's variant came through the parity check, against the other edition as it is.

    Attributes:
        cases: How many cases were compared.
        excepted: Differences that were let pass, each with its reason.
        as_level: The variant that was checked in its place, because only a number differs; empty for itself.
    """

    cases: int
    excepted: tuple[str, ...] = ()
    as_level: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One edition of a variant.

    Attributes:
        edition: Which.
        subject: Name of its subject in the comparison; the edition's own where nothing was swapped in it.
        swapped: Its values, by factor.
        also: What else differs.
        parity: How it passed the check; None where nothing was swapped.
    """

    edition: Edition
    subject: str
    swapped: Mapping[str, str]
    also: tuple[str, ...]
    parity: Passed | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One variant that was measured.

    Attributes:
        label: Its name.
        level: The number on the curve that it is a point of, or None.
        sides: The WSGI and the ASGI edition.
    """

    label: str
    level: float | None
    sides: tuple[Side, Side]

    def subject(self, edition: Edition) -> str:
        """Return the name of an edition's subject; that of the edition itself where nothing was swapped."""
        return next(side.subject for side in self.sides if side.edition == edition)


@dataclass(frozen=True, slots=True)
class Share:
    """What a swap changed in one edition.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        label: The variant.
        edition: Which edition.
        measure: What is divided.
        ratio: The variant over the edition as it is, from the same rounds; None where a round had nothing to divide.
    """

    scenario: str
    load: Load
    label: str
    edition: Edition
    measure: Measure
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class Gap:
    """How far apart the editions are.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        label: The variant; empty for the editions as they are.
        measure: What is divided.
        ratio: The ASGI over the WSGI edition, from the same rounds.
    """

    scenario: str
    load: Load
    label: str
    measure: Measure
    ratio: Ratio | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where the two editions' curves cross.

    Attributes:
        scenario: Name of the scenario.
        load: How much was sent.
        measure: Of what the curves are.
        levels: The levels that were measured, ascending.
        verdict: Whether they cross between the first and the last.
        at: The level at which they do, interpolated; None where the measured curves do not cross.
        low: Lower end of the 95 % interval of that level; None without a level.
        high: Upper end.
        probability: Share of the resampled rounds whose curves cross.
        ahead: Which edition has the larger value at the lowest level.
        is_repeated: Whether the measured curves cross more than once; `at` is then the first place.
    """

    scenario: str
    load: Load
    measure: Measure
    levels: tuple[float, ...]
    verdict: Verdict
    at: float | None
    low: float | None
    high: float | None
    probability: float
    ahead: Edition
    is_repeated: bool


@dataclass(frozen=True, slots=True, eq=False)
class FactorStudy:
    """Everything that one comparison of factors found.

    Attributes:
        comparison: What was measured: both editions as they are, and every variant, interleaved.
        variants: What was swapped, in order.
        shares: What that changed in each edition.
        gaps: How far apart the editions are, as they are and in each variant.
        crossings: Where the editions' curves cross; empty without a curve.
        curve: Name of the factor with several numbers; empty without one.
    """

    comparison: Comparison
    variants: tuple[Measured, ...]
    shares: tuple[Share, ...]
    gaps: tuple[Gap, ...]
    crossings: tuple[Crossing, ...]
    curve: str = ""

    def share(self, scenario: str, load: Load, label: str, edition: Edition, measure: Measure) -> Ratio | None:
        """Return what a variant changed in an edition, or None."""
        wanted = (scenario, load, label, edition, measure)
        found = (s for s in self.shares if (s.scenario, s.load, s.label, s.edition, s.measure) == wanted)
        return next((share.ratio for share in found), None)

    def gap(self, scenario: str, load: Load, label: str, measure: Measure) -> Ratio | None:
        """Return how far apart the editions are in a variant, or None."""
        wanted = (scenario, load, label, measure)
        found = (g for g in self.gaps if (g.scenario, g.load, g.label, g.measure) == wanted)
        return next((gap.ratio for gap in found), None)

    def subject(self, label: str, edition: Edition) -> str:
        """Return what was measured as an edition in a variant; the edition itself for an empty label."""
        return next((each.subject(edition) for each in self.variants if each.label == label), edition)

    def document(self, samples: str) -> dict[str, object]:
        """Return it as one JSON object, without what stands in the comparison's own file.

        Args:
            samples: Name of that file.
        """
        return {
            "schema_version": FACTORS_SCHEMA_VERSION,
            "kind": "factors",
            "manifest": asdict(self.comparison.manifest),
            "comparison": samples,
            "curve": self.curve,
            "variants": [asdict(variant) for variant in self.variants],
            "shares": [asdict(share) for share in self.shares],
            "gaps": [asdict(gap) for gap in self.gaps],
            "crossings": [asdict(crossing) for crossing in self.crossings],
        }
