"""Claims about what keeps data safe: each rule fed with doctored figures, and each experiment run."""

import json
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from shared.errors import EnvironmentFailure
from shared.lab.claims import c09_sqlalchemy_parts
from shared.lab.claims import c25_data_safety
from shared.lab.claims import lost_updates
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Bars
from shared.lab.claims.claim import Timeline
from shared.lab.claims.client import Answer
from shared.lab.claims.client import Ask
from shared.lab.claims.client import side_by_side
from shared.lab.claims.lost_updates import LEVELS
from shared.lab.claims.lost_updates import STRATEGIES
from shared.lab.services.process import Service
from shared.lab.services.process import edition_spec
from tests.claim_records import doctored
from tests.claim_records import made

SLUGS = ("read_committed", "repeatable_read", "serializable")
SAFE = [
    *(f"{strategy}_{slug}_lost" for strategy in STRATEGIES if strategy != "naive" for slug in SLUGS),
    "naive_serializable_lost",
]

# PostgreSQL as it stands: the naive deposits lose at its own level and at no other.
SAFETY = made(
    default_level="READ COMMITTED",
    **{f"{strategy}_{slug}_accepted": 100 for strategy in STRATEGIES for slug in SLUGS},
    **{
        f"{strategy}_{slug}_lost": 0
        for strategy in STRATEGIES
        for slug in SLUGS
        if (strategy, slug) != ("naive", SLUGS[0])
    },
    **{f"transfers_{slug}_accepted": 100 for slug in SLUGS},
    **{f"transfers_{slug}_changed": 0 for slug in SLUGS},
    naive_read_committed_lost=70,
    meeting_read_committed_lost=20,
    meeting_repeatable_read_lost=0,
    meeting_serializable_lost=0,
)
NOTHING_MET = {"naive_read_committed_lost": 0, "meeting_read_committed_lost": 0}

PARTS = made(
    pool_size=5, sessions=50, held_pool=5, held_server=5, idle_pool=5, idle_server=5, connects=5, pids=5,
    after_server=5, unpooled_pids=50, mismatches=0,
    seen_read_committed="READ COMMITTED", seen_repeatable_read="REPEATABLE READ", seen_serializable="SERIALIZABLE",
    nonrepeatable_read_read_committed=10, lost_update_read_committed=10, write_skew_read_committed=10,
    nonrepeatable_read_repeatable_read=0, lost_update_repeatable_read=0, write_skew_repeatable_read=10,
    nonrepeatable_read_serializable=0, lost_update_serializable=0, write_skew_serializable=0,
    own_troubled=0, shared_troubled=10,
    is_same=True, is_same_elsewhere=False,
    selects_for_get=1, updates_before_flush=0, updates_at_flush=1, updates_at_second_flush=1,
)  # fmt: skip
# What each part's figures would be if SQLAlchemy did it, or did not.
ISOLATED = {figure.name: 0 for figure in PARTS.figures if figure.name.startswith(("nonrep", "lost_", "write_"))}
SHAREABLE = {"shared_troubled": 0}
NO_POOL = {"connects": 55, "pids": 55}
NO_ORM = {"updates_at_flush": 3, "updates_at_second_flush": 3}


def test_safety_depends_on_what_the_database_is_asked_for() -> None:
    ruling = c25_data_safety.rule(SAFETY)
    assert ruling.verdict == "depends"
    assert "lost 70 of 100 at READ COMMITTED, 0 of 100 at REPEATABLE READ, 0 of 100 at SERIALIZABLE" in ruling.because
    assert "none of 1200 at any level" in ruling.because


@pytest.mark.parametrize("name", SAFE)
def test_safety_is_refuted_by_one_deposit_lost_where_the_database_was_asked(name: str) -> None:
    assert c25_data_safety.rule(doctored(SAFETY, **{name: 1})).verdict == "refuted"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("slug", SLUGS)
def test_safety_is_refuted_by_a_balance_that_grew_too_much(strategy: str, slug: str) -> None:
    assert c25_data_safety.rule(doctored(SAFETY, **{f"{strategy}_{slug}_lost": -1})).verdict == "refuted"


@pytest.mark.parametrize("name", [*(f"transfers_{slug}_changed" for slug in SLUGS), "meeting_serializable_lost"])
def test_safety_is_refuted_by_money_that_comes_or_goes(name: str) -> None:
    ruling = c25_data_safety.rule(doctored(SAFETY, **{name: 1}))
    assert ruling.verdict == "refuted"
    assert ("transfers" if name.startswith("transfers") else "two writers") in ruling.because


@pytest.mark.parametrize("lost", [{"naive_read_committed_lost": 1}, {"meeting_read_committed_lost": 1}])
def test_safety_depends_where_one_update_was_lost(lost: dict[str, int]) -> None:
    assert c25_data_safety.rule(doctored(SAFETY, **{**NOTHING_MET, **lost})).verdict == "depends"


