"""The lines below a table that say who was compared, where it is not the editions, and what was taken for equal."""

from shared.lab.results.terms import Terms


def notes(terms: Terms) -> tuple[str, ...]:
    """Return who was compared, and in what the answers may have differed."""
    who = "; ".join(f"{name}: {what}" for name, what in terms.subjects.items())
    may = f" Allowed to differ: {', '.join(terms.allowed)}." if terms.allowed else ""
    return (
        f"{who}.",
        f"Before any load each was asked every target {terms.repeats} times and gave equal answers: status, body and "
        f"header fields other than {', '.join(terms.ignored)}.{may}",
    )
