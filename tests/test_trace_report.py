"""The drawing of both pipelines, from traces made by hand: rows, scale, folding, gaps, widths, no colour."""

import io
import re
from dataclasses import replace

import pytest

from shared.lab.tracing.repeat import own_times
from shared.lab.tracing.result import Load
from shared.lab.tracing.result import Traced
from shared.lab.tracing.result import TracePair
from shared.report.pipeline import drawing
from shared.report.pipeline import rows as pipeline_rows
from shared.report.pipeline.text import PLAIN
from shared.report.pipeline.text import RICH
from shared.report.pipeline.text import Scale
from shared.report.pipeline.text import escaped

from .test_report import Terminal
from .trace_documents import make_pair


def drawn(pair: TracePair, width: int = 100, *more: TracePair) -> list[str]:
    return [line.plain for line in drawing.lines(Traced((pair, *more), (), ()), width, PLAIN)]


def row(lines: list[str], label: str) -> str:
    return next(line for line in lines if line[2:].lstrip().startswith(f"{label} "))


def test_every_stage_has_one_row_with_both_durations() -> None:
    lines = drawn(make_pair())
    for stage in ("receive", "parse", "dispatch", "route", "validate", "session", "release", "serialize", "send"):
        chart = [line for line in lines if re.match(rf"[ !] +{stage} +\d+ ", line)]
        assert len(chart) == 1, stage
    parse = row(lines, "parse").split()
    assert parse[3] == "71.0"
    assert "38.0" in parse


def test_stages_and_gaps_of_the_drawing_add_up_to_the_whole() -> None:
    pair = make_pair(statements=4)
    rows = pipeline_rows.rows(pair)
    for edition in ("wsgi", "asgi"):
        cells = [getattr(each, edition) for each in rows if each.kind in ("stage", "gap") and each.depth == 0]
        whole = getattr(pair, edition).document["duration_ns"]
        assert sum(cell.total_ns for cell in cells if cell) == whole
        assert sum(own_times(getattr(pair, edition).document).values()) == whole


@pytest.mark.parametrize("width", [80, 100, 160])
def test_bars_are_to_scale_on_one_axis(width: int) -> None:
    pair = make_pair(checkout_us=2_000, dispatch_us={"wsgi": 1_000, "asgi": 500})
    lines = drawn(pair, width)
    axis = pipeline_rows.axis_ns(pair) / 1e3
    side = (width - (20 if width >= 140 else 17 if width >= 100 else 14) - 4) // 2
    bar = side - 2 - 2 * 7 - 3
    cells = row(lines, "dispatch")
    wsgi, asgi = (cells[-2 * side - 2 : -side], cells[-side:]) if len(cells) > width - 4 else (cells, cells)
    assert wsgi
    assert asgi
    assert re.findall(r"#+", cells) == [
        "#" * max(1, _columns(pair, edition, axis, bar)) for edition in ("wsgi", "asgi")
    ]


def _columns(pair: TracePair, edition: str, axis_us: float, bar: int) -> int:
    request = getattr(pair, edition)
    stage = next(each for each in request.document["stages"] if each["name"] == "dispatch")
    start, end = ((stage[key] - pipeline_rows.origin_ns(request)) / 1e3 for key in ("start_ns", "end_ns"))
    return -int(-end * bar // axis_us) - int(start * bar // axis_us)


def test_statements_of_one_text_share_a_row_with_their_number_and_sum() -> None:
    pair = make_pair(statements=20)
    lines = drawn(pair)
    assert len([line for line in lines if "sql" in line[:12] and " x20" in line]) == 1
    sums = [
        sum(stage["duration_ns"] for stage in request.document["stages"] if stage["name"] == "sql") / 1e3
        for request in (pair.wsgi, pair.asgi)
    ]
    assert [f"{each:,.0f}" in row(lines, "sql x20") for each in sums] == [True, True]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("WHERE a = %(id_1)s FOR UPDATE", "WHERE a = $1::INTEGER FOR UPDATE"),
        ("unnest(%(ids)s::INTEGER[])", "unnest($2::INTEGER[]::INTEGER[])"),
        ("x = %s\n  AND y %% 2", "x = $1::TIMESTAMP WITHOUT TIME ZONE AND y % 2"),
    ],
)
def test_drivers_spellings_of_a_parameter_are_one_statement(left: str, right: str) -> None:
    assert pipeline_rows.normalised(left) == pipeline_rows.normalised(right)
    assert pipeline_rows.normalised(left) != pipeline_rows.normalised(right + " AND z")


