"""Cells of a recording that hold no value and yet are not empty: why a live agent refused it.

    value        21.5, true, "a text"
    refused      !NonFinite             a reason of `foreshore_api.reasons.telemetry`
    says nothing (an empty cell)        the last value goes on ageing
    text         !!NonFinite, !null, !  what would be taken for one of these: with a mark more

A refused value must not become an empty cell: a rehearsal would decide on the value before it, and
the live agent did not. `capture` writes them, whatever reads a recording asks `refusal` and `text`.
"""

from typing import Final

from foreshore_api.reasons import telemetry

MARK: Final = "!"
"""Begins a cell that says why there is no value."""
_SILENT: Final = frozenset({"", "null"})
"""Texts that say nothing where a cell is read."""


def refused(reason: str) -> str:
    """Return the cell of a value that was refused, by the reason's code."""
    return MARK + str(reason)


def written(text: str) -> str:
    """Return the cell of a text, which `text` reads back; but for its outer blanks."""
    core = text.lstrip(MARK)
    is_special = core in _SILENT or (core != text and core in telemetry.TABLE)
    return MARK + text if is_special else text


def refusal(cell: str) -> str | None:
    """Return why a cell holds no value, as a code; None where it does not say so."""
    core = cell.lstrip(MARK)
    return core if cell == MARK + core and core in telemetry.TABLE else None


def text(cell: str) -> str:
    """Return the text of a cell that is neither empty nor a refusal."""
    core = cell.lstrip(MARK)
    is_marked = core != cell and (core in _SILENT or core in telemetry.TABLE)
    return cell.removeprefix(MARK) if is_marked else cell


def is_exact(text: str) -> bool:
    """Whether a cell gives a text back as it was: without outer blanks, and without NUL."""
    return text == text.strip() and "\0" not in text
