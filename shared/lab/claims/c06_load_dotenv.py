"""C6: load_dotenv() puts values into the process environment, and overrides nothing unless told to."""

import os
from secrets import token_hex

from shared.lab.claims import dotenv_programs as programs
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling

PROGRAM = """
import json, os, subprocess, sys
from dotenv import load_dotenv

NAMES = ("CLAIM_NEW", "CLAIM_TAKEN", "CLAIM_EMPTY")
SHOW = f"import json, os; print(json.dumps({{name: os.environ.get(name) for name in {NAMES}}}))"

def seen():
    return {name: os.environ.get(name) for name in NAMES}

before = seen()
load_dotenv(override=sys.argv[1] == "override")
child = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout
print(json.dumps({"before": before, "after": seen(), "child": json.loads(child)}))
"""
PROJECT = f"""
import json, os
{programs.WITHOUT_SETTINGS}
from shared.config import load

alone = load().log_level
os.environ["LOG_LEVEL"] = "warning"
print(json.dumps({{"alone": alone, "both": load().log_level}}))
"""

LABELS = {
    "absent_before": "a variable of the file is not in os.environ before",
    "added": "it is there after load_dotenv(), with the file's value",
    "inherited": "a process started then inherits it",
    "kept": "a variable that was set keeps its value",
    "kept_empty": "a variable that was set to nothing stays empty",
    "overridden": "override=True gives both the file's values",
    "not_outside": "the process that started all this has none of it",
    "project_reads": "the project's settings take a value from the file where the environment has none",
    "project_keeps": "the project's settings take the environment's where both have one",
}


def measure(bench: Bench, options: Options) -> Finding:
    """Run a program that calls load_dotenv(), with and without override, several times."""
    trials = int(options["trials"])
    bench.progress(f"C6: {trials} times three programs")
    runs = [_run() for _ in range(trials)]
    return Finding({"shared": Figures(programs.figures(LABELS, runs))})


def _run() -> dict[str, bool]:
    new, taken, empty, own = (token_hex(8) for _ in range(4))
    environ = {"CLAIM_TAKEN": own, "CLAIM_EMPTY": ""}
    with programs.directory() as directory:
        program = programs.write(directory / "program.py", PROGRAM)
        programs.write(directory / ".env", f"CLAIM_NEW={new}\nCLAIM_TAKEN={taken}\nCLAIM_EMPTY={empty}\n")
        plain = programs.run(program, "plain", cwd=directory, environ=environ)
        over = programs.run(program, "override", cwd=directory, environ=environ)
        programs.write(directory / ".env", "LOG_LEVEL=error\n")
        project = programs.run(programs.write(directory / "project.py", PROJECT), cwd=directory)
    return {
        "absent_before": plain["before"]["CLAIM_NEW"] is None,
        "added": plain["after"]["CLAIM_NEW"] == new,
        "inherited": plain["child"]["CLAIM_NEW"] == new,
        "kept": plain["after"]["CLAIM_TAKEN"] == plain["child"]["CLAIM_TAKEN"] == own,
        "kept_empty": plain["after"]["CLAIM_EMPTY"] == "",
        "overridden": (over["after"]["CLAIM_TAKEN"], over["after"]["CLAIM_EMPTY"]) == (taken, empty),
        "not_outside": "CLAIM_NEW" not in os.environ,
        "project_reads": project["alone"] == "error",
        "project_keeps": project["both"] == "warning",
    }


def rule(figures: Figures) -> Ruling:
    """Confirmed if everything was so every time; refuted otherwise."""
    counts = {name: figures.number(name) for name in LABELS}
    said = "added and inherited, what was set kept, overridden only when told to"
    return programs.all_or_refuted(LABELS, counts, figures.number("trials"), said)


def explain(finding: Finding) -> str:
    """Return what was measured, and what the documentation says."""
    figures = finding.measured["shared"]
    counts = "; ".join(f"{label}: {figures.number(name):g}" for name, label in LABELS.items())
    return (
        f"Of {figures.number('trials'):g} times: {counts}. The README says that load_dotenv() adds each pair to "
        "os.environ and does not override existing variables unless override=True is passed; a variable that is set "
        "to nothing is set. The environment is a process's own: what is put there is seen by it and by what it starts. "
        "The project does not call load_dotenv(): shared.config reads the file into a dictionary and lays the "
        "environment over it, which gives the same order and changes no environment."
    )


CLAIM = Claim(
    number=6,
    statement="load_dotenv() puts values into the process environment, and overrides none unless told to.",
    prediction=(
        "A value of the file is in os.environ afterwards and in that of a child process; one that was set before, to "
        "nothing even, is kept; with override=True the file's is taken."
    ),
    method=(
        "A program file beside an .env with random values is run by a Python of its own, with one of the variables set "
        "and one set to nothing, first without and then with override=True; it prints what it and a process that it "
        "starts have in their environment. Then the project's own settings are loaded from such a file."
    ),
    rule_words="Confirmed if every one of these is so every time; refuted otherwise, naming what was not.",
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=4,
    options=(Option("trials", 3, "how often everything is tried", 1, 100),),
    sources=(programs.README, programs.SOURCE),
)
