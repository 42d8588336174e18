"""Commands that prove the editions equal: in what they answer, and in what they are written like."""

import sys
from typing import Annotated

import typer

from .. import config
from ..errors import CheckFailed
from .app import messages
from .app import progress


def check(
    urls: Annotated[list[str] | None, typer.Argument(help="URLs of a running WSGI and a running ASGI service")] = None,
) -> None:
    """Prove that both editions answer the same bytes; started here, or running under two URLs."""
    from ..lab.parity import check as parity
    from ..report.parity import print_parity

    if urls and len(urls) != 2:
        raise typer.BadParameter(f"give two URLs, WSGI first, or none (got {len(urls)})")
    pair = (urls[0], urls[1]) if urls else None
    result = parity.run(config.load(), pair, progress)
    print_parity(result, sys.stdout)
    if not result.is_equal:
        raise CheckFailed("The two editions do not answer alike", hint="Run a curl line above to see it yourself")


def twins() -> None:
    """Show where the twin files differ, and fail if they are not the same program."""
    from .. import twins as proof
    from ..report.twins import print_twins

    checked = [(file, proof.compare(*proof.texts(file), file)) for file in proof.FILES if file.kind == "twin"]
    print_twins(proof.extents(), [(file, *proof.texts(file)) for file, _ in checked], sys.stdout)
    wrong = [(file, difference) for file, differences in checked for difference in differences]
    for file, difference in wrong:
        messages.print(
            f"{file.name}:{difference.line}: expected {difference.expected!r}, found {difference.found!r}",
            markup=False,
        )
    if wrong:
        raise CheckFailed(
            "The twins are not the same program",
            why=f"{len(wrong)} differences beyond async, await and the closed table of names",
            hint="Change both editions together, the WSGI one first",
        )
