"""What the page of a trace says of its values: names, numbers with their units, bytes that can be read."""

import pytest

from shared.report import format
from shared.report.trace_page import comparison
from shared.report.trace_page import facts
from tests.trace_documents import make_pair


def test_page_names_stages_alike_everywhere() -> None:
    """Where one edition has two of a stage, the other's only one has a number, too."""
    pair = make_pair(statements=2)
    del pair.asgi.document["stages"][8:], pair.asgi.document["gaps"][5:]
    wsgi, asgi = comparison.labels(pair)
    assert [label for label in wsgi if label.startswith("sql")] == ["sql 1", "sql 2"]
    assert [label for label in asgi if label.startswith("sql")] == ["sql 1"]
    assert {line.label for line in comparison.lines(pair)} == {*wsgi, *asgi}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bytes", {"size": 5, "text": "a\r\n\\\xe9", "kept": 5}, "a\\r\\n\n\\\\\\xe9"),
        ("value", {"port": 43_775}, "43775"),
        ("value", ["127.0.0.1", 43_775], "127.0.0.1, 43775"),
        ("waited_ns", 1_500_000, "1.500\N{NO-BREAK SPACE}ms"),
        ("at_ns", 3_500, "2.5\N{NO-BREAK SPACE}µs"),
        ("backend_pid", 41_902, "41902"),
        ("rows", 12_345, "12,345"),
        ("interpolated", True, "yes"),
        ("pool_before", {"size": 10, "idle": 3}, "size 10, idle 3"),
    ],
)
def test_fact_is_told_as_what_it_is(name: str, value: object, expected: str) -> None:
    ((_, shown),) = facts.facts({name: value}, origin_ns=1_000)
    assert (shown.text or shown.rows[0][1][0].text) == expected


def test_fact_that_is_long_is_cut_and_tells_its_size() -> None:
    shown = facts.raw(b"x" * (facts.MOST_CHARACTERS + 1))
    assert shown.note == "first 16,384 of 16,385 bytes"
    assert shown.text == "x" * 16_384


def test_times_are_told_with_the_unit_that_suits_them() -> None:
    spans = [format.span(ns) for ns in (0, 40, 999_949, 999_950, -2_500_000, 999_999_500)]
    assert [text.replace(format.NO_BREAK, " ") for text in spans] == [
        "0.0 µs", "0.0 µs", "999.9 µs", "1.000 ms", "-2.500 ms", "1.00 s",
    ]  # fmt: skip
    ticks = [format.round_span(ns) for ns in (500, 20_000, -2_500_000, 10**10)]
    assert [text.replace(format.NO_BREAK, " ") for text in ticks] == ["500 ns", "20 µs", "-2.5 ms", "10 s"]
    assert [format.share(part, 1_000).replace(format.NO_BREAK, " ") for part in (0, 9, 10, 430)] == [
        "0 %", "under 1 %", "1 %", "43 %",
    ]  # fmt: skip
    assert format.share(1, 0) == format.NOTHING
    assert [format.span_microseconds(ns, signed=True) for ns in (49, -1_234_500, 50)] == ["0.0", "-1,234.5", "+0.1"]
