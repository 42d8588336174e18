"""What two applications' answers may differ in, and what is said when they differ in more; nothing is sent."""

import pytest

from shared.errors import UsageError
from shared.lab.foreign import parity
from shared.lab.foreign import rules
from shared.lab.foreign.parity import Side
from shared.lab.foreign.result import TargetDifference
from shared.lab.parity.message import Response
from shared.lab.parity.transport import Address
from shared.lab.planning.plan import Scenario

NONE = rules.Rules()
SIDES = (Side("wsgi", Address("127.0.0.1", 1)), Side("asgi", Address("127.0.0.1", 2)))


def answer(body: str = "", status: int = 200, reason: str = "OK", **fields: str) -> Response:
    """Return a response as JSON, with more or other header fields; underscores stand for hyphens."""
    headers = {"content-type": "application/json", "content-length": str(len(body)), "date": "now"}
    headers |= {name.replace("_", "-"): value for name, value in fields.items()}
    return Response(status, reason, tuple(headers.items()), body.encode())


def facts(left: Response, right: Response, allow: str = "", ignore: str = "") -> list[str]:
    """Return the names of what differs under options that are given as words."""
    return [fact.what for fact in rules.differences(left, right, rules.parse(allow.split(), ignore.split()))]


def test_server_fields_and_reason_phrases_are_not_compared() -> None:
    assert facts(answer("{}", server="a", connection="close"), answer("{}", reason="", server="b", date="then")) == []


@pytest.mark.parametrize(
    ("right", "what"),
    [
        (answer("{}", status=201), "status"),
        (answer("[]"), "body, byte 0 of 2 and 2"),
        (answer("{}", content_type="text/plain"), "header content-type"),
        (answer("{}", vary="Cookie"), "header vary"),
    ],
)
def test_status_body_and_every_other_field_must_be_equal(right: Response, what: str) -> None:
    assert facts(answer("{}"), right) == [what]


def test_an_allowed_field_may_differ_or_be_missing_and_no_other_may() -> None:
    left, right = answer("{}", vary="Cookie", etag="1"), answer("{}", etag="2")
    assert facts(left, right, allow="header:Vary header:ETag") == []
    assert facts(left, right, allow="header:Vary") == ["header etag"]


def test_allowed_bodies_leave_status_and_content_type() -> None:
    assert facts(answer("one"), answer("another"), allow="body") == []
    assert facts(answer("one"), answer("another", 201, content_type="x"), allow="body") == [
        "status",
        "header content-type",
    ]


def test_json_may_be_spelled_differently_but_not_say_something_else() -> None:
    left = answer('{"a": 1, "b": [true, null]}')
    assert facts(left, answer('{"b":[true,null],"a":1}'), allow="json") == []
    assert facts(left, answer('{"b":[1,null],"a":1.0,"c":0}'), allow="json") == ["json a", "json b.0", "json c"]
    assert facts(left, answer('{"a": 1, "b": [true]}'), allow="json") == ["json b"]


def test_bodies_that_are_no_json_are_compared_byte_for_byte() -> None:
    assert facts(answer("<p>"), answer("<p>"), allow="json") == []
    assert facts(answer("<p>"), answer("<q>"), allow="json") == ["body, byte 1 of 3 and 3"]
    assert facts(answer("null"), answer("null "), allow="json") == []


def test_ignored_values_may_differ_but_must_be_there() -> None:
    left = answer('{"id": 1, "items": [{"at": 1, "n": 1}, {"at": 2, "n": 2}]}')
    right = answer('{"id": 99, "items": [{"at": 8, "n": 1}, {"at": 9, "n": 2}]}')
    assert facts(left, right, ignore="id items.*.at") == []
    assert facts(left, right, ignore="id items.0.at") == ["json items.1.at"]
    assert facts(left, answer('{"items": []}'), ignore="id items.*.at") == ["json id", "json items"]


def test_a_path_is_found_only_where_a_value_is() -> None:
    body = b'{"items": [{"id": 1}]}'
    assert rules.has_path(body, "items.*.id")
    assert rules.has_path(body, "items.0")
    assert not any(rules.has_path(body, path) for path in ("items.1.id", "items.id", "item", "items.*.id.x"))
    assert not rules.has_path(b"no json", "*")


