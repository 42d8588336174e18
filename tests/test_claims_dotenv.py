"""Claims about python-dotenv: each rule fed with doctored figures, each experiment run."""

from typing import Any

import pytest

from shared.lab.claims import c06_load_dotenv
from shared.lab.claims import c07_dotenv_values
from shared.lab.claims import c08_find_dotenv
from shared.lab.claims.bench import Bench
from tests.claim_records import doctored
from tests.claim_records import made

CLAIMS = (c06_load_dotenv, c07_dotenv_values, c08_find_dotenv)
QUESTIONS = [(module, name) for module in CLAIMS for name in module.LABELS]


def everything(module: Any) -> Any:
    """Return figures by which every answer was yes, three times."""
    return made(trials=3, **dict.fromkeys(module.LABELS, 3))


@pytest.mark.parametrize("module", CLAIMS, ids=lambda module: module.CLAIM.name)
def test_claim_is_confirmed_by_yes_every_time(module: Any) -> None:
    assert module.rule(everything(module)).verdict == "confirmed"


@pytest.mark.parametrize(("module", "name"), QUESTIONS)
def test_claim_is_refuted_by_one_no(module: Any, name: str) -> None:
    ruling = module.rule(doctored(everything(module), **{name: 2}))
    assert ruling.verdict == "refuted"
    assert module.LABELS[name] in ruling.because


@pytest.mark.parametrize("module", CLAIMS, ids=lambda module: module.CLAIM.name)
def test_claim_holds_for_the_installed_python_dotenv(bench: Bench, module: Any) -> None:
    finding = module.measure(bench, {**module.CLAIM.defaults, "trials": 1})
    assert set(finding.measured) == {"shared"}
    assert module.rule(finding.measured["shared"]).verdict == "confirmed", finding
    assert module.CLAIM.explain(finding)


# Another program in its place: what is replaced by what, and which answers are then no.
CHANGED = (
    (c06_load_dotenv, 'override=sys.argv[1] == "override"', "override=True", {"kept", "kept_empty"}),
    (c06_load_dotenv, "load_dotenv(override", "(lambda **_: 0)(override", {"added", "inherited", "overridden"}),
    (
        c07_dotenv_values,
        "values = dotenv_values()",
        "import dotenv; dotenv.load_dotenv(); values = dotenv_values()",
        {"same", "not_inherited"},
    ),
    (
        c08_find_dotenv,
        "plain, cwd = find_dotenv(),",
        "plain, cwd = find_dotenv(usecwd=True),",
        {"nearest", "further", "beside"},
    ),
)


@pytest.mark.parametrize(("module", "old", "new", "wrong"), CHANGED)
def test_another_behaviour_would_be_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, module: Any, old: str, new: str, wrong: set[str]
) -> None:
    """The experiment is no tautology: a program that does something else gets other answers."""
    assert old in module.PROGRAM
    monkeypatch.setattr(module, "PROGRAM", module.PROGRAM.replace(old, new))
    figures = module.measure(bench, {**module.CLAIM.defaults, "trials": 1}).measured["shared"]
    assert {name for name in module.LABELS if not figures.number(name)} == wrong
    assert module.rule(figures).verdict == "refuted"
