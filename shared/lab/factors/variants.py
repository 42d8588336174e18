"""How a variant's services are started: the edition's own program where settings will do, a control's where not."""

import sys
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy.engine import make_url

from shared.config import Edition
from shared.lab.factors.catalogue import BY_NAME
from shared.lab.factors.catalogue import is_number
from shared.lab.factors.choice import Variant
from shared.lab.services.process import ServiceSpec
from shared.lab.services.process import edition_spec

CONTROL = "shared.lab.controls.variant"
# What only asyncpg's dialect understands in a URL.
ASYNCPG_ONLY = ("prepared_statement_cache_size",)


def spec(edition: Edition, variant: Variant, environ: Mapping[str, str]) -> ServiceSpec:
    """Return how to start an edition as a variant has it, on a port of its own.

    Args:
        edition: Which.
        variant: What is swapped; an edition in which nothing is swapped is started as ever.
        environ: Its environment variables; DATABASE_URL among them, through a proxy where there is one.
    """
    values = variant.swapped.get(edition, {})
    made = edition_spec(edition, {**environ, **_settings(edition, values, environ)})
    options = control_options(values)
    argv = (sys.executable, "-m", CONTROL, edition, *options) if options else made.argv
    return replace(made, name=variant.subject(edition), argv=argv)


def control_options(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the control's options for what no setting reaches; none where settings will do.

    Args:
        values: What is swapped, by factor.
    """
    swapped = [(name, value) for name, value in values.items() if BY_NAME[name].means == "control"]
    return tuple(word for name, value in swapped if not is_number(value) for word in (f"--{name}", value))


def _settings(edition: Edition, values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    changed: dict[str, str] = {}
    for name, value in values.items():
        factor = BY_NAME[name]
        if factor.means == "driver":
            changed["DATABASE_URL"] = with_driver(environ["DATABASE_URL"], value)
        elif is_number(value) and edition in factor.setting:
            changed[factor.setting[edition]] = value
    return changed


def with_driver(url: str, driver: str) -> str:
    """Return a database's URL that names a driver."""
    parsed = make_url(url).difference_update_query(ASYNCPG_ONLY)
    return parsed.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)
