"""From the options about load to a plan: open rates, several clients, impolite clients, the mix."""

import io
import os
from typing import Any
from typing import get_args

import pytest

from shared.contract import CONTRACT
from shared.contract import LoadGroup
from shared.errors import UsageError
from shared.lab.planning import loads
from shared.lab.planning import scenarios
from shared.lab.planning.estimate import estimate
from shared.lab.planning.plan import Behaviour
from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Part
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Scenario
from shared.lab.planning.plan import Timing
from shared.lab.planning.profiles import make_plan
from shared.lab.services import process
from shared.report.plan import print_plan


def plan(**options: Any) -> Plan:
    return make_plan("quick", lab=False, seed=1, **options)


def text_of(made: Plan) -> str:
    stream = io.StringIO()
    print_plan(made, ("wsgi", "asgi"), stream)
    assert max(map(len, stream.getvalue().splitlines())) <= 100
    return " ".join(stream.getvalue().split())


# Rates


def test_rates_alone_are_the_loads() -> None:
    assert plan(rates=["200, 500", "200", "12.5"]).loads == (
        *(Load(128, 200.0, "poisson"), Load(128, 500.0, "poisson"), Load(128, 12.5, "poisson")),
    )


def test_rates_beside_levels_make_both_models() -> None:
    made = plan(connections=["8,32"], rates=["200"], arrivals="constant", ceiling="64")
    assert made.loads == (Load(8), Load(32), Load(64, 200.0, "constant"))
    assert [load.model for load in made.loads] == ["closed", "closed", "open"]


def test_lowest_rate_follows_from_the_window() -> None:
    assert plan(rates=["5"], window_s=1.0).loads[0].rate == 5
    with pytest.raises(UsageError, match=r"2\.0 requests would be due in a window") as failure:
        plan(rates=["5"])
    assert failure.value.hint == "--seconds 1, or a higher rate"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rates": ["0"]}, r"--rate 0\.0 is out of bounds"),
        ({"rates": ["50001"]}, "it can be 0.1 to 50000"),
        ({"rates": ["200,"]}, "requests per second; got ''"),
        ({"rates": ["-5"]}, "got '-5'"),
        ({"rates": ["nan"]}, "got 'nan'"),
        ({"rates": ["1e3"]}, "got '1e3'"),
        ({"rates": ["9" * 400]}, "requests per second"),
        ({"rates": ["200"], "ceiling": "0"}, "--connections 0 is out"),
        ({"rates": ["200"], "ceiling": "x"}, "--connections takes whole numbers"),
        ({"arrivals": "constant"}, "--arrivals needs --rate"),
        ({"ceiling": "8"}, "--connections needs --rate"),
    ],
)
def test_load_out_of_bounds_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        plan(**options)


def test_open_load_is_estimated_without_a_wave_of_last_answers() -> None:
    timing = Timing()
    assert timing.ramp_of(Load(128, 500.0, "poisson")) == timing.ramp_s < timing.ramp_of(Load(128))
    both = estimate(plan(words=["db"], connections=["128"], rates=["500"]), 2).workloads_s
    closed_s, open_s = both.values()
    assert open_s < closed_s
    assert open_s > 2 * timing.rounds * (timing.window_s + timing.ramp_s)


def test_plan_says_what_the_open_load_is() -> None:
    text = text_of(plan(words=["db"], connections=["8"], rates=["200,500"], arrivals="constant"))
    assert "closed model, 8 connections; open model, 200/s, 500/s, constant arrivals" in text
    assert "at most 128 in flight" in text


# Client processes


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 4), (64, 4)])
def test_client_has_more_processes_where_there_are_cores(cores: int, expected: int) -> None:
    assert loads.processes(None, cores) == expected
    assert loads.processes(3, cores) == 3


@pytest.mark.parametrize("asked", [0, -1, 17])
def test_number_of_clients_has_bounds(asked: int) -> None:
    with pytest.raises(UsageError, match=f"--clients {asked} is out"):
        loads.processes(asked, 8)


