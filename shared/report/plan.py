"""A comparison's plan as a table: what `make compare` would run, in which order, and how long that would take."""

from collections.abc import Iterable
from string import ascii_uppercase
from typing import TextIO

from shared.lab.planning.estimate import Estimate
from shared.lab.planning.estimate import estimate
from shared.lab.planning.plan import RAMP_CONNECTIONS
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Subject
from shared.lab.planning.plan import Workload
from shared.lab.planning.plan import make_rounds
from shared.report import format
from shared.report import load
from shared.report.table import Row
from shared.report.table import Sheet
from shared.report.table import draw

# Two mirrored pairs: enough to see that the order is mirrored, and that it is drawn.
ROUNDS_SHOWN = 4
LETTERS = ascii_uppercase


def print_plan(plan: Plan, subjects: tuple[str, ...], stream: TextIO, checks: int = 1) -> None:
    """Print what would be run on some subjects, at most 26, after so many parity checks."""
    draw(plan_sheet(plan, subjects, checks), stream)


def plan_sheet(plan: Plan, subjects: tuple[str, ...], checks: int = 1) -> Sheet:
    """Return the table: a line for each scenario under each load."""
    expected = estimate(plan, len(subjects), checks)
    rows = [
        Row((workload.scenario.name, _order(plan, workload, subjects), str(workload.load), took), ())
        for workload, took in ((each, format.duration(s)) for each, s in expected.workloads_s.items())
    ]
    rows.append(Row(("all", "", "", format.duration(expected.total_s)), ()))
    heads = ("scenario", "first rounds", "load", "about")
    title = "What would be measured; nothing was started"
    return Sheet(title, heads, tuple(rows), (), _notes(plan, subjects, expected))


def _order(plan: Plan, workload: Workload, subjects: tuple[str, ...]) -> str:
    """Return the order of the first rounds, each mirrored pair together, such as: A B B A, B A A B."""
    letters = dict(zip(subjects, LETTERS, strict=False))
    rounds = make_rounds(workload, [Subject(name) for name in subjects], rounds=plan.timing.rounds, seed=plan.seed)
    shown = [" ".join(letters[cell.subject.name] for cell in planned.cells) for planned in rounds[:ROUNDS_SHOWN]]
    return ", ".join(" ".join(shown[place : place + 2]) for place in range(0, len(shown), 2))


def _notes(plan: Plan, subjects: tuple[str, ...], expected: Estimate) -> tuple[str, ...]:
    timing, until = plan.timing, plan.until
    ends = (
        ()
        if until is None
        else (
            f"Until: after those rounds, which are the fewest, two more at a time until the interval of the "
            f"throughput ratio is within {format.percentage(until.half_width)} either way, or until all lines together "
            f"have taken {format.duration(until.max_s)}; time that a line leaves goes to the next ones. The times "
            "above are those of the fewest rounds.",
        )
    )
    letters = ", ".join(f"{letter}: {name}" for letter, name in zip(LETTERS, subjects, strict=False))
    return (
        f"{letters}. {timing.rounds} rounds of {timing.window_s:g} s for each line, two at a time mirrored, drawn with "
        f"seed {plan.seed}; before each window a ramp of {timing.ramp_s:g} s, longer for more than "
        f"{RAMP_CONNECTIONS} connections; before each line at most {timing.warm_up_slices} warm-up slices of "
        f"{timing.warm_up_slice_s:g} s for each service, counted in full.",
        f"all: with {format.duration(expected.parity_s)} for the parity check and {format.duration(expected.start_s)} "
        "to measure the load client and to start the services. These two, and how long the last answers of each slice "
        "take, are estimates from another machine.",
        *_load_notes(plan),
        *ends,
    )


def _load_notes(plan: Plan) -> Iterable[str]:
    """Yield what is special about the load: what is no closed model, a mix, impolite clients, several processes."""
    if any(each.model == "open" for each in plan.loads):
        yield (
            f"Load: {load.loads_text(plan.loads)}. A slice of an open model that the server cannot keep up with takes "
            "up to two windows more."
        )
    yield from (mix for scenario in plan.scenarios if (mix := load.mix_text(scenario)))
    behaviours = dict.fromkeys(scenario.behaviour for scenario in plan.scenarios)
    yield from (f"Clients: {text}." for behaviour in behaviours if (text := load.behaviour_text(behaviour)))
    if plan.clients > 1:
        yield f"The load client is {plan.clients} processes."