def test_safety_is_undecided_where_nothing_met() -> None:
    assert c25_data_safety.rule(doctored(SAFETY, **NOTHING_MET)).verdict == "undecided"


@pytest.mark.parametrize("name", [figure.name for figure in SAFETY.figures if figure.name.endswith("_accepted")])
def test_safety_is_undecided_where_nothing_was_accepted(name: str) -> None:
    assert c25_data_safety.rule(doctored(SAFETY, **{name: 0})).verdict == "undecided"
    assert c25_data_safety.rule(doctored(SAFETY, **{name: 1})).verdict == "depends"


@pytest.mark.parametrize("default", LEVELS[1:])
def test_safety_is_confirmed_where_the_database_guarantees_it_unasked(default: str) -> None:
    assert c25_data_safety.rule(doctored(SAFETY, default_level=default)).verdict == "confirmed"


def test_safety_depends_where_the_database_loses_at_its_own_stronger_level() -> None:
    """As MySQL does at REPEATABLE READ: a level's name promises nothing by itself."""
    losing = doctored(SAFETY, default_level="REPEATABLE READ", naive_repeatable_read_lost=5)
    assert c25_data_safety.rule(losing).verdict == "depends"


def test_bound_is_what_zero_of_so_many_allows() -> None:
    """About 3/n: the rule of three."""
    assert c25_data_safety.bound(300) == pytest.approx(1.0, rel=0.01)
    assert c25_data_safety.bound(1) == pytest.approx(95.0)
    assert c25_data_safety.bound(0) == 100.0


@pytest.mark.parametrize("status", [500, 503, 504, 422, 204])
def test_answer_that_is_neither_accepted_nor_refused_ends_the_experiment(status: int) -> None:
    service = Service(edition_spec("wsgi", {}))
    service.log_path.unlink()
    answers = [Answer(each, b"", {}, 0, 1) for each in (200, 201, 409, 409)]
    accepted, refused = lost_updates.judged(service, answers)
    assert (len(accepted), refused) == (2, 2)
    with pytest.raises(EnvironmentFailure, match=str(status)):
        lost_updates.judged(service, [*answers, Answer(status, b"why", {}, 0, 1)])


class _Counting(BaseHTTPRequestHandler):
    """Answers with the client's port, which tells connections apart, and what was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps([self.client_address[1], self.path, sent.decode(), self.headers["X-Own"]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts: Any) -> None:
        """Keep the test's output clean."""


def test_crowd_sends_each_clients_requests_in_order_on_one_connection() -> None:
    service = Service(edition_spec("wsgi", {}))
    service.log_path.unlink()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Counting) as server:
        service.port = server.server_port
        thread = Thread(target=server.serve_forever)
        thread.start()
        plans = [
            [
                Ask(f"/{client}/{number}", method="POST", body=b"x" * client, headers={"X-Own": "1"})
                for number in range(5)
            ]
            for client in range(1, 4)
        ]
        try:
            answers = side_by_side(service, plans)
        finally:
            server.shutdown()
            thread.join()
    told = [[json.loads(answer.body) for answer in own] for own in answers]
    assert len({own[0][0] for own in told}) == 3
    for client, own in enumerate(told, start=1):
        assert [each[1:] for each in own] == [[f"/{client}/{number}", "x" * client, "1"] for number in range(5)]
        assert len({each[0] for each in own}) == 1
    with pytest.raises(EnvironmentFailure):
        side_by_side(service, plans, timeout_s=1)


@pytest.mark.slow
def test_safety_is_what_both_editions_have(bench: Bench) -> None:
    finding = c25_data_safety.measure(bench, {"clients": 8, "deposits": 4, "trials": 1})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        assert c25_data_safety.rule(figures).verdict == "depends"
        for slug in SLUGS:
            # Every deposit is one or the other, and only where the database may refuse is anything refused.
            for strategy in STRATEGIES:
                name = f"{strategy}_{slug}"
                assert figures.number(f"{name}_accepted") + figures.number(f"{name}_refused") == 32
            assert figures.number(f"transfers_{slug}_accepted") + figures.number(f"transfers_{slug}_refused") == 32
        assert (
            figures.number("atomic_read_committed_accepted") == figures.number("locked_read_committed_accepted") == 32
        )
        assert figures.number("naive_read_committed_lost") > 0
        met = [(figures.number(f"meeting_{slug}_lost"), figures.number(f"meeting_{slug}_refused")) for slug in SLUGS]
        assert met == [(4, 0), (0, 4), (0, 4)]
    bars = [picture for picture in finding.pictures if isinstance(picture, Bars)]
    assert [len(each.bars) for each in bars] == [15, 15]
    timelines = [picture for picture in finding.pictures if isinstance(picture, Timeline)]
    for timeline in timelines:
        kinds = [[span.kind for span in lane.spans] for lane in timeline.lanes]
        assert kinds == [["read", "write", "commit"], ["read", "write", "commit"]] + 2 * [
            ["read", "write", "commit"],
            ["read", "refused"],
        ]
    assert "Two writers in a fixed order lost an update in 4 of 4 at READ COMMITTED" in c25_data_safety.explain(finding)


