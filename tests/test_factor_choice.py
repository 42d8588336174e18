"""Which factors there are, what they make of an edition, and what is refused before anything starts."""

from collections.abc import Mapping
from itertools import product

import pytest

from shared import config
from shared.config import Edition
from shared.config import Settings
from shared.engine import DRIVERS
from shared.errors import UsageError
from shared.lab.factors import parity
from shared.lab.factors import run
from shared.lab.factors import variants as starting
from shared.lab.factors.catalogue import CATALOGUE
from shared.lab.factors.catalogue import EDITIONS
from shared.lab.factors.choice import Variant
from shared.lab.factors.choice import choose
from shared.lab.parity.result import Difference
from shared.lab.parity.result import Fact
from shared.lab.planning.plan import Timing
from shared.lab.services.process import edition_spec
from shared.report.factors import catalogue_sheet
from shared.report.table import plain_lines

SETTINGS = Settings.model_validate({})
URL = "postgresql://someone@/some?host=/run"


def chosen(*texts: str, settings: Settings = SETTINGS) -> tuple[Variant, ...]:
    return choose(texts, settings, is_installed=lambda module: True)


def refusal(*texts: str, settings: Settings = SETTINGS) -> str:
    with pytest.raises(UsageError) as caught:
        chosen(*texts, settings=settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("texts", "label", "swapped"),
    [
        (["loop=asyncio"], "loop=asyncio", {"asgi": {"loop": "asyncio"}}),
        (["server=gunicorn"], "server=gunicorn", {"asgi": {"server": "gunicorn"}}),
        (["server=granian"], "server=granian", {"wsgi": {"server": "granian"}, "asgi": {"server": "granian"}}),
        (["wsgi:server=granian"], "wsgi:server=granian", {"wsgi": {"server": "granian"}}),
        (["pool=5", "asgi:parser=python"], "pool=5 asgi:parser=python", None),
        ([" asgi: loop = asyncio "], "loop=asyncio", {"asgi": {"loop": "asyncio"}}),
        (["threads=020"], "threads=20", {"wsgi": {"threads": "20"}}),
        (["latency=1.50"], "latency=1.5", {"wsgi": {"latency": "1.5"}, "asgi": {"latency": "1.5"}}),
        (["wsgi:pool=5", "asgi:pool=null"], "wsgi:pool=5 asgi:pool=null", None),
        (["processes=2"], "processes=2", {"wsgi": {"processes": "2"}, "asgi": {"processes": "2"}}),
        (["session=run_sync"], "session=run_sync", {"asgi": {"session": "run_sync"}}),
    ],
)
def test_words_become_a_variant(
    texts: list[str], label: str, swapped: Mapping[Edition, Mapping[str, str]] | None
) -> None:
    (found,) = chosen(*texts)
    assert found.label == label
    if swapped is not None:
        assert found.swapped == swapped


def test_several_values_are_a_curve() -> None:
    found = chosen("latency=0,1,100", "driver=psycopg")
    assert [variant.level for variant in found] == [0.0, 1.0, 100.0]
    assert [variant.label for variant in found] == [f"latency={n} driver=psycopg" for n in (0, 1, 100)]
    assert run.curve_of(found) == "latency"
    assert run.subjects(found)[:4] == ("wsgi", "asgi", found[0].subject("wsgi"), found[0].subject("asgi"))


def test_curve_may_pass_through_the_editions_as_they_are() -> None:
    found = chosen("pool=5,10,20")
    assert [variant.subject("asgi") for variant in found] == ["asgi pool=5", "asgi", "asgi pool=20"]
    assert run.curve_of(found) == "pool"


def test_names_make_no_curve() -> None:
    assert run.curve_of(chosen("serializer=orjson,json")) == ""
    assert run.curve_of(chosen("server=granian")) == ""


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("speed=10", "There is no factor speed"),
        ("server", "cannot be read"),
        ("=granian", "cannot be read"),
        ("both:server=granian", "cannot be read"),
        ("server=apache", "server has no value apache"),
        ("server=", "cannot be read"),
        ("latency=0,,1", "cannot be read"),
        ("loop=3", "has no value 3"),
        ("wsgi:loop=asyncio", "The wsgi edition has no loop"),
        ("asgi:threads=4", "The asgi edition has no threads"),
        ("wsgi:session=run_sync", "The wsgi edition has no session"),
        ("wsgi:server=uvicorn", "The wsgi edition cannot have server=uvicorn"),
        ("server=uvicorn", "changes nothing"),
        ("asgi:loop=uvloop", "changes nothing"),
        ("pool=10", "changes nothing"),
        ("processes=1", "changes nothing"),
        ("pool=0", "out of bounds"),
        ("pool=1001", "out of bounds"),
        ("threads=2.5", "which are whole"),
        ("processes=-1", "has no value -1"),
        ("latency=167", "0 to 166.667"),
        ("asgi:latency=1", "cannot be swapped for one edition only"),
        ("latency=1,1.0", "names a value twice"),
        ("pool=" + ",".join(map(str, range(1, 15))), "names 14 values"),
    ],
)
def test_what_cannot_be_is_refused(text: str, part: str) -> None:
    assert part in refusal(text)