def test_different_statements_have_rows_of_their_own_named_by_their_first_word() -> None:
    pair = make_pair(statements=3)
    for request, spelling in ((pair.wsgi, "UPDATE a SET b = %(c)s"), (pair.asgi, "UPDATE a SET b = $1::INTEGER")):
        last = [stage for stage in request.document["stages"] if stage["name"] == "sql"][-1]
        last["facts"]["statement"] = spelling
    lines = drawn(pair)
    assert row(lines, "sql SELECT x2")
    assert not row(lines, "sql UPDATE").startswith("!")


def test_stage_inside_another_is_indented_under_it() -> None:
    lines = drawn(make_pair())
    place = lines.index(row(lines, "sql"))
    assert lines[place + 1].startswith("    checkout")


def test_where_dispatch_comes_is_marked_and_numbered() -> None:
    line = row(drawn(make_pair()), "dispatch")
    assert line.startswith("! dispatch")
    assert re.match(r"! dispatch +1 .* 3 ", line)
    assert row(drawn(make_pair()), "receive").startswith("  receive")


def test_stage_of_one_edition_alone_is_marked() -> None:
    pair = make_pair()
    kept = [stage for stage in pair.asgi.document["stages"] if stage["name"] not in ("encode", "checkout")]
    document = {**pair.asgi.document, "stages": kept, "gaps": []}
    other = replace(pair, asgi=replace(pair.asgi, document=document))  # type: ignore[arg-type]  # a document still
    line = row(drawn(other), "encode")
    assert line.startswith("! ")
    assert line.endswith(" -")


def test_large_gap_has_its_own_row_and_small_ones_are_summed() -> None:
    pair = make_pair()
    document = pair.wsgi.document
    gap = document["gaps"][3]
    for stage in document["stages"]:
        if stage["start_ns"] >= gap["end_ns"]:
            stage["start_ns"] += 500_000
            stage["end_ns"] += 500_000
    for other in document["gaps"][4:]:
        other["start_ns"] += 500_000
        other["end_ns"] += 500_000
    gap["end_ns"] += 500_000
    gap["duration_ns"] += 500_000
    document["ended_ns"] += 500_000
    document["duration_ns"] += 500_000
    lines = drawn(pair)
    own = [line for line in lines if line.startswith("  gap")]
    assert len(own) == 1
    assert " 502 " in own[0] or " 501 " in own[0]
    assert any(line.startswith("  small gaps x") for line in lines)


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("statements", [1, 20])
def test_drawing_fits_its_width(width: int, statements: int) -> None:
    lines = drawn(make_pair(statements=statements, target="/db?" + "long=*&" * 40, body=b"x" * 5_000), width)
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - 12


def test_piped_drawing_is_plain_ascii() -> None:
    stream = io.StringIO()
    drawing.print_trace(Traced((make_pair(),), (), ()), stream)
    text = stream.getvalue()
    assert text.isascii()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize("columns", ["80", "120", "300"])
