"""Asking a person before anything is written."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from foreshore_cli import errors


def confirmer(*, is_sure: bool) -> Callable[[str], bool]:
    """Return what asks a person, unless who gave the command is sure.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if not is_sure and not sys.stdin.isatty():
        raise errors.UsageError("nobody can be asked here: --yes says that you are sure")
    return lambda question: is_sure or typer.confirm(question, err=True)
