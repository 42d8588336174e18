"""Compare two applications, or two running services, with the instrument that compares the editions."""

import contextlib
import shlex
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path

from shared.config import Settings
from shared.errors import EnvironmentFailure
from shared.errors import NotComparable
from shared.errors import UsageError
from shared.lab import compare
from shared.lab.compare import Progress
from shared.lab.environment import manifest
from shared.lab.foreign import applications
from shared.lab.foreign import interpreter
from shared.lab.foreign import parity
from shared.lab.foreign.applications import Reference
from shared.lab.foreign.parity import Side
from shared.lab.foreign.result import TargetCheck
from shared.lab.foreign.rules import Rules
from shared.lab.foreign.services import Service
from shared.lab.load.driver import LoadClient
from shared.lab.load.limits import measure as measure_limits
from shared.lab.parity.judgement import IGNORED
from shared.lab.parity.transport import Address
from shared.lab.planning.plan import Plan
from shared.lab.planning.plan import Subject
from shared.lab.results import directory as results
from shared.lab.results.record import Comparison
from shared.lab.results.record import Manifest
from shared.lab.results.terms import Reservation
from shared.lab.results.terms import Terms
from shared.lab.services.process import HOST
from shared.lab.services.process import CoreRoles
from shared.lab.services.process import Service as ServedService
from shared.lab.services.process import choose_cores
from shared.lab.services.process import running
from shared.lab.slices import RunningSubject


class AnswersDiffer(NotComparable):
    """The two do not answer alike; `result` says in what.

    Args:
        result: What was found.
        logs: Where the applications' logs are; nothing for services that others started.
        commands: What started the applications, to ask them again by hand; nothing for services that others started.
    """

    def __init__(self, result: TargetCheck, logs: tuple[Path, ...], commands: tuple[str, ...]) -> None:
        self.result = result
        self.commands = commands
        hint = f"Logs: {' and '.join(map(str, logs))}" if logs else ""
        super().__init__("The two cannot be compared, so nothing was timed", hint=hint)


