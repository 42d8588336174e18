"""What the servers used: medians over rounds from the record, and on the page beside each other or with a reason."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from shared.lab.results.observed import observed
from shared.lab.results.record import Comparison
from shared.lab.results.record import Slice
from shared.lab.results.server import ServerFigures
from shared.lab.results.terms import Terms
from shared.report.comparison_page.page import page
from shared.report.comparison_page.servers import reading
from shared.report.comparison_page.servers import servers
from shared.report.page.content import Block
from shared.report.page.content import Details
from shared.report.page.content import Notice
from shared.report.page.content import Table
from shared.report.page.content import Text
from tests.lab_records import make_comparison
from tests.lab_records import make_server_figures
from tests.lab_records import make_slice

PARTS = ("processes", "database", "service")


def rounds(subject: str = "wsgi", *, pool_waits: Iterable[int] = (0, 0, 0)) -> list[Slice]:
    """Return a slice of each round, of 100, 200, 300 ... answers."""
    return [
        make_slice(
            subject,
            rps=100 * (i + 1),
            round_index=i,
            server=make_server_figures(subject, answers=100 * (i + 1), pool_waits=waits),
        )
        for i, waits in enumerate(pool_waits)
    ]


def changed(piece: Slice, part: str, **figures: object) -> Slice:
    """Return a slice with other figures in a part of what its server used."""
    assert piece.server is not None
    own: Any = replace(getattr(piece.server, part), **figures)
    return replace(piece, server=replace(piece.server, **{part: own}))


def both(**changes: None) -> Comparison:
    """Return a comparison of both editions, with a part of what the servers used replaced in every slice."""
    pieces = [*rounds("wsgi"), *rounds("asgi", pool_waits=(80, 160, 240))]
    pieces = [replace(piece, server=replace(piece.server or ServerFigures(), **changes)) for piece in pieces]
    return make_comparison(pieces)


def tables(blocks: Iterable[Block]) -> list[dict[str, tuple[str, ...]]]:
    """Return each table's cells by the name of their line."""
    inside = [block for each in blocks if isinstance(each, Details) for block in each.blocks]
    return [
        {str(name): tuple(map(str, cells)) for name, *cells in block.rows}
        for block in inside
        if isinstance(block, Table)
    ]


# Medians


def test_median_is_of_rounds_and_not_of_their_sum() -> None:
    """A round in which ten times as much was used moves the mean, and not the median."""
    pieces = rounds()
    pieces[2] = changed(pieces[2], "processes", user_s=0.9, threads=99)
    found = observed(pieces)
    assert found.rounds == 3
    assert found.user_s == pytest.approx(300e-6)
    assert found.system_s == pytest.approx(100e-6)
    assert found.cpu_s == pytest.approx(400e-6)
    assert found.switches == pytest.approx(3.5)
    assert found.threads == 14
    assert found.statements == 1
    assert found.rows == 2
    assert found.sessions_busy == 4.5
    assert found.busy_threads == 8.5
    assert found.peak_bytes == 50_000_000
    assert found.missing == frozenset()


def test_round_without_an_answer_has_nothing_to_divide_by() -> None:
    pieces = [*rounds(), make_slice("wsgi", rps=0, round_index=3, server=make_server_figures("wsgi", answers=9))]
    found = observed(pieces)
    assert found.user_s == pytest.approx(300e-6)
    assert found.threads == 14


def test_wait_is_of_those_who_waited() -> None:
    found = observed(rounds("asgi", pool_waits=(0, 100, 300)))
    assert found.pool_waits == pytest.approx(0.5)
    assert found.pool_wait_s == pytest.approx(0.004)
    assert observed(rounds("asgi")).pool_wait_s is None


def test_lateness_of_the_loop_is_a_bound_of_its_histogram() -> None:
    """Of an even number of rounds the middle lies between two bounds, where the histogram says nothing."""
    early = changed(rounds("asgi")[0], "service", loop_lag={"0.001": 100, "0.01": 100, "+Inf": 100})
    assert observed([early]).loop_lag_s == 0.001
    assert observed([early, rounds("asgi")[1]]).loop_lag_s == 0.01


@pytest.mark.parametrize("part", PARTS)
def test_what_a_round_lacks_is_missing(part: str) -> None:
    pieces = rounds()
    assert pieces[0].server is not None
    pieces[0] = replace(pieces[0], server=replace(pieces[0].server, **{part: None}))
    assert observed(pieces).missing == {part}
    assert observed([replace(piece, server=None) for piece in pieces]).missing == set(PARTS)


