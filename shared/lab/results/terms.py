"""What a comparison is about where it is not about this project's editions; part of the record."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reason to doubt a comparison that was known before it began.

    Attributes:
        code: Short name.
        message: What was seen, and why it matters.
        next_step: What to do about it.
        subject: Subject it touches; None for all.
    """

    code: str
    message: str
    next_step: str
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is compared, and what was taken for equal.

    Attributes:
        subjects: What each subject is, by its name: application and server, or URL.
        repeats: How often each side was asked each target before anything was timed.
        ignored: Header fields that are never compared.
        allowed: What else the answers may differ in, in words.
        reservations: What was to be doubted beforehand.
    """

    subjects: Mapping[str, str]
    repeats: int
    ignored: tuple[str, ...]
    allowed: tuple[str, ...]
    reservations: tuple[Reservation, ...]
