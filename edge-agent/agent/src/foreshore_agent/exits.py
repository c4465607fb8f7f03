"""How `foreshore-agent` ends: one table of exit codes for all verbs, and the last word.

`--help` prints the table. A script may rely on the codes, a person on the line that `fail` prints.
"""

import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NoReturn

import typer

from foreshore_api import printable

LONGEST: Final = 4096
"""Characters of a line: one names every cause at once."""


class Exit(IntEnum):
    """Every exit code of this program."""

    DONE = 0
    FAILED = 1
    USAGE = 2


MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.DONE: "done, or asked to end",
    Exit.FAILED: "begun, and it did not come out well: a recording that led to no decision,"
    " nothing found, resources in which lint finds a mistake, a model that is not supported as it"
    " is, a broken chain, a defect, a state"
    " directory that cannot be used",
    Exit.USAGE: "not begun, or not finished: wrong usage, or resources, a recording or a journal"
    " that cannot be worked from; the message says what to change",
}
TABLE: Final = "Exit codes: " + "; ".join(f"{code:d} {text}" for code, text in MEANINGS.items())
"""The table as `--help` prints it."""


def say(message: str) -> None:
    """Print a line, or several, for the person on standard error."""
    text = "\n".join(printable.line(line, LONGEST) for line in message.splitlines())
    print(f"foreshore-agent: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command line speaks


def fail(message: str, code: Exit) -> NoReturn:
    """Print the last word, and end with a code."""
    say(message)
    raise typer.Exit(code)
