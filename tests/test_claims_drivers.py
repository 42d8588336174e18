"""The claim about drivers: its rule fed with doctored figures, its reading of sources, and the experiment run."""

from pathlib import Path

import pytest

from shared.contract import endpoints
from shared.lab.claims import c15_drivers
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Value
from shared.lab.parity import cases
from shared.lab.parity.case import Limits
from shared.lab.parity.comparison import FINE
from shared.lab.parity.comparison import Comparison
from shared.lab.parity.result import Difference
from shared.lab.parity.result import Fact
from shared.lab.parity.result import GroupCount
from shared.lab.parity.side import Side
from shared.lab.parity.transport import Address
from tests.claim_records import doctored
from tests.claim_records import made
from tests.mariadb_server import running

POSTGRESQL: dict[str, Value] = {
    "source_imports": 0,
    "entries": 30,
    "postgresql_expected": "psycopg2",
    "postgresql_driver": "psycopg2",
    "postgresql_early": 0,
    "postgresql_late": "psycopg2",
    "postgresql_cases": 100,
    "postgresql_wrong": 0,
    "postgresql_unequal": 0,
}
ALL_FOUR = made(
    **POSTGRESQL,
    mariadb_expected="aiomysql",
    mariadb_driver="aiomysql",
    mariadb_early=0,
    mariadb_late="pymysql, aiomysql",
    mariadb_cases=100,
    mariadb_wrong=0,
    mariadb_unequal=0,
)


def test_drivers_are_confirmed_by_right_and_equal_answers_without_an_import() -> None:
    assert c15_drivers.rule(ALL_FOUR).verdict == "confirmed"


@pytest.mark.parametrize(
    "changed",
    [
        {"source_imports": 1},
        {"postgresql_early": 1},
        {"mariadb_early": 1},
        {"postgresql_driver": "psycopg"},
        {"mariadb_driver": "asyncmy"},
        {"mariadb_late": "pymysql"},
        {"postgresql_wrong": 1},
        {"mariadb_wrong": 2},
        {"mariadb_unequal": 1},
        {"mariadb_cases": 29},
    ],
)
def test_drivers_are_refuted_by_anything_else(changed: dict[str, Value]) -> None:
    assert c15_drivers.rule(doctored(ALL_FOUR, **changed)).verdict == "refuted"


def test_drivers_are_undecided_without_a_mariadb() -> None:
    assert c15_drivers.rule(made(**POSTGRESQL)).verdict == "undecided"
    assert c15_drivers.rule(made(**{**POSTGRESQL, "postgresql_early": 1})).verdict == "refuted"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import psycopg2", 1),
        ("import psycopg2.extras as extras, json", 1),
        ("def f():\n    from asyncpg import connect", 1),
        ("from pymysql.err import Error\nimport aiomysql", 2),
        ("from . import pymysql\nname = 'pymysql'\nimport json", 0),
    ],
)
def test_imports_of_a_driver_are_counted(tmp_path: Path, source: str, count: int) -> None:
    for name in ("wsgi_app/x.py", "shared/lab/x.py", "asgi_app/x.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(source)
    # Neither the lab nor the other edition is part of a service.
    assert c15_drivers.source_imports("wsgi", tmp_path) == count


def test_quick_scope_holds_every_entry() -> None:
    limits = Limits(1_048_576, 4_194_304, 100, 8_190, 4_094, lab=True, trace=True)
    every, _ = cases.every(limits)
    held = {case.entry.name for case in every if case.is_common and case.group == "success" and case.entry}
    assert held == {endpoint.name for endpoint in endpoints(lab=True, trace=True)}


def difference(*facts: Fact) -> Difference:
    return Difference("a case", "success", facts, (), (), "")


VERSIONS = Fact(
    "body, byte 37 of 66 and 88", '...: "ok", "server_version": "1>>8<<', '...: "ok", "server_version": "1>>0<<'
)
BODY = Fact("body, byte 1 of 2 and 2", "a>>b<<", "a>>c<<")
BROKEN = Fact("rule", FINE, "the contract says 200, not 500")


@pytest.mark.parametrize(
    ("found", "wsgi", "asgi"),
    [
        ([], (0, 0), (0, 0)),
        ([difference(VERSIONS)], (0, 0), (0, 0)),
        ([difference(BODY)], (0, 1), (0, 1)),
        ([difference(VERSIONS, BODY)], (0, 1), (0, 1)),
        ([difference(BROKEN), difference(VERSIONS)], (0, 1), (1, 1)),
    ],
)
def test_only_the_version_of_the_database_may_differ(
    found: list[Difference], wsgi: tuple[int, int], asgi: tuple[int, int]
) -> None:
    """(wrong, unequal) of both sides, after a comparison of seven cases."""
    address = Address("127.0.0.1", 1)
    sides = (Side("wsgi", address, None, None, "", address), Side("asgi", address, None, None, "", address))
    compared = Comparison(sides, lambda _: None, is_shared=False, secrets=(), setup="")
    compared.groups.append(GroupCount("success", cases=7, requests=7, differences=0, known=0, not_compared=0))
    compared.found += found
    assert c15_drivers.served(compared) == (c15_drivers.Served(7, *wsgi), c15_drivers.Served(7, *asgi))


def test_explanation_names_every_driver_that_was_tried() -> None:
    text = c15_drivers.explain(Finding({"wsgi": ALL_FOUR, "asgi": made(**POSTGRESQL)}))
    assert "wsgi on mariadb: aiomysql, loaded with the engine (pymysql, aiomysql) and not before it (0)" in text
    assert "asgi on postgresql: psycopg2" in text
    assert "asgi on mariadb" not in text


def check_measured(figures: Figures) -> None:
    ruling = c15_drivers.rule(figures)
    assert ruling.verdict == "confirmed", ruling.because
    assert figures.number("mariadb_cases") > 100


@pytest.mark.slow
def test_each_url_leads_to_its_driver(bench: Bench) -> None:
    with running():
        finding = c15_drivers.measure(bench, {"full": 0})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        check_measured(figures)
    assert finding.notes == ()
