"""All parts of a validation, one after the other; the result is written after each."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

from shared.errors import EnvironmentFailure
from shared.lab.compare import Progress
from shared.lab.results import directory as results
from shared.lab.results.record import Manifest
from shared.lab.services.process import Service
from shared.lab.services.process import edition_spec
from shared.lab.services.process import probe
from shared.lab.validity import agreement
from shared.lab.validity import delays
from shared.lab.validity import planted
from shared.lab.validity import same
from shared.lab.validity.files import NAME
from shared.lab.validity.files import with_earlier
from shared.lab.validity.files import write
from shared.lab.validity.plan import BUDGET_S
from shared.lab.validity.plan import FULL
from shared.lab.validity.plan import QUICK
from shared.lab.validity.result import PartName
from shared.lab.validity.result import Validation

# The first request may create schema and rows.
FIRST_ANSWER_S = 60.0


def run(
    parts: Sequence[PartName],
    *,
    environ: Mapping[str, str],
    manifest: Manifest,
    is_quick: bool,
    directory: Path,
    progress: Progress,
) -> tuple[Validation, Path]:
    """Run the parts asked for; write the result after each of them, and return it and where it is.

    What an earlier validation of the same commit says of other parts is kept beside them.

    Args:
        parts: Which.
        environ: Environment variables for every service; DATABASE_URL among them.
        manifest: Where this is made; its seed fixes delays, order and resampling.
        is_quick: Whether to run the short form.
        directory: Where results go.
        progress: Called with one line at each step.

    Raises:
        EnvironmentFailure: If a service, the load client or wrk fails.
        NotComparable: If a service answers with nothing but failures.
    """
    sizes = QUICK if is_quick else FULL
    until = monotonic() + BUDGET_S
    found = with_earlier(Validation(manifest, is_quick), directory, parts)
    with results.opened(directory, NAME, manifest.time_utc) as place:
        path = place / results.RESULT
        if "a" in parts:
            part_a = delays.run(
                seed=manifest.seed,
                rounds=sizes.delay_rounds,
                window_s=sizes.delay_window_s,
                stall_rounds=sizes.stall_rounds,
                progress=progress,
            )
            found = replace(found, delays=part_a)
            write(found, path)
        if set(parts) - {"a"}:
            progress("making sure of the data")
            _have_data(environ)
        if "b" in parts:
            part_b = same.run(environ=environ, manifest=manifest, sizes=sizes, progress=progress)
            found = replace(found, same=part_b)
            write(found, path)
        if "c" in parts:
            part_c = planted.run(environ=environ, manifest=manifest, sizes=sizes, progress=progress)
            found = replace(found, planted=part_c)
            write(found, path)
        if "d" in parts:
            part_d = agreement.run(environ=environ, seed=manifest.seed, sizes=sizes, until=until, progress=progress)
            found = replace(found, wrk=part_d)
            write(found, path)
    return found, path


def _have_data(environ: Mapping[str, str]) -> None:
    """Ask an edition for a row once: it makes what tables and rows are missing, and no slice shall wait for that."""
    with Service(edition_spec("wsgi", environ)) as service:
        answer = probe(service.port, "/db", timeout_s=FIRST_ANSWER_S)
        if answer != "200":
            raise EnvironmentFailure(
                "The WSGI edition gave no row of its database", why=f"GET /db: {answer}", hint=f"see {service.log_path}"
            )
