"""Results of other commands as sections of a page: one function for each kind of result.

A function gets the document that a command wrote into its result.json, and returns a section, or None where there is
nothing to show. It shows only what the document holds; where that was written by another version it may raise
KeyError, TypeError or ValueError, and the page then says that it cannot be read.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from shared.report.page.content import Section
from shared.report.page.sections import factors
from shared.report.page.sections import ladder
from shared.report.page.sections import validate

Document = Mapping[str, Any]

# By kind, in the order in which a page shows them.
SECTIONS: dict[str, Callable[[Document], Section | None]] = {
    "ladder": ladder.section,
    "factors": factors.section,
    "validate": validate.section,
}
