"""What a pool says it does, and what the database sees: pure functions first, then both under real load."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns
from time import sleep

import psycopg2
import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from shared.config import Edition
from shared.errors import EnvironmentFailure
from shared.lab.claims.bench import Bench
from shared.lab.claims.bench import Watched
from shared.lab.claims.client import Ask
from shared.lab.claims.client import ask
from shared.lab.claims.client import together
from shared.lab.watch.agreement import SLACK_NS
from shared.lab.watch.agreement import Disagreement
from shared.lab.watch.agreement import disagreements
from shared.lab.watch.agreement import lives
from shared.lab.watch.events import Kind
from shared.lab.watch.events import PoolEvent
from shared.lab.watch.events import held_at
from shared.lab.watch.events import occupancies
from shared.lab.watch.events import open_at
from shared.lab.watch.events import read
from shared.lab.watch.events import waiting_at
from shared.lab.watch.sessions import Look
from shared.lab.watch.sessions import Sessions
from tests.pool_events import MS
from tests.pool_events import happened
from tests.pool_events import looked

ACCOUNT = [
    happened("connect", 10, 7, took_ms=5),
    happened("checkout", 11, 7),
    happened("connect", 12, 8, took_ms=1),
    happened("checkout", 13, 8),
    happened("checkin", 20, 7),
    happened("checkout", 21, 7, waited_ms=6),
    happened("timeout", 25, waited_ms=10),
    happened("invalidate", 30, 8),
    happened("close", 30, 8, took_ms=2),
    happened("checkin", 31, 8),
    happened("checkin", 40, 7),
    happened("close", 50, 7, took_ms=1),
]


CONNECT_AND_CLOSE: tuple[Kind, Kind] = ("connect", "close")


def test_account_survives_its_file(tmp_path: Path) -> None:
    """Events come back as they were, by time; a line that is being written is left for later."""
    path = tmp_path / "events"
    odd = replace(ACCOUNT[0], request='a "name"\n, è', worker="Task-1\\")
    path.write_text("".join(event.line() for event in (*reversed(ACCOUNT[1:]), odd)) + '["conn', encoding="utf-8")
    assert sorted(read(path), key=lambda event: (event.at_ns, event.kind)) == sorted(
        (odd, *ACCOUNT[1:]), key=lambda event: (event.at_ns, event.kind)
    )
    assert [event.at_ns for event in read(path)] == sorted(event.at_ns for event in ACCOUNT)


@pytest.mark.parametrize(
    ("at_ms", "opened", "held", "waiting"),
    [
        (9, set(), set(), 0),
        (10, {7}, set(), 0),
        (11, {7}, {7}, 0),
        (14, {7, 8}, {7, 8}, 0),
        (15, {7, 8}, {7, 8}, 2),
        (20, {7, 8}, {8}, 2),
        (21, {7, 8}, {7, 8}, 1),
        (25, {7, 8}, {7, 8}, 0),
        (30, {7}, {7}, 0),
        (49, {7}, set(), 0),
        (50, set(), set(), 0),
    ],
)
def test_account_tells_how_the_pool_stood(at_ms: int, opened: set[int], held: set[int], waiting: int) -> None:
    assert open_at(ACCOUNT, at_ms * MS) == opened
    assert held_at(ACCOUNT, at_ms * MS) == held
    assert waiting_at(ACCOUNT, at_ms * MS) == waiting
    [*_, stood] = [each for each in occupancies([happened("timeout", 0), *ACCOUNT]) if each.at_ns <= at_ms * MS]
    assert (stood.open, stood.held, stood.waiting) == (len(opened), len(held), waiting)


def test_account_is_swept_as_it_is_read_moment_by_moment() -> None:
    """The sweep over many events and the three questions about single moments give the same."""
    account = _drawn(2_000)
    stood = occupancies(account)
    assert [each.at_ns for each in stood] == sorted({each.at_ns for each in stood})
    for each in random.Random(2).sample(stood, 100):
        assert each.open == len(open_at(account, each.at_ns))
        assert each.held == len(held_at(account, each.at_ns))
        assert each.waiting == waiting_at(account, each.at_ns)
    assert max(each.waiting for each in stood) > 1


def test_lives_end_where_they_were_given_up() -> None:
    seven, eight = lives(ACCOUNT)
    assert (seven.backend_pid, seven.begun_ns, seven.open_ns) == (7, 5 * MS, 10 * MS)
    assert (seven.given_up_ns, seven.gone_ns) == (50 * MS, 51 * MS)
    assert (eight.begun_ns, eight.given_up_ns, eight.gone_ns) == (11 * MS, 30 * MS, 32 * MS)


def test_pid_that_comes_again_is_another_session() -> None:
    """A process that was killed closed nothing by its own account."""
    first, second = lives([happened("connect", 10, 7), happened("connect", 90, 7, took_ms=10)])
    assert (first.given_up_ns, second.begun_ns, second.given_up_ns) == (80 * MS, 80 * MS, float("inf"))


# With a slack of 3 ms.
@pytest.mark.parametrize(
    ("look", "found"),
    [
        (looked(1), []),
        (looked(1, 7), [(7, "database")]),
        # From when the driver began to connect, less the slack; sure from when it was connected.
        (looked(2, 7), []),
        (looked(9), []),
        (looked(9, took_ms=5), []),
        (looked(10), [(7, "pool")]),
        (looked(15, 7), [(8, "pool")]),
        (looked(15, 7, 8), []),
        (looked(15, 7, 8, 9), [(9, "database")]),
        (looked(15, 8, 9), [(7, "pool"), (9, "database")]),
        # Until it was given up; possible until the driver was done with that, plus the slack.
        (looked(29, 7, took_ms=1), [(8, "pool")]),
        (looked(29, 7, took_ms=2), []),
        (looked(35, 7, 8), []),
        (looked(36, 7, 8), [(8, "database")]),
        (looked(54, 7), []),
        (looked(55, 7), [(7, "database")]),
    ],
)
def test_views_disagree_on_what_only_one_knows(look: Look, found: list[tuple[int, str]]) -> None:
    assert [(each.backend_pid, each.seen_by) for each in disagreements(ACCOUNT, [look], slack_ns=3 * MS)] == found
    # Others before and after it change nothing.
    looks = [looked(60), look, looked(0)]
    assert [
        (each.at_ns, each.backend_pid, each.seen_by) for each in disagreements(ACCOUNT, looks, slack_ns=3 * MS)
    ] == [(look.asked_ns, pid, side) for pid, side in found]


def test_agreement_of_many_events_takes_one_sweep() -> None:
    """20,000 connections and 5,000 looks: for each look only what is open then is looked at."""
    account = [
        happened(kind, at_ms, pid)
        for pid in range(20_000)
        for kind, at_ms in zip(CONNECT_AND_CLOSE, (pid * 10, pid * 10 + 45), strict=True)
    ]
    account.sort(key=lambda event: event.at_ns)
    looks = [looked(at_ms, *range(max(0, (at_ms - 45) // 10 + 1), at_ms // 10 + 1)) for at_ms in range(1, 200_000, 40)]
    assert looks[9].pids == open_at(account, looks[9].asked_ns)
    counted = _Counted(account)
    assert disagreements(counted, looks, slack_ns=MS) == []
    assert counted.passes == 1


@contextmanager
def _loaded(bench: Bench, edition: Edition, **settings: str) -> Iterator[tuple[Watched, Sessions]]:
    with bench.watched(edition, **settings) as watched, bench.sessions(edition) as sessions:
        yield watched, sessions


def _volleys(watched: Watched, *targets: str, clients: int = 24, rounds: int = 6) -> None:
    """Ask from many clients at once, in rounds; each request has a name."""
    for number in range(rounds):
        asks = [Ask(targets[each % len(targets)], f"r{number}-{each}") for each in range(clients)]
        for answer in together(watched.service, asks):
            assert answer.status == 200, answer.body


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"POOL_SIZE": "5", "POOL_MAX_OVERFLOW": "5", "WSGI_THREADS": "20"},
        {"POOL_SIZE": "3", "WSGI_WORKERS": "2", "ASGI_WORKERS": "2"},
    ],
    ids=["overflow", "workers"],
)
def test_pool_and_database_agree_under_load(bench: Bench, edition: Edition, settings: dict[str, str]) -> None:
    """Overflow comes and goes, several processes have a pool each; and every planted lie is found."""
    with _loaded(bench, edition, **settings) as (watched, sessions):
        with sessions.sampled() as looks:
            _volleys(watched, "/sleep?seconds=0.03", "/db", "/queries?queries=20", "/updates?queries=2")
            # Looks beyond the slack of the last connection that was opened or closed.
            sleep(1.5 * SLACK_NS / 1e9)
        account = watched.events()
    assert len(looks) >= 10
    assert disagreements(account, looks) == []
    _check_every_request(account, {f"r{number}-{each}" for number in range(6) for each in range(24)})
    assert max(each.waiting for each in occupancies(account)) > 0
    most_open = max(each.open for each in occupancies(account))
    assert most_open == max(len(look.pids) for look in looks)
    if "WSGI_WORKERS" in settings:
        assert len({event.process for event in account}) == 2
        assert 3 < most_open <= 6
    else:
        assert 5 < most_open <= 10
        assert any(event.kind == "close" for event in account)
    _check_lies_are_found(account, looks)


def _check_every_request(account: list[PoolEvent], names: set[str]) -> None:
    """Each request took a connection and gave that one back; threads, tasks and backends are told."""
    for name in names:
        own = [event for event in account if event.request == name and event.kind in ("checkout", "checkin")]
        # The first request of a process prepares the database before it does its own work.
        assert [event.kind for event in own] in (["checkout", "checkin"], ["checkout", "checkin"] * 2), name
        assert own[-2].backend_pid == own[-1].backend_pid > 0
        # A task may leave returning to another one, which nobody can cancel.
        assert own[-2].worker
        assert own[-1].worker
    assert all(event.took_ns > 0 and event.backend_pid for event in account if event.kind in ("connect", "close"))


def _check_lies_are_found(account: list[PoolEvent], looks: list[Look]) -> None:
    kept = next(life for life in lives(account) if life.given_up_ns > looks[-1].answered_ns)
    pid = kept.backend_pid

    def own(event: PoolEvent, kind: str) -> bool:
        return event.kind == kind and event.backend_pid == pid

    hidden = [event for event in account if not own(event, "connect")]
    assert {each.seen_by for each in disagreements(hidden, looks)} == {"database"}
    other = [replace(event, backend_pid=1) if own(event, "connect") else event for event in account]
    assert {(each.backend_pid, each.seen_by) for each in disagreements(other, looks)} == {
        (pid, "database"),
        (1, "pool"),
    }
    early = [*account, replace(account[0], kind="close", at_ns=int(kept.open_ns) + 1, backend_pid=pid)]
    early.sort(key=lambda event: event.at_ns)
    assert {each.seen_by for each in disagreements(early, looks)} == {"database"}
    blind = [replace(look, sessions=tuple(each for each in look.sessions if each.pid != pid)) for look in looks]
    assert {(each.backend_pid, each.seen_by) for each in disagreements(account, blind)} == {(pid, "pool")}


@pytest.mark.slow
def test_killed_backend_is_missed_until_the_pool_notices(bench: Bench, edition: Edition) -> None:
    """The pool still counts on it, so the views disagree; the next request finds out, and they agree again."""
    with _loaded(bench, edition, POOL_SIZE="2") as (watched, sessions):
        assert ask(watched.service, Ask("/db", "first")).status == 200
        [pid] = sessions.look().pids
        with psycopg2.connect(bench.urls[edition]) as killer, killer.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 2000)", (pid,))
        killer.close()
        lost = [sessions.look()]
        assert ask(watched.service, Ask("/db", "second")).status == 200
        found = [sessions.look()]
        account = watched.events()
    assert [(each.backend_pid, each.seen_by) for each in disagreements(account, lost)] == [(pid, "pool")]
    assert disagreements(account, found) == []
    second = [event for event in account if event.request == "second"]
    assert [event.kind for event in second] == ["invalidate", "close", "connect", "checkout", "checkin"]
    assert [event.backend_pid == pid for event in second] == [True, True, False, False, False]


@pytest.mark.slow
def test_waits_in_vain_streams_and_probes_are_in_the_account(bench: Bench, edition: Edition) -> None:
    """Also what a stream holds to its last byte, and what is closed when the service stops."""
    patience = {"CONNECT_TIMEOUT": "0.5", "POOL_TIMEOUT": "0.6", "POOL_SIZE": "2", "WSGI_THREADS": "9"}
    with _loaded(bench, edition, **patience) as (watched, sessions):
        assert ask(watched.service, Ask("/stream?rows=2000", "stream")).status == 200
        assert ask(watched.service, Ask("/health/db", "probe")).status == 200
        names = ["long-1", "long-2", "vain"]
        answers = together(watched.service, [Ask("/sleep?seconds=1.5", name) for name in names])
        with ThreadPoolExecutor(1) as threads:
            others = threads.submit(together, watched.service, [Ask("/sleep?seconds=0.5", name) for name in ("a", "b")])
            while sum(session.state == "active" for session in sessions.look().sessions) < 2:
                sleep(0.01)
            probed = ask(watched.service, Ask("/health/db", "refused"))
            others.result()
        began_ns = monotonic_ns()
        watched.service.stop()
        account = watched.events()
    assert sorted(answer.status for answer in answers) == [200, 200, 503]
    assert probed.status == 503
    kinds = {
        name: [event.kind for event in account if event.request == name] for name in ("stream", "probe", "refused")
    }
    assert kinds["stream"][-2:] == kinds["probe"][-2:] == ["checkout", "checkin"]
    assert kinds["refused"] == ["timeout"]
    [vain] = [event for event in account if event.kind == "timeout" and event.request in names]
    # POOL_TIMEOUT, less what timers of whole milliseconds may be short.
    assert 0.599e9 <= vain.waited_ns < 1.4e9
    closed = [event for event in account if event.kind == "close"]
    assert len(closed) == 2
    assert all(event.at_ns > began_ns for event in closed)
    assert occupancies(account)[-1].open == 0


@pytest.mark.slow
def test_account_has_the_pids_of_psycopg(bench: Bench, edition: Edition) -> None:
    """The driver that both editions can use."""
    url = bench.urls[edition].replace("postgresql://", "postgresql+psycopg://")
    with _loaded(bench, edition, DATABASE_URL=url) as (watched, sessions):
        with sessions.sampled() as looks:
            _volleys(watched, "/sleep?seconds=0.02", rounds=3)
        account = watched.events()
    assert disagreements(account, looks) == []
    assert {pid for look in looks for pid in look.pids} <= {event.backend_pid for event in account}
    assert looks[-1].pids


def test_database_that_stops_telling_fails_the_sampling(
    bench: Bench, edition: Edition, connection: psycopg2.extensions.connection
) -> None:
    """Few looks must not pass for agreement."""
    with bench.sessions(edition) as sessions:

        def sample() -> None:
            with sessions.sampled() as looks:
                while not looks:
                    sleep(0.01)
                [own] = _others(connection, bench.urls[edition])
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s, 2000)", (own,))
                sleep(0.1)

        with pytest.raises(EnvironmentFailure, match="does not tell"):
            sample()


def test_disagreement_names_moment_session_and_side() -> None:
    assert disagreements([], [looked(5, 3)]) == [Disagreement(5 * MS, 3, "database")]


def _others(connection: psycopg2.extensions.connection, url: str) -> list[int]:
    """Return the backend pids of whoever is connected to a database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", (make_url(url).database,))
        return [pid for (pid,) in cursor.fetchall()]


class _Counted(list[PoolEvent]):
    """Events that count how often somebody has gone through them."""

    passes = 0

    def __iter__(self) -> Iterator[PoolEvent]:
        self.passes += 1
        return super().__iter__()


def _drawn(count: int) -> list[PoolEvent]:
    """Return an account in which connections come and go at random, each at a moment of its own."""
    generator = random.Random(1)
    is_held: dict[int, bool] = {}
    account = []
    for number in range(count):
        at_ms = number * 10
        pid = generator.choice([*is_held, number + 1])
        waited_ms = generator.choice((0, 0, 15, 45))
        if pid not in is_held:
            account.append(happened("connect", at_ms, pid))
            is_held[pid] = False
        elif is_held[pid]:
            account.append(happened("checkin", at_ms, pid))
            is_held[pid] = False
        elif generator.random() < 0.3:
            account.append(happened("close", at_ms, pid))
            del is_held[pid]
        else:
            account.append(happened("checkout", at_ms, pid, waited_ms=min(waited_ms, at_ms)))
            is_held[pid] = True
    return account
