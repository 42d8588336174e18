"""The rungs on real services: each answers, each is as deep as it says, and a short climb gives a whole record."""

import os
from collections.abc import Iterator

import pytest

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.benchmarks.volleys import Volleys
from shared.lab.environment import manifest
from shared.lab.ladder import run as ladder_run
from shared.lab.ladder.check import check
from shared.lab.ladder.plan import LadderPlan
from shared.lab.ladder.rungs import BODY
from shared.lab.ladder.rungs import RUNGS
from shared.lab.ladder.services import backends
from shared.lab.ladder.services import ladder_spec
from shared.lab.services.process import Service
from shared.lab.services.process import choose_cores
from shared.lab.services.process import running
from tests.clients import get
from tests.clients import pool_of
from tests.conftest import CHECK_TOKEN
from tests.test_commands import run

EDITIONS: tuple[Edition, ...] = ("wsgi", "asgi")
Ladders = dict[Edition, Service]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ladders(database_url: str) -> Iterator[Ladders]:
    """Run both editions with all rungs."""
    environ = {"DATABASE_URL": database_url, "TRACE": "0", "CHECK_TOKEN": CHECK_TOKEN}
    with running([ladder_spec(edition, environ) for edition in EDITIONS]) as services:
        yield dict(zip(EDITIONS, services, strict=True))


def test_every_rung_answers_alike_with_the_statements_it_names(ladders: Ladders, database_url: str) -> None:
    urls = {edition: service.url for edition, service in ladders.items()}
    answers, why = check(urls, database_url, CHECK_TOKEN)
    assert why == ""
    assert [answer.rung for answer in answers] == [rung.name for rung in RUNGS]
    assert [answer.statements for answer in answers] == [dict(rung.statements) for rung in RUNGS]
    assert {answer.body_bytes for answer in answers[:5]} == {len(BODY)}


def test_each_rung_is_as_deep_as_it_says(ladders: Ladders, edition: Edition) -> None:
    service = ladders[edition]

    def counted(number: int) -> bool:
        return f'"ladder{number}"'.encode() in get(service.port, "/metrics").body

    def checkouts(target: str) -> int:
        before = int(pool_of(service)["totals"]["checkouts"])
        assert get(service.port, target).body == BODY
        after: int = pool_of(service)["totals"]["checkouts"]
        return after - int(before)

    for rung in RUNGS[:4]:
        assert get(service.port, rung.target).body == BODY
    # Below routing nobody counts; routing knows methods, and reads no query.
    assert [counted(number) for number in (1, 2, 3, 4)] == [False, True, True, True]
    many = "&".join(f"a{number}=1" for number in range(101))
    assert [get(service.port, f"/ladder{number}?{many}").status for number in (1, 2, 3, 4, 5)] == [
        *(200, 200),
        *(400, 400, 400),
    ]
    assert [checkouts(rung.target) for rung in RUNGS[1:5]] == [0, 0, 0, 1]


def test_backends_of_a_service_are_found_and_no_others(ladders: Ladders, database_url: str) -> None:
    """Those that were there before are somebody else's; on another machine there are none to see."""
    with backends(database_url) as found:
        assert found.of("asgi") is None
        with Service(ladder_spec("asgi", {"DATABASE_URL": database_url, "TRACE": "0"})) as service:
            assert get(service.port, RUNGS[5].target).status == 200
            mine = found.of("asgi")
            assert mine is not None
            assert all(os.path.exists(f"/proc/{pid}") for pid in mine)
            assert found.of("wsgi") is None


def test_failing_rung_ends_the_climb(ladders: Ladders) -> None:
    with Volleys(ladders["asgi"], "/livez", 2) as volleys:
        volleys.send(RUNGS[0].target)
        with pytest.raises(EnvironmentFailure, match="ended a measurement"):
            volleys.send("/ladder9?queries=1")


def test_short_climb_gives_a_whole_record(database_url: str) -> None:
    plan = LadderPlan(starts=3, seconds=1.0, volley=4, warm_up_visits=1)
    made = manifest(seed=1, cores=choose_cores(), settings={})
    lines: list[str] = []
    own = os.sched_getaffinity(0)
    ladder = ladder_run.run(plan, url=database_url, manifest=made, progress=lines.append)
    assert os.sched_getaffinity(0) == own
    assert lines == ["checking that every rung answers alike", *(f"start {number} of 3" for number in (1, 2, 3))]
    assert len(ladder.climbs) == 3 * 16
    assert {climb.requests for climb in ladder.climbs if climb.rung == "server"} == {2 * 8 * 4}
    assert all(cost > 0 for climb in ladder.climbs for cost in climb.cpu_s)
    for edition in EDITIONS:
        costs = {rung.name: ladder.level(edition, rung.name) for rung in RUNGS}
        # Whatever the machine does: a query costs more than none, twenty more than one.
        assert costs["server"].cpu_s.value < costs["SELECT 1"].cpu_s.value < costs["20 rows"].cpu_s.value
        asked, unasked = costs["20 rows"].database_cpu_s, costs["session"].database_cpu_s
        assert asked is not None
        assert unasked is not None
        assert asked.value > 20 * max(unasked.value, 0.0)
    # The event loop's server is the cheaper one by far, on every machine so far.
    assert ladder.gaps[0].cpu_s.value < 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--dry-run", "--edition", "asgi"), 0, "8 write"),
        (("--dry-run", "--json"), 2, "leave one of the two"),
        (("--starts", "2"), 2, "--starts must be at least 3"),
    ],
)
def test_plan_is_shown_or_refused_before_anything_starts(words: tuple[str, ...], code: int, text: str) -> None:
    # A database that nobody could reach: no service is looked for.
    done = run("ladder", *words, environ={"DATABASE_URL": "postgresql://me@127.0.0.1:1/x", "COLUMNS": "100"})
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert text in done.stdout + done.stderr
