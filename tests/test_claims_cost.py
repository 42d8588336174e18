"""Claims about what engines and connections cost: each rule fed with doctored figures, and each experiment run."""

import os
from pathlib import Path

import psutil
import pytest

from shared.errors import EnvironmentFailure
from shared.lab.claims import c18_engine_cost
from shared.lab.claims import c26_pool_gain
from shared.lab.claims import server as server_module
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Figure
from shared.lab.claims.claim import Figures
from shared.lab.claims.server import own_server
from tests.cluster import rows

CASES = (c18_engine_cost.FIRST, c18_engine_cost.LATER, *(f"{c18_engine_cost.WITH}{road}" for road in ("socket", "tls")))


def times(*values_ms: float, scatter: float = 1.1) -> Figures:
    """Return a figure for each case, with an interval that reaches a tenth farther."""
    own = zip(CASES, values_ms, strict=True)
    figures = [Figure(name, name, value, "ms", 6, value / scatter, value * scatter) for name, value in own]
    # No case of the rule.
    return Figures((*figures, Figure("first_connection_socket", "connection", 50.0, "ms", 6, 40.0, 60.0)))


@pytest.mark.parametrize(
    ("values_ms", "verdict"),
    [
        ((20.0, 20.0, 30.0, 50.0), "confirmed"),
        ((2.0, 0.5, 3.0, 8.0), "refuted"),
        ((2.0, 0.5, 300.0, 800.0), "refuted"),
        ((20.0, 0.5, 3.0, 8.0), "depends"),
        ((2.0, 0.5, 3.0, 30.0), "depends"),
        ((10.5, 0.5, 3.0, 8.0), "undecided"),
        ((20.0, 20.0, 30.0, 95.0), "undecided"),
    ],
)
def test_engine_cost_is_judged_by_every_case(values_ms: tuple[float, ...], verdict: str) -> None:
    assert c18_engine_cost.rule(times(*values_ms)).verdict == verdict


def gains(socket: tuple[float, float], tcp: tuple[float, float]) -> Figures:
    """Return ratios of rates with these intervals."""
    ends = {"socket": socket, "tcp": tcp}
    return Figures(
        tuple(Figure(f"gain_{way}", way, (low * high) ** 0.5, "", 4, low, high) for way, (low, high) in ends.items())
    )


@pytest.mark.parametrize(
    ("socket", "tcp", "verdict"),
    [
        ((1.5, 2.0), (3.0, 4.0), "confirmed"),
        ((0.5, 0.9), (0.5, 0.9), "refuted"),
        ((0.5, 0.9), (3.0, 4.0), "depends"),
        ((0.9, 1.1), (3.0, 4.0), "undecided"),
        ((1.5, 2.0), (0.9, 1.1), "undecided"),
    ],
)
def test_pool_gain_is_judged_over_both_ways(
    socket: tuple[float, float], tcp: tuple[float, float], verdict: str
) -> None:
    assert c26_pool_gain.rule(gains(socket, tcp)).verdict == verdict


def test_every_road_of_an_own_server_is_what_it_says() -> None:
    """Asked of the server itself: address, TLS, and a wrong password refused; nothing is left afterwards."""
    with own_server() as server:
        asked = "SELECT client_addr IS NOT NULL, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE pid = {}"
        seen = {road: rows(urls["wsgi"], asked.format("pg_backend_pid()"))[0] for road, urls in server.urls.items()}
        expected = {"socket": (False, False), "tcp": (True, False), "password": (True, False), "tls": (True, True)}
        assert seen == {road: expected[road] for road in server.roads}
        assert ("tls" in server.roads) == (not server.why_no_tls)
        wrong = server.urls["password"]["wsgi"].replace("owner:", "owner:0")
        with pytest.raises(Exception, match="password authentication failed"):
            rows(wrong, "SELECT 1")
        # Asked in one step, which leaves out what ends meanwhile: the neighbours' databases have backends of that name.
        asked_of_each = psutil.process_iter(["name", "ppid"])
        own = [p for p in asked_of_each if (p.info["name"], p.info["ppid"]) == ("postgres", os.getpid())]
        assert len(own) == 1
    assert not own[0].is_running()


def test_without_tls_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The embedded programs have none, and no others are found."""
    monkeypatch.setattr(server_module, "SYSTEM_PROGRAMS", tmp_path)
    with own_server() as server:
        assert server.roads == ("socket", "tcp", "password")
        assert server.why_no_tls == "pg_config --configure names no OpenSSL in the embedded PostgreSQL"


@pytest.mark.slow
def test_an_engine_object_is_cheap_and_a_connection_is_not(bench: Bench) -> None:
    finding = c18_engine_cost.measure(bench, {"trials": 3, "later": 1})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        assert figures.number(c18_engine_cost.LATER) < figures.number(c18_engine_cost.FIRST)
        for road in ("socket", "tcp", "password"):
            assert 3 * figures.number(f"second_checkout_{road}") < figures.number(f"another_connection_{road}")
    assert c18_engine_cost.explain(finding)


@pytest.mark.slow
def test_a_pool_is_a_gain(bench: Bench) -> None:
    options = {**c26_pool_gain.CLAIM.defaults, "rounds": 3, "window": 0.15, "users": 8, "pool_size": 4}
    finding = c26_pool_gain.measure(bench, options)
    for figures in finding.measured.values():
        assert figures.number("gain_socket") > 1.0
        assert figures.number("gain_tcp") > 1.0
    assert c26_pool_gain.explain(finding)


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HOST", "192.0.2.1")
    with pytest.raises(EnvironmentFailure, match=r"192\.0\.2\.1"), own_server():
        pass