@pytest.mark.parametrize(
    ("allow", "ignore", "text"),
    [
        ("headers", "", "is no rule"),
        ("header:", "", "is no rule"),
        ("header:a:b", "", "is no rule"),
        ("body json", "", "compares no body at all"),
        ("body", "id", "compares no body at all"),
        ("", "a..b", "is no path"),
    ],
)
def test_rules_that_are_none_or_contradict_each_other_are_refused(allow: str, ignore: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        rules.parse(allow.split(), ignore.split())


def judged(wsgi: list[Response], asgi: list[Response], allow: str = "", ignore: str = "") -> list[TargetDifference]:
    """Return what is found in repeated answers of both sides."""
    chosen = rules.parse(allow.split(), ignore.split())
    return parity.judge(SIDES, Scenario("POST /x", "/x", "POST", b"{}"), {"wsgi": wsgi, "asgi": asgi}, chosen)


def test_equal_answers_raise_nothing() -> None:
    assert judged([answer("1")] * 3, [answer("1")] * 3) == []


def test_an_answer_that_differs_from_itself_is_named_with_the_rule_that_helps() -> None:
    changing = [answer('{"id": 1}'), answer('{"id": 1}'), answer('{"id": 2}')]
    [found] = judged(changing, [answer("[]")] * 3)
    assert (found.kind, found.heads, [fact.what for fact in found.facts]) == (
        "not deterministic",
        ("wsgi, first", "wsgi, again"),
        ["body, byte 7 of 9 and 9"],
    )
    assert found.hint == "if that may differ: --ignore-json id"
    assert judged(changing, changing[::-1], ignore="id") == []


@pytest.mark.parametrize(
    ("left", "right", "rule"),
    [
        (answer('{"a": [{"b": 1}]}'), answer('{"a": [{"b": 2}]}'), "--ignore-json a.*.b"),
        (answer('{"a": 1}'), answer('{"a" :1}'), "--allow json"),
        (answer("<p>"), answer("<q>"), "--allow body"),
        (answer(vary="x"), answer(), "--allow header:vary"),
    ],
)
def test_a_difference_names_the_rule_that_lets_it_pass(left: Response, right: Response, rule: str) -> None:
    [found] = judged([left] * 3, [right] * 3)
    assert found.kind == "unequal"
    assert found.hint == f"if that may differ: {rule}"
    kind, _, value = rule.partition(" ")
    options = {"allow": value} if kind == "--allow" else {"ignore": value}
    assert judged([left] * 3, [right] * 3, **options) == []


@pytest.mark.parametrize(
    "bad", [answer(status=404, reason="Not Found"), answer(status=302), Response(0, failure="no answer")]
)
def test_what_is_no_success_is_not_timed_even_if_both_answer_it(bad: Response) -> None:
    [found] = judged([answer(), bad, answer()], [bad] * 3)
    assert found.kind == "no success"
    assert found.facts[0].left == found.facts[0].right == (bad.failure or bad.line)
    assert found.commands[0].startswith("wsgi$ printf '{}' | curl -s -i")
    assert found.commands[1].endswith("http://127.0.0.1:2/x")


def test_a_service_is_asked_again_under_the_name_it_was_given() -> None:
    """The load goes to its number, with the Host field of the name; curl writes both itself."""
    named = Side("b", Address("127.0.0.1", 2), "localhost:2")
    found = parity.judge((SIDES[0], named), Scenario("/x", "/x"), {"wsgi": [answer("1")], "b": [answer("2")]}, NONE)
    assert found[0].commands[1] == "b$ curl -s -i --path-as-is --globoff -X GET -H 'Connection: close' " + (
        "http://localhost:2/x"
    )
    assert b"Host: localhost:2\r\n" in parity.request_of(Scenario("/x", "/x"), named.host).wire("127.0.0.1:2")


def test_the_request_has_the_body_that_the_load_client_sends() -> None:
    for scenario in (
        Scenario("a", "/a"),
        Scenario("b", "/b", "DELETE"),
        Scenario("c", "/c", "POST"),
        Scenario("d", "/d", "PUT", b"[1]"),
    ):
        asked = parity.request_of(scenario).wire("h:1").replace(b"Connection: close\r\n", b"")
        assert asked == scenario.request_bytes("h:1")