def test_terminal_drawing_fits_its_terminal_and_needs_no_colour(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    drawing.print_trace(Traced((make_pair(),), (), ()), stream)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= min(int(columns), 160)
    assert "! dispatch" in text or "≠ dispatch" in text


def test_colour_adds_nothing_but_colour() -> None:
    traced = Traced((make_pair(),), (), ())
    rich = [line.plain for line in drawing.lines(traced, 100, RICH)]
    plain = drawn(make_pair())
    assert len(rich) == len(plain)
    assert [line[:25] for line in rich if line[2:7] == "parse"] == [line[:25] for line in plain if line[2:7] == "parse"]


def test_bytes_are_escaped_masked_as_they_came_and_cut_with_their_size() -> None:
    lines = drawn(make_pair(body=b"\x00\xff\\" + b"y" * 3_000))
    text = "\n".join(lines)
    assert "Authorization: *******\\r\\n" in text
    assert "\\x00\\xff\\\\yyy" in text
    assert "(3,003 bytes)" in text


def test_bytes_that_differ_name_their_edition_and_equal_ones_none() -> None:
    lines = drawn(make_pair())
    assert any(re.match(r" +wsgi +Server: gunicorn", line) for line in lines)
    assert any(re.match(r" +asgi +Server: uvicorn", line) for line in lines)
    assert sum("HTTP/1.1 200 OK" in line for line in lines) == 1


def test_each_statement_has_a_line_of_wire_messages_for_either_driver() -> None:
    text = "\n".join(drawn(make_pair(statements=3), 140))
    assert "SELECT world.id, world.randomnumber FROM world WHERE world.id = ?" in text
    assert re.search(r"wsgi x3, first: 1 round trip, 1 row, values written into the text: Query 78 B -> DataRow", text)
    assert re.search(r"asgi x3, first: 1 round trip, 1 row: Bind Execute 51 B -> DataRow ReadyForQuery 29 B", text)


def test_summary_tells_measured_waits() -> None:
    text = " ".join(drawn(make_pair(dispatch_us={"wsgi": 960, "asgi": 12}, checkout_us=100)))
    assert "Waited 960.0 us for a thread and 80.0 us for a connection" in text.replace("960 us", "960.0 us")
    assert "12.0 us for a task" in text
    assert "960.0 us (" in text.replace("960 us (", "960.0 us (")


def test_load_is_told_with_its_rate_and_failures() -> None:
    load = Load("wsgi", 16, 500, 3, 2.0)
    lines = [line.plain for line in drawing.lines(Traced((make_pair(),), (load,), ()), 100, PLAIN)]
    assert "wsgi  meanwhile 16 other connections got 250 answers/s, 3 failures" in lines


def test_repetitions_give_medians_intervals_and_ratios() -> None:
    pairs = [make_pair(dispatch_us={"wsgi": 90 + each, "asgi": 9 + each / 10}) for each in range(10)]
    lines = drawn(pairs[0], 100, *pairs[1:])
    dispatch = next(line for line in lines if line.startswith("dispatch "))
    assert re.search(r"94\.5 \[9\d\.\d, 9\d\.\d\] +9\.4 \[9\.\d, 9\.\d\] +0\.10 \[0\.10, 0\.10\]", dispatch), dispatch
    route = next(line for line in lines if line.startswith("route "))
    assert route.endswith("no difference shown")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("slow_us", [10, 5_000_000])
def test_medians_fit_their_width(width: int, slow_us: float) -> None:
    pairs = [make_pair(checkout_us=slow_us + each) for each in range(4)]
    assert max(map(len, drawn(pairs[0], width, *pairs[1:]))) <= width


def test_durations_keep_their_column_whatever_their_size() -> None:
    for axis_ns in (500, 999_999_999, 99_000_000_000):
        scale = Scale(axis_ns, PLAIN)
        assert all(len(scale.number(ns)) <= 7 for ns in (0, 1, 99, axis_ns // 3, axis_ns))


def test_escaped_bytes_can_be_told_apart() -> None:
    every = "".join(map(chr, range(256)))
    assert len({escaped(each) for each in every}) == 256
    assert escaped(every).isascii()


def test_stages_that_repeat_often_share_a_row() -> None:
    pair = make_pair()
    for request in (pair.wsgi, pair.asgi):
        stages = request.document["stages"]
        last = stages[-1]
        for number in range(1, 6):
            later = number * 200_000
            moved = {"start_ns": last["start_ns"] + later, "end_ns": last["end_ns"] + later}
            stages.append({**last, **moved})  # type: ignore[typeddict-item]  # the keys are the stage's
    lines = drawn(pair)
    assert row(lines, "send x6")
    assert not [line for line in lines if line[2:].startswith("send 2")]


def test_bytes_that_were_not_kept_are_counted() -> None:
    pair = make_pair()
    for request in (pair.wsgi, pair.asgi):
        request.document["stages"][-1]["facts"]["bytes"]["size"] += 70_000
    assert any(line.endswith("... 70,000 bytes more") for line in drawn(pair))
