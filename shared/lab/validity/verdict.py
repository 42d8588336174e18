"""What a validation says of a figure, and of a part."""

from typing import Literal

# Undecided: the figures are too wide to say either. Not run: something that it needs is not there, or not asked for.
Verdict = Literal["holds", "fails", "undecided", "not run"]
