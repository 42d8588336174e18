"""C8: find_dotenv() walks up and takes the nearest file."""

from pathlib import Path

from shared.lab.claims import dotenv_programs as programs
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Figures
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Option
from shared.lab.claims.claim import Options
from shared.lab.claims.claim import Ruling

# A name that no directory above a temporary one can have by chance.
NOBODYS = ".env-of-the-claim-that-is-nowhere"
PROGRAM = f"""
import json, os, sys
from dotenv import find_dotenv

sys.path.insert(0, sys.argv[1])
import helper

try:
    find_dotenv("{NOBODYS}", raise_error_if_not_found=True)
    raised = ""
except OSError as error:
    raised = type(error).__name__
plain, cwd = find_dotenv(), find_dotenv(usecwd=True)
{programs.WITHOUT_SETTINGS}
from shared.config import describe

project = next(origin.source for origin in describe() if origin.key == "LOG_LEVEL")
print(json.dumps({{
    "plain": plain, "cwd": cwd, "helper": helper.find(), "absent": find_dotenv("{NOBODYS}"), "raised": raised,
    "project": project,
}}))
"""
HELPER = """
from dotenv import find_dotenv

def find():
    return find_dotenv()
"""
WITHOUT_FILE = "import json; from dotenv import find_dotenv; print(json.dumps({'found': find_dotenv()}))"

LABELS = {
    "nearest": "of two files above the calling file the nearer one is found, whatever the working directory",
    "further": "without the nearer one the other is found",
    "beside": "a file in the calling file's own directory comes before those above",
    "usecwd": "usecwd=True finds the one above the working directory instead",
    "helper": "called in another module's file, it starts at that file, not at the program's",
    "absent": "without any such file the result is an empty text",
    "raises": "raise_error_if_not_found=True makes that an OSError",
    "without_file": "a program without a file, as by python -c, starts at the working directory",
    "project": "the project's settings come from the file above the working directory",
}


def measure(bench: Bench, options: Options) -> Finding:
    """Look for files in trees made for it, several times."""
    trials, depth = int(options["trials"]), int(options["depth"])
    bench.progress(f"C8: {trials} times four programs in trees of files")
    runs = [_run(depth) for _ in range(trials)]
    return Finding({"shared": Figures(programs.figures(LABELS, runs))})


def _run(depth: int) -> dict[str, bool]:
    with programs.directory() as base:
        far, near = base / "outer", base / "outer" / "middle"
        below = near.joinpath(*(f"level{number}" for number in range(depth)))
        elsewhere = base / "elsewhere"
        cwd = elsewhere / "deep"
        cwd.mkdir(parents=True)
        program = programs.write(below / "program.py", PROGRAM)
        beside = base / "beside"
        programs.write(beside / "helper.py", HELPER)
        files = [programs.write(place / ".env", "LOG_LEVEL=error\n") for place in (far, near, elsewhere, beside)]
        first = programs.run(program, str(beside), cwd=cwd)
        without_file = programs.run(WITHOUT_FILE, cwd=cwd)
        files[1].unlink()
        second = programs.run(program, str(beside), cwd=cwd)
        own = programs.write(below / ".env", "LOG_LEVEL=error\n")
        third = programs.run(program, str(beside), cwd=cwd)
    return {
        "nearest": Path(first["plain"]) == files[1],
        "further": Path(second["plain"]) == files[0],
        "beside": Path(third["plain"]) == own,
        "usecwd": Path(first["cwd"]) == files[2],
        "helper": Path(first["helper"]) == files[3],
        "absent": first["absent"] == "",
        "raises": first["raised"] == "OSError",
        "without_file": Path(without_file["found"]) == files[2],
        "project": Path(first["project"]) == files[2],
    }


def rule(figures: Figures) -> Ruling:
    """Confirmed if everything was so every time; refuted otherwise."""
    counts = {name: figures.number(name) for name in LABELS}
    said = "the nearest file at or above the start, which is the calling file's directory unless usecwd=True"
    return programs.all_or_refuted(LABELS, counts, figures.number("trials"), said)


def explain(finding: Finding) -> str:
    """Return what was measured, and what the documentation says."""
    figures = finding.measured["shared"]
    counts = "; ".join(f"{label}: {figures.number(name):g}" for name, label in LABELS.items())
    return (
        f"Of {figures.number('trials'):g} times: {counts}. The README says that the file is looked for in the "
        "directory of the script or higher up the tree; measured, it is the file whose code calls, be it a helper's, "
        "and the working directory has a say with usecwd=True or where there is no file; by its source also under a "
        "debugger or any other trace function, and in a frozen program. A command that is installed somewhere would so "
        "look for .env beside its own code: the project's shared.config passes usecwd=True, so that the .env of the "
        "directory counts in which a command is given."
    )


CLAIM = Claim(
    number=8,
    statement="find_dotenv() walks up and takes the nearest file.",
    prediction=(
        "The nearest file at or above the directory of the calling file, not of the working directory, unless "
        "usecwd=True."
    ),
    method=(
        "Trees of directories with an .env at several heights; a program file deep in one of them is run by a Python "
        "of its own with its working directory in another tree, and a helper module in a third. It prints what "
        "find_dotenv() finds in each way of calling it; again without the nearest file, and with one beside the "
        "program; and once as a program that has no file. Then where the project's own settings come from."
    ),
    rule_words="Confirmed if every one of these is so every time; refuted otherwise, naming what was not.",
    measure=measure,
    rule=rule,
    explain=explain,
    seconds=5,
    options=(
        Option("trials", 3, "how often everything is tried", 1, 100),
        Option("depth", 3, "how many directories the program stands below the nearest file", 1, 50),
    ),
    sources=(programs.README, programs.SOURCE),
)
