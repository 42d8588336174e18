"""A comparison's plan as a table: what `make compare` would run, in which order, and how long that would take."""

from typing import TextIO

from shared.lab.planning.estimate import Estimate
from shared.lab.planning.estimate import estimate
from shared.lab.planning.plan import RAMP_CONNECTIONS
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Workload
from shared.lab.planning.plan import make_rounds
from shared.report import format
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

# Two mirrored pairs: enough to see that the order is mirrored, and that it is drawn.
ROUNDS_SHOWN = 4
LETTERS = "AB"


def print_plan(plan: Plan, subjects: tuple[str, str], stream: TextIO) -> None:
    """Print what would be run on two subjects."""
    draw(plan_sheet(plan, subjects), stream)


def plan_sheet(plan: Plan, subjects: tuple[str, str]) -> Sheet:
    """Return the table: a line for each scenario under each load."""
    expected = estimate(plan, len(subjects))
    rows = [
        Row((workload.scenario.name, _order(plan, workload, subjects), str(workload.load), took), ())
        for workload, took in ((each, format.duration(s)) for each, s in expected.workloads_s.items())
    ]
    rows.append(Row(("all", "", "", format.duration(expected.total_s)), ()))
    heads = ("scenario", "first rounds", "load", "about")
    title = "What would be measured; nothing was started"
    return Sheet(title, heads, tuple(rows), (), _notes(plan, subjects, expected))


def _order(plan: Plan, workload: Workload, subjects: tuple[str, str]) -> str:
    """Return the order of the first rounds, each mirrored pair together, such as: A B B A, B A A B."""
    letters = dict(zip(subjects, LETTERS, strict=True))
    rounds = make_rounds(workload, [Subject(name) for name in subjects], rounds=plan.timing.rounds, seed=plan.seed)
    shown = [" ".join(letters[cell.subject.name] for cell in planned.cells) for planned in rounds[:ROUNDS_SHOWN]]
    return ", ".join(" ".join(shown[place : place + 2]) for place in range(0, len(shown), 2))


def _notes(plan: Plan, subjects: tuple[str, str], expected: Estimate) -> tuple[str, ...]:
    timing = plan.timing
    letters = ", ".join(f"{letter}: {name}" for letter, name in zip(LETTERS, subjects, strict=True))
    return (
        f"{letters}. {timing.rounds} rounds of {timing.window_s:g} s for each line, two at a time mirrored, drawn with "
        f"seed {plan.seed}; before each window a ramp of {timing.ramp_s:g} s, longer for more than "
        f"{RAMP_CONNECTIONS} connections; before each line at most {timing.warm_up_slices} warm-up slices of "
        f"{timing.warm_up_slice_s:g} s for each edition, counted in full.",
        f"all: with {format.duration(expected.parity_s)} for the parity check and {format.duration(expected.start_s)} "
        "to start both editions. These two, and how long the last answers of each slice take, are estimates from "
        "another machine.",
    )
