"""What the command lines of all programs share: how much they log, and their version."""

import sys
from enum import StrEnum
from typing import Any


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


def version() -> str:
    """Return the version of this installation; all distributions have the same."""
    from importlib import metadata  # 20 ms that only who asks should wait

    return metadata.version("foreshore-api")


def version_option(program: str) -> dict[str, Any]:
    """Return what makes a flag of a typer application `--version`: it says it and ends well.

    Typer is no dependency of the contract, so its exception cannot be raised here.
    """

    def tell(is_asked: bool) -> None:  # noqa: FBT001 - typer's callback
        if is_asked:
            sys.stdout.write(f"{program} {version()}\n")
            raise SystemExit(0)

    return {"is_eager": True, "callback": tell, "help": "Say which version this is."}