def test_parts_are_two_of_four() -> None:
    ruling = c09_sqlalchemy_parts.rule(PARTS)
    assert ruling.verdict == "depends"
    assert "pooling: yes, transaction isolation: no, concurrency safety: no, ORM: yes" in ruling.because


def test_parts_are_confirmed_by_all_four_and_refuted_by_none() -> None:
    assert c09_sqlalchemy_parts.rule(doctored(PARTS, **ISOLATED, **SHAREABLE)).verdict == "confirmed"
    assert c09_sqlalchemy_parts.rule(doctored(PARTS, **NO_POOL, **NO_ORM)).verdict == "refuted"


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"unpooled_pids": 49}, "pooling"),
        ({"mismatches": 1}, "pooling"),
        ({"seen_repeatable_read": "READ COMMITTED"}, "transaction isolation"),
        # Whatever level is asked for, the same goes wrong.
        (
            {"nonrepeatable_read_repeatable_read": 1, "lost_update_repeatable_read": 1}
            | {"nonrepeatable_read_serializable": 1, "lost_update_serializable": 1, "write_skew_serializable": 1},
            "transaction isolation",
        ),
        ({"own_troubled": 1}, "concurrency safety"),
    ],
)
def test_parts_are_undecided_where_the_control_fails(changed: dict[str, int | str], part: str) -> None:
    ruling = c09_sqlalchemy_parts.rule(doctored(PARTS, **changed))
    assert ruling.verdict == "undecided"
    assert f"{part}: cannot tell" in ruling.because


@pytest.mark.parametrize(
    "changed",
    [
        *(
            {name: value}
            for name in c09_sqlalchemy_parts.POOL_COUNTS
            for value in (4, 6)
            if name[:2] not in ("un", "mi")
        ),
        NO_POOL,
    ],
)
def test_pooling_is_not_its_own_where_counts_differ(changed: dict[str, int]) -> None:
    assert c09_sqlalchemy_parts.pools(PARTS) == "yes"
    assert c09_sqlalchemy_parts.pools(doctored(PARTS, **changed)) == "no"


@pytest.mark.parametrize(
    "changed",
    [
        {"is_same": False},
        {"is_same_elsewhere": True},
        {"selects_for_get": 2},
        {"updates_before_flush": 1},
        {"updates_at_flush": 0},
        {"updates_at_flush": 2},
        {"updates_at_second_flush": 2},
    ],
)
def test_orm_needs_an_identity_map_and_a_unit_of_work(changed: dict[str, int | bool]) -> None:
    assert c09_sqlalchemy_parts.maps(PARTS) == "yes"
    assert c09_sqlalchemy_parts.maps(doctored(PARTS, **changed)) == "no"


def test_sharing_is_unsafe_from_the_first_trial_with_trouble() -> None:
    assert c09_sqlalchemy_parts.is_safe_to_share(doctored(PARTS, shared_troubled=1)) == "no"
    assert c09_sqlalchemy_parts.is_safe_to_share(doctored(PARTS, shared_troubled=0)) == "yes"


def test_isolation_is_the_databases_as_soon_as_one_level_differs() -> None:
    only_skew = {**ISOLATED, "write_skew_read_committed": 1, "write_skew_repeatable_read": 1}
    assert c09_sqlalchemy_parts.isolates(doctored(PARTS, **only_skew)) == "no"
    assert c09_sqlalchemy_parts.isolates(doctored(PARTS, **ISOLATED)) == "yes"


@pytest.mark.slow
def test_parts_are_what_both_editions_have(bench: Bench) -> None:
    finding = c09_sqlalchemy_parts.measure(bench, {"trials": 3, "workers": 4, "additions": 10, "sessions": 8})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        ruling = c09_sqlalchemy_parts.rule(figures)
        assert ruling.verdict == "depends"
        assert "pooling: yes, transaction isolation: no, concurrency safety: no, ORM: yes" in ruling.because
        assert figures.number("own_committed") == 3 * 2 * 10
        assert figures.text("own_errors") == "none"
        assert figures.number("shared_erroneous") == 3
        assert figures.text("codes") == "40001"
        assert figures.number("write_skew_serializable_refused") == 3
    told = c09_sqlalchemy_parts.explain(finding)
    assert "13 Sessions were served by 5 database processes, 8 connections without the pool by 8" in told