def test_impossible_combinations_are_refused() -> None:
    assert "exclude each other" in refusal("server=granian", "parser=python")
    assert "exclude each other" in refusal("asgi:server=granian", "asgi:parser=python")
    assert "given twice for the asgi edition" in refusal("pool=5", "asgi:pool=6")
    assert "Only one factor can have several values" in refusal("pool=1,2", "latency=0,1")
    # The parser of the other edition is no concern of granian's.
    assert chosen("asgi:server=granian", "wsgi:parser=python")


def test_settings_say_what_changes_nothing_and_what_is_too_far() -> None:
    """A number is that of the setting in force, not of its default."""
    settings = config.load({"POOL_SIZE": "5", "CONNECT_TIMEOUT": "0.06"}, "")
    assert "changes nothing" in refusal("pool=5", settings=settings)
    assert chosen("pool=10", settings=settings)
    assert "0 to 10" in refusal("latency=11", settings=settings)


def test_parser_under_another_server_is_not_said_to_be_the_own_servers() -> None:
    """Under gunicorn's ASGI worker the parser in Python is gunicorn's, not uvicorn's h11."""
    (alone,), (both,) = (
        choose(texts, SETTINGS) for texts in (["asgi:parser=python"], ["server=gunicorn", "asgi:parser=python"])
    )
    assert ["h11" in text for text in alone.also("asgi")] == [True]
    assert ["gunicorn's own" in text for text in both.also("asgi")] == [True]


@pytest.mark.parametrize(
    ("texts", "settings"),
    [
        (["pool=5"], {"POOL_SIZE": "5"}),
        (["pool=null"], {}),
        (["processes=2", "latency=3"], {}),
    ],
)
def test_other_edition_of_a_check_has_what_answers_tell(texts: list[str], settings: dict[str, str]) -> None:
    """/pool says how large the pool is, so both must have one of that size to answer alike."""
    (variant,) = choose(texts, SETTINGS)
    assert [parity.told_by_both(variant, edition) for edition in EDITIONS] == [settings, settings]


def test_latency_with_several_database_servers_is_refused() -> None:
    several = Settings.model_validate({"database_url": "postgresql://me@/x?host=one,other"})
    near, far = (choose([text], several) for text in ("pool=5", "latency=1"))
    run.require_one_server(several, near)
    run.require_one_server(SETTINGS, far)
    with pytest.raises(UsageError, match="needs a database on one server"):
        run.require_one_server(several, far)


