"""Tables: aligned and legible when piped, doubts beside what they touch, one place that rounds."""

import io

import pytest

from shared.lab.results.record import Comparison
from shared.report import format
from shared.report import table
from tests.lab_records import make_comparison
from tests.lab_records import make_slice


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def two_scenarios() -> Comparison:
    rates = {("plaintext", "wsgi"): 5512, ("plaintext", "asgi"): 15204, ("db", "wsgi"): 1500, ("db", "asgi"): 1500}
    return make_comparison(
        [
            make_slice(
                subject,
                rps=rps,
                round_index=i,
                scenario=scenario,
                errors=(2,) if (scenario, subject) == ("db", "asgi") else (),
            )
            for (scenario, subject), rps in rates.items()
            for i in range(3)
        ]
    )


def piped(comparison: Comparison) -> list[str]:
    stream = io.StringIO()
    table.draw(table.comparison_sheet(comparison), stream)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format.rate(15204.4), "15,204"),
        (format.rate(99.96), "100.0"),
        (format.rate(12.34), "12.3"),
        (format.milliseconds(0.00123456), "1.23"),
        (format.milliseconds(0.1234), "123"),
        (format.milliseconds(None), "-"),
        (format.microseconds(0.0001725), "172"),
        (format.microseconds(None), "-"),
        (format.cpu_s_per_thousand(0.0001725), "0.172"),
        (format.cpu_s_per_thousand(None), "-"),
        (format.count(12345), "12,345"),
        (format.duration(59.4), "59 s"),
        (format.duration(59.6), "1 min 00 s"),
        (format.duration(1085), "18 min 05 s"),
        (format.ratio(2.757, 2.711, 2.814), "2.76 [2.71, 2.81]"),
    ],
)
def test_numbers_are_rounded_for_reading(text: str, expected: str) -> None:
    assert text == expected


def test_each_edition_of_each_scenario_has_its_line() -> None:
    lines = piped(two_scenarios())
    starts = [line.split()[:2] for line in lines]
    assert ["plaintext", "wsgi"] in starts
    assert ["db", "wsgi"] in starts
    assert sum(line.split()[:1] == ["asgi"] for line in lines) == 2


def test_line_holds_the_figures_of_its_cell() -> None:
    line = next(line for line in piped(two_scenarios()) if line.startswith("plaintext"))
    # Of 5,512 responses the first few began before the window and count in part; 0.5 s of CPU are 0.091 s per 1,000.
    assert line.split() == ["plaintext", "wsgi", "5,510", "1.00", "1.00", "0", "0.091"]


def test_ratio_stands_on_the_line_of_the_edition_above() -> None:
    line = next(line for line in piped(two_scenarios()) if line.split()[:1] == ["asgi"])
    assert line.endswith("2.76 [2.76, 2.76] *")


def test_equal_editions_show_no_difference() -> None:
    assert [line for line in piped(two_scenarios()) if line.endswith("no difference shown")]


def test_doubt_stands_below_the_line_it_touches() -> None:
    lines = piped(two_scenarios())
    place = next(i for i, line in enumerate(lines) if "! errors: 3 of" in line)
    assert lines[place - 1].split()[0] == "asgi"
    assert "no difference shown" in lines[place - 1]


def test_advice_on_a_kind_of_doubt_is_given_once() -> None:
    noisy = make_comparison([make_slice(s, rps=5, round_index=i) for i in range(3) for s in ("wsgi", "asgi")])
    assert sum("On few_samples: lengthen the slices" in line for line in piped(noisy)) == 1


def test_piped_table_is_plain_and_fits_a_hundred_columns() -> None:
    text = "\n".join(piped(two_scenarios()))
    assert text.isascii()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_columns_are_aligned() -> None:
    lines = piped(two_scenarios())
    head = next(line for line in lines if line.startswith("scenario"))
    end_of_rps = head.index("rps") + len("rps")
    figures = [line for line in lines if line.split()[1:2] == ["wsgi"] or line.split()[:1] == ["asgi"]]
    assert len(figures) == 4
    assert all(line[end_of_rps - 1].isdigit() and line[end_of_rps] == " " for line in figures)


@pytest.mark.parametrize("columns", ["80", "100"])
def test_terminal_table_fits_its_terminal(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    table.draw(table.comparison_sheet(two_scenarios()), stream)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= int(columns)
    assert "15,197" in text
    assert "! db asgi, errors: 3 of" in text


def test_manifest_facts_stand_below_the_table() -> None:
    text = " ".join(piped(two_scenarios()))
    assert "seed 7" in text
    assert "Test CPU" in text
    assert "closed model" in text


def test_bench_table_gives_cpu_over_the_raw_driver() -> None:
    subjects = ["raw asgi", "raw asgi again", "asgi"]
    cpu_s = {"raw asgi": 0.1, "raw asgi again": 0.1, "asgi": 0.4}
    comparison = make_comparison(
        [make_slice(s, rps=1000, round_index=i, cpu_s=cpu_s[s]) for i in range(3) for s in subjects], subjects=subjects
    )
    stream = io.StringIO()
    table.print_bench([comparison], stream)
    text = stream.getvalue()
    assert "4.00 [4.00, 4.00]" in text
    assert "1.00 [1.00, 1.00]" in text
    assert "raw asgi again" in text
    assert max(map(len, text.splitlines())) <= 100
