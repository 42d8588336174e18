"""An edition with something swapped that no setting reaches; everything else is the edition as it stands.

python -m shared.lab.controls.variant wsgi|asgi [--server S] [--loop L] [--parser P] [--session S] [--pool null]
    [--engine per-request] [--serializer S]
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from shared.config import Edition
from shared.config import Settings
from shared.lab.controls import engines
from shared.lab.controls import overrides
from shared.lab.controls import servers
from shared.serving import main

# By edition and value; what is not here is the edition's own.
PARSERS: dict[tuple[Edition, str], str] = {("wsgi", "python"): "python", ("asgi", "python"): "h11"}


def apply(arguments: Sequence[str]) -> tuple[Edition, servers.Serve]:
    """Put every override in place, and return the edition and what serves it.

    Args:
        arguments: The edition and the options, as on the command line; checked by whoever made them.
    """
    reader = argparse.ArgumentParser()
    reader.add_argument("edition", choices=("wsgi", "asgi"))
    reader.add_argument("--server", choices=("gunicorn", "granian"))
    reader.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    reader.add_argument("--parser", choices=("c", "python"), default="c")
    reader.add_argument("--session", choices=("run_sync",))
    reader.add_argument("--pool", choices=("null",))
    reader.add_argument("--engine", choices=("per-request",))
    reader.add_argument("--serializer", choices=tuple(overrides.DUMPS))
    chosen = reader.parse_args(arguments)
    edition: Edition = chosen.edition
    if chosen.pool:
        overrides.no_pool()
    if chosen.engine:
        engines.per_request(edition)
    if chosen.serializer:
        overrides.serializer(chosen.serializer)
    if chosen.session:
        overrides.one_greenlet()
    if chosen.server == "granian":
        return edition, servers.granian(edition, loop=chosen.loop)
    if chosen.server == "gunicorn":
        gunicorn_parser = "python" if chosen.parser == "python" else "fast"
        return edition, servers.gunicorn_asgi(loop=chosen.loop, parser=gunicorn_parser)
    changed: dict[str, str] = {}
    if edition == "asgi":
        changed["loop"] = chosen.loop
    if chosen.parser == "python":
        changed["http_parser" if edition == "wsgi" else "http"] = PARSERS[edition, "python"]
    overrides.server_options(edition, changed)
    return edition, partial(_serve, edition)


def _serve(edition: Edition, settings: Settings) -> int:
    return int(import_module(f"{edition}_app.server").serve(settings))


# Worker processes that are spawned import this module by the second name, with the same arguments.
if __name__ in ("__main__", "__mp_main__"):
    serving = apply(sys.argv[1:])
    if __name__ == "__main__":
        sys.exit(main(*serving))
