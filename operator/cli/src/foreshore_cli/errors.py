"""What ends a command early, and the exit codes that scripts may rely on."""

from __future__ import annotations

from typing import Final

EXIT_WELL: Final = 0
EXIT_UNWELL: Final = 1
"""Asked and answered: something is to look at, or cannot be known."""
EXIT_USAGE: Final = 2
"""The command line is wrong; the parser's own code."""
EXIT_FAILED: Final = 3
"""Could not be answered: out of reach, forbidden, not found, not installed."""


class CommandError(Exception):
    """The question cannot be answered; the message is one line for a person."""

    exit_code = EXIT_FAILED


class UsageError(CommandError):
    """The question makes no sense as it was put."""

    exit_code = EXIT_USAGE


class ForbiddenError(CommandError):
    """The user may not do this."""


class NoSuchObjectError(CommandError):
    """The API server knows no such object or kind."""


class UnreachableError(CommandError):
    """The API server, or what stands behind it, does not answer now; it may later."""
