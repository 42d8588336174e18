"""Ask two applications the same, several times each, and say in what the answers differ that may not."""

import re
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from shared.lab.foreign import rules as judgement
from shared.lab.foreign.result import DifferenceKind
from shared.lab.foreign.result import Fact
from shared.lab.foreign.result import TargetCheck
from shared.lab.foreign.result import TargetDifference
from shared.lab.foreign.rules import Rules
from shared.lab.foreign.targets import WITH_BODY
from shared.lab.parity import shell
from shared.lab.parity.case import JSON_TYPE
from shared.lab.parity.message import Request
from shared.lab.parity.message import Response
from shared.lab.parity.transport import Address
from shared.lab.parity.transport import exchange
from shared.lab.planning.plan import Scenario

Ask = Callable[[Address, Request], Sequence[Response]]

# Twice would miss what changes every other time; each costs one request a side.
REPEATS = 3
# The place of an element in a path.
_INDEX = re.compile(r"(?<![^.])[0-9]+(?![^.])")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are asked.

    Attributes:
        name: Of the subject.
        address: Where it listens, the host as a number.
        host: Value of the Host field where that is not the address; "" where it is.
    """

    name: str
    address: Address
    host: str = ""


def request_of(scenario: Scenario, host: str = "") -> Request:
    """Return the request that the load client will send, but for the connection, which ends with each answer here."""
    has_body = bool(scenario.body) or scenario.method in WITH_BODY
    headers = (JSON_TYPE,) if has_body else ()
    return Request(scenario.method, scenario.target, headers, scenario.body if has_body else None, host=host)


def check(
    sides: tuple[Side, Side],
    scenarios: Sequence[Scenario],
    rules: Rules,
    *,
    progress: Callable[[str], None] = lambda _: None,
    ask: Ask = exchange,
) -> TargetCheck:
    """Ask every target several times on both sides in turn, and judge the answers.

    Args:
        sides: Who is asked.
        scenarios: What is asked.
        rules: What may differ.
        progress: Called with one line for each target.
        ask: Sends a request and returns every response to it.
    """
    found: list[TargetDifference] = []
    unused = dict.fromkeys(rules.ignored_paths)
    for scenario in scenarios:
        progress(f"{scenario.name}: asking both {REPEATS} times")
        answers: dict[str, list[Response]] = {side.name: [] for side in sides}
        for repeat in range(REPEATS):
            for side in sides if repeat % 2 == 0 else reversed(sides):
                answers[side.name].append(ask(side.address, request_of(scenario, side.host))[-1])
        found += judge(sides, scenario, answers, rules)
        for path in list(unused):
            if any(judgement.has_path(answer.body, path) for given in answers.values() for answer in given):
                del unused[path]
    return TargetCheck(len(sides) * REPEATS * len(scenarios), tuple(found), tuple(unused))


def judge(
    sides: tuple[Side, Side], scenario: Scenario, answers: dict[str, list[Response]], rules: Rules
) -> list[TargetDifference]:
    """Return what is wrong with the answers to one target: the first kind of difference that there is.

    An answer that differs from itself says nothing about the other side, so the sides are then not compared.
    """

    def difference(
        kind: DifferenceKind, heads: tuple[str, str], facts: tuple[Fact, ...], hint: str, *asked: Side
    ) -> TargetDifference:
        commands = tuple(f"{side.name}$ {_command(side, scenario)}" for side in asked)
        return TargetDifference(scenario.name, kind, heads, facts, commands, hint)

    left, right = sides
    firsts = answers[left.name][0], answers[right.name][0]
    names = left.name, right.name
    if any(_is_failed(answer) for given in answers.values() for answer in given):
        worst = [next(filter(_is_failed, answers[name]), answers[name][0]) for name in names]
        answered = Fact("status", *(answer.failure or answer.line for answer in worst))
        hint = "only successes (2xx) are timed: a fast refusal is not throughput; give another target"
        return [difference("no success", names, (answered,), hint, left, right)]
    changing = []
    for side in sides:
        first, *later = answers[side.name]
        again = next((answer for answer in later if judgement.differences(first, answer, rules)), None)
        if again is not None:
            heads = f"{side.name}, first", f"{side.name}, again"
            facts = judgement.differences(first, again, rules)
            changing.append(difference("not deterministic", heads, facts, _advice(first, again, rules), side))
    if changing:
        return changing
    unlike = judgement.differences(*firsts, rules)
    return [difference("unequal", names, unlike, _advice(*firsts, rules), left, right)] if unlike else []


def _is_failed(answer: Response) -> bool:
    return bool(answer.failure) or not 200 <= answer.status < 300


def _advice(left: Response, right: Response, rules: Rules) -> str:
    """Return which rules would let two answers pass, if any would."""
    options = []
    facts = judgement.differences(left, right, rules)
    if rules.body == "bytes" and any(fact.what.startswith("body") for fact in facts):
        # With bodies that are JSON the rule can be named to the point.
        facts = judgement.differences(left, right, replace(rules, body="json"))
        options += [] if any(fact.what.startswith("body") for fact in facts) else ["--allow json"]
    paths = [fact.what.partition(" ")[2] for fact in facts if fact.what.startswith("json ")]
    if paths:
        options = [f"--ignore-json {_INDEX.sub('*', path)}" for path in paths]
    options += [f"--allow {fact.what.replace(' ', ':')}" for fact in facts if fact.what.startswith("header ")]
    options += ["--allow body"] if any(fact.what.startswith("body") for fact in facts) else []
    if not options:
        return "no rule lets this pass"
    return f"if that may differ: {' '.join(dict.fromkeys(options))}"


def _command(side: Side, scenario: Scenario) -> str:
    if not side.host:
        return shell.command(side.address, request_of(scenario), None)
    # curl writes the Host field from the URL, as it was given to us.
    host, _, port = side.host.rpartition(":")
    return shell.command(Address(host, int(port)), request_of(scenario), None)