def test_database_without_statements_and_service_without_samples_are_missing_in_part() -> None:
    pieces = [changed(piece, "database", statements=None, rows=None) for piece in rounds()]
    found = observed([changed(piece, "service", busy_threads=None) for piece in pieces])
    assert found.missing == {"statements", "queue"}
    assert found.sessions_held == 10
    assert found.pool_waits == 0


# The section


def test_section_has_both_editions_beside_each_other() -> None:
    section = servers(both())
    (table,) = tables(section.blocks)
    assert table["CPU in user mode, µs per answer"] == ("300", "300")
    assert table["CPU in the kernel, µs per answer"] == ("100", "100")
    assert table["peak memory so far, MiB"] == ("48", "48")
    assert table["context switches to wait, per answer"] == ("3", "3")
    assert table["context switches forced, per answer"] == ("0.50", "0.50")
    assert table["threads"] == ("14", "5")
    assert table["open files and sockets"] == ("47", "47")
    assert table["database sessions used in a round"] == ("10", "10")
    assert table["of them busy when looked at, mean"] == ("4.5", "4.5")
    assert table["SQL statements per answer"] == ("1", "1")
    assert table["rows per answer"] == ("2", "2")
    assert table["waits for a pooled connection, per answer"] == ("0", "0.80")
    assert table["such a wait, ms"] == ("-", "4.00")
    assert table["event loop late by at most, ms (99 %)"] == ("-", "10")
    assert table["busy threads, mean"] == ("8.5", "-")
    assert [block for block in section.blocks if isinstance(block, Notice)] == []
    assert "What the servers used" in page(both())


def test_section_says_what_to_read_from_a_table() -> None:
    (details,) = servers(both()).blocks
    assert isinstance(details, Details)
    (text,) = [block.text for block in details.blocks if isinstance(block, Text)]
    text = text.replace("\xa0", " ")
    assert "wsgi 400 µs (25 % of it in the kernel), asgi 400 µs (25 % of it in the kernel)" in text
    assert "In asgi requests queued for a database connection, 0.80 waits per answer of 4.00 ms each." in text
    assert "In wsgi requests queued" not in text
    assert "In wsgi 8.5 threads were busy on average" in text
    assert "The event loop of asgi was at most 10 ms late in 99 % of samples" in text
    assert "Both ran 1 SQL statement per answer." in text


def test_unequal_statements_are_told() -> None:
    more = [changed(piece, "database", statements=len(piece.samples) * 3) for piece in rounds("asgi")]
    assert "did not run the same number" in reading({"wsgi": observed(rounds()), "asgi": observed(more)})


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("processes", "the processes are not the lab's"),
        ("database", "Sessions, statements and rows were not counted"),
        ("service", "nothing was told there"),
    ],
)
def test_what_was_not_measured_is_said_with_what_to_do(part: str, words: str) -> None:
    section = servers(both(**{part: None}))
    (notice,) = [block for block in section.blocks if isinstance(block, Notice)]
    assert notice.title == "not_measured"
    assert words in notice.text
    assert notice.where == "wsgi, asgi"
    assert notice.next_step
    # What the part would have held has no line of dashes.
    (table,) = tables(section.blocks)
    assert all(set(values) != {"-"} for values in table.values())


def test_service_without_sampled_load_says_which_setting_samples_it() -> None:
    pieces = [changed(piece, "service", busy_threads=None, loop_lag=None) for piece in (*rounds(), *rounds("asgi"))]
    (notice,) = [block for block in servers(make_comparison(pieces)).blocks if isinstance(block, Notice)]
    assert "ran without SAMPLE_LOAD=1" in notice.text
    assert "SAMPLE_LOAD=1" in notice.next_step


def test_brought_services_are_told_what_can_be_done_for_them() -> None:
    made = replace(both(processes=None, database=None, service=None), terms=Terms({}, 2, (), (), ()))
    made = replace(made, slices=tuple(replace(piece, server_peak_bytes=None) for piece in made.slices))
    section = servers(made)
    notices = [block for block in section.blocks if isinstance(block, Notice)]
    assert len(notices) == len(section.blocks) == 3
    steps = " ".join(notice.next_step for notice in notices)
    assert "--wsgi and --asgi" in steps
    assert "DATABASE_URL" not in steps


def test_result_without_its_rounds_says_so() -> None:
    (notice,) = servers(replace(both(), slices=())).blocks
    assert isinstance(notice, Notice)
    assert "do not lie beside this result" in notice.text
