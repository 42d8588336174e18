"""The summary on the terminal: the answer first, each kind of doubt once, on one screen."""

import io
from dataclasses import replace

import pytest

from shared.lab.planning.profiles import COMPARED
from shared.lab.results.doubts import find_doubts
from shared.lab.results.record import Comparison
from shared.lab.results.record import ForeignLoad
from shared.report.summary import print_summary
from tests.lab_records import make_comparison
from tests.lab_records import make_slice


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def quick() -> Comparison:
    """Return a comparison of the size of the quick profile, with doubts of several kinds."""
    made = make_comparison(
        [
            make_slice(
                subject,
                rps=(300 if number % 2 else 1500) * (2 if subject == "asgi" and number > 2 else 1),
                scenario=name,
                round_index=i,
                errors=(2,) if name == "updates" else (),
            )
            for number, name in enumerate(COMPARED)
            for subject in ("wsgi", "asgi")
            for i in range(3)
        ]
    )
    made = replace(made, foreign_load=tuple(ForeignLoad(f.scenario, f.load, 0.4) for f in made.foreign_load))
    return replace(made, doubts=find_doubts(made))


def printed(comparison: Comparison, stream: io.StringIO | None = None) -> list[str]:
    stream = stream or io.StringIO()
    print_summary(comparison, stream)
    return stream.getvalue().splitlines()


def test_answer_comes_first_in_words() -> None:
    lines = printed(quick())
    assert " ".join(lines[:2]).startswith("asgi answers more requests per second for 3 of 6 scenarios (most for ")
    head = next(at for at, line in enumerate(lines) if line.startswith("scenario"))
    assert any(line.startswith("- No difference shown in requests per second: ") for line in lines[2:head])


def test_summary_of_the_quick_profile_fits_a_screen() -> None:
    lines = printed(quick())
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "\n".join(lines).isascii()


def test_every_figure_of_every_edition_stands_in_the_table() -> None:
    lines = printed(quick())
    assert sum(line.split()[1:2] == ["wsgi"] for line in lines) == len(COMPARED)
    assert sum(line.split()[:1] == ["asgi"] and line.split()[1:2] != ["answers"] for line in lines) == len(COMPARED)


def test_doubt_is_told_once_and_marked_beside_what_it_touches() -> None:
    lines = printed(quick())
    told = [line for line in lines if line.startswith("! ")]
    assert len({line[2] for line in told}) == len(told)
    (few,) = [line for line in told if "few_samples" in line]
    mark = few[2]
    rows = [line for line in lines if line.split()[1:2] == ["wsgi"]]
    marked = [line.split()[0] for line in rows if mark in line.split()[-1]]
    assert marked == [name for number, name in enumerate(COMPARED) if number % 2]


def test_what_was_not_tested_and_how_it_was_measured_stand_at_the_end() -> None:
    text = " ".join(printed(quick()))
    assert text.index("doubts") < text.index("Not tested: requests that arrive at a rate of their own")
    assert "seed 7" in text
    assert "Test CPU" in text


def test_many_scenarios_are_cut_to_the_largest() -> None:
    comparison = make_comparison(
        [
            make_slice(subject, rps=1000 + (50 * n if subject == "asgi" else 0), scenario=f"s{n}", round_index=i)
            for n in range(1, 12)
            for subject in ("wsgi", "asgi")
            for i in range(3)
        ]
    )
    text = " ".join(printed(comparison))
    assert "; and 5 more." in text


@pytest.mark.parametrize("columns", ["80", "100"])
def test_summary_fits_its_terminal(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "dumb")
    lines = printed(quick(), Terminal())
    assert max(map(len, lines)) <= int(columns)
    assert any("few_samples" in line for line in lines)