@pytest.mark.parametrize(
    ("text", "module", "extra"),
    [
        ("server=granian", "granian", "granian"),
        ("driver=psycopg", "psycopg", "factors"),
        ("serializer=orjson", "orjson", "factors"),
    ],
)
def test_missing_extra_is_refused_with_how_to_install_it(text: str, module: str, extra: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose([text], SETTINGS, is_installed=lambda name: name != module)
    assert f"needs {module}, which is not installed" in caught.value.what
    assert f"'.[{extra}]'" in caught.value.hint


def test_every_value_can_be_chosen_and_started() -> None:
    """Each factor's every value makes a variant whose services can be told; the control knows each option."""
    for factor in CATALOGUE:
        for edition in factor.editions:
            number = str(int(factor.numbers.least) + 1) if factor.numbers else None
            for value in (*factor.values_of(edition), *filter(None, [number])):
                side = "" if factor.is_joint else f"{edition}:"
                (variant,) = chosen(f"{side}{factor.name}={value}")
                spec = starting.spec(edition, variant, {"DATABASE_URL": URL})
                own = edition_spec(edition, {"DATABASE_URL": URL})
                assert spec.name == variant.subject(edition)
                is_changed = (spec.argv, spec.environ) != (own.argv, own.environ)
                # A distance is in the database's address, which is given.
                assert is_changed == (factor.name != "latency")


def test_drivers_are_those_that_the_engines_know() -> None:
    driver = next(factor for factor in CATALOGUE if factor.name == "driver")
    for edition in EDITIONS:
        assert (driver.own[edition], *driver.values_of(edition)) == DRIVERS[edition]


def test_unchanged_edition_is_started_as_ever() -> None:
    (variant,) = chosen("asgi:loop=asyncio")
    environ = {"DATABASE_URL": URL}
    assert starting.spec("wsgi", variant, environ) == edition_spec("wsgi", environ)
    assert starting.spec("asgi", variant, environ).argv[-2:] == ("--loop", "asyncio")


def test_numbers_are_settings_and_drivers_are_in_the_url() -> None:
    (variant,) = chosen("pool=7", "threads=3", "processes=2", "driver=psycopg")
    environ = {"DATABASE_URL": URL + "&prepared_statement_cache_size=0"}
    spec = starting.spec("wsgi", variant, environ)
    assert spec.argv == edition_spec("wsgi", environ).argv
    wanted = {"POOL_SIZE": "7", "WSGI_THREADS": "3", "WSGI_WORKERS": "2"}
    assert {key: spec.environ[key] for key in wanted} == wanted
    assert spec.environ["DATABASE_URL"] == "postgresql+psycopg://someone@/some?host=%2Frun"
    assert "ASGI_WORKERS" not in spec.environ
    assert config.load({**spec.environ, "WSGI_PORT": "8001"}, "").pool_size == 7


def test_windows_are_long_enough_for_the_farthest_database() -> None:
    timing = Timing(window_s=0.4, ramp_s=0.1)
    far = run.fitted(timing, chosen("latency=0,100"), is_window_given=False)
    assert (far.window_s, far.ramp_s) == (1.0, 0.5)
    assert run.fitted(timing, chosen("latency=0,100"), is_window_given=True).window_s == 0.4
    assert run.fitted(timing, chosen("pool=5"), is_window_given=False) == timing


def test_more_connections_than_the_database_allows_are_refused() -> None:
    """Both editions and 2 x 2 variants of 10 connections are 60; of some processes, more."""
    variants = chosen("latency=0,1")
    run.require_connections(SETTINGS, variants, 70)
    with pytest.raises(UsageError, match="up to 60 connections"):
        run.require_connections(SETTINGS, variants, 69)
    with pytest.raises(UsageError, match="up to 60 connections"):
        run.require_connections(SETTINGS, chosen("processes=2"), 60)
    run.require_connections(SETTINGS, chosen("pool=null"), 50)


def test_variants_that_differ_in_numbers_are_checked_once() -> None:
    found = parity.checked(chosen("latency=0,1,10"))
    assert [(edition, variant.label) for (edition, _), variant in found.items()] == [
        ("wsgi", "latency=0"),
        ("asgi", "latency=0"),
    ]
    assert len(parity.checked(chosen("serializer=orjson,json"))) == 4
    assert len(parity.checked(chosen("pool=null,5"))) == 4


STATUS = Fact("status", "413 Request Entity Too Large", "413 Payload Too Large")
OTHER_STATUS = Fact("status", "413 Request Entity Too Large", "400 Bad Request")
TRACE_ID = Fact("header x-trace-id", "00000000000000000000000000000001", "(none)")
MORE = Fact("SQL statements", "2: BEGIN 1, ROLLBACK 1", "3: BEGIN 1, DEALLOCATE 1, ROLLBACK 1")
BODY = Fact("body, byte 3 of 9 and 9", "one", "two")


@pytest.mark.parametrize(
    ("text", "case", "fact", "may_be"),
    [
        ("asgi:server=gunicorn", "too large", STATUS, True),
        ("asgi:parser=python", "too large", STATUS, True),
        ("asgi:loop=asyncio", "too large", STATUS, False),
        ("asgi:server=gunicorn", "too large", OTHER_STATUS, False),
        ("asgi:server=gunicorn", "GET /traces/{trace_id}", TRACE_ID, True),
        ("asgi:server=gunicorn", "GET /db", TRACE_ID, False),
        ("asgi:session=run_sync", "GET /traces/{trace_id}", TRACE_ID, False),
        ("asgi:driver=psycopg", "PATCH /accounts/{id}", MORE, True),
        ("asgi:serializer=json", "PATCH /accounts/{id}", MORE, False),
        ("asgi:pool=null", "PATCH /accounts/{id}", MORE, False),
        ("asgi:server=granian", "GET /db", BODY, False),
    ],
)
def test_only_what_the_catalogue_excuses_may_differ(text: str, case: str, fact: Fact, *, may_be: bool) -> None:
    (variant,) = chosen(text)
    wrong, reasons = parity.refused([Difference(case, "group", (fact,), (), (), "")], variant, "asgi")
    assert (not wrong, bool(reasons)) == (may_be, may_be)
    if not may_be:
        assert fact.what in wrong[0]


def test_statement_less_is_never_excused() -> None:
    """The exception is for what a driver adds; a statement that is missing is a difference."""
    (variant,) = chosen("driver=psycopg")
    assert not parity.excepted(MORE, "case", variant, "wsgi")
    fewer = Fact("SQL statements", "2: BEGIN 1, ROLLBACK 1", "2: BEGIN 1, DEALLOCATE 1")
    assert not parity.excepted(fewer, "case", variant, "asgi")


def test_list_names_every_factor_and_what_is_missing() -> None:
    lines = plain_lines(catalogue_sheet(lambda factor, value: "factors" if value == "orjson" else ""))
    for factor in CATALOGUE:
        assert any(line.startswith(factor.name) for line in lines)
    assert sum("orjson (needs the extra factors" in line for line in lines) == 2


def test_every_foreign_protocol_says_what_else_differs() -> None:
    for factor, edition in product(CATALOGUE, EDITIONS):
        for value in factor.values_of(edition):
            if (edition, value) in factor.replaces_protocol:
                assert "graceful stop" in factor.also_with(edition, value)
