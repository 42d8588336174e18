"""Results of claims as files."""

from pathlib import Path

from shared.errors import UsageError
from shared.lab.claims.result import Claims
from shared.lab.claims.result import parse
from shared.lab.results import directory as results

NAME = "claims"


def load(path: Path) -> Claims:
    """Read what claims found back.

    Raises:
        UsageError: If the file cannot be read, holds something else, or is one of another schema version.
    """
    document = results.read_json(path)
    try:
        return parse(document)
    except ValueError as error:
        raise UsageError(
            f"{path} is no result of claims", why=" ".join(str(error).split()), hint="make claims"
        ) from error


def newest(root: Path) -> Path:
    """Return the newest result.json of claims.

    Raises:
        UsageError: If there is none yet.
    """
    found = results.newest(root, NAME)
    if found is None:
        raise UsageError("There is no result of claims", why=f"{root}/ holds none", hint="make claims")
    return found / results.RESULT
