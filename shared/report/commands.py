"""The command line that measures a figure again: the recorded one, narrowed to one scenario under one load."""

import shlex
from collections.abc import Sequence

from shared.lab.planning.plan import Load
from shared.lab.planning.plan import Scenario
from shared.lab.results.record import Comparison

PROGRAM = "wsgi-vs-asgi"
# Options that are given anew, with a value each, and those without a value that change only what is printed.
REPLACED = frozenset({"--scenario", "--concurrency", "--connections", "--rate", "--arrivals", "--rounds", "--seconds"})
REPLACED |= {"--target", "--seed", "--profile", "--fail-if", "--until"}
DROPPED = frozenset({"--json", "--csv", "--markdown", "--dry-run", "--debug"})


def whole(comparison: Comparison) -> str:
    """Return the command that made a comparison, as it was typed."""
    return shlex.join([PROGRAM, *comparison.manifest.command[1:]])


def again(comparison: Comparison, scenario: Scenario, load: Load) -> str:
    """Return the command that measures one scenario under one load again, with the same rounds, windows and seed."""
    timing = comparison.timing
    kept = _kept(comparison.manifest.command[1:]) or ["compare"]
    sent = ["--concurrency", str(load.connections)]
    if load.rate is not None:
        sent = ["--rate", f"{load.rate:.12g}", "--arrivals", str(load.arrivals), "--connections", str(load.connections)]
    how = ["--rounds", str(timing.rounds), "--seconds", f"{timing.window_s:g}", "--seed", str(comparison.manifest.seed)]
    return shlex.join([PROGRAM, *kept, *_chosen(comparison, scenario), *sent, *how])


def _chosen(comparison: Comparison, scenario: Scenario) -> list[str]:
    """Return the option that names a scenario: those of other applications are given as targets."""
    if comparison.terms is None:
        return ["--scenario", scenario.name]
    body = scenario.body.decode("utf-8", "replace")
    return ["--target", " ".join(part for part in (scenario.method, scenario.target, body) if part)]


def _kept(words: Sequence[str]) -> list[str]:
    """Return the words of a command line without the options that are given anew or only change what is printed."""
    kept: list[str] = []
    skips = False
    for word in words:
        name, has_value, _ = word.partition("=")
        if skips:
            skips = False
        elif name in REPLACED:
            skips = not has_value
        elif word not in DROPPED:
            kept.append(word)
    return kept
