"""Runs experiments one after the other, each judged by its own rule, on databases that nobody else uses."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from shared.errors import CommandError
from shared.errors import UsageError
from shared.lab import databases
from shared.lab.claims.bench import Bench
from shared.lab.claims.claim import Claim
from shared.lab.claims.claim import Finding
from shared.lab.claims.claim import Options
from shared.lab.claims.files import NAME
from shared.lab.claims.result import Claims
from shared.lab.claims.result import Failure
from shared.lab.claims.result import Outcome
from shared.lab.claims.result import Stated
from shared.lab.claims.result import judge
from shared.lab.results import directory as results
from shared.lab.results.record import Manifest
from shared.lab.services.process import choose_cores


def chosen_options(claims: Sequence[Claim], settings: Sequence[str]) -> Mapping[int, Options]:
    """Return every claim's options, by number, with what was set.

    Args:
        claims: Which will be run.
        settings: name=value, as given on the command line.

    Raises:
        UsageError: If none of the claims has such an option, or a value is none or out of bounds.
    """
    chosen = {claim.number: dict(claim.defaults) for claim in claims}
    for setting in settings:
        name, separator, word = setting.partition("=")
        owners = [(claim, option) for claim in claims for option in claim.options if option.name == name]
        if not separator or not owners:
            known = sorted({f"{option.name} ({claim.name})" for claim in claims for option in claim.options})
            raise UsageError(
                f"--set {setting} sets nothing here",
                why=f"there are {', '.join(known)}" if known else "these claims have no options",
                hint="--set name=value",
            )
        for claim, option in owners:
            try:
                value = type(option.default)(word)
            except ValueError:
                raise UsageError(f"--set {setting} is not a number", why=option.help) from None
            if not option.least <= value <= option.most:
                raise UsageError(
                    f"--set {setting} is out of bounds",
                    why=f"{claim.name} takes {option.least:g} to {option.most:g}: {option.help}",
                )
            chosen[claim.number][name] = value
    return chosen


def run(
    claims: Sequence[Claim],
    options: Mapping[int, Options],
    *,
    url: str,
    manifest: Manifest,
    directory: Path,
    progress: Callable[[str], None],
) -> tuple[Claims, Path]:
    """Run experiments and write what they found after each of them.

    An experiment that cannot be done is recorded as that, and the next one is run.

    Args:
        claims: Which.
        options: Their options, by number.
        url: A database of the server to use, without a driver.
        manifest: Where this is made.
        directory: Where results go.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If the database cannot be reached, or the result cannot be written.
        UsageError: If the role in the URL may not create databases.
    """
    databases.require_right(url, "An experiment")
    outcomes: list[Outcome] = []
    failures: list[Failure] = []
    with results.opened(directory, NAME, manifest.time_utc) as place:
        path = place / results.RESULT
        for number, claim in enumerate(claims, start=1):
            takes = _takes(claim, options[claim.number])
            progress(f"{number} of {len(claims)}, {takes}: {claim.name}  {claim.statement}")
            began = monotonic()
            try:
                finding = _measured(claim, options[claim.number], url, progress)
            except CommandError as error:
                why = f"{error.what}: {error.why}" if error.why else error.what
                failures.append(Failure(Stated.of(claim), options[claim.number], why))
            else:
                outcomes.append(judge(claim, options[claim.number], finding, monotonic() - began))
            found = Claims(manifest, tuple(outcomes), tuple(failures))
            results.write_json(path, found.document())
    return found, path


def _takes(claim: Claim, options: Options) -> str:
    """Tell how long an experiment takes, as far as that is known."""
    about = f"about {claim.seconds:g} s"
    return about if dict(options) == dict(claim.defaults) else f"{about} with its own options, other with those set"


def _measured(claim: Claim, options: Options, url: str, progress: Callable[[str], None]) -> Finding:
    """Run an experiment on databases of its own: what one has written must not be what another finds."""
    own = databases.new_pair(url, NAME)
    with databases.created(url, own):
        return claim.measure(Bench({"wsgi": own[0], "asgi": own[1]}, choose_cores(), progress), options)
