"""Options and steps of `compare` when it compares what other people wrote."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import TextIO

import typer

from .. import config
from ..errors import UsageError
from .app import RESULTS
from .app import progress

if TYPE_CHECKING:
    from ..lab.foreign.rules import Rules
    from ..lab.foreign.run import Applications
    from ..lab.foreign.run import Services
    from ..lab.planning.plan import Plan
    from ..lab.results.record import Comparison
    from ..lab.results.thresholds import Names

_PANEL = "Other applications and services"

Wsgi = Annotated[
    str | None, typer.Option(help="WSGI application, package.module:app or :create_app()", rich_help_panel=_PANEL)
]
Asgi = Annotated[
    str | None, typer.Option(help="ASGI application to compare it with", rich_help_panel=_PANEL)
]  # fmt: skip
A = Annotated[str | None, typer.Option("--a", help="URL of a running service, the baseline", rich_help_panel=_PANEL)]
B = Annotated[str | None, typer.Option("--b", help="URL of the one to compare with it", rich_help_panel=_PANEL)]
Target = Annotated[
    list[str] | None,
    typer.Option(help="What is sent: 'GET /path', 'POST /path {\"a\": 1}'; repeat for more", rich_help_panel=_PANEL),
]
AppDir = Annotated[Path | None, typer.Option(help="Directory to import them from", rich_help_panel=_PANEL)]
Python = Annotated[
    Path | None, typer.Option(help="Interpreter of the environment they live in", rich_help_panel=_PANEL)
]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="What answers may differ in: body, json (spelling) or header:NAME", rich_help_panel=_PANEL),
]
IgnoreJson = Annotated[
    list[str] | None,
    typer.Option(help="JSON value that may differ: items.*.created_at", rich_help_panel=_PANEL),
]
MayLoad = Annotated[
    bool,
    typer.Option("--i-may-load-this-host", help="URLs may be on another machine", rich_help_panel=_PANEL),
]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `compare` that are about other applications, as they were given."""

    wsgi: str | None
    asgi: str | None
    a: str | None
    b: str | None
    target: Sequence[str]
    app_dir: Path | None
    python: Path | None
    allow: Sequence[str]
    ignore_json: Sequence[str]
    may_load: bool

    @property
    def given(self) -> list[str]:
        """The names of those that were given."""
        named = {
            "--wsgi": self.wsgi,
            "--asgi": self.asgi,
            "--a": self.a,
            "--b": self.b,
            "--target": self.target,
            "--app-dir": self.app_dir,
            "--python": self.python,
            "--allow": self.allow,
            "--ignore-json": self.ignore_json,
            "--i-may-load-this-host": self.may_load,
        }
        return [name for name, value in named.items() if value not in (None, False) and value != ()]


@dataclass(frozen=True, slots=True)
class Foreign:
    """What is to be compared instead of the editions.

    Attributes:
        pair: The two.
        rules: What their answers may differ in.
        options: Where they came from.
    """

    pair: "Applications | Services"
    rules: "Rules"
    options: Options

    def plan(self, base: "Plan") -> "Plan":
        """Return a plan with the targets in the place of the contract's scenarios."""
        from ..lab.foreign import targets

        # What clients do that is not polite is asked for once, for all scenarios.
        behaviour = base.scenarios[0].behaviour
        found = targets.parse(self.options.target)
        return replace(base, scenarios=tuple(replace(scenario, behaviour=behaviour) for scenario in found))

    def names(self, plan: "Plan") -> "Names":
        """Return what thresholds may name."""
        from ..lab.results.thresholds import Names

        return Names(self.pair.names, self.pair.names[0], tuple(each.name for each in plan.scenarios), plan.loads)

    def measure(self, plan: "Plan", settings: config.Settings, stream: TextIO) -> "tuple[Comparison, Path]":
        """Check and load both; differences are printed before the failure is raised."""
        from ..lab.foreign import run
        from ..report.foreign import print_differences

        try:
            return run.run(self.pair, plan, self.rules, settings, directory=RESULTS, progress=progress)
        except run.AnswersDiffer as error:
            print_differences(error.result, error.commands, stream)
            stream.flush()
            raise


def wanted(options: Options, editions_only: Mapping[str, bool]) -> Foreign | None:
    """Return what is to be compared; None if it is the editions.

    Args:
        options: What was given.
        editions_only: Options that are about the editions alone, and whether they were given.

    Raises:
        UsageError: If options are missing, or do not go together.
    """
    from ..lab.foreign import rules
    from ..lab.foreign import targets

    if not options.given:
        return None
    is_apps, is_urls = (bool({*names} & {*options.given}) for names in (("--wsgi", "--asgi"), ("--a", "--b")))
    if is_apps == is_urls:
        raise UsageError(
            f"{options.given[0]} needs two applications or two services"
            if not is_apps
            else "Applications and running services cannot be compared with each other",
            hint="give --wsgi and --asgi, or --a and --b; start an application yourself to compare it with a service",
        )
    needed = ("--wsgi", "--asgi") if is_apps else ("--a", "--b")
    for half, other in (needed, needed[::-1]):
        if half not in options.given:
            raise UsageError(f"{other} needs {half}", why="it takes two to compare")
    useless = ("--i-may-load-this-host",) if is_apps else ("--app-dir", "--python")
    unfit = [name for name in (*useless, *(name for name, is_given in editions_only.items() if is_given))]
    for name in unfit:
        if name in options.given or editions_only.get(name):
            about = "this project's own editions" if name in editions_only else "the other kind of comparison"
            raise UsageError(f"{name} does not go with {needed[0]} and {needed[1]}", why=f"it is about {about}")
    targets.parse(options.target)
    return Foreign(_pair(options, is_urls=is_urls), rules.parse(options.allow, options.ignore_json), options)


def _pair(options: Options, *, is_urls: bool) -> "Applications | Services":
    from ..lab.foreign import interpreter
    from ..lab.foreign import run
    from ..lab.foreign.applications import Reference
    from ..lab.foreign.services import Service

    if is_urls:
        a, b = (Service.of(url or "", may_load=options.may_load) for url in (options.a, options.b))
        return run.Services(a, b)
    if options.app_dir is not None and not options.app_dir.is_dir():
        raise UsageError(f"--app-dir {options.app_dir} is no directory")
    interpreter.find(options.python)
    wsgi, asgi = Reference.parse("wsgi", options.wsgi or ""), Reference.parse("asgi", options.asgi or "")
    return run.Applications(wsgi, asgi, options.app_dir, options.python)
