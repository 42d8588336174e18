"""Whether a variant answers as the editions do: the quick parity check, one changed edition against the other as it is.

The editions as they are have been checked against each other before. What a foreign server may do otherwise is listed
here, case by case and with its reason; everything else ends the comparison before anything is timed.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack

from shared.config import Edition
from shared.config import Settings
from shared.errors import NotComparable
from shared.lab.compare import Progress
from shared.lab.factors import distance
from shared.lab.factors import variants as starting
from shared.lab.factors.catalogue import BY_NAME
from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.catalogue import is_number
from shared.lab.factors.choice import Variant
from shared.lab.factors.result import Passed
from shared.lab.parity import check
from shared.lab.parity.result import Difference
from shared.lab.parity.result import Fact
from shared.lab.services.process import ServiceSpec

AS_IT_IS = Variant("", {})
OTHER_WORDS = "the words behind a status code are the server's own"
NOT_TRACED = "requests are not traced under a server, or a protocol, that is not the edition's; nothing timed is"
FACTS_SHOWN = 3

# An edition and what was swapped in it.
Code = tuple[Edition, tuple[tuple[str, str], ...]]


def check_variants(
    settings: Settings, url: str, variants: Sequence[Variant], progress: Progress
) -> dict[tuple[str, Edition], Passed]:
    """Check every changed edition of every variant and return how each passed, by the variant's label and the edition.

    Of variants that differ in numbers only the first is checked: they run the same code. A database farther away is
    checked through its proxy, without a delay.

    Args:
        settings: Settings of the editions as they are.
        url: The database.
        variants: What is swapped.
        progress: Called with one line at each step.

    Raises:
        NotComparable: If one answers otherwise than the edition, in a way that is not excepted.
        EnvironmentFailure: If one cannot be started.
    """
    passed: dict[tuple[str, Edition], Passed] = {}
    first_of = checked(variants)
    for code, first in first_of.items():
        progress(f"checking {first.subject(code[0])}")
        passed[first.label, code[0]] = _check(settings, url, first, code[0])
    for variant in variants:
        for edition in variant.editions:
            first = first_of[code_of(edition, variant.swapped[edition])]
            found = passed[first.label, edition]
            if first is not variant:
                passed[variant.label, edition] = Passed(found.cases, found.excepted, as_level=first.label)
    return passed


def checked(variants: Sequence[Variant]) -> dict[Code, Variant]:
    """Return the first variant that runs each code, by the edition and what was swapped in it."""
    first_of: dict[Code, Variant] = {}
    for variant in variants:
        for edition in variant.editions:
            first_of.setdefault(code_of(edition, variant.swapped[edition]), variant)
    return first_of


def code_of(edition: Edition, values: Mapping[str, str]) -> Code:
    """Return what makes an edition's variant other code: its names, and of numbers that there are some."""
    return edition, tuple(sorted((name, "a number" if is_number(value) else value) for name, value in values.items()))


def excepted(fact: Fact, case: str, variant: Variant, edition: Edition) -> str:
    """Return why a difference may be; empty for one that may not.

    Args:
        fact: What differs.
        case: Name of the case.
        variant: What is swapped.
        edition: Where; the other edition is as it is.
    """
    if fact.what == "SQL statements":
        changed, own = (fact.wsgi, fact.asgi) if edition == "wsgi" else (fact.asgi, fact.wsgi)
        more, fewer = _kinds(changed) - _kinds(own), _kinds(own) - _kinds(changed)
        reasons = (each.reason for each in variant.statements(edition) if not fewer and more == Counter(each.kinds))
        return next(reasons, "")
    if not variant.replaces_protocol(edition):
        return ""
    if fact.what == "status" and fact.wsgi.split(" ")[0] == fact.asgi.split(" ")[0]:
        return OTHER_WORDS
    if fact.what == "header x-trace-id" and "/traces" in case:
        return NOT_TRACED
    return ""


def told_by_both(variant: Variant, edition: Edition) -> dict[str, str]:
    """Return the settings of a variant that both editions have under one key, such as the pool's size.

    The other edition gets them too for the check, since answers tell them: /pool says how large its pool is.
    """
    numbers = ((BY_NAME[name], value) for name, value in variant.swapped[edition].items() if is_number(value))
    return {
        factor.setting[edition]: value
        for factor, value in numbers
        if factor.setting and len({factor.setting.get(each) for each in EDITIONS}) == 1
    }


def refused(differences: Iterable[Difference], variant: Variant, edition: Edition) -> tuple[list[str], list[str]]:
    """Return what may not be, a text for each difference, and the reasons of what may."""
    wrong: list[str] = []
    reasons: list[str] = []
    for difference in differences:
        found = [excepted(fact, difference.case, variant, edition) for fact in difference.facts]
        reasons += filter(None, found)
        facts = [fact for fact, reason in zip(difference.facts, found, strict=True) if not reason]
        if facts:
            shown = "; ".join(f"{fact.what}: {fact.wsgi} against {fact.asgi}" for fact in facts[:FACTS_SHOWN])
            wrong.append(f"{difference.group}, {difference.case}: {shown}")
    return wrong, reasons


def _kinds(text: str) -> Counter[str]:
    """Return counted statements from how the parity check shows them, such as 2: BEGIN 1, SELECT 1."""
    found: Counter[str] = Counter()
    for part in text.partition(": ")[2].split(", "):
        kind, _, count = part.rpartition(" ")
        if count.isdigit():
            found[kind] += int(count)
    return found


def _check(settings: Settings, url: str, variant: Variant, edition: Edition) -> Passed:
    def make_spec(each: Edition, environ: Mapping[str, str]) -> ServiceSpec:
        if each != edition:
            return starting.spec(each, AS_IT_IS, {**environ, **told_by_both(variant, edition)})
        changed = environ["DATABASE_URL"] if far is None else distance.through(environ["DATABASE_URL"], far.address)
        return starting.spec(each, variant, {**environ, "DATABASE_URL": changed})

    with ExitStack() as stack:
        is_far = "latency" in variant.swapped[edition]
        far = stack.enter_context(distance.at(url, 0.0)) if is_far else None
        result = check.run(settings, None, lambda _: None, scope="quick", make_spec=make_spec)
    wrong, reasons = refused(result.differences, variant, edition)
    cases = sum(group.cases for group in result.groups)
    if wrong:
        raise NotComparable(
            f"{variant.subject(edition)} does not answer as the editions do, so nothing was timed",
            why=f"{len(wrong)} of {cases} cases differ (WSGI against ASGI), first\n{wrong[0]}",
            hint="Its figures would be those of another service; compare the rest without it",
        )
    return Passed(cases, tuple(dict.fromkeys(reasons)))
