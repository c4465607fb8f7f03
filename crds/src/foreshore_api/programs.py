"""What the command lines of all programs share: how much they log."""

from enum import StrEnum


class LogLevel(StrEnum):
    """Words that `--log-level` takes, in any case; another one is wrong usage."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level as the standard library counts it."""
        return _NUMBERS[self]


_NUMBERS = {LogLevel.DEBUG: 10, LogLevel.INFO: 20, LogLevel.WARNING: 30, LogLevel.ERROR: 40}
