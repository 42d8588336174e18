"""Claims about what stands between a socket and an application: each rule fed with doctored figures, each one run."""

from dataclasses import replace
from typing import Any

import pytest

from shared.config import Edition
from shared.contract import CONTRACT
from shared.lab.claims import c04_bytes_and_calls as c04
from shared.lab.claims import c05_host_and_port as c05
from shared.lab.claims import c13_no_database_no_connection as c13
from shared.lab.claims.bench import Bench
from shared.lab.claims.wire import cut
from shared.lab.claims.wire import read_request
from shared.lab.parity.message import Request
from shared.lab.services.process import Service
from tests.claim_records import doctored
from tests.claim_records import made

SAME = made(
    requests=40, unrecorded=0, in_differ=0, keys_missing=0, call_differ=0, body_differ=0, handed_differ=0,
    out_differ=0, disordered=0,
)  # fmt: skip


def test_bytes_and_calls_are_confirmed_by_no_difference() -> None:
    assert c04.rule(SAME).verdict == "confirmed"


@pytest.mark.parametrize("fault", [fault for fault in c04.FAULTS if fault != "unrecorded"])
def test_bytes_and_calls_are_refuted_by_any_difference(fault: str) -> None:
    ruling = c04.rule(doctored(SAME, **{fault: 1}))
    assert ruling.verdict == "refuted"
    assert c04.FAULTS[fault] in ruling.because


def test_bytes_that_were_not_recorded_decide_nothing() -> None:
    assert c04.rule(doctored(SAME, unrecorded=1, in_differ=1)).verdict == "undecided"


def test_request_is_read_by_hand_as_it_was_written() -> None:
    request = Request(
        "POST", "/a%20b?c=d?e", (("X-Note", "one"), ("X-Note", " two ")), chunks=(b"first", b"\r\n0\r\n\r\n")
    )
    found = read_request(request.wire("here:1"))
    assert (found.method, found.path, found.query, found.version) == ("POST", "/a%20b", "c=d?e", "1.1")
    assert found.decoded_path == b"/a b"
    assert found.joined["x-note"] == "one,two"
    assert found.joined["host"] == "here:1"
    assert found.body == b"first\r\n0\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 50])
def test_cut_loses_nothing(pieces: int) -> None:
    data = bytes(range(23))
    assert b"".join(cut(data, pieces)) == data
    assert len(cut(data, pieces)) <= pieces


