"""Where the two servers differ before any application is asked: case by case, with the reason.

Only requests that HTTP forbids, and that at least one of the parsers refuses. A case that is listed here and does not
differ any more is reported, so the list cannot outlive its reasons.
"""

KNOWN: dict[str, str] = {}