@dataclass(frozen=True, slots=True)
class Applications:
    """Two applications, to be started here.

    Attributes:
        wsgi: The WSGI one, below the line of every ratio.
        asgi: The ASGI one.
        directory: Where both are imported from; None for the working directory.
        python: Interpreter that runs both; None for this one.
    """

    wsgi: Reference
    asgi: Reference
    directory: Path | None
    python: Path | None

    @property
    def names(self) -> tuple[str, str]:
        """Names of the subjects, the baseline first."""
        return "wsgi", "asgi"

    @contextlib.contextmanager
    def serve(self, settings: Settings, first_target: str, progress: Progress) -> Iterator["Served"]:
        """Start both and stop them at the end.

        Raises:
            UsageError: If the interpreter is no usable one.
            EnvironmentFailure: If it has not both servers, or an application does not start.
        """
        found = interpreter.inspect(interpreter.find(self.python), self.directory)
        commands = (
            applications.wsgi_command(self.wsgi, found, settings),
            applications.asgi_command(self.asgi, found, settings),
        )
        references = (self.wsgi, self.asgi)
        specs = [
            applications.spec(reference, command, self.directory, first_target)
            for reference, command in zip(references, commands, strict=True)
        ]
        cores = choose_cores()
        progress("starting both applications")
        with contextlib.ExitStack() as stack:
            try:
                services = stack.enter_context(running(specs, cores=cores.server))
            except EnvironmentFailure as error:
                hint = f"{error.hint}; --app-dir names the directory to import from, --python the environment"
                raise EnvironmentFailure(error.what, why=error.why, hint=hint) from error
            yield Served(
                subjects=tuple(
                    RunningSubject(Subject(name), service.port, pids=service.pids)
                    for name, service in zip(self.names, services, strict=True)
                ),
                sides=_pair(Side(name, Address(HOST, service.port)) for name, service in zip(
                    self.names, services, strict=True)),
                cores=cores,
                settings={name: command.settings for name, command in zip(self.names, commands, strict=True)},
                described={
                    name: f"{reference.text} on {command.settings['SERVER']}"
                    for name, reference, command in zip(self.names, references, commands, strict=True)
                },
                reservations=tuple(known for command in commands for known in command.reservations),
                logs=tuple(service.log_path for service in services),
                commands=tuple(_by_hand(service, self.directory) for service in services),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Services:
    """Two services that run already.

    Attributes:
        a: The one below the line of every ratio.
        b: The other one.
    """

    a: Service
    b: Service

    @property
    def names(self) -> tuple[str, str]:
        """Names of the subjects, the baseline first."""
        return "a", "b"

    @contextlib.contextmanager
    def serve(self, settings: Settings, first_target: str, progress: Progress) -> Iterator["Served"]:
        """Find their processes; nothing is started, and nothing stopped.

        Raises:
            EnvironmentFailure: If nobody answers under one of the URLs.
        """
        pairs = tuple(zip(self.names, (self.a, self.b), strict=True))
        for _, service in pairs:
            service.require_answer()
        progress("looking for the processes of both services")
        pids = {name: service.pids() for name, service in pairs}
        reservations = [
            Reservation(
                "no_cpu_figures",
                "its processes are on another machine, or not to be seen by this user, so their CPU time is unknown",
                "run this as the user who started it, on the same machine",
                name,
            )
            for name, _ in pairs
            if pids[name] is None
        ]
        cores = choose_cores()
        yield Served(
            subjects=tuple(
                RunningSubject(Subject(name), service.address.port, service.address.host, pids[name], service.host)
                for name, service in pairs
            ),
            sides=_pair(Side(name, service.address, service.host) for name, service in pairs),
            # Where the services run is their starter's choice; only the client is pinned.
            cores=CoreRoles(frozenset(), cores.client),
            settings={name: {"URL": service.url} for name, service in pairs},
            described={name: service.url for name, service in pairs},
            reservations=tuple(reservations),
            logs=(),
            commands=(),
        )


@dataclass(frozen=True, slots=True)
class Served:
    """Two subjects that answer.

    Attributes:
        subjects: As they are loaded, the baseline first.
        sides: As they are asked before that.
        cores: Which processors belong to whom.
        settings: Effective settings of each, for the manifest.
        described: What each is, in words.
        reservations: What is to be doubted.
        logs: Their logs.
        commands: What started them.
    """

    subjects: tuple[RunningSubject, ...]
    sides: tuple[Side, Side]
    cores: CoreRoles
    settings: Mapping[str, Mapping[str, str]]
    described: Mapping[str, str]
    reservations: tuple[Reservation, ...]
    logs: tuple[Path, ...]
    commands: tuple[str, ...]


def run(
    pair: Applications | Services,
    plan: Plan,
    rules: Rules,
    settings: Settings,
    *,
    directory: Path,
    progress: Progress,
) -> tuple[Comparison, Path]:
    """Start what is to be started, ask both the same, load both in interleaved rounds; return result and file.

    Args:
        pair: What is compared.
        plan: What is sent, how much of it, how often and how long.
        rules: What the answers may differ in.
        settings: Where the settings of the servers come from.
        directory: Where the result is written.
        progress: Called with one line at each step.

    Raises:
        UsageError: If a path of the rules is in no answer, or the interpreter no usable one.
        EnvironmentFailure: If something does not start, or ends.
        AnswersDiffer: If they do not answer alike, or not with success; nothing was timed then.
    """
    with pair.serve(settings, plan.scenarios[0].target, progress) as served:
        checked = parity.check(served.sides, plan.scenarios, rules, progress=progress)
        if checked.differences:
            raise AnswersDiffer(checked, served.logs, served.commands)
        if checked.never_ignored_paths:
            raise UsageError(
                f"--ignore-json {checked.never_ignored_paths[0]} is in no answer",
                why="a path that is never there ignores nothing",
                hint="names of members with dots between them; * is every element: items.*.id",
            )
        terms = Terms(
            served.described,
            parity.REPEATS,
            tuple(sorted(IGNORED)),
            rules.allowed,
            (*served.reservations, *_doubts_of(rules)),
        )
        made = _manifest(pair, plan, served)
        with (
            results.opened(directory, "compare", made.time_utc) as own,
            LoadClient(cores=served.cores.client, processes=plan.clients) as client,
        ):
            path = own / results.RESULT
            progress("measuring what the load client can do")
            limits = measure_limits(client, served.cores)
            result = compare.run(
                served.subjects,
                plan.scenarios,
                client=client,
                manifest=made,
                baseline=pair.names[0],
                loads=plan.loads,
                timing=plan.timing,
                limits=limits,
                path=path,
                progress=progress,
                terms=terms,
            )
        results.mark_latest(own)
    return result, path


def _by_hand(service: ServedService, directory: Path | None) -> str:
    """Return the shell command that starts an application again, on the same port."""
    words = [word.replace("{port}", str(service.port)) for word in service.spec.argv]
    change = "" if directory is None else f"cd {shlex.quote(str(directory))} && "
    return f"{change}GUNICORN_CMD_ARGS= {shlex.join(words)}" if "gunicorn" in words else change + shlex.join(words)


def _manifest(pair: Applications | Services, plan: Plan, served: Served) -> Manifest:
    made = manifest(seed=plan.seed, cores=served.cores, settings=served.settings)
    if isinstance(pair, Services):
        apart = "no" if pair.a.is_here or pair.b.is_here else "yes"
        where = "not pinned" if apart == "no" else "another machine"
        return replace(made, core_roles={**made.core_roles, "server": where, "apart": apart})
    return made


def _doubts_of(rules: Rules) -> tuple[Reservation, ...]:
    if rules.body != "ignored":
        return ()
    return (
        Reservation(
            "bodies_not_compared",
            "bodies were not compared, so the two may do different work",
            "compare them with --allow json and --ignore-json",
        ),
    )


def _pair(sides: Iterator[Side]) -> tuple[Side, Side]:
    first, second = sides
    return first, second