@pytest.mark.parametrize(
    ("cores", "clients", "server", "client"),
    [(1, 1, set(), set()), (2, 2, {0}, {1}), (4, 2, {0}, {1, 2}), (8, 1, {0}, {1})],
)
def test_clients_get_cores_beside_the_servers(
    monkeypatch: pytest.MonkeyPatch, cores: int, clients: int, server: set[int], client: set[int]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    roles = process.choose_cores(client_cores=clients)
    assert (set(roles.server), set(roles.client)) == (server, client)


# Clients that leave, or read slowly


def test_behaviour_is_part_of_every_scenario() -> None:
    behaviour = loads.behaviour(abort="5%", slow_read="12.5%", slow_rate=1_000)
    assert behaviour == Behaviour(0.05, 0.125, 1_000)
    made = plan(words=["db,mixed"], behaviour=behaviour)
    assert {scenario.behaviour for scenario in made.scenarios} == {behaviour}
    text = text_of(made)
    assert "5 % of the requests are given up" in text
    assert "12.5 % of the connections read at most 1,000 bytes" in text


def test_clients_are_polite_unless_told() -> None:
    assert loads.behaviour(abort=None, slow_read=None, slow_rate=None) == Behaviour() == plan().scenarios[0].behaviour
    assert "Clients:" not in text_of(plan())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"abort": "5"}, "--abort takes a share in per cent; got '5'"),
        ({"abort": "five%"}, "got 'five%'"),
        ({"abort": "0%"}, r"--abort 0\.0 is out"),
        ({"slow_read": "51%"}, r"--slow-read 51\.0 is out"),
        ({"slow_read": "-1%"}, "got '-1%'"),
        ({"slow_rate": 100}, "--slow-rate needs --slow-read"),
        ({"slow_read": "5%", "slow_rate": 0}, "--slow-rate 0 is out"),
    ],
)
def test_behaviour_out_of_bounds_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        loads.behaviour(**{"abort": None, "slow_read": None, "slow_rate": None, **options})


# The mix


def test_mix_has_a_part_in_every_group_and_writes() -> None:
    groups = {entry.load[0]: entry.group for entry in CONTRACT if entry.load}
    (mix,) = scenarios.choose(["mixed"], lab=False)
    assert mix.name == "mixed"
    assert {groups[part.target] for part in mix.parts} == set(get_args(LoadGroup))
    assert "/updates?queries=5" in {part.target for part in mix.parts}
    assert sum(mix.weights) == 100
    assert mix.weights == tuple(scenarios.MIX.values())


def test_mix_is_named_where_groups_are_and_stands_beside_others() -> None:
    assert [scenario.name for scenario in scenarios.choose(["db", "mixed"], lab=False)] == ["/db", "mixed"]
    with pytest.raises(UsageError) as failure:
        scenarios.choose(["mix"], lab=False)
    assert "mixed" in failure.value.why
    assert "20% /plaintext, 10% /json, 25% /db" in text_of(plan(words=["mixed"]))


def test_requests_of_a_mix_are_those_of_its_parts() -> None:
    (mix,) = scenarios.choose(["mixed"], lab=False)
    assert mix.requests("h") == tuple(Scenario(p.target, p.target).request_bytes("h") for p in mix.parts)
    assert Scenario("one", "/db").requests("h") == (Scenario("one", "/db").request_bytes("h"),)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Part("/db", 0), "'weight' must be at least 1"),
        (lambda: Part("db", 1), "begins with '/'"),
        (lambda: Scenario("mix", "/x", parts=(Part("/db", 1),)), "that of its first part"),
        (lambda: Behaviour(abort_share=1.1), "'abort_share' must be 0 to 1"),
        (lambda: Behaviour(slow_bytes_per_s=0), "'slow_bytes_per_s'"),
    ],
)
def test_what_could_not_be_sent_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
