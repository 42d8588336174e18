"""Every failure a user can meet: the families, and how a request's failure becomes an HTTP answer.

Families follow what the caller can do about it. Failures of a request carry an HTTP status and are rendered as
RFC 9457 problem documents; failures of a command carry an exit code and are printed by the command line.
"""

from http import HTTPStatus
from typing import ClassVar


class AppError(Exception):
    """Root of every failure that is expected and explained.

    Attributes:
        exit_code: Exit code of a command that ends with it (1 check failed, 2 usage, 3 environment,
            4 the two services are not comparable).
    """

    exit_code: ClassVar[int] = 1


class CommandError(AppError):
    """A command cannot go on: what failed, the measured why, and what to do next.

    Args:
        what: What failed, in one clause.
        why: What was seen that shows it.
        hint: The next command or change to try.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        self.what = what
        self.why = why
        self.hint = hint
        super().__init__(". ".join(part for part in (what, why, hint) if part))


class CheckFailed(CommandError):
    """A check or a threshold failed."""

    exit_code = 1


class UsageError(CommandError):
    """The command was called, or configured, in a way that cannot work."""

    exit_code = 2


class EnvironmentFailure(CommandError):
    """Something this machine must provide is missing or broken."""

    exit_code = 3


class NotComparable(CommandError):
    """The two services do not answer alike, so timing them would compare nothing."""

    exit_code = 4
