"""From words to scenarios: groups follow the contract, and what would fail is refused before anything starts."""

from typing import get_args

import pytest

from shared.contract import CONTRACT
from shared.contract import LoadGroup
from shared.errors import UsageError
from shared.lab.planning import scenarios

LOADED = {entry.name: entry for entry in CONTRACT if entry.load}
GROUPS = ["bytes", "cpu", "database", "waiting"]


def targets(*words: str, lab: bool = False) -> list[str]:
    return [scenario.target for scenario in scenarios.choose(words, lab=lab)]


def test_groups_cover_exactly_the_load_targets() -> None:
    grouped = [name for group in get_args(LoadGroup) for name in scenarios.GROUPS[group]]
    assert sorted(grouped) == sorted(LOADED)
    assert len(grouped) == len(set(grouped))
    assert set(scenarios.GROUPS["all"]) == set(LOADED)
    assert all((entry.group is not None) == bool(entry.load) for entry in CONTRACT)


def test_groups_are_named_by_what_takes_the_time() -> None:
    assert sorted(scenarios.GROUPS) == ["all", *GROUPS]
    assert set(scenarios.GROUPS["bytes"]) == {"plaintext", "json", "pattern", "stream"}
    assert set(scenarios.GROUPS["database"]) == {
        *("db", "queries", "updates", "fortunes", "list_accounts", "read_account"),
    }
    assert set(scenarios.GROUPS["waiting"]) == {"sleep", "wait"}
    assert set(scenarios.GROUPS["cpu"]) == {"cpu"}


def test_group_with_an_endpoints_name_is_that_endpoint() -> None:
    names = {entry.name for entry in CONTRACT}
    assert all(members == (group,) for group, members in scenarios.GROUPS.items() if group in names)


def test_every_load_target_passes_its_own_check() -> None:
    """What the contract loads succeeds, so the check refuses nothing that it should not."""
    every = targets("all")
    assert targets(*every) == every == [target for entry in CONTRACT for target in entry.load]


def test_words_are_names_targets_and_groups() -> None:
    assert targets("db") == ["/db"]
    assert targets("/queries?queries=5") == ["/queries?queries=5"]
    assert targets("waiting") == ["/sleep?seconds=0.05", "/wait?seconds=0.05"]


def test_order_is_kept_and_nothing_is_named_twice() -> None:
    assert targets("sleep", "/db", "waiting", "db") == ["/sleep?seconds=0.05", "/db", "/wait?seconds=0.05"]


def test_scenario_is_named_by_its_target() -> None:
    assert [scenario.name for scenario in scenarios.choose(["queries"], lab=False)] == ["/queries?queries=20"]


def test_target_without_a_load_target_may_be_typed() -> None:
    assert targets("/livez", "/accounts/7") == ["/livez", "/accounts/7"]


@pytest.mark.parametrize("word", ["plain", "", "DB", "db "])
def test_unknown_word_is_told_what_exists(word: str) -> None:
    with pytest.raises(UsageError) as failure:
        targets(word)
    assert repr(word) in failure.value.what
    assert all(name in failure.value.why for name in (*GROUPS, "all", *LOADED))


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/queries?querys=5", "keys that are read: queries"),
        ("/db?queries=5", "its query is not read"),
        ("/sleep", r"query\.seconds: Field required"),
        ("/sleep?seconds=soon", r"query\.seconds: Input should be a valid number"),
        ("/bytes?size=-1", r"query\.size: Input should be greater"),
        ("/accounts/0", r"path\.id: Input should be greater"),
        ("/accounts?limit=101", "As in /accounts\\?limit=20"),
        ("/dbs", r"No endpoint has this path.*/fortunes"),
        ("/db/", "No endpoint has this path"),
        ("/echo", "answers POST"),
        ("/a b", "percent-encoded path"),
        ("/é", "percent-encoded path"),
        ("/traces", "TRACE=0"),
    ],
)
def test_target_that_would_fail_is_refused(target: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        targets(target)


def test_path_is_decoded_before_it_is_routed() -> None:
    assert targets("/%64b") == ["/%64b"]


@pytest.mark.parametrize("word", ["blocking", "/blocking?seconds=0.05"])
def test_endpoint_of_the_lab_is_refused_without_it(word: str) -> None:
    with pytest.raises(UsageError, match="/blocking needs LAB=1"):
        targets(word)


def test_endpoint_of_the_lab_may_be_typed_with_it() -> None:
    assert targets("/blocking?seconds=0.05", lab=True) == ["/blocking?seconds=0.05"]


@pytest.mark.parametrize(("name", "hint"), [("livez", "Give a target: /livez"), ("echo", "GET requests")])
def test_endpoint_without_a_load_target_is_no_scenario_by_name(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        targets(name)
