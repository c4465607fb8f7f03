"""What a recording's column of truth says: when acting was right; pure."""

from collections.abc import Iterator
from typing import Final

from foreshore_api import hints, printable

_TRUE: Final = ("1", "1.0", "true", "yes", "t")
_FALSE: Final = ("0", "0.0", "false", "no", "f")
_TEXT: Final = 40
"""Characters of a value in a message."""


def is_right_to_act(text: str, true_value: str | None) -> bool | None:
    """Whether a cell of the truth's column says that acting was right; None: it does not say.

    Where a person named the value that says so, every other one says no; an empty cell says
    nothing.
    """
    text = text.strip().casefold()
    if not text:
        return None
    if true_value is not None:
        return text == true_value.strip().casefold()
    return text in _TRUE if text in (*_TRUE, *_FALSE) else None


class TruthColumn:
    """What was seen of a column of truth; bounded."""

    def __init__(self, name: str, true_value: str | None) -> None:
        self._name: Final = name
        self._true_value: Final = true_value
        self._is_met = {True: 0, False: 0, None: 0}
        self._values: dict[str, None] = {}
        """The first different cells, in the order of the file."""

    def take(self, cell: str) -> None:
        """Look at a cell."""
        self._is_met[is_right_to_act(cell, self._true_value)] += 1
        if len(self._values) <= hints.SHOWN and cell.strip():
            self._values.setdefault(printable.clean(cell, _TEXT))

    def mistakes(self) -> Iterator[str]:
        """Yield why decisions cannot be held against it."""
        if not self._values:
            yield f"column {self._name} is to tell the truth, and every cell of it is empty"
        elif self._true_value is not None and not self._is_met[True]:
            value = printable.clean(self._true_value, _TEXT)
            yield (
                f"column {self._name} never says {value}, so that acting would never be right:"
                f" name one of its values with --truth {self._name}=VALUE ({self._shown()}), or"
                " leave --truth out"
            )
        elif not self._is_met[True] and not self._is_met[False]:
            yield (
                f"column {self._name} says neither 1 nor 0, true nor false: name the value by which"
                f" acting is right with --truth {self._name}=VALUE ({self._shown()})"
            )

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of it."""
        if self._true_value is None and not self._is_met[True]:
            yield f"column {self._name} never says that acting is right: recall is undefined"

    def _shown(self) -> str:
        shown = [repr(value) for value in self._values]
        more = " …" if len(shown) > hints.SHOWN else ""
        return "it has " + ", ".join(shown[: hints.SHOWN]) + more