def _changed(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call that says something else of one header field."""
    if "headers" in call:
        return {**call, "headers": [[name, value + "x"] for name, value in call["headers"]]}
    return {**call, "HTTP_HOST": call["HTTP_HOST"] + "x"}


def test_every_fault_of_an_exchange_is_seen(services: dict[Edition, Service], edition: Edition) -> None:
    """An exchange with a real service has none; the same with one thing changed has that one."""
    found = c04._exchange(services[edition], c04.REQUESTS[c04.SHOWN], 3)
    assert [fault for fault in c04.FAULTS if c04._has(edition, found, fault)] == []
    document = found.document
    parse = next(stage for stage in document["stages"] if "interface" in stage["facts"])
    call = parse["facts"]["value"]

    def called_with(value: dict[str, Any]) -> c04.Exchanged:
        facts = {**parse["facts"], "value": value}
        stages: list[Any] = [{**stage, "facts": facts} if stage is parse else stage for stage in document["stages"]]
        return replace(found, document={**document, "stages": stages})

    first = "REQUEST_METHOD" if edition == "wsgi" else "method"
    wrong = {
        "unrecorded": replace(found, document={**document, "left_out": 1}),
        "in_differ": replace(found, sent=found.sent.replace(b"x/y", b"x/z")),
        "keys_missing": called_with({key: value for key, value in call.items() if key != first}),
        "call_differ": called_with(_changed(call)),
        "body_differ": replace(found, answer=replace(found.answer, body=found.answer.body[::-1])),
        "handed_differ": replace(found, answer=replace(found.answer, status=201)),
        "out_differ": replace(found, received=found.received + b"x"),
        "disordered": replace(
            found,
            document={**document, "stages": [each for each in document["stages"] if each["name"] != "receive"]},
        ),
    }
    assert set(wrong) == set(c04.FAULTS)
    for fault, each in wrong.items():
        assert c04._has(edition, each, fault), fault


@pytest.mark.slow
def test_bytes_become_a_call_and_bytes_again_in_both_editions(bench: Bench) -> None:
    finding = c04.measure(bench, {"trials": 1, "pieces": 2})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        assert figures.number("requests") == len(c04.REQUESTS)
        assert c04.rule(figures).verdict == "confirmed", figures
        # Date and Server at least.
        assert figures.number("fields_added_least") >= 2
    assert len(finding.pictures) == 1
    assert c04.CLAIM.explain(finding)


IDLE = made(
    requests=10_000, answered=10_000, connects=0, checkouts=0, sessions_most=0, looks=50, control_connects=1,
    control_sessions=1,
)  # fmt: skip


def test_routes_without_a_database_are_confirmed_by_no_connection() -> None:
    assert c13.rule(IDLE).verdict == "confirmed"


@pytest.mark.parametrize("seen", ["connects", "checkouts", "sessions_most"])
def test_one_connection_refutes_it(seen: str) -> None:
    assert c13.rule(doctored(IDLE, **{seen: 1})).verdict == "refuted"


@pytest.mark.parametrize(
    "changed", [{"answered": 9_999}, {"control_connects": 0}, {"control_sessions": 0}, {"looks": 0}]
)
def test_no_connection_means_nothing_to_who_could_not_have_seen_one(changed: dict[str, int]) -> None:
    assert c13.rule(doctored(IDLE, **changed)).verdict == "undecided"


def test_every_entry_that_needs_nothing_is_asked() -> None:
    assert set(c13.REQUESTS) == set(c13.names())
    for name, request in c13.REQUESTS.items():
        entry = next(entry for entry in CONTRACT if entry.name == name)
        assert request.target.partition("?")[0] == entry.path
        assert request.method == entry.method or (request.method, entry.method) == ("HEAD", "GET")


@pytest.mark.slow
def test_routes_without_a_database_cost_no_connection(bench: Bench) -> None:
    finding = c13.measure(bench, {"requests": 205, "lanes": 3})
    assert set(finding.measured) == {"wsgi", "asgi"}
    for figures in finding.measured.values():
        assert figures.number("answered") == 205
        assert c13.rule(figures).verdict == "confirmed", figures
    assert c13.CLAIM.explain(finding)


PLACES = made(**{name: expected for name, (_, expected) in c05.EXPECTED.items()})


def test_host_and_port_are_confirmed_by_what_is_expected_at_each() -> None:
    assert c05.rule(PLACES).verdict == "confirmed"


@pytest.mark.parametrize("name", ["before", "other_port", "other_host", "no_application", "after"])
def test_an_answer_from_elsewhere_refutes_it(name: str) -> None:
    assert c05.rule(doctored(PLACES, **{name: "connected, status 200"})).verdict == "refuted"


@pytest.mark.parametrize("name", ["known", "unknown"])
def test_no_answer_at_its_own_address_refutes_it(name: str) -> None:
    assert c05.rule(doctored(PLACES, **{name: c05.REFUSED})).verdict == "refuted"
    assert c05.rule(doctored(PLACES, **{name: "connected, status 500"})).verdict == "refuted"


def test_another_failure_elsewhere_decides_nothing() -> None:
    assert c05.rule(doctored(PLACES, other_host="OSError, errno 99")).verdict == "undecided"


@pytest.mark.slow
def test_only_the_running_service_answers(bench: Bench) -> None:
    finding = c05.measure(bench, {"trials": 1})
    assert set(finding.measured) == {"wsgi", "asgi"}
    assert [figures.text("servers") for figures in finding.measured.values()] == ["gunicorn", "uvicorn"]
    for figures in finding.measured.values():
        assert c05.rule(figures).verdict == "confirmed", figures
        assert figures.text("foreign_name") == "connected, status 200"
    assert c05.CLAIM.explain(finding)
