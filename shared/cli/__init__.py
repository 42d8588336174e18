"""The console script: every command behind the Makefile's targets.

Exit codes: 0 fine, 1 a check or threshold failed, 2 usage, 3 environment, 4 what was to be compared is not comparable.
A traceback is shown only with --debug.
"""

from collections.abc import Callable

from . import benchmarks
from . import claims
from . import compare
from . import export
from . import factors
from . import ladder
from . import proofs
from . import report
from . import services
from . import size
from . import trace
from . import validate
from .app import cli
from .app import main

__all__ = ["main"]

# One table instead of a decorator on each: --help shows them in this order, which is not that of the modules.
COMMANDS: dict[str, Callable[..., None]] = {
    "run": services.run,
    "check": proofs.check,
    "compare": compare.compare,
    "report": report.report,
    "diff": compare.diff,
    "export": export.export,
    "factors": factors.factors,
    "claims": claims.claims,
    "size": size.size,
    "validate": validate.validate,
    "bench-services": benchmarks.bench_services,
    "bench-trace": benchmarks.bench_trace,
    "ladder": ladder.ladder,
    "trace": trace.trace,
    "twins": proofs.twins,
    "config": services.show_config,
    "doctor": services.doctor,
    "database-url": services.database_url,
    "database-reset": services.database_reset,
    "clean": services.clean,
}

for name, command in COMMANDS.items():
    cli.command(name)(command)
