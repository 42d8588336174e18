"""C7: dotenv_values() gives a dictionary and leaves the environment alone."""

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
from dotenv import dotenv_values

SHOW = "import json, os; print(json.dumps(os.environ.get('CLAIM_NEW')))"
before = dict(os.environ)
values = dotenv_values()
is_same = dict(os.environ) == before
child = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout
print(json.dumps({
    "is_dict": isinstance(values, dict), "values": values, "is_same": is_same, "child": json.loads(child)
}))
"""
PROJECT = f"""
import json, os
{programs.WITHOUT_SETTINGS}
from shared.config import load

before = dict(os.environ)
level = load().log_level
print(json.dumps({{"level": level, "is_same": dict(os.environ) == before}}))
"""

LABELS = {
    "is_dict": "the result is a dictionary",
    "whole": "it holds the file's names and values, None for a name without a value, and nothing else",
    "taken": "it holds the file's value of a variable that the environment has with another",
    "same": "os.environ holds afterwards exactly what it held before",
    "not_inherited": "a process started then has none of it",
    "reads_environment": "a value that refers to a variable of the environment holds that one's value",
    "project_reads": "the project's settings come from the file",
    "project_same": "loading them leaves os.environ as it was",
}


def measure(bench: Bench, options: Options) -> Finding:
    """Run a program that calls dotenv_values() several times."""
    trials = int(options["trials"])
    bench.progress(f"C7: {trials} times two programs")
    runs = [_run() for _ in range(trials)]
    return Finding({"shared": Figures(programs.figures(LABELS, runs))})


def _run() -> dict[str, bool]:
    new, taken, own, other = (token_hex(8) for _ in range(4))
    with programs.directory() as directory:
        program = programs.write(directory / "program.py", PROGRAM)
        lines = (f"CLAIM_NEW={new}", f"CLAIM_TAKEN={taken}", "CLAIM_BARE", "CLAIM_REFERS=${CLAIM_OTHER}/x")
        programs.write(directory / ".env", "\n".join(lines) + "\n")
        found = programs.run(program, cwd=directory, environ={"CLAIM_TAKEN": own, "CLAIM_OTHER": other})
        programs.write(directory / ".env", "LOG_LEVEL=error\n")
        project = programs.run(programs.write(directory / "project.py", PROJECT), cwd=directory)
    values = found["values"]
    return {
        "is_dict": found["is_dict"],
        "whole": set(values) == {"CLAIM_NEW", "CLAIM_TAKEN", "CLAIM_BARE", "CLAIM_REFERS"}
        and (values["CLAIM_NEW"], values["CLAIM_BARE"]) == (new, None),
        "taken": values.get("CLAIM_TAKEN") == taken,
        "same": found["is_same"],
        "not_inherited": found["child"] is None,
        "reads_environment": values.get("CLAIM_REFERS") == f"{other}/x",
        "project_reads": project["level"] == "error",
        "project_same": project["is_same"],
    }


def rule(figures: Figures) -> Ruling:
    """Confirmed if everything was so every time; refuted otherwise."""
    counts = {name: figures.number(name) for name in LABELS}
    said = "a dictionary of the file's values, and not one variable changed"
    return programs.all_or_refuted(LABELS, counts, figures.number("trials"), said)


def explain(finding: Finding) -> str:
    """Return what was measured, and what the documentation says."""
    figures = finding.measured["shared"]
    counts = "; ".join(f"{label}: {figures.number(name):g}" for name, label in LABELS.items())
    return (
        f"Of {figures.number('trials'):g} times: {counts}. The README says that dotenv_values() works more "
        "or less the same way as load_dotenv() but does not touch the environment, and that a name without a value is "
        "None. Left alone does not mean unread: by the README ${NAME} in a value is replaced, from the environment "
        "too. This is what the project's shared.config builds on."
    )


CLAIM = Claim(
    number=7,
    statement="dotenv_values() gives a dictionary and leaves the environment alone.",
    prediction="A dictionary with the file's values, and an environment that is the same before and after.",
    method=(
        "A program file beside an .env with random values is run by a Python of its own; it compares the whole of "
        "os.environ before and after dotenv_values(), looks into a process that it starts, and prints the result. Then "
        "the project's own settings are loaded from such a file, and os.environ is compared again."
    ),
    rule_words="Confirmed if every one of these is so every time; refuted otherwise, naming what was not.",
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=3,
    options=(Option("trials", 3, "how often everything is tried", 1, 100),),
    sources=(programs.README, programs.SOURCE),
)
